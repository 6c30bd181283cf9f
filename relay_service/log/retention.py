"""Forgets what is too old, or too much."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog

from relay_service.log.entries import Entry
from relay_service.log.search import first_that
from relay_service.log.store import FAILURES, LogStore

_log = structlog.stdlib.get_logger(__name__)
_SHARE: Final = 32
"""What is kept may be over its bound by this part of it."""


class Retention:
    """Looks at the log now and then. What came last is kept whatever its age, so that a client that has everything can resume."""

    def __init__(self, store: LogStore, seconds: float, max_bytes: int) -> None:
        self._store = store
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._written = 0
        self.trimmed = 0
        """Entries forgotten so far."""

    def wrote(self, size: int) -> None:
        """So many bytes more are in the log."""
        self._written += size

    async def run(self) -> None:
        """Until it is cancelled."""
        due = 0.0
        while True:
            now = time.monotonic()
            if now >= due or self._written >= self._max_bytes // _SHARE:
                due, self._written = now + self._seconds / _SHARE, 0
                try:
                    await self.trim(time.time_ns())
                except FAILURES as error:
                    _log.info("the log cannot be trimmed now: %s: %s", type(error).__name__, error)
            await asyncio.sleep(min(1.0, self._seconds / _SHARE))

    async def trim(self, now_ns: int) -> None:
        """Forget what is over the bounds now. Raises FAILURES."""
        newest = await self._store.newest()
        if newest is None:
            return
        oldest_ns = now_ns - int(self._seconds * 1e9)
        least = newest.offset - self._max_bytes

        def kept(entry: Entry) -> bool:
            return bool(entry.high >= oldest_ns and entry.offset > least)

        first = await first_that(self._store, kept) or newest
        self.trimmed += await self._store.trim(first.number)
