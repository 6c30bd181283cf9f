"""What the relay has to tell subscribers of what it refused of a source."""

from __future__ import annotations

from alphapulse.domain.errors import CircuitOpen, SourceRateLimited, WrongPartition
from relay_service.results import SourceGapRecord
from relay_service.sources import SourceState


def shed_by(source: SourceState, first: int, now_ns: int) -> tuple[SourceGapRecord, ...]:
    """What the breaker and the limit of a source shed, and what was another partition's, that is to be told now, before event `first` of its domain.
    The source's next event is marked."""
    found = tuple(
        SourceGapRecord(source.name, reason, shed, first)
        for reason, shed in (
            (CircuitOpen.reason, source.breaker.undeclared(now_ns)),
            (SourceRateLimited.reason, source.limit.undeclared(now_ns)),
            (WrongPartition.reason, source.strays.undeclared(now_ns)),
        )
        if shed
    )
    source.gap_pending = source.gap_pending or bool(found)
    return found
