"""The log as the relay uses it: what is relayed is handed over on the way, and a task of its own brings it to Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import ClassVar, Final, Self

import structlog

from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import NoEventLog, Unavailable
from relay_service.log.cursor import Cursor
from relay_service.log.entries import ENTRY_COST, MAX_ENTRY_BYTES, Entry, EntryKind, encode_entry, pieces
from relay_service.log.records import LoggedGap, LoggedRows, Position, Record
from relay_service.log.retention import Retention
from relay_service.log.search import first_that
from relay_service.log.store import FAILURES, LogStore, OutOfOrderError, ServerFullError
from relay_service.log.tail import BATCH_BYTES, Tail, is_within
from relay_service.log.tokens import TokenMint
from relay_service.results import SourceGapRecord

_log = structlog.stdlib.get_logger(__name__)
_LINGER_SECONDS: Final = 0.01
"""How long what is relayed gathers before it is written: a write costs the same processor time whatever it holds."""
_PAUSES: Final = (0.05, 5.0)
"""Seconds between two attempts to reach Redis: the first, and the longest."""
_OPEN_SECONDS: Final = 2.0
"""How long the start waits for Redis, as long as it has not failed."""
_END_SECONDS: Final = 2.0
"""How long the end waits until everything is logged."""
_PAGE_BYTES: Final = 1 << 20
_PAGE_ENTRIES: Final = range(8, 513)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Where the log is and what it keeps."""

    name: str
    """Relays of one name write one log, one after the other."""
    url: str
    seconds: float = 3600.0
    max_bytes: int = 1 << 30
    buffer_bytes: int = 64 << 20
    """Bytes of memory for what is not in Redis yet."""
    token_key: str = ""
    """Signs resume tokens; empty: one that is kept in Redis."""
    domain: Domain = Domain.MARKET
    """Whose events it keeps: each domain has a stream of its own."""
    patience_seconds: float = 2.0
    """Of a domain that is logged before it is delivered: how long Redis may take nothing until sources are refused."""


class LogState(Enum):
    """How the log fares."""

    OPENING = "opening"
    """Redis has not been reached since the start: there are no tokens yet."""
    OPEN = "open"
    FENCED = "fenced"
    """A relay of the same name that was started later writes the log now."""
    CLOSED = "closed"


class PlaceTooOldError(Exception):
    """The log does not hold what follows a place any more; `oldest` is the first place it does hold everything after."""

    def __init__(self, oldest: Position, oldest_ns: int) -> None:
        super().__init__(oldest)
        self.oldest = oldest
        self.oldest_ns = oldest_ns
        """Up to this time, nanoseconds since the Unix epoch, events came that are before it."""


class RelayLog:
    """Async context manager. `append` and `append_gap` only put something into memory; nothing here ever waits for Redis on their way."""

    linger_seconds: ClassVar[float] = _LINGER_SECONDS

    def __init__(self, settings: LogSettings, start_ns: int, last_sequence: int = 0) -> None:
        self.settings = settings
        self.state = LogState.OPENING
        self.tokens: TokenMint | None = None
        """None before the log is open."""
        self.errors = 0
        """Times that Redis did not take or give something."""
        self.entries = 0
        self.bytes = 0
        """Written so far."""
        self.tail = Tail(settings.buffer_bytes, last_sequence)
        self._store = LogStore(settings.url, settings.name, settings.domain)
        self._start_ns = start_ns
        self._retention = Retention(self._store, settings.seconds, settings.max_bytes)
        self._incarnation = 0
        self._source_gap = 0
        self._high = start_ns
        self._offset = 0
        self._synced = False
        self._pause = _PAUSES[0]
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._tried = asyncio.Event()
        self._page = _PAGE_ENTRIES.start

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._write(), name="log-write")]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_OPEN_SECONDS):
                await self._tried.wait()
        if self.state is LogState.OPENING:
            _log.warning("the log cannot be reached yet: events are relayed and kept in memory until it is")
        self._tasks.append(asyncio.create_task(self._retention.run(), name="log-trim"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await end(self._tasks)
        try:
            if self.state is LogState.OPEN:
                async with asyncio.timeout(_END_SECONDS):
                    await self._end()
        except (*FAILURES, OutOfOrderError) as failure:
            _log.warning("what was relayed last is not in the log", error=str(failure), events=self.unlogged)
        finally:
            self.state = LogState.CLOSED
            await self._store.close()

    # --- on the way
    def append(self, event_type: int, first: int, count: int, data: bytes, source: str, now_ns: int) -> None:
        """Rows were relayed."""
        self.tail.add(LoggedRows(first, count, event_type, data, source, now_ns))
        if not self._wake.is_set():
            self._wake.set()

    def append_gap(self, record: SourceGapRecord) -> int:
        """A source's loss was declared; its number."""
        self._source_gap += 1
        placed = record._replace(before_sequence=self.tail.last + 1)
        self.tail.add(LoggedGap(self._source_gap, placed))
        return self._source_gap

    # --- where it stands
    @property
    def position(self) -> Position:
        """Behind everything that was relayed. Its incarnation is 0 before the log is open."""
        return Position(self._incarnation, self.tail.last, self._source_gap)

    @property
    def incarnation(self) -> int:
        """This life of the relay; 0 before the log is open."""
        return self._incarnation

    def life_of(self, incarnation: int, own: str) -> str:
        """The relay_id of a life; `own` is that of this one."""
        return own if incarnation == self._incarnation else f"{self.settings.name}.{incarnation:x}"

    @property
    def unlogged(self) -> int:
        """Events that are in memory alone."""
        return self.tail.last - self.tail.base

    @property
    def trimmed(self) -> int:
        """Entries forgotten so far."""
        return self._retention.trimmed

    def mint(self) -> TokenMint:
        """What makes tokens. Raises Unavailable or NoEventLog."""
        if self.state is LogState.FENCED:
            raise NoEventLog("a relay of the same RELAY_ID that was started later writes the log of this one")
        if self.tokens is None:
            raise Unavailable("the log has not been reached since this relay was started", retry_after=1.0)
        return self.tokens

    # --- reading
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
            raise self._unavailable(error) from error

    async def find_time(self, time_ns: int) -> Cursor:
        """A cursor before the first event that came at this time or later. Raises as `check` does."""
        try:
            entry = await first_that(self._store, lambda one: one.high >= time_ns)
            if entry is None:
                return await self._find_in_tail(time_ns)
            before = await self._store.at_or_before(entry.number - 1)
        except FAILURES as error:
            raise self._unavailable(error) from error
        if before is None:
            if entry.high_before >= time_ns:
                raise PlaceTooOldError(_beginning(entry), entry.high_before)
            return Cursor(_beginning(entry), time_ns)
        cursor = Cursor(Position(before.incarnation, before.last), time_ns)
        for _ in cursor.follow(before):
            pass  # what it holds is before the place; that it ended a life is known now
        return cursor

    async def _find_in_tail(self, time_ns: int) -> Cursor:
        if await self._store.oldest() is None and self._high >= time_ns:
            raise await self._too_old()
        found = self.tail.since(time_ns)
        if found is None:
            return Cursor(self.position)
        return Cursor(Position(self._incarnation, found.first - 1), time_ns)

    async def page(self, cursor: Cursor) -> list[Entry]:
        """What Redis has after a cursor, about a mebibyte; the first entries may lie before it. Raises FAILURES."""
        place = cursor.position
        before, after = await self._store.around(place.incarnation << 64 | place.sequence + 1, self._page)
        cursor.trimmed = before is None
        found = [one for one in (before, *after) if one is not None and one.incarnation <= self._incarnation]
        size = sum(entry.size for entry in found) // len(found) if found else 0
        self._page = min(max(_PAGE_BYTES // (size + 1), _PAGE_ENTRIES.start), _PAGE_ENTRIES.stop - 1)
        return found

    async def _too_old(self) -> PlaceTooOldError:
        oldest = await self._store.oldest()
        if oldest is None:
            return PlaceTooOldError(Position(self._incarnation, self.tail.base), self._high)
        return PlaceTooOldError(_beginning(oldest), oldest.high_before)

    def _unavailable(self, error: BaseException) -> Unavailable:
        self.errors += 1
        return Unavailable(f"the log does not answer: {type(error).__name__}: {error}", retry_after=1.0)

    # --- writing
    async def _write(self) -> None:
        while self.state is not LogState.FENCED:
            try:
                if not self._synced:
                    await self._sync()
                await self._flush()
            except (*FAILURES, OutOfOrderError) as error:
                # Whether another writes the stream, and how much of a write arrived, the stream itself says.
                await self._failed(error)

    async def _failed(self, error: Exception) -> None:
        self.errors += 1
        if self._pause == _PAUSES[0]:
            _log.warning("the log takes nothing now: %s: %s", type(error).__name__, error)
        self._synced = False
        self._tried.set()
        if isinstance(error, ServerFullError):
            with contextlib.suppress(*FAILURES):
                await self._retention.make_room()
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, _PAUSES[1])

    async def _flush(self) -> None:
        """Write what there is, as it comes, for as long as all goes well."""
        while True:
            self._wake.clear()
            taken = self.tail.take()
            if not taken:
                await self._wake.wait()
                await asyncio.sleep(self.linger_seconds)
                continue
            await self._append(taken)
            if self.tail.size < BATCH_BYTES:
                await asyncio.sleep(self.linger_seconds)

    async def _append(self, records: list[Record]) -> None:
        entries = list(self._packed(records))
        await self._store.append([(one.number, one.data) for one in entries])
        self._pause = _PAUSES[0]
        for one in entries:
            self._wrote(one)

    def _wrote(self, one: _Packed) -> None:
        self.entries += 1
        self.bytes += len(one.data)
        self._retention.wrote(len(one.data))
        self._high, self._offset = one.high, one.offset
        self.tail.logged(one.last)

    def _packed(self, records: list[Record]) -> Iterator[_Packed]:
        """Entries of these records, each ending with an event."""
        held: list[Record] = []
        size, high, offset = 0, self._high, self._offset
        for record in records:
            for piece in pieces(record, MAX_ENTRY_BYTES) if isinstance(record, LoggedRows) else (record,):
                if is_within(piece, self.tail.base):
                    continue
                held.append(piece)
                size += len(piece.data) if isinstance(piece, LoggedRows) else 0
                if size >= MAX_ENTRY_BYTES:
                    yield (packed := self._entry(held, high, offset))
                    held, size, high, offset = [], 0, packed.high, packed.offset
        if held:
            yield self._entry(held, high, offset)

    def _entry(self, records: list[Record], high_before: int, offset: int) -> _Packed:
        high = max([high_before, *(one.now_ns for one in records if isinstance(one, LoggedRows))])
        first = next(one.last + 1 if isinstance(one, LoggedGap) else one.first for one in records)
        last = records[-1].last
        size = sum(len(one.data) for one in records if isinstance(one, LoggedRows)) + ENTRY_COST
        data = encode_entry(EntryKind.EVENTS, records, last, high_before, high, offset + size)
        return _Packed(self._incarnation << 64 | first, data, last, high, offset + size)

    async def _sync(self) -> None:
        """Find out where the stream stands: at the start, and whenever it is not known how much of a write arrived."""
        newest = await self._store.newest()
        if not self._incarnation:
            await self._begin(newest)
        elif newest is not None and newest.incarnation > self._incarnation:
            self.state = LogState.FENCED
            self.tail.forget()
            _log.error("another relay of this RELAY_ID, started later, writes the log: this one logs no more")
            return
        elif newest is not None and newest.incarnation == self._incarnation:
            self.tail.logged(newest.last)
            self._high, self._offset = max(self._high, newest.high), max(self._offset, newest.offset)
        self._synced = True

    async def _begin(self, newest: Entry | None) -> None:
        """Take the log over: with an entry, so that whoever writes it by then finds out."""
        key = self.settings.token_key.encode() or await self._store.token_key()
        incarnation, high, offset = self._start_ns, self._start_ns - 1, 0
        if newest is not None:
            incarnation = max(incarnation, newest.incarnation + 1)
            high, offset = newest.high, newest.offset
        self._high, self._offset = max(high, self._start_ns), offset + ENTRY_COST
        data = encode_entry(EntryKind.START, (), self.tail.base, high, self._high, self._offset)
        await self._store.append([(incarnation << 64, data)])
        self._incarnation = incarnation
        self.tokens = TokenMint(key, self._store.name)
        self.state = LogState.OPEN
        self._tried.set()

    async def _end(self) -> None:
        """Write everything, and that it is everything."""
        await self._sync()  # the last write may have been interrupted
        if self.state is not LogState.OPEN:
            return
        while taken := self.tail.take():
            await self._append(taken)
        rest, last = self.tail.take_all(), self.tail.last
        data = encode_entry(EntryKind.END, rest, last, self._high, self._high, self._offset + ENTRY_COST)
        await self._store.append([(self._incarnation << 64 | last + 1, data)])
        self.tail.forget()


@dataclass(frozen=True, slots=True)
class _Packed:
    """An entry that is about to be written."""

    number: int
    data: bytes
    last: int
    high: int
    offset: int


async def end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks that use Redis until they are done: before Python 3.12 a cancellation that meets the end of a `wait_for` is lost."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=0.05)


def _beginning(entry: Entry) -> Position:
    """The place before everything an entry holds."""
    return Position(entry.incarnation, entry.last if entry.kind is EntryKind.START else entry.first - 1)
