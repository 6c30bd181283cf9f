"""Books whose messages are numbered one by one, the snapshot with them: Kraken's futures, for instance."""

from __future__ import annotations

from collector_service.book.machine import BookMachine, BookUpdate, Result, Step


class PerChannelMachine(BookMachine):
    """Numbers are those of `BookUpdate.last`; each is one more than that before."""

    def snapshot(self, update: BookUpdate) -> Result:
        return Result(Step.DELIVERED, (self._load(update),))

    def update(self, update: BookUpdate) -> Result:
        if not self.synced:
            return Result(Step.WAITING)
        if update.last <= self.sequence:
            return Result(Step.IGNORED)
        if update.last != self.sequence + 1:
            self.reset()
            return Result(Step.RESYNC, (), "SEQUENCE_GAP")
        return Result(Step.DELIVERED, (self._advance(update),))
