"""Builds the calendars that venues name before somebody asks about their hours: a question that finds none built waits for seconds."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from alphapulse.domain.errors import AlphaPulseError
from registry_service.resources import RegistryResources
from registry_service.storage.model import Change, EntityKind, Query
from registry_service.venue.calendar_store import KEPT, CalendarStore
from registry_service.venue.convert import wire

SETTLE_SECONDS: Final = 30.0
"""How long after the start, or after news of venues, building waits: the start and a seed under way come first."""
_RETRY_SECONDS: Final = 30.0
_CHUNK: Final = 200
_log = logging.getLogger(__name__)


class CalendarsAhead:
    """An async context manager: while open it has the calendars of all venues at hand, those that most of them name first, at most as many as a
    process keeps. One after the other, and each in a thread: nobody waits for it, the start of the service neither. What is in Postgres
    already is read and not built. A question that comes earlier builds its calendar itself, or waits for the building under way."""

    def __init__(
        self, resources: RegistryResources, calendars: CalendarStore, settle_seconds: float = SETTLE_SECONDS
    ) -> None:
        self._resources = resources
        self._calendars = calendars
        self._settle_seconds = settle_seconds
        self._wanted: dict[str, None] = {}
        self._told = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._resources.feed.listen(self._heard)
        self._task = asyncio.create_task(self._run(), name="calendars-ahead")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        await self._calendars.aclose()

    def _heard(self, changes: Sequence[Change]) -> None:
        for one in changes:
            name = wire.Venue.FromString(one.after).calendar if one.kind is EntityKind.VENUE else ""
            if name:
                self._wanted[name] = None
                self._told.set()

    async def _run(self) -> None:
        await asyncio.sleep(self._settle_seconds)
        while True:
            try:
                self._wanted = dict.fromkeys([*await self._named(), *self._wanted])
                break
            except AlphaPulseError as error:
                _log.warning("the venues' calendars cannot be read now: %s", error)
            except Exception:  # the next reading may do better; ending here would end the building in silence
                _log.exception("the venues' calendars cannot be read now")
            await asyncio.sleep(_RETRY_SECONDS)
        while True:
            self._told.clear()
            while self._wanted:
                name = next(iter(self._wanted))
                del self._wanted[name]  # before it is had: news of it meanwhile count
                await self._have(name)
            await self._told.wait()
            await asyncio.sleep(self._settle_seconds)

    async def _named(self) -> list[str]:
        """The calendars of the registered venues, those that most of them name first."""
        found: Counter[str] = Counter()
        async for _, venues in self._resources.store.snapshot(Query(EntityKind.VENUE), _CHUNK):
            found.update(name for one in venues if (name := wire.Venue.FromString(one.body).calendar))
        return [name for name, _ in found.most_common(KEPT)]

    async def _have(self, name: str) -> None:
        try:
            await self._calendars.get(name)
        except AlphaPulseError as error:
            # Whoever asks for it is told the same.
            _log.warning("the calendar %s cannot be built ahead: %s", name, error)
        except Exception:
            _log.exception("the calendar %s cannot be built ahead", name)
