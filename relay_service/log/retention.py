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
_KEPT_WHEN_FULL: Final = 0.8
"""The part of the log that is kept where its server has no room for all of it."""


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

    async def make_room(self) -> None:
        """The server is full: from now on less is kept than the bound allows. Raises FAILURES."""
        oldest, newest = await self._store.oldest(), await self._store.newest()
        if oldest is None or newest is None or oldest.number == newest.number:
            return
        self._max_bytes = max(int((newest.offset - oldest.offset) * _KEPT_WHEN_FULL), 1)
        _log.warning("the log's server is full: the log keeps less than RELAY_LOG_BYTES", bytes=self._max_bytes)
        first = await first_that(self._store, lambda one: one.offset > newest.offset - self._max_bytes)
        self.trimmed += await self._store.trim((first or newest).number)

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
