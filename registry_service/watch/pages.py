"""Pages of the change log for watchers that catch up: those that stand at the same place share what is read and encoded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from registry_service.storage.model import Change
from registry_service.watch.groups import deltas, matcher
from registry_service.watch.model import Delta, WatchSpec

_PAGE: Final = 1000
_KEPT: Final = 16
"""Pages kept: enough for watchers that come back together after a restart."""


class PageSource(Protocol):
    """What pages are read from."""

    async def changes(self, after_revision: int, limit: int) -> Sequence[Change]:
        """Rows in order."""


@dataclass(frozen=True, slots=True)
class LogPage:
    """What follows a revision, up to another."""

    upto: int
    deltas: Sequence[Delta]
    """Of the spec; may be empty."""


class LogPages:
    """Reads pages, each once. The log never changes, so a kept page stays right; one read at the end of the log is only short."""

    def __init__(self, source: PageSource) -> None:
        self._source = source
        self._kept: dict[tuple[WatchSpec, int], LogPage] = {}
        self._reading: dict[tuple[WatchSpec, int], asyncio.Lock] = {}

    async def after(self, spec: WatchSpec, position: int) -> LogPage | None:
        """The page after a position at which the log does not end; None when the log no longer holds what follows it."""
        key = (spec, position)
        lock = self._reading.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                if key not in self._kept:
                    page = await self._read(spec, position)
                    if page is None:
                        return None
                    self._kept[key] = page
                    while len(self._kept) > _KEPT:
                        del self._kept[next(iter(self._kept))]
                return self._kept[key]
        finally:
            if not lock.locked():
                self._reading.pop(key, None)

    async def _read(self, spec: WatchSpec, position: int) -> LogPage | None:
        changes = await self._source.changes(position, _PAGE)
        if not changes or changes[0].revision != position + 1:
            return None
        matches = spec.matches or matcher(spec)
        return LogPage(changes[-1].revision, deltas([change for change in changes if matches(change)]))
