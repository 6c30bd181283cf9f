"""Books whose updates carry the range of numbers they hold, and whose snapshot is fetched beside the stream.

Rules of Binance's "How to manage a local order book correctly": updates with last <= the snapshot's number are void; the
first applied has first <= number + 1 <= last; each further one begins where the one before ended, or the book starts again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from collector_service.book.machine import BookMachine, BookUpdate, Delivery, Result, Step

_HELD: Final = 4_096


class RangeSequenceMachine(BookMachine):
    """Holds updates until the snapshot is there. Ranges are those of `BookUpdate.first` and `.last`."""

    def __init__(self, depth: int = 0, *, contiguous: bool = True) -> None:
        """Numbers that are not `contiguous` rise with holes between them, as Bitstamp's times do: only an older one is noticed."""
        super().__init__(depth)
        self.contiguous = contiguous
        # Bounded: should the snapshot not come for long, the oldest updates go, and the snapshot is then newer than they.
        self._held: deque[BookUpdate] = deque(maxlen=_HELD)

    @property
    def held(self) -> Sequence[BookUpdate]:
        return self._held

    def drop_held(self) -> None:
        self._held.clear()

    def snapshot(self, update: BookUpdate) -> Result:
        if self.synced and update.last <= self.sequence:
            return Result(Step.IGNORED)
        while self._held and self._held[0].last <= update.last:
            self._held.popleft()
        if self.contiguous and self._held and self._held[0].first > update.last + 1:
            return self._out_of_step("SNAPSHOT_TOO_OLD")
        deliveries = [self._load(update)]
        self.fresh = True
        while self._held:
            delivery = self._following(self._held[0])
            if delivery is None:
                result = self._out_of_step("SEQUENCE_GAP")
                return Result(Step.RESYNC, tuple(deliveries), result.reason)
            self._held.popleft()
            deliveries.append(delivery)
        return Result(Step.DELIVERED, tuple(deliveries))

    def update(self, update: BookUpdate) -> Result:
        if not self.synced:
            self._held.append(update)
            return Result(Step.WAITING)
        if update.last <= self.sequence:
            return Result(Step.IGNORED)
        delivery = self._following(update)
        if delivery is None:
            self._held.append(update)
            return self._out_of_step("SEQUENCE_GAP")
        return Result(Step.DELIVERED, (delivery,))

    def reset(self) -> None:
        super().reset()
        self._held.clear()

    def _following(self, update: BookUpdate) -> Delivery | None:
        """Applies an update that follows; None for one that does not."""
        expected = self.sequence + 1
        follows = update.first <= expected <= update.last if self.fresh else update.first == expected
        follows = follows or not self.contiguous
        if not follows:
            return None
        self.fresh = False
        return self._advance(update)

    def _out_of_step(self, reason: str) -> Result:
        self.synced = False
        self.book.clear()
        return Result(Step.RESYNC, (), reason)
