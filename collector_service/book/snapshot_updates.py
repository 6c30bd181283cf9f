"""Books whose snapshot opens the stream and whose updates carry no numbers: the connection itself is the guarantee."""

from __future__ import annotations

from collector_service.book.machine import BookMachine, BookUpdate, Result, Step


class SnapshotUpdatesMachine(BookMachine):
    """An update before the snapshot is void; a further snapshot replaces the book."""

    notices_loss = False

    def snapshot(self, update: BookUpdate) -> Result:
        return Result(Step.DELIVERED, (self._load(update),))

    def update(self, update: BookUpdate) -> Result:
        if not self.synced:
            return Result(Step.WAITING)
        return Result(Step.DELIVERED, (self._advance(update),))
