"""The process of `nursery.py`: imports what the product's processes import, then forks them on request. Given the number of a connected socket.

A request is three files (standard input, output and errors) with eight bytes of length, then JSON. The answer is the pid in eight bytes.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from relay_service import core
from relay_service.egress.warm_up import warm_up

_PACKAGES: Final = ("registry_service", "relay_service", "collector_service", "alphapulse_cli")
_LEFT_OUT: Final = (".__main__", ".migrations.")
"""Main programs; what Alembic alone can import."""


def preload() -> None:
    """Import all modules there are, and load what the relay compiles. Starts no thread: what is forked beside one may hang."""
    for package in _PACKAGES:
        found = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, f"{package}."):
            if not any(part in module.name for part in _LEFT_OUT):
                importlib.import_module(module.name)
    with Path(tempfile.gettempdir(), f"alphapulse-test-compiles-{os.getuid()}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the nursery of another worker needs the same: one compiles it
        core.RelayCore().warm_up()
        warm_up()
    threads = os.listdir("/proc/self/task")
    if len(threads) > 1:
        raise RuntimeError(f"the nursery has {len(threads)} threads: find what is imported that starts one")
    gc.collect()
    gc.freeze()  # shared with whatever is forked


def serve(line: socket.socket) -> dict[str, Any] | None:
    """Forks until nobody asks any more: None. In a process that is forked: what it is to run."""
    while True:
        head, files, _, _ = socket.recv_fds(line, 8, 3)
        if len(head) != 8:
            return None
        request = bytearray()
        while len(request) < int.from_bytes(head):
            request += line.recv(1 << 16)
        read_end, write_end = os.pipe()
        middle = os.fork()
        if middle == 0:
            child = os.fork()
            if child == 0:
                os.close(read_end)
                os.close(write_end)
                line.close()
                for number, file in enumerate(files):
                    os.dup2(file, number)
                    os.close(file)
                return dict(json.loads(request))
            os.write(write_end, child.to_bytes(8))
            os._exit(0)
        os.waitpid(middle, 0)  # now the child has another parent
        for file in (*files, write_end):
            os.close(file)
        line.sendall(os.read(read_end, 8))
        os.close(read_end)


def become(command: list[str], environment: Mapping[str, str], cwd: str) -> None:
    """What the interpreter does before it runs a program."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    unbuffered = bool(environment.get("PYTHONUNBUFFERED"))
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    sys.stdout = _written(1, "strict", unbuffered)
    sys.stderr = _written(2, "backslashreplace", unbuffered)


def _written(number: int, errors: str, unbuffered: bool) -> io.TextIOWrapper:
    lines = number == 2 or os.isatty(number)
    raw = io.FileIO(number, "w", closefd=False)
    buffer: Any = raw if unbuffered else io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, encoding="utf-8", errors=errors, line_buffering=lines, write_through=unbuffered)


def run(command: list[str]) -> None:
    """Run `-m MODULE ARGUMENTS` or `PROGRAM ARGUMENTS` as the main program."""
    if command[1] == "-m":
        sys.path[0], sys.argv = os.getcwd(), command[2:]
        runpy.run_module(command[2], run_name="__main__", alter_sys=True)
    else:
        sys.path[0], sys.argv = os.path.dirname(os.path.abspath(command[1])), command[1:]
        runpy.run_path(command[1], run_name="__main__")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever it serves
    preload()
    wanted = serve(socket.socket(fileno=int(sys.argv[1])))
    if wanted is not None:
        become(**wanted)
        run(wanted["command"])
