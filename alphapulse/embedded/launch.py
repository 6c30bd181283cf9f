"""Starts a store's program behind the guard, so that it lives exactly as long as the user wants."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from alphapulse.embedded.errors import StoreStartError

_GUARD = Path(__file__).with_name("_guard.py")
# Settings of the user's own clients must not leak into a server we start.
_FOREIGN_PREFIXES = ("PG", "LC_", "LANG", "PYTHON")


@dataclass(slots=True)
class Launched:
    """A program that was started, and the guard in front of it (None when it was detached)."""

    process: psutil.Process
    guard: subprocess.Popen[bytes] | None

    def release(self) -> None:
        """Collect the guard after the program has ended."""
        if self.guard is not None:
            assert self.guard.stdin is not None
            self.guard.stdin.close()
            self.guard.wait()
            self.guard = None


def launch(
    command: list[str], *, log: Path, stop_signal: signal.Signals, die_with_parent: bool, remove: Path | None = None
) -> Launched:
    """Start a program with its output in `log`.

    With `die_with_parent` it is ended by `stop_signal` once this process is gone, even by SIGKILL, and then the
    folder `remove` is deleted. Raises StoreStartError when it ended at once.
    """
    guard = _start_guard(command, log, stop_signal, detach=not die_with_parent, remove=remove)
    assert guard.stdout is not None
    assert guard.stdin is not None
    with guard.stdout as said:
        text = said.readline().strip()
    if not text:
        guard.stdin.close()
        guard.wait()
        raise StoreStartError(f"the guard of {command[0]} ended with code {guard.returncode}; see {log}")
    if not die_with_parent:
        guard.stdin.close()
        guard.wait()
    try:
        process = psutil.Process(int(text))
    except psutil.NoSuchProcess:
        guard.stdin.close()
        guard.wait()
        raise StoreStartError(f"{command[0]} ended at once; see {log}") from None
    return Launched(process, guard if die_with_parent else None)


def is_doomed(process: psutil.Process) -> bool:
    """Whether the guard of a store has lost its launcher, so that it is about to end the store."""
    try:
        guard = process.parent()
        if guard is None:
            return False
        words = guard.cmdline()
        if str(_GUARD) not in words or "--launcher" not in words:
            return False
        return guard.ppid() != int(words[words.index("--launcher") + 1])
    except (psutil.Error, ValueError):
        return False


def run(command: list[str], *, log: Path) -> int:
    """Run a program to its end, with its output in `log`; it ends with this process. Returns its exit code."""
    guard = _start_guard(command, log, signal.SIGTERM, detach=False, remove=None)
    assert guard.stdout is not None
    assert guard.stdin is not None
    with guard.stdout, guard.stdin:
        return guard.wait()


def _start_guard(
    command: list[str], log: Path, stop_signal: signal.Signals, *, detach: bool, remove: Path | None
) -> subprocess.Popen[bytes]:
    options = ["--launcher", str(os.getpid()), "--log", str(log), "--signal", str(int(stop_signal))]
    if detach:
        options.append("--detach")
    if remove is not None:
        options += ["--remove", str(remove)]
    # A session of its own: Ctrl-C in the user's terminal reaches the launcher, which ends the stores last.
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-S", str(_GUARD), *options, "--", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
        start_new_session=True,
    )


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_PREFIXES)}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}
