"""One launcher at a time changes the state of a store: a lock that the kernel frees when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alphapulse.embedded.errors import StoreBusyError

_POLL_SECONDS = 0.02


@contextmanager
def folder_lock(path: Path, *, progress: Callable[[str], None], timeout: float = 60.0) -> Iterator[None]:
    """Hold the lock file `path`. Raises StoreBusyError after `timeout` seconds."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(descriptor, path, progress, timeout)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, progress: Callable[[str], None], timeout: float) -> None:
    started = time.monotonic()
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = time.monotonic() - started
            if waited > timeout:
                raise StoreBusyError(
                    f"another launcher has been starting or stopping the store in {path.parent} for {waited:.0f} s; "
                    "wait for it, end it, or use another data folder"
                ) from None
            if waited > 1.0 and not told:
                progress(f"waiting for another launcher that uses {path.parent} ...")
                told = True
            time.sleep(_POLL_SECONDS)
        else:
            return
