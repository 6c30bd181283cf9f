"""A reader's place in the log, and what it is told before the next thing it reads: what is missing, and that another life of the relay begins."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from relay_service.log.entries import Entry, EntryKind, EntryUnreadableError
from relay_service.log.records import LoggedGap, LoggedHole, LoggedRows, Position, Record

_log = logging.getLogger(__name__)
LOG_HOLE: Final = "LOG_HOLE"
LOG_TRIMMED: Final = "LOG_TRIMMED"
RELAY_RESTARTED: Final = "RELAY_RESTARTED"


class Missing(NamedTuple):
    """Events that were relayed and that the log cannot give."""

    reason: str
    events: int
    """How many, of all listings; 0 where it is not known."""
    last_sequence: int
    """The sequence of the last of them, or of the last event before them."""


class Turned(NamedTuple):
    """What follows is of another life of the relay, whose sequences begin anew."""

    incarnation: int


Step = LoggedRows | LoggedGap | Missing | Turned


class Cursor:
    """Moves through the log. `position` moves with each step that is taken from `follow`; rows move it when the reader says so with `passed`."""

    def __init__(self, position: Position, since_ns: int = 0, floor: int = 0) -> None:
        self.position = position
        self._floor = floor
        """In the life it begins in, the reader knows of everything up to this event; it is not told that something of that is missing."""
        self.trimmed = False
        """Whether the place itself is not in the log any more: what is missing before the next entry was there once."""
        self._ended = False
        self._since_ns = since_ns
        """Rows and losses before the first rows of this time are passed over; 0: none are."""

    def passed(self, sequence: int) -> None:
        """The reader has dealt with everything up to this event."""
        self.position = self.position._replace(sequence=sequence)

    def follow(self, entry: Entry) -> Iterator[Step]:
        """What an entry holds beyond the place. The place moves on as the steps are taken."""
        if entry.incarnation < self.position.incarnation:
            return
        if entry.kind is EntryKind.START:
            yield from self._turn(entry.incarnation, entry.last)
            return
        try:
            yield from self._records(entry.incarnation, entry.records())
        except EntryUnreadableError as error:
            _log.warning("an entry of the log is passed over: %s", error)
            return  # the next one is not contiguous, which is told then
        if entry.kind is EntryKind.END:
            yield from self._reach(entry.last)
            self._ended = True

    def follow_tail(self, incarnation: int, records: Iterable[Record]) -> Iterator[Step]:
        """The same of records that are in memory."""
        yield from self._records(incarnation, records)

    def reach(self, incarnation: int, sequence: int) -> Iterator[Step]:
        """Move to a place to which nothing can be read."""
        yield from self._turn(incarnation, 0)
        yield from self._reach(sequence)

    def _records(self, incarnation: int, records: Iterable[Record]) -> Iterator[Step]:
        yield from self._turn(incarnation, 0)
        for record in records:
            if isinstance(record, LoggedRows):
                yield from self._rows(record)
            elif isinstance(record, LoggedGap):
                yield from self._gap(record)
            elif isinstance(record, LoggedHole):
                yield from self._hole(record)

    def _turn(self, incarnation: int, sequence: int) -> Iterator[Step]:
        before = self.position
        if incarnation <= before.incarnation:
            return
        if self.trimmed:
            yield Missing(LOG_TRIMMED, 0, before.sequence)
        elif not self._ended:
            yield Missing(RELAY_RESTARTED, 0, before.sequence)
        self.position = Position(incarnation, sequence)
        self._floor = 0
        self._ended = False
        yield Turned(incarnation)

    def _reach(self, sequence: int) -> Iterator[Step]:
        """What is missing up to an event."""
        count = sequence - max(self.position.sequence, self._floor)
        self.passed(max(sequence, self.position.sequence))
        if count > 0:
            yield Missing(LOG_TRIMMED if self.trimmed else LOG_HOLE, count, sequence)
        self.trimmed = False

    def _rows(self, record: LoggedRows) -> Iterator[Step]:
        if record.last <= self.position.sequence:
            return
        yield from self._reach(record.first - 1)
        if self._since_ns:
            if record.now_ns < self._since_ns:
                self.passed(record.last)
                return
            self._since_ns = 0
        skip = self.position.sequence + 1 - record.first
        if skip:
            data = record.data[len(record.data) // record.events * skip :]
            record = record._replace(first=record.first + skip, events=record.events - skip, data=data)
        yield record

    def _gap(self, gap: LoggedGap) -> Iterator[Step]:
        if gap.number <= self.position.source_gap or gap.last < self.position.sequence:
            return
        yield from self._reach(gap.last)
        self.position = self.position._replace(source_gap=gap.number)
        if not self._since_ns:
            yield gap

    def _hole(self, hole: LoggedHole) -> Iterator[Step]:
        before = self.position
        if hole.last <= before.sequence and (hole.last < before.sequence or hole.source_gap <= before.source_gap):
            return
        yield from self._reach(hole.first - 1)
        count = max(hole.last - max(self.position.sequence, self._floor), 0)
        told = not count and hole.source_gap <= before.source_gap
        self.position = self.position._replace(
            sequence=max(hole.last, self.position.sequence), source_gap=max(hole.source_gap, self.position.source_gap)
        )
        if not told:
            yield Missing(LOG_HOLE, count, hole.last)
