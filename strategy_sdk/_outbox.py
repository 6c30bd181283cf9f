"""What a stream has taken and its reader has not: batches in order, and after an error nothing more."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace

from alphapulse.domain.errors import AlphaPulseError
from strategy_sdk._batch import EventBatch, Gap
from strategy_sdk._freshness import Freshness, GapPolicy, halted_by
from strategy_sdk._progress import Progress
from strategy_sdk._wide import AmountsWaiting


class Outbox:
    """Filled by the stream, emptied by its reader. Keeps to the gap policy as it is filled."""

    def __init__(self, policy: GapPolicy, progress: Progress) -> None:
        self.freshness = Freshness()
        self._policy = policy
        self._progress = progress
        self._wide = AmountsWaiting()
        self._items: deque[EventBatch] = deque()
        self._error: AlphaPulseError | None = None

    def __bool__(self) -> bool:
        return bool(self._items) or self._error is not None

    def take(self) -> EventBatch | None:
        """The next batch; None where there is none. Raises the error behind the last one, again and again: the stream is over."""
        if self._items:
            batch = self._items.popleft()
            self._progress.take(batch)
            return batch
        if self._error is not None:
            raise self._error
        return None

    def put(self, batch: EventBatch) -> None:
        """Events were received."""
        if self._policy is GapPolicy.RESYNC:
            self.freshness.renewed_by(batch.runs)
        wide = self._wide.taken_for(batch.subscription_id, batch.runs)
        self._append(replace(batch, wide=wide) if wide else batch)

    def gap(self, gap: Gap, sequence: int, *, market: bool = True) -> None:
        """A gap was declared, or found, at this sequence of the relay. One of signals or executions makes no quote stale."""
        if self._error is not None:
            return
        if not gap.source:  # what a source lost, it never sent: its amounts are lost with their trades
            self._wide.forget(gap.subscription_id)
        self._append(EventBatch(gap.subscription_id, gap.to_number + 1, 0, sequence, time.time_ns(), gaps=(gap,)))
        if self._policy is GapPolicy.RESYNC and market:
            self.freshness.gap(gap)
        elif self._policy is GapPolicy.HALT:
            self._error = halted_by(gap)

    def life(self, subscription_id: int, next_number: int, sequence: int, life: str) -> None:
        """What follows of a subscription is of another life of the relay."""
        self._append(EventBatch(subscription_id, next_number, 0, sequence, time.time_ns(), life=life))

    def fail(self, error: AlphaPulseError) -> None:
        """The stream ends with this behind what waits."""
        self._error = self._error or error

    def _append(self, batch: EventBatch) -> None:
        if self._error is None:
            self._items.append(batch)
            self._progress.queued += 1
