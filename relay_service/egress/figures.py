"""What egress counts for status and metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

from relay_service.egress.items import Batch


@dataclass(slots=True)
class Figures:
    """Since the start, over all subscribers."""

    delivered: dict[int, int] = field(default_factory=dict)
    """Events written, by type."""
    gaps_declared: int = 0
    """Events declared as gaps."""
    ended: int = 0
    """Subscriptions ended because they stayed behind."""
    connections: int = 0
    """Subscribers that ever connected."""

    def count(self, batch: Batch) -> None:
        """A batch is written."""
        kind, total = batch.parts[0][0], 0
        for event_type, _, count in batch.parts:
            if event_type != kind:
                self.add(kind, total)
                kind, total = event_type, 0
            total += count
        self.add(kind, total)

    def add(self, event_type: int, count: int) -> None:
        """So many events of a type are written."""
        self.delivered[event_type] = self.delivered.get(event_type, 0) + count
