"""Books whose levels have numbers of their own: an older number does not replace a newer one, in whatever order they arrive.

Source: dYdX v3, "Orderbook": "the offset is used to order updates of a level"; a book that is crossed holds a level that is gone, which is the
one with the lower offset.
"""

from __future__ import annotations

from collector_service.amounts import price_key
from collector_service.book.machine import ASK, BID, BookMachine, BookUpdate, Delivery, LevelChange, Result, Step


class OffsetMachine(BookMachine):
    """Numbers are those of `BookUpdate.offsets`, or of `.last` for all of an update's levels."""

    notices_loss = False

    def __init__(self, depth: int = 0) -> None:
        super().__init__(depth)
        self.numbers: dict[tuple[int, int], int] = {}
        """Of each level that was told, also of those that are gone, by side and price."""

    def snapshot(self, update: BookUpdate) -> Result:
        self.reset()
        self._newer(update)
        delivery = self._load(update)
        gone = self._uncross()
        if gone:
            delivery = Delivery([*delivery.changes, *gone], delivery.snapshot, delivery.sequence, delivery.time_ns)
        return Result(Step.DELIVERED, (delivery,))

    def update(self, update: BookUpdate) -> Result:
        if not self.synced:
            return Result(Step.WAITING)
        _ = self.book  # who keeps it keeps the numbers, too
        changes = self._newer(update)
        if not changes:
            return Result(Step.IGNORED)
        gone = self._apply(changes) + self._uncross()
        self.sequence = max(self.sequence, update.last)
        return Result(Step.DELIVERED, (Delivery([*changes, *gone], False, update.last, update.time_ns),))

    def reset(self) -> None:
        super().reset()
        self.numbers.clear()

    def _newer(self, update: BookUpdate) -> list[LevelChange]:
        """The changes that are no older than what is held, their numbers taken."""
        numbers = update.offsets or [update.last] * len(update.changes)
        found: list[LevelChange] = []
        for change, number in zip(update.changes, numbers, strict=True):
            place = (change[0], price_key(change[1]))
            number = number or update.last
            if number >= self.numbers.get(place, 0):
                self.numbers[place] = number
                found.append(change)
        return found

    def _uncross(self) -> list[LevelChange]:
        """Takes out levels that are gone, until the best bid is below the best ask."""
        gone: list[LevelChange] = []
        bids, asks = self.book.bids, self.book.asks
        while self.book.crossed:
            bid, ask = bids.best(), asks.best()
            assert bid is not None  # it is crossed
            assert ask is not None
            older_bid = self.numbers[BID, price_key(bid[0])] <= self.numbers[ASK, price_key(ask[0])]
            side, price = (BID, bid[0]) if older_bid else (ASK, ask[0])
            (bids if older_bid else asks).set(price, (0, 0))
            gone.append((side, price, (0, 0)))
        return gone
