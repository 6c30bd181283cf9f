"""What the relay refuses of a source, and what it has to tell subscribers of that."""

from __future__ import annotations

from collections.abc import Container

from alphapulse.domain.errors import CircuitOpen, SourceRateLimited, WrongDomain, WrongPartition
from alphapulse.records import LAYOUTS
from relay_service.results import SourceGapRecord
from relay_service.sources import SourceState


def unfit(source: SourceState, event_type: int, derived: Container[int]) -> str:
    """Why a source may not send events of a type; empty where it may. `derived`: what the relay makes itself."""
    layout = LAYOUTS.get(event_type)
    if layout is None or event_type in derived:
        return "TYPE_NOT_ACCEPTED"
    return "" if layout.domain is source.domain else WrongDomain.reason


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
