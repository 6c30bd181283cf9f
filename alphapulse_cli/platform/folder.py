"""The folder of a platform: made, checked, and held by one platform at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import click

from alphapulse_cli.platform.state import read_state

_LONGEST_SOCKET_PATH: Final = 100
"""Bytes; the kernel allows 107."""
_SOCKET_NAMES: Final = ("ingress.sock", "egress.sock")


class PlatformError(click.ClickException):
    """The platform could not be started."""

    exit_code = 4


class DataFolder:
    """Held from `take` to `release`. A lock of the kernel holds it, so that a killed platform holds nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        self._short: Path | None = None

    def take(self) -> None:
        """Makes the folder and its parts. Raises PlatformError when it cannot be used, or another platform holds it."""
        try:
            for folder in (self.path, self.path / "logs", self.path / "run"):
                folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path / "platform.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise PlatformError(
                f"{self.path} cannot be the data folder: {error.strerror} ({error.filename}). "
                "Name a folder you may write to with --data-dir"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise self._held() from error
        self._lock = lock

    def _held(self) -> PlatformError:
        state = read_state(self.path)
        who = f"process {state.supervisor_pid}" if state is not None and state.is_running() else "just starting"
        return PlatformError(
            f"a platform runs already over {self.path} ({who}): "
            "stop it with alphapulse down, or name another folder with --data-dir"
        )

    def sockets(self) -> tuple[str, str]:
        """Paths of the ingress and the egress socket: in the folder, or in a temporary one where the folder's path is
        longer than the kernel takes."""
        folder = self.path / "run"
        if len(os.fsencode(folder / _SOCKET_NAMES[0])) > _LONGEST_SOCKET_PATH:
            folder = self._short = Path(tempfile.mkdtemp(prefix="alphapulse-run-"))
        ingress, egress = (str(folder / name) for name in _SOCKET_NAMES)
        return ingress, egress

    def release(self) -> None:
        """Lets go of it. Safe to call again."""
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)
            self._short = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
