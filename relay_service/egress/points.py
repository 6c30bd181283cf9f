"""Where a subscription could be resumed: how far what was written of it goes, as a place in the log."""

from __future__ import annotations

from collections.abc import Callable

from relay_service.log.records import Point, Position


class Place:
    """Follows what is written of one subscription. While nothing of it waits, it could be resumed where what it was handed ends (`here`), which moves
    with every event of the relay; else behind the last that was written."""

    __slots__ = ("_due", "here", "subject", "told", "written")

    def __init__(self, here: Callable[[], Position | None], subject: bytes) -> None:
        self.here = here
        """Behind everything that was handed to the subscription; None where that cannot be told."""
        self.subject = subject
        """Stands for filter and contract in its tokens."""
        self.written = Position(0, 0)
        """Behind everything that was written, while something waits."""
        self._due: int | None = None
        """Points whose place in the queue is not reached; None before the acknowledgement."""
        self.told: Point | None = None
        """The last point told."""

    @property
    def settled(self) -> bool:
        """Whether every point that has a place in the queue was written; before, none is told between."""
        return self._due == 0

    def due(self) -> None:
        """Another point has its place in the queue."""
        self._due = (self._due or 0) + 1

    def begins(self, sequence: int) -> None:
        """Everything was written, and now something waits that begins behind this event."""
        here = self.here()
        if here is not None:
            self.written = here._replace(sequence=sequence)

    def begins_gap(self, number: int, sequence: int) -> None:
        """The same, where it begins with a source's loss."""
        here = self.here()
        if here is not None:
            self.written = here._replace(sequence=sequence, source_gap=max(number - 1, 0))

    def wrote(self, sequence: int) -> None:
        """Everything up to an event was written."""
        if sequence > self.written.sequence:
            self.written = self.written._replace(sequence=sequence)

    def wrote_gap(self, number: int) -> None:
        """A source's loss was written."""
        if number > self.written.source_gap:
            self.written = self.written._replace(source_gap=number)

    def reached(self, losses_wait: bool) -> Position | None:
        """Behind what conflates and goes now: everything up to here, but for losses that wait."""
        here = self.here()
        return here._replace(source_gap=self.written.source_gap) if here is not None and losses_wait else here

    def catches_up(self, position: Position | None) -> None:
        """What conflated was written, up to here."""
        if position is not None:
            self.written = position

    def settle(self, point: Point | None) -> None:
        """The place of a point is reached, and could be resumed here."""
        assert self._due  # else it had no place
        self._due -= 1
        self.told = point
        if point is not None:
            self.written = point.position
