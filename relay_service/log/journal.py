"""What is relayed, written down in memory in the order it happens: the part of the log that is on the way of events."""

from __future__ import annotations

from relay_service.log.records import LoggedGap, LoggedInput, LoggedRows
from relay_service.log.tail import Tail
from relay_service.results import Frame, SourceGapRecord


class Journal:
    """`append` and its like only put something into memory. Whoever takes it further, or not, is another class."""

    def __init__(self, buffer_bytes: int, last_sequence: int = 0) -> None:
        self.tail = Tail(buffer_bytes, last_sequence)
        self._source_gap = 0

    def append(
        self,
        event_type: int,
        first: int,
        count: int,
        data: bytes,
        source: str,
        now_ns: int,
        frame: Frame | None = None,
    ) -> None:
        """Rows were relayed: those of a frame, or what came of it."""
        self.tail.add(LoggedRows(first, count, event_type, data, source, now_ns, frame))

    def append_gap(self, record: SourceGapRecord) -> int:
        """A source's loss was declared; its number."""
        self._source_gap += 1
        placed = record._replace(before_sequence=self.tail.last + 1)
        self.tail.add(LoggedGap(self._source_gap, placed))
        return self._source_gap

    def append_input(self, what: str, name: str, data: bytes, now_ns: int) -> None:
        """What is not an event and has its part in those that follow; without data it is gone. It is logged with the next event."""
        self.tail.add(LoggedInput(self.tail.last + 1, what, name, data, now_ns))
