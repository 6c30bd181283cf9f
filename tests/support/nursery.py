"""Starts the product's processes without importing everything anew for each.

A service spends two to three seconds of a core on imports, and the suite starts some hundreds. While `nursery()` is open, `subprocess.Popen` of this
interpreter with `-m` and one of MODULES, or with a program of the tests, is forked from a process that has imported them (`_nursery_main.py`).
What runs is a process as any other: its own pid, a child of whoever asked, its own environment and pipes, ended by any signal. Whatever is
not of that kind (another interpreter, an option the nursery does not know) is started as ever.

Not so with TEST_NURSERY=off: then every process begins from nothing, as in production.
"""

from __future__ import annotations

import contextlib
import ctypes
import inspect
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

MODULES: Final = ("relay_service", "registry_service", "collector_service", "alphapulse_cli")
_TESTS: Final = Path(__file__).resolve().parents[1]
_MAIN: Final = Path(__file__).with_name("_nursery_main.py")
_WITHOUT_THREADS: Final = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""What keeps numpy and pyarrow from starting threads when they are imported."""
_PR_SET_CHILD_SUBREAPER: Final = 36
_PLAIN: Final = {
    "executable": None,
    "preexec_fn": None,
    "pass_fds": (),
    "shell": False,
    "start_new_session": False,
    "process_group": -1,
    "gid": None,
    "gids": None,
    "uid": None,
    "umask": -1,
}
"""What a process must not ask for otherwise."""
_PIPES: Final = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
_libc: Final = ctypes.CDLL(None, use_errno=True)
_Popen: Any = subprocess.Popen
_ARGUMENTS: Final = tuple(inspect.signature(_Popen._execute_child).parameters)[1:]


class Nursery:
    """The process that forks others, started when the first is asked for. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    def takes(self, command: Sequence[str], cwd: Path) -> bool:
        """Whether a process of this command line is one of those it can fork."""
        if len(command) < 2 or command[0] != sys.executable:
            return False
        if command[1] == "-m":
            return len(command) > 2 and command[2] in MODULES
        program = cwd / command[1]
        return program.suffix == ".py" and program.resolve().is_relative_to(_TESTS)

    def fork(self, command: Sequence[str], environment: Mapping[str, str], cwd: str, files: Sequence[int]) -> int:
        """The pid of a new child of this process. Raises OSError."""
        request = json.dumps({"command": list(command), "environment": dict(environment), "cwd": cwd}).encode()
        with self._lock:
            line = self._open()
            # Whoever forks it ends at once, so that it becomes a child of the nearest process that adopts: this one, now.
            _adopt(True)
            try:
                socket.send_fds(line, [len(request).to_bytes(8)], files)
                line.sendall(request)
                answer = line.recv(8)
            finally:
                _adopt(False)
        if len(answer) != 8:
            raise OSError("the nursery has ended")
        return int.from_bytes(answer)

    def close(self) -> None:
        """Ends it; not what it has forked."""
        with self._lock:
            if self._process is not None and self._line is not None:
                self._line.close()
                self._process.wait()
            self._process = self._line = None

    def _open(self) -> socket.socket:
        if self._line is None:
            self._line, far = socket.socketpair()
            with far:
                self._process = _Popen(
                    [sys.executable, str(_MAIN), str(far.fileno())],
                    pass_fds=[far.fileno()],
                    cwd=_TESTS.parent,
                    env={**os.environ, **_WITHOUT_THREADS},
                )
        return self._line


def _adopt(adopts: bool) -> None:
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, int(adopts), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _popen_of(nursery: Nursery) -> Any:
    """A Popen that asks the nursery where it can."""

    class Popen(_Popen):  # type: ignore[misc]
        # The one method of CPython's Popen that starts something.
        def _execute_child(self, *arguments: Any) -> None:
            asked = SimpleNamespace(**dict(zip(_ARGUMENTS, arguments, strict=True)))
            command = [os.fsdecode(one) for one in asked.args] if isinstance(asked.args, list | tuple) else []
            folder = os.getcwd() if asked.cwd is None else os.fsdecode(asked.cwd)
            is_plain = all(getattr(asked, name) == usual for name, usual in _PLAIN.items())
            if not (is_plain and nursery.takes(command, Path(folder))):
                super()._execute_child(*arguments)
                return
            pipes = asked.p2cread, asked.c2pwrite, asked.errwrite
            files = [own if pipe == -1 else pipe for own, pipe in enumerate(pipes)]
            try:
                self.pid = nursery.fork(command, os.environ if asked.env is None else asked.env, folder, files)
                self._child_created = True
            finally:
                self._close_pipe_fds(*(getattr(asked, name) for name in _PIPES))

    return Popen


@contextlib.contextmanager
def nursery() -> Iterator[None]:
    """While it is open, processes come from the nursery."""
    if os.environ.get("TEST_NURSERY") == "off" or sys.platform != "linux":
        yield
        return
    opened = Nursery()
    subprocess.Popen = _popen_of(opened)
    try:
        yield
    finally:
        subprocess.Popen = _Popen  # type: ignore[misc]
        opened.close()
