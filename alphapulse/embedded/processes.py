"""Which process is the store of a folder, and how one is ended.

A pid alone proves nothing: after a crash or a restart of a container it may belong to any other program. A store
is known by its name and by its working folder, which both Postgres and Valkey set to their data folder.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterable
from pathlib import Path

import psutil

HOST = "127.0.0.1"


def store_process(pid: int, names: Iterable[str], data: Path) -> psutil.Process | None:
    """The living process `pid` if it is the store of the folder `data`, otherwise None."""
    try:
        process = psutil.Process(pid)
        return process if _serves(process, names, data) else None
    except (psutil.NoSuchProcess, ValueError):
        return None


def store_processes(names: Iterable[str], data: Path) -> list[psutil.Process]:
    """Every living process with one of the names that works in the folder `data`."""
    found = []
    for process in psutil.process_iter():
        try:
            if _serves(process, names, data, known=False):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def _serves(process: psutil.Process, names: Iterable[str], data: Path, *, known: bool = True) -> bool:
    # A store renames itself in the process list ('valkey-server 127.0.0.1:6379'), so the start of the name counts.
    if process.status() == psutil.STATUS_ZOMBIE or not process.name().startswith(tuple(names)):
        return False
    try:
        return Path(process.cwd()).resolve() == data.resolve()
    except psutil.AccessDenied:
        # Another user's process: its folder cannot be read. Believe the pid file, never a mere scan.
        return known


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs: a zombie does not, nor does another process that was given its pid."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_gone(process: psutil.Process, seconds: float) -> bool:
    """Wait until the process has ended; False when it is still alive after that time."""
    try:
        process.wait(seconds)
    except psutil.TimeoutExpired:
        return not is_alive(process)
    except psutil.NoSuchProcess:
        pass
    return True


def send(process: psutil.Process, number: signal.Signals) -> None:
    """Send a signal; a process that is gone already is fine."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def port_is_free(port: int) -> bool:
    """Whether a server could listen on that port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of 127.0.0.1 nobody listens on. Another program may take it before its use: try again then."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
