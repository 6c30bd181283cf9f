"""What stands in the log, in the order it was relayed, and places in it."""

from __future__ import annotations

from typing import Final, NamedTuple

from relay_service.results import Frame, SourceGapRecord

RECORD_COST: Final = 256
"""Bytes of memory a record takes beside its rows."""


class Position(NamedTuple):
    """A place between two events: everything up to it was relayed. Places are ordered."""

    incarnation: int
    """Which life of the relay: rises with each start. Nanoseconds since the Unix epoch, about."""
    sequence: int
    """The relay's sequence of the last event before the place."""
    source_gap: int = 0
    """The number of the last loss of a source declared before it: losses are counted from 1 in each life."""


class Point(NamedTuple):
    """Where a subscription could be resumed."""

    position: Position
    """Losses of sources behind it have not been told."""
    floor: int
    """Events up to this sequence came, or were declared missing. It is beyond the position while a loss waits that stands before some of them."""
    number: int
    """The subscription's last number before it."""


class LoggedRows(NamedTuple):
    """Rows of one type with a contiguous run of sequences, as they were relayed."""

    first: int
    """The sequence of the first row."""
    events: int
    event_type: int
    data: bytes
    """The rows' wire form."""
    source: str
    """The source whose frame they came of; empty where time made them."""
    now_ns: int
    """The relay_in_ns of all of them."""
    frame: Frame | None = None
    """What they came in, or were made because of; None where time made them, or nobody noted it."""
    place: int = 0
    """The place of the first row among those that were kept of the frame, or made because of it."""

    @property
    def last(self) -> int:
        """The sequence of the last row."""
        return self.first + self.events - 1


class LoggedGap(NamedTuple):
    """What a source lost, at its place."""

    number: int
    """Counted from 1 in each life of the relay."""
    record: SourceGapRecord
    """Its `before_sequence` is the place."""

    @property
    def last(self) -> int:
        """The sequence of the last event before it."""
        return self.record.before_sequence - 1


class LoggedInput(NamedTuple):
    """What is not an event and has its part in those that follow: a definition, say."""

    first: int
    """The sequence of the next event."""
    what: str
    """Its kind, as whoever noted it calls it."""
    name: str
    """Which one of its kind."""
    data: bytes
    """Empty: it is gone."""
    now_ns: int
    """The time it was judged by, or that passed."""

    @property
    def last(self) -> int:
        """The sequence of the last event before it."""
        return self.first - 1


class LoggedHole(NamedTuple):
    """Events that were relayed and could not be kept."""

    first: int
    last: int
    """`first` - 1 where no event is missing, only losses of sources."""
    source_gap: int
    """The number of the last declared loss of a source that is missing with them; 0: none is."""


Record = LoggedRows | LoggedGap | LoggedInput | LoggedHole


def cost_of(record: Record) -> int:
    """Bytes of memory a record takes."""
    return RECORD_COST + size_of(record)


def size_of(record: Record) -> int:
    """Bytes a record holds beside what all do."""
    return len(record.data) if isinstance(record, LoggedRows | LoggedInput) else 0
