"""What holds for every subscriber of a relay or an edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alphapulse.domain.domains import Domain


@dataclass(frozen=True, slots=True)
class FanOutSettings:
    """What holds for every subscriber."""

    relay_id: str
    """Names the relay until its log does: see `FanOut.relay_id`."""
    registry_enabled: bool = True
    queue_bytes: int = 64 << 20
    """Bytes of memory that may wait for one subscriber, of the market."""
    signal_queue_bytes: int = 16 << 20
    """The same of signals."""
    execution_queue_bytes: int = 16 << 20
    """The same of executions."""
    slow_seconds: float = 0.0
    """How long a subscription with the contract `stream` may lose events to its full queue until it has to resume; 0: for ever."""
    edge_id: str = ""
    """Names the edge; empty: this is the relay itself."""

    @property
    def bounds(self) -> Mapping[Domain, int]:
        """The bytes by domain."""
        return {
            Domain.MARKET: self.queue_bytes,
            Domain.SIGNAL: self.signal_queue_bytes,
            Domain.EXECUTION: self.execution_queue_bytes,
        }
