"""The log of another relay's domain as an edge has it: how far it was handed on, and how far behind that is."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Final, Self

import structlog
from google.protobuf.message import DecodeError

from alphapulse.api.relay.v1.relay_service_pb2 import Heartbeat
from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import Unavailable
from relay_service.edge.window import Window
from relay_service.log.cursor import Cursor
from relay_service.log.entries import Entry, EntryKind
from relay_service.log.reader import LogReader, beginning
from relay_service.log.records import LoggedGap, LoggedRows, Position
from relay_service.log.relay_log import LogSettings
from relay_service.log.store import FAILURES, LogStore
from relay_service.log.tokens import TokenMint
from relay_service.results import Frame, SourceGapRecord

_log = structlog.stdlib.get_logger(__name__)
PAGE_ENTRIES: Final = 64
"""Entries read at once: eight mebibytes at most."""
_WAIT_MS: Final = 500
"""How long one read waits for the next entry: well within the time in which Redis has to answer."""


class EdgeLog(LogReader):
    """Async context manager. Entering it raises Unavailable where the log cannot be read, or no relay has written one of the market. That of another
    domain may be empty: then it has no life yet, and begins with the first entry that comes."""

    def __init__(self, settings: LogSettings) -> None:
        super().__init__(LogStore(settings.url, settings.name, settings.domain), settings.name)
        self.domain = settings.domain
        self.tail: Window = Window(settings.buffer_bytes)
        self._key = settings.token_key.encode()
        self._read = 0
        """The number of the last entry that was taken."""
        self._source_gap = 0
        self._known_from = 0
        self._complete_ns = 0
        self._beat: Heartbeat | None = None
        self._before = 0
        """What the relay had relayed before there was anything in the log, as far as it said so."""
        self._moved = asyncio.Event()
        self.beginning = Position(0, 0)
        """Where the log began when it was entered."""

    async def __aenter__(self) -> Self:
        try:
            oldest = await self._store.oldest()
            if oldest is None and self.domain is Domain.MARKET:
                raise Unavailable(
                    f"no relay of RELAY_ID {self.name} has written a log at RELAY_LOG_URL yet",
                    hint="an edge serves the log of a relay: give it that relay's RELAY_ID and RELAY_LOG_URL",
                )
            self.tokens = TokenMint(self._key or await self._store.token_key(), self._store.name)
        except FAILURES as error:
            await self._store.close()
            raise self.unavailable(error) from error
        except BaseException:
            await self._store.close()
            raise
        if oldest is not None:
            self.beginning = beginning(oldest)
            self._read = oldest.number - 1
            self._complete_ns = oldest.high_before
            self.turn(self.beginning, whole=oldest.kind is EntryKind.START)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._store.close()

    # --- what was handed on
    def append(
        self,
        event_type: int,
        first: int,
        count: int,
        data: bytes,
        source: str,
        now_ns: int,
        frame: Frame | None = None,
    ) -> None:
        """Rows were handed on."""
        self.tail.add(LoggedRows(first, count, event_type, data, source, now_ns, frame))
        self._complete_ns = max(self._complete_ns, now_ns)
        self._move()

    def expect_gap(self, number: int) -> None:
        """The loss that is declared next has this number."""
        self._source_gap = number

    def append_gap(self, record: SourceGapRecord) -> int:
        """A source's loss is declared; its number, which is the relay's own."""
        self.tail.add(LoggedGap(self._source_gap, record))
        return self._source_gap

    def turn(self, place: Position, *, whole: bool) -> None:
        """What follows is of another life of the relay; `whole`: from its first event on."""
        self._incarnation, self._source_gap = place.incarnation, place.source_gap
        self._known_from = 0 if whole else place.sequence + 1
        self._beat, self._before = None, 0
        self.tail.begin(place.sequence)
        self._move()

    def passed(self, place: Position) -> None:
        """Up to a place of this life events are missing in the log: who resumes before it is told by what Redis has."""
        self._source_gap = max(self._source_gap, place.source_gap)
        if place.sequence > self.tail.last:
            self._known_from = place.sequence + 1
            self.tail.begin(place.sequence)
        self._move()

    def _move(self) -> None:
        if not self._moved.is_set():
            self._moved.set()

    # --- where it stands
    @property
    def position(self) -> Position:
        """Behind everything that was handed on."""
        return Position(self._incarnation, self.tail.last, self._source_gap)

    @property
    def logged(self) -> int:
        """Of what was handed on everything is in Redis: it came from there."""
        return self.tail.last

    def highest_of(self, incarnation: int) -> int | None:
        """Not known: others may be ahead."""
        return None

    @property
    def known_from(self) -> int:
        """The sequence from which on the last events of listings are known: there is nothing from before the log, and nothing from before a hole."""
        return self._known_from

    @property
    def behind_ns(self) -> int:
        """For how long it may not have had what the relay relayed. Where events come, the relay's time of the last; at rest, of the relay's last word
        that there were no others."""
        self._settle()
        return max(time.time_ns() - self._complete_ns, 0)

    @property
    def behind_events(self) -> int:
        """Events that the relay said it has relayed, and that have not come."""
        return max(self._told(self._beat) - self._had, 0) if self._beat is not None else 0

    def heard(self, beat: Heartbeat) -> None:
        """The relay said what it has relayed, in every domain. What it said in another life than this log is in is passed over."""
        if self._incarnation and beat.relay_id != self.life_of(self._incarnation, ""):
            return
        self._settle()
        if not self._incarnation and self._beat is None:
            self._before = self._told(beat)
        self._beat = beat
        self._settle()

    def _told(self, beat: Heartbeat) -> int:
        """The last sequence of the domain that the relay spoke of."""
        return beat.last_sequences.get(int(self.domain), 0)

    @property
    def _had(self) -> int:
        """Up to which event nothing is awaited."""
        return max(self.tail.last, self._before)

    def _settle(self) -> None:
        beat = self._beat
        if beat is not None and self._told(beat) <= self._had:
            self._complete_ns = max(self._complete_ns, beat.time_ns)

    async def reached(self, position: Position) -> None:
        """Wait until everything up to a place was handed on: a client may come from a relay that was ahead."""
        while (self._incarnation, self.tail.last) < (position.incarnation, position.sequence):
            self._moved.clear()
            await self._moved.wait()

    # --- reading
    async def next_entries(self) -> list[Entry]:
        """What was written behind the entries taken so far, waited for half a second. Raises FAILURES."""
        return await self._store.following(self._read, PAGE_ENTRIES, _WAIT_MS)

    def took(self, entry: Entry) -> None:
        """An entry is dealt with: it is not read again."""
        self._read = entry.number

    async def is_forgotten(self, position: Position) -> bool:
        """Whether the log does not reach back to a place any more. Raises FAILURES."""
        return await self._store.at_or_before(position.incarnation << 64 | position.sequence + 1) is None

    async def read_beat(self) -> Heartbeat | None:
        """What the relay said of itself last; None where it has not lately, or not so that it can be read. Raises FAILURES."""
        incarnation = self._incarnation
        data = await self._store.read_beat(incarnation)
        if data is None or incarnation != self._incarnation:
            return None
        try:
            return Heartbeat.FromString(data)
        except DecodeError as error:
            _log.warning("what the relay says of itself cannot be read: %s", error)
            return None

    async def check(self, position: Position) -> None:
        """As of any relay; a place that another one came to before this is good."""
        if position[:2] < self.position[:2]:
            await super().check(position)

    async def _find_at_end(self, time_ns: int) -> Cursor:
        newest = await self._store.newest()
        if newest is None:  # Redis lost it
            if self._complete_ns >= time_ns:
                raise await self._too_old()
            return Cursor(self.position, time_ns)
        cursor = Cursor(Position(newest.incarnation, newest.last), time_ns)
        for _ in cursor.follow(newest):
            pass
        return cursor

    def _concerns(self, entry: Entry) -> bool:
        return True

    @property
    def _latest_ns(self) -> int:
        return self._complete_ns
