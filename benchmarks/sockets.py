"""Connecting to a Unix socket of a process that has just been started."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

_PATIENCE = 60.0
_PAUSE = 0.01


def connected(path: str | Path) -> socket.socket:
    """A blocking socket to `path`: its file may not be there yet, and be there before anybody listens. Raises what the last try did."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        made = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
            made.connect(str(path))
            return made
        made.close()
        time.sleep(_PAUSE)
    made = socket.socket(socket.AF_UNIX)
    made.connect(str(path))
    return made
