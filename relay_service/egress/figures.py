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
    connections: int = 0
    """Subscribers that ever connected."""

    def count(self, batch: Batch) -> None:
        """A batch is written."""
        delivered = self.delivered
        for event_type, _, count in batch.parts:
            delivered[event_type] = delivered.get(event_type, 0) + count
