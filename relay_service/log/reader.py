"""The log as whoever reads it sees it: the same whether this process writes it or follows another that does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, Protocol

from alphapulse.domain.errors import NoEventLog, Unavailable
from relay_service.log.cursor import Cursor
from relay_service.log.entries import Entry, EntryKind
from relay_service.log.hop import LogHop
from relay_service.log.records import LoggedRows, Position, Record
from relay_service.log.search import first_that
from relay_service.log.store import FAILURES, LogStore
from relay_service.log.tokens import TokenMint
from relay_service.results import Frame, SourceGapRecord

_PAGE_BYTES: Final = 1 << 20
_PAGE_ENTRIES: Final = range(8, 513)


class PlaceTooOldError(Exception):
    """The log does not hold what follows a place any more; `oldest` is the first place it does hold everything after."""

    def __init__(self, oldest: Position, oldest_ns: int) -> None:
        super().__init__(oldest)
        self.oldest = oldest
        self.oldest_ns = oldest_ns
        """Up to this time, nanoseconds since the Unix epoch, events came that are before it."""


class Recent(Protocol):
    """The end of what was handed on, in memory."""

    base: int
    """What follows this event is in memory."""
    last: int
    """The sequence of the last event."""

    def after(self, sequence: int) -> Sequence[Record] | None:
        """What follows an event, losses of sources right behind it included; None where it is to be read from Redis."""
        ...

    def since(self, now_ns: int) -> LoggedRows | None:
        """The first rows that came at this time or later."""
        ...


class LogReader(ABC):
    """Places, tokens and pages. Who has the log derives from it and says what has been handed on."""

    tail: Recent
    hop: LogHop | None = None
    """How long events take to the log, where this process writes it."""

    def __init__(self, store: LogStore, name: str) -> None:
        self.name = name
        """The RELAY_ID of the relays that write it."""
        self.tokens: TokenMint | None = None
        """None before the log is open."""
        self.errors = 0
        """Times that Redis did not take or give something."""
        self._store = store
        self._incarnation = 0
        self._page = _PAGE_ENTRIES.start

    @abstractmethod
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
        """Rows were handed on: those of a frame, or what came of it."""

    @abstractmethod
    def append_gap(self, record: SourceGapRecord) -> int:
        """A source's loss is declared; its number."""

    @property
    def store(self) -> LogStore:
        """The stream in Redis."""
        return self._store

    @property
    @abstractmethod
    def position(self) -> Position:
        """Behind everything that was handed on. Its incarnation is 0 before the log is open."""

    @property
    @abstractmethod
    def logged(self) -> int:
        """The sequence of the last event of this life that is in Redis."""

    def pending(self) -> Sequence[Record]:
        """What was handed on, and is not in Redis yet."""
        return ()

    @property
    def behind_ns(self) -> int:
        """For how long, in nanoseconds, it may not have had what the relay relayed; 0 where the relay itself writes it."""
        return 0

    @property
    def known_from(self) -> int:
        """The sequence from which on the last events of listings are known; 0: all of this life's are."""
        return 0

    @property
    def incarnation(self) -> int:
        """This life of the relay; 0 before the log is open."""
        return self._incarnation

    def highest_of(self, incarnation: int) -> int | None:
        """The highest sequence that anybody can have received of a life; None where that is not known."""
        here = self.position
        return here.sequence if incarnation == here.incarnation else None

    def life_of(self, incarnation: int, own: str) -> str:
        """The relay_id of a life; `own` is that of one that is not in the log yet."""
        return f"{self.name}.{incarnation:x}" if incarnation else own

    def mint(self) -> TokenMint:
        """What makes tokens. Raises Unavailable or NoEventLog."""
        if self.tokens is None:
            raise Unavailable("the log has not been reached since this relay was started", retry_after=1.0)
        return self.tokens

    @abstractmethod
    async def reached(self, position: Position) -> None:
        """Wait until everything up to a place was handed on."""

    async def check(self, position: Position) -> None:
        """Whether everything after a place can be given, or declared. Raises PlaceTooOldError; Unavailable where Redis does not answer;
        NoEventLog where the place is of a later life than this one."""
        if position.incarnation > self._incarnation:
            raise NoEventLog(
                "the place is of a later life of the relay: another of the same RELAY_ID writes the log now"
            )
        if position.incarnation == self._incarnation and position.sequence >= self.tail.base:
            return
        try:
            entry = await self._store.at_or_before(position.incarnation << 64 | position.sequence + 1)
            if entry is None:
                raise await self._too_old()
        except FAILURES as error:
            raise self.unavailable(error) from error

    async def find_time(self, time_ns: int) -> Cursor:
        """A cursor before the first event that came at this time or later. Raises as `check` does."""
        try:
            at_end = await self._find_at_end(time_ns)  # beforehand: what is written during the search lies behind it
            entry = await first_that(self._store, lambda one: one.high >= time_ns)
            if entry is None:
                return at_end
            before = await self._store.at_or_before(entry.number - 1)
        except FAILURES as error:
            raise self.unavailable(error) from error
        if before is None:
            if entry.high_before >= time_ns:
                raise PlaceTooOldError(beginning(entry), entry.high_before)
            return Cursor(beginning(entry), time_ns)
        cursor = Cursor(Position(before.incarnation, before.last), time_ns)
        for _ in cursor.follow(before):
            pass  # what it holds is before the place; that it ended a life is known now
        return cursor

    @abstractmethod
    async def _find_at_end(self, time_ns: int) -> Cursor:
        """Where to begin if nothing that is in Redis now, or was, came at this time or later. Raises PlaceTooOldError where Redis lost it."""

    async def page(self, cursor: Cursor) -> list[Entry]:
        """What Redis has after a cursor, about a mebibyte; the first entries may lie before it. Raises FAILURES."""
        place = cursor.position
        before, after = await self._store.around(place.incarnation << 64 | place.sequence + 1, self._page)
        cursor.trimmed = before is None
        found = [one for one in (before, *after) if one is not None and self._concerns(one)]
        size = sum(entry.size for entry in found) // len(found) if found else 0
        self._page = min(max(_PAGE_BYTES // (size + 1), _PAGE_ENTRIES.start), _PAGE_ENTRIES.stop - 1)
        return found

    def _concerns(self, entry: Entry) -> bool:
        """Whether an entry is of this life or an earlier one; a later one is of another writer."""
        return entry.incarnation <= self._incarnation

    async def _too_old(self) -> PlaceTooOldError:
        oldest = await self._store.oldest()
        if oldest is None:
            return PlaceTooOldError(Position(self._incarnation, self.tail.base), self._latest_ns)
        return PlaceTooOldError(beginning(oldest), oldest.high_before)

    @property
    @abstractmethod
    def _latest_ns(self) -> int:
        """The latest relay_in_ns in the log."""

    def unavailable(self, error: BaseException) -> Unavailable:
        """What a reader is told when Redis does not answer; counted."""
        self.errors += 1
        return Unavailable(f"the log does not answer: {type(error).__name__}: {error}", retry_after=1.0)


def beginning(entry: Entry) -> Position:
    """The place before everything an entry holds."""
    return Position(entry.incarnation, entry.last if entry.kind is EntryKind.START else entry.first - 1)
