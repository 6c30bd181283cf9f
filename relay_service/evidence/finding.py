"""An event of the log by its sequence, and what was relayed before it: one read by id, never a scan of the whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from alphapulse.domain.errors import LogHole, OutOfRange
from alphapulse.records import LAYOUTS, Rows
from relay_service.accepted import DERIVED_TYPES
from relay_service.evidence.lives import Lives
from relay_service.log.entries import Entry, EntryKind, EntryUnreadableError
from relay_service.log.reader import LogReader
from relay_service.log.records import LoggedGap, LoggedHole, LoggedRows, Record, cost_of
from relay_service.log.store import FAILURES
from relay_service.log.tail import starts_at

_MASK: Final = (1 << 64) - 1
_PAGE: Final = 4
"""Entries read at once on the way back: others of the relay's loop have their turn between any two of them."""
_TURN_BYTES: Final = 1 << 17
"""So much of what is in memory is looked at in one turn of the loop."""
MOST_BACK_BYTES: Final = 16 << 20
"""Nothing is looked for further back than this."""


@dataclass(frozen=True, slots=True)
class Found:
    """An event where it lies in the log."""

    incarnation: int
    """The life of the relay it is of."""
    record: LoggedRows
    place: int
    """Of its row in the record, from 0."""
    gaps: tuple[LoggedGap, ...]
    """Losses that were declared right before the frame it came in."""
    logged_ns: int
    """When it was written to the log; 0: it is in the relay's memory alone, or its entry does not say."""

    @property
    def sequence(self) -> int:
        """The relay's sequence."""
        return self.record.first + self.place

    @property
    def row(self) -> Rows:
        """Shape (1,): a copy of the row."""
        return row_at(self.record, self.place)

    @property
    def source_sequence(self) -> int:
        """The source's own number; 0 where it has none, or nobody noted it."""
        return source_sequence(self.record, self.place)


def row_at(record: LoggedRows, place: int) -> Rows:
    """Shape (1,): the row of a record, copied."""
    layout = LAYOUTS[record.event_type]
    size = layout.row_size
    return layout.from_bytes(record.data[place * size : (place + 1) * size], check=False).copy()


def source_sequence(record: LoggedRows, place: int) -> int:
    """The source's own number of a row that came in a frame; 0 of others."""
    frame = record.frame
    if frame is None or record.event_type in DERIVED_TYPES:
        return 0
    return frame.first + frame.place_of(record.place + place) & _MASK


async def find_event(log: LogReader, lives: Lives, incarnation: int, sequence: int) -> Found:
    """The event. OutOfRange tells what the log has; LogHole: it was relayed and is missing; Unavailable: Redis does not answer."""
    life = lives.name_of(incarnation)
    if incarnation == log.incarnation and log.logged < sequence <= log.position.sequence:
        return _among(log.pending(), incarnation, sequence, life, 0)
    try:
        entry = await log.store.at_or_before(incarnation << 64 | sequence)
        if entry is None or entry.incarnation != incarnation or entry.last < sequence:
            raise await _missing(log, lives, incarnation, sequence)
    except FAILURES as error:
        raise log.unavailable(error) from error
    try:
        return _among(list(entry.records()), incarnation, sequence, life, entry.written_ns)
    except EntryUnreadableError as error:
        raise _hole(life, sequence, entry.first, entry.last, str(error)) from error


def _among(records: Sequence[Record], incarnation: int, sequence: int, life: str, logged_ns: int) -> Found:
    gaps: list[LoggedGap] = []
    frame: LoggedRows | None = None
    for record in records:
        if isinstance(record, LoggedGap):
            gaps.append(record)
        elif isinstance(record, LoggedRows):
            if frame is not None and (record.frame is None or record.frame != frame.frame):
                gaps = [gap for gap in gaps if gap.last >= frame.last]
            if record.first <= sequence <= record.last:
                return Found(incarnation, record, sequence - record.first, tuple(gaps), logged_ns)
            frame = record
        elif isinstance(record, LoggedHole) and record.first <= sequence <= record.last:
            raise _hole(life, sequence, record.first, record.last, "the log's server did not take it in time")
    raise _hole(life, sequence, sequence, sequence, "the log does not hold it where it should be")


def _hole(life: str, sequence: int, first: int, last: int, why: str) -> LogHole:
    return LogHole(
        f"sequence {sequence} of {life} was relayed and lies in a hole of the log, {first} to {last}: {why}",
        metadata={"first_sequence": str(first), "last_sequence": str(last)},
    )


async def _missing(log: LogReader, lives: Lives, incarnation: int, sequence: int) -> OutOfRange | LogHole:
    """Why an event is not there: it never was, it was forgotten, or it is missing between others."""
    life = lives.name_of(incarnation)
    begin, end = await _bounds(log, incarnation)
    if begin is None or end is None:
        oldest, newest = await log.store.oldest(), await log.store.newest()
        lived = {
            name: lives.name_of(one.incarnation)
            for name, one in (("oldest_relay_id", oldest), ("newest_relay_id", newest))
            if one is not None
        }
        return OutOfRange(f"the log holds nothing of {life}", metadata=lived)
    first = begin.last + 1 if begin.kind is EntryKind.START else begin.first
    last = max(end.last, log.position.sequence if incarnation == log.incarnation else 0)
    if first <= sequence <= last:
        return _hole(life, sequence, sequence, sequence, "the log's server lost it")
    held = f"{first} to {last} of it" if first <= last else "no event of it"
    return OutOfRange(
        f"sequence {sequence} of {life} is not in the log, which holds {held}",
        metadata={"relay_id": life, "oldest_sequence": str(first), "newest_sequence": str(last)},
    )


async def _bounds(log: LogReader, incarnation: int) -> tuple[Entry | None, Entry | None]:
    """The first and the last entry of a life."""
    begin = await log.store.at_or_after(incarnation << 64)
    end = await log.store.at_or_before((incarnation + 1 << 64) - 1)
    return tuple(one if one is not None and one.incarnation == incarnation else None for one in (begin, end))  # type: ignore[return-value]


async def before(
    log: LogReader, found: Found, oldest_ns: int, most_bytes: int = MOST_BACK_BYTES, page_entries: int = _PAGE
) -> AsyncIterator[LoggedRows | LoggedGap]:
    """What was relayed before an event in the same life, the last first, back to a relay_in_ns and over `most_bytes` at most. Raises Unavailable."""
    left = most_bytes
    record, start = found.record, found.record.first
    if found.place:
        size = LAYOUTS[record.event_type].row_size
        yield record._replace(events=found.place, data=record.data[: found.place * size])
    held = log.pending() if found.incarnation == log.incarnation else []
    turn = 0
    for one in reversed(held):
        if isinstance(one, LoggedRows | LoggedGap) and one.last < start:
            if _is_older(one, oldest_ns) or left <= 0:
                return
            left -= cost_of(one)
            turn += cost_of(one)
            if turn >= _TURN_BYTES:
                turn = 0
                await asyncio.sleep(0)
            yield one
    if held:
        start = min(start, starts_at(held[0]))
    number = found.incarnation << 64 | start
    try:
        entry = await log.store.at_or_before(number)
        page = [] if entry is None else [entry]
        while page and left > 0:
            for entry in page:
                left -= entry.size
                if entry.incarnation != found.incarnation or entry.kind is EntryKind.START:
                    return
                for one in _backwards(entry, start):
                    if _is_older(one, oldest_ns):
                        return
                    yield one
                await asyncio.sleep(0)
            page = await log.store.before(page[-1].number, page_entries)
    except FAILURES as error:
        raise log.unavailable(error) from error


def _backwards(entry: Entry, start: int) -> list[LoggedRows | LoggedGap]:
    found: list[LoggedRows | LoggedGap] = []
    try:
        for record in entry.records():
            if isinstance(record, LoggedRows | LoggedGap) and record.last < start:
                found.append(record)  # noqa: PERF401 - what was read before a fault counts
    except EntryUnreadableError:
        pass  # what could be read of it
    return found[::-1]


def _is_older(record: LoggedRows | LoggedGap, oldest_ns: int) -> bool:
    return isinstance(record, LoggedRows) and record.now_ns < oldest_ns
