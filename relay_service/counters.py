"""What the core counted, in a form for status, heartbeat and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from relay_service.kernel import state
from relay_service.kernel.engine import KernelEngine
from relay_service.kernel.histogram import HOPS, percentile
from relay_service.sources import SourceState, SourceTable


@dataclass(frozen=True, slots=True)
class HopFigures:
    """Percentiles of one hop since the start."""

    hop: str
    """venue_to_collector, collector_to_relay or relay."""
    p50_us: float
    """Median in microseconds; NaN when nothing was measured."""
    p99_us: float
    """99th percentile in microseconds."""
    count: int
    """How many were measured."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What happened since the start."""

    last_sequence: int
    """Of the last event."""
    sources: tuple[SourceState, ...]
    """Each with its events by type, gaps and duplicates; live objects, not copies."""
    rejects: Mapping[str, int]
    """Events, or frames that could not be read, refused, by reason."""
    unknown_listing_events: int
    """Events whose listing the registries do not know."""
    opportunities: int
    """Opportunities opened."""
    open_opportunities: int
    """Opportunities open now."""
    rejected_candidates: Mapping[str, int]
    """Crosses that were no opportunity, by reason."""
    synthetic_updates: int
    """Synthetic values computed and handed on."""
    listings: int
    """Listings the registries defined."""
    gap_events: int
    """Events missing in the numbering of all sources."""
    duplicates: int
    """Events that came again."""
    hops: tuple[HopFigures, ...]
    """Latency of each hop."""


def counters_of(
    engine: KernelEngine, sources: SourceTable, rejects: Mapping[str, int], synthetic_updates: int, listings: int
) -> Counters:
    """The counters as they stand."""
    counts = engine.counters
    refused = dict(rejects)
    for place, reason in state.ROW_REJECTS.items():
        if counts[place]:
            refused[reason] = refused.get(reason, 0) + int(counts[place])
    known = tuple(sources.all())
    return Counters(
        last_sequence=engine.next_sequence - 1,
        sources=known,
        rejects=refused,
        unknown_listing_events=int(counts[state.UNKNOWN_EVENTS]),
        opportunities=int(counts[state.OPENED]),
        open_opportunities=int(counts[state.OPENED] - counts[state.CLOSED]),
        rejected_candidates={name: int(counts[place]) for place, name in state.CANDIDATES.items() if counts[place]},
        synthetic_updates=synthetic_updates,
        listings=listings,
        gap_events=sum(source.gap_events for source in known),
        duplicates=sum(source.duplicates for source in known),
        hops=tuple(_hop(engine, number, hop) for number, hop in enumerate(HOPS)),
    )


def _hop(engine: KernelEngine, number: int, hop: str) -> HopFigures:
    counts = engine.histograms[number]
    return HopFigures(hop, percentile(counts, 0.5) / 1e3, percentile(counts, 0.99) / 1e3, int(counts.sum()))
