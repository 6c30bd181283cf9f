"""Books whose updates name the update before them: Binance's futures (`pu`), Deribit (`prev_change_id`), OKX (`prevSeqId`).

The snapshot opens the stream or is fetched beside it; in the second case the first update applied is the one whose range holds the snapshot's
number (Binance, "How to manage a local order book correctly", futures).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from collector_service.book.machine import BookMachine, BookUpdate, Delivery, Result, Step

_HELD: Final = 4_096


class PreviousIdMachine(BookMachine):
    """Numbers are those of `BookUpdate.previous` and `.last`, and `.first` where there is a range."""

    def __init__(self, depth: int = 0) -> None:
        super().__init__(depth)
        self._held: deque[BookUpdate] = deque(maxlen=_HELD)

    @property
    def held(self) -> Sequence[BookUpdate]:
        return self._held

    def drop_held(self) -> None:
        self._held.clear()

    def snapshot(self, update: BookUpdate) -> Result:
        if self.synced and update.last < self.sequence:
            return Result(Step.IGNORED)
        while self._held and self._held[0].last < update.last:
            self._held.popleft()
        if self._held and not self._joins(self._held[0], update.last):
            # What came since the snapshot does not begin where it ends: one that is newer is needed.
            return self._out_of_step("SNAPSHOT_TOO_OLD")
        deliveries = [self._load(update)]
        self.fresh = True
        while self._held:
            delivery = self._following(self._held[0])
            if delivery is None:
                self._held.popleft()
                result = self._out_of_step("SEQUENCE_GAP")
                return Result(Step.RESYNC, tuple(deliveries), result.reason)
            self._held.popleft()
            deliveries.append(delivery)
        return Result(Step.DELIVERED, tuple(deliveries))

    def update(self, update: BookUpdate) -> Result:
        if not self.synced:
            self._held.append(update)
            return Result(Step.WAITING)
        # A number below the one it follows begins the venue's count anew.
        older = update.last < self.sequence and update.previous != self.sequence
        if older or (update.last == self.sequence and not self.fresh):
            return Result(Step.IGNORED)
        delivery = self._following(update)
        if delivery is None:
            self._held.append(update)
            return self._out_of_step("SEQUENCE_GAP")
        return Result(Step.DELIVERED, (delivery,))

    def reset(self) -> None:
        super().reset()
        self._held.clear()

    def _joins(self, update: BookUpdate, number: int) -> bool:
        return update.previous == number or update.first <= number <= update.last

    def _following(self, update: BookUpdate) -> Delivery | None:
        follows = self._joins(update, self.sequence) if self.fresh else update.previous == self.sequence
        if not follows:
            return None
        self.fresh = False
        return self._advance(update)

    def _out_of_step(self, reason: str) -> Result:
        self.synced = False
        self.book.clear()
        return Result(Step.RESYNC, (), reason)
