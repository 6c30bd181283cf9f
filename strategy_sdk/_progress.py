"""How far the reader of a stream is: not what was received, but what was handed over. A place that is kept has to say that."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from strategy_sdk._batch import EventBatch, Gap
from strategy_sdk._events import Event
from strategy_sdk._places import Behind, Place


class _Mark(NamedTuple):
    """A point of the relay, behind so many batches."""

    position: int
    identity: int
    token: str
    number: int
    life: str


class _Handed:
    """One subscription."""

    __slots__ = ("behind", "number")

    def __init__(self, behind: Behind, number: int) -> None:
        self.behind = behind
        self.number = number

    def batch(self, batch: EventBatch) -> None:
        """All of a batch was handed over. For every batch of a stream, so it looks at what is there alone."""
        behind = self.behind
        for gap in batch.gaps:
            behind.gap(gap)
            self.number = max(self.number, gap.to_number)
        if batch.count:
            self.number = batch.first_number + batch.count - 1
            if behind.conflates:
                behind.events(batch, batch.last_sequence)
            elif batch.last_sequence > behind.sequence:
                behind.sequence = batch.last_sequence


class Progress:
    """Follows the batches from the outbox to the reader, who may take one as a whole or event by event (`handed`)."""

    def __init__(self) -> None:
        self._subscriptions: dict[int, _Handed] = {}
        self._marks: deque[_Mark] = deque()
        self._taken = 0
        self.queued = 0
        """Batches so far, those that wait for the reader included; the outbox counts them."""
        self._batch: EventBatch | None = None
        """The last one taken, as long as it is not counted."""
        self.handed: EventBatch | Event | Gap | None = None
        """Of that batch: itself where all of it was handed over, else the last event or gap that was; None: nothing yet."""

    def begin(self, identity: int, *, conflates: bool, start: object = None) -> None:
        """A new subscription, from a place or from somewhere else."""
        found = self._subscriptions[identity] = _Handed(Behind(conflates=conflates), 0)
        if isinstance(start, Place):
            found.behind.starts(start)
            found.number = start.number

    def end(self, identity: int) -> None:
        """It is over."""
        self._subscriptions.pop(identity, None)

    def point(self, identity: int, token: str, number: int, life: str) -> None:
        """The relay named a point behind the batches that wait; without a token, that there is none any more."""
        marks = self._marks
        # Of points with no batch between them the last counts: a reader that is away must not find an hour of them.
        for mark in reversed(marks):
            if mark.position != self.queued:
                break
            if mark.identity == identity:
                marks.remove(mark)
                break
        marks.append(_Mark(self.queued, identity, token, number, life))

    def take(self, batch: EventBatch) -> None:
        """The reader has a batch, as a whole; what it had before it is done with."""
        self._settle()
        self._taken += 1
        self._batch = self.handed = batch

    def place(self, identity: int) -> Place | None:
        """Behind what was handed over of a subscription; None where the relay named no point before."""
        if self._is_whole():
            self._settle()
        found = self._subscriptions.get(identity)
        if found is None:
            return None
        batch, handed = self._batch, self.handed
        if batch is None or batch.subscription_id != identity or not isinstance(handed, Event):
            return found.behind.place(found.number)
        behind = found.behind.copy()
        for gap in batch.gaps:
            behind.gap(gap)
        behind.events(batch, handed.sequence)
        return behind.place(handed.number)

    def _is_whole(self) -> bool:
        batch, handed = self._batch, self.handed
        if batch is None or handed is batch:
            return True
        if isinstance(handed, Event):
            return handed.number == batch.first_number + batch.count - 1
        return not batch.count and (not batch.gaps or handed is batch.gaps[-1])

    def _settle(self) -> None:
        batch = self._batch
        if batch is not None:
            self._batch = None
            found = self._subscriptions.get(batch.subscription_id)
            if found is not None:
                found.batch(batch)
        marks = self._marks
        while marks and marks[0].position <= self._taken:
            self._pass(marks.popleft())

    def _pass(self, mark: _Mark) -> None:
        found = self._subscriptions.get(mark.identity)
        if found is not None:
            found.behind.point(mark.token, mark.life)
            found.number = mark.number
