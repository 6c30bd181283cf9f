"""Books that come whole each time. What is delivered is what differs from the one before."""

from __future__ import annotations

from collector_service.amounts import Amount, price_key
from collector_service.book.machine import ASK, BID, BookMachine, BookUpdate, Delivery, LevelChange, Result, Step


class SnapshotOnlyMachine(BookMachine):
    """Where messages are numbered (`BookUpdate.last`), an older one is passed over."""

    notices_loss = True  # the next message holds all there is

    def snapshot(self, update: BookUpdate) -> Result:
        if not self.synced:
            return Result(Step.DELIVERED, (self._load(update),))
        if update.last and update.last < self.sequence:
            return Result(Step.IGNORED)
        changes = self._differences(update.changes)
        self._apply(changes)
        self.sequence = update.last
        return Result(Step.DELIVERED, (Delivery(changes, False, update.last, update.time_ns),))

    def update(self, update: BookUpdate) -> Result:
        return self.snapshot(update)

    def _differences(self, changes: list[LevelChange]) -> list[LevelChange]:
        found: list[LevelChange] = []
        for side, levels in ((BID, self.book.bids), (ASK, self.book.asks)):
            wanted: dict[int, tuple[Amount, Amount]] = {
                price_key(price): (price, size) for kind, price, size in changes if kind == side and size[0]
            }
            held = {price_key(price): (price, size) for price, size in levels}
            found += [(side, price, (0, 0)) for key, (price, _) in held.items() if key not in wanted]
            found += [(side, *level) for key, level in wanted.items() if held.get(key) != level]
        return found
