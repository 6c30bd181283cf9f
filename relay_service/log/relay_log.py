"""The log as the relay uses it: what is relayed is handed over on the way, and a task of its own brings it to Redis."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import ClassVar, Final, Self

import structlog

from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import NoEventLog
from relay_service.log.cursor import Cursor
from relay_service.log.entries import ENTRY_COST, MAX_ENTRY_BYTES, Entry, EntryKind, encode_entry, pieces
from relay_service.log.hop import LogHop
from relay_service.log.journal import Journal
from relay_service.log.reader import LogReader
from relay_service.log.records import LoggedRows, Position, Record, size_of
from relay_service.log.retention import Retention
from relay_service.log.store import FAILURES, LogStore, OutOfOrderError, ServerFullError
from relay_service.log.tail import BATCH_BYTES, Tail, is_empty, is_within, starts_at
from relay_service.log.tokens import TokenMint
from relay_service.results import Frame

_log = structlog.stdlib.get_logger(__name__)
_LINGER_SECONDS: Final = 0.01
"""How long what is relayed gathers before it is written: a write costs the same processor time whatever it holds."""
_PAUSES: Final = (0.05, 5.0)
"""Seconds between two attempts to reach Redis: the first, and the longest."""
_OPEN_SECONDS: Final = 2.0
"""How long the start waits for Redis, as long as it has not failed."""
_END_SECONDS: Final = 2.0
"""How long the end waits until everything is logged."""


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


class RelayLog(Journal, LogReader):
    """Async context manager. `append` and its like only put something into memory; nothing here ever waits for Redis on their way."""

    tail: Tail
    hop: LogHop

    linger_seconds: ClassVar[float] = _LINGER_SECONDS

    def __init__(self, settings: LogSettings, start_ns: int, last_sequence: int = 0) -> None:
        Journal.__init__(self, settings.buffer_bytes, last_sequence)
        LogReader.__init__(self, LogStore(settings.url, settings.name, settings.domain), settings.name)
        self.settings = settings
        self.state = LogState.OPENING
        self.entries = 0
        self.bytes = 0
        """Written so far."""
        self.hop = LogHop()
        self._start_ns = start_ns
        self._retention = Retention(self._store, settings.seconds, settings.max_bytes)
        self._gives_way = self._retention
        """What keeps less where the server is full."""
        self._high = start_ns
        self._offset = 0
        self._synced = False
        self._pause = _PAUSES[0]
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._tried = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._write(), name="log-write")]
        self._tasks[0].add_done_callback(self._report)
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

    def _report(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.state = LogState.CLOSED
            _log.error("the log is written no more, by a fault of the relay's own", exc_info=error)

    # --- on the way
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
        """Rows were relayed: those of a frame, or what came of it."""
        self.tail.add(LoggedRows(first, count, event_type, data, source, now_ns, frame))
        if not self._wake.is_set():
            self._wake.set()

    # --- where it stands
    @property
    def position(self) -> Position:
        """Behind everything that was relayed. Its incarnation is 0 before the log is open."""
        return Position(self._incarnation, self.tail.last, self._source_gap)

    @property
    def logged(self) -> int:
        """The sequence of the last event of this life that is in Redis."""
        return self.tail.base

    @property
    def unlogged(self) -> int:
        """Events that are in memory alone."""
        return self.tail.last - self.tail.base

    def pending(self) -> list[Record]:
        """What is in memory alone."""
        return self.tail.records()

    def spare(self, other: RelayLog) -> None:
        """Where their server is full, the other log keeps less, not this one."""
        self._gives_way = other._retention

    @property
    def trimmed(self) -> int:
        """Entries forgotten so far."""
        return self._retention.trimmed

    def mint(self) -> TokenMint:
        """What makes tokens. Raises Unavailable or NoEventLog."""
        if self.state is LogState.FENCED:
            raise NoEventLog("a relay of the same RELAY_ID that was started later writes the log of this one")
        return super().mint()

    async def reached(self, position: Position) -> None:
        """At once: what a relay wrote, it has."""

    async def _find_at_end(self, time_ns: int) -> Cursor:
        found, here = self.tail.since(time_ns), self.position
        if await self._store.oldest() is None and self._high >= time_ns:
            raise await self._too_old()
        return Cursor(here) if found is None else Cursor(Position(self._incarnation, found.first - 1), time_ns)

    @property
    def _latest_ns(self) -> int:
        return self._high

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
                await self._gives_way.make_room()
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
        self.hop.taken(records, time.time_ns())
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
                size += size_of(piece)
                if size >= MAX_ENTRY_BYTES and not is_empty(piece):
                    yield (packed := self._entry(held, high, offset))
                    held, size, high, offset = [], 0, packed.high, packed.offset
        if held:
            yield self._entry(held, high, offset)

    def _entry(self, records: list[Record], high_before: int, offset: int) -> _Packed:
        high = max([high_before, *(one.now_ns for one in records if isinstance(one, LoggedRows))])
        first, last = starts_at(records[0]), records[-1].last
        size = sum(map(size_of, records)) + ENTRY_COST
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

    async def beat(self, data: bytes) -> None:
        """Leave what the relay says of itself beside the log, for who follows it. Raises FAILURES."""
        if self.state is LogState.OPEN:
            await self._store.write_beat(self._incarnation, data)

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
