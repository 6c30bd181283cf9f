"""The end of the log that is not in Redis yet, in memory: bounded, and readable like the rest."""

from __future__ import annotations

import itertools
from collections import deque
from typing import Final

from relay_service.log.records import LoggedGap, LoggedHole, LoggedRows, Record, cost_of

BATCH_BYTES: Final = 1 << 20
"""Rows that are under way to Redis at a time."""


class Tail:
    """Records in order. First those under way to Redis, then those that wait; of these the oldest become a hole where there are too many."""

    def __init__(self, bound: int, last: int) -> None:
        self._bound = bound
        self._flying: list[Record] = []
        self._waiting: deque[Record] = deque()
        self.base = last
        """The sequence of the last event that is in Redis."""
        self.last = last
        """The sequence of the last event."""
        self.size = 0
        """Bytes of memory of what waits, holes apart: there is one at most."""
        self.lost = 0
        """Events that became part of a hole, so far."""

    def __bool__(self) -> bool:
        return bool(self._flying or self._waiting)

    def add(self, record: Record) -> None:
        """What was relayed now."""
        self._waiting.append(record)
        self.last = max(self.last, record.last)
        self.size += cost_of(record)
        if self.size > self._bound:
            self._shed()

    def _shed(self) -> None:
        """Make one hole of the oldest, until what waits is within the bound."""
        waiting = self._waiting
        hole = waiting.popleft() if isinstance(waiting[0], LoggedHole) else None
        while self.size > self._bound and waiting:
            record = waiting.popleft()
            self.size -= cost_of(record)
            hole = _joined(hole, record)
            self.lost += record.events if isinstance(record, LoggedRows) else 0
        if hole is not None:
            waiting.appendleft(hole)

    def _join(self, place: int, other: int) -> None:
        """Make one hole of the records at these places of what waits, the first first; what lies between them stays, behind it."""
        hole: LoggedHole | None = None
        for at in (place, other - 1):
            record = self._waiting[at]
            del self._waiting[at]
            if isinstance(record, LoggedHole):
                hole = record
                continue
            self.size -= cost_of(record)
            hole = _joined(hole, record)
        if hole is not None:
            self._waiting.insert(place, hole)

    def take(self) -> list[Record]:
        """What goes to Redis next, about BATCH_BYTES: the same again until `logged` says that it arrived. It ends with an event, so that losses of
        sources stand in the entry of the event they are before."""
        if self._flying:
            return self._flying
        size = ends = 0
        for place, record in enumerate(self._waiting):
            size += cost_of(record)
            if not is_empty(record):
                ends = place + 1
                if size >= BATCH_BYTES:
                    break
        taken = [self._waiting.popleft() for _ in range(ends)]
        self.size -= sum(cost_of(record) for record in taken if not isinstance(record, LoggedHole))
        self._flying = taken
        return taken

    def take_all(self) -> list[Record]:
        """Everything, losses of sources at the end included: the relay ends."""
        taken = [*self._flying, *self._waiting]
        self._flying, self.size = taken, 0
        self._waiting.clear()
        return taken

    def drain(self) -> list[Record]:
        """Everything, as if it were in Redis: of a journal that nobody takes further."""
        taken = self.take_all()
        self._flying, self.base = [], self.last
        return taken

    def logged(self, last: int) -> None:
        """Everything up to this event, and before it, is in Redis."""
        self._flying = [record for record in self._flying if not is_within(record, last)]
        self.base = max(self.base, last)

    def forget(self) -> None:
        """It will never be in Redis, nor will what comes."""
        self._bound = 0
        self._flying = []
        self._waiting.clear()
        self.size = 0
        self.base = self.last

    def after(self, sequence: int) -> list[Record] | None:
        """What follows an event, losses of sources right behind it included; None where it is to be read from Redis."""
        if sequence < self.base:
            return None
        found: list[Record] = []
        for record in itertools.chain(reversed(self._waiting), reversed(self._flying)):
            if record.last < sequence:
                break
            found.append(record)
        found.reverse()
        return found

    def records(self) -> list[Record]:
        """All of them, in order."""
        return [*self._flying, *self._waiting]

    def since(self, now_ns: int) -> LoggedRows | None:
        """The first rows that came at this time or later."""
        for record in itertools.chain(self._flying, self._waiting):
            if isinstance(record, LoggedRows) and record.now_ns >= now_ns:
                return record
        return None


def is_empty(record: Record) -> bool:
    """Whether a record holds no event: it stands between two."""
    return isinstance(record, LoggedGap) or record.last < record.first


def starts_at(record: Record) -> int:
    """The sequence of its first event, or of the next one."""
    return record.last + 1 if isinstance(record, LoggedGap) else record.first


def is_within(record: Record, last: int) -> bool:
    """Whether a record is in a log that ends with this event: what holds none is logged together with the event after it."""
    return record.last < last if is_empty(record) else record.last <= last


def _joined(hole: Record | None, record: Record) -> LoggedHole:
    source_gap = record.number if isinstance(record, LoggedGap) else 0
    if isinstance(hole, LoggedHole):
        return LoggedHole(hole.first, max(hole.last, record.last), max(hole.source_gap, source_gap))
    return LoggedHole(starts_at(record), record.last, source_gap)
