"""What the core counted, in a form for status, heartbeat and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from relay_service.kernel import state
from relay_service.kernel.engine import KernelEngine
from relay_service.kernel.histogram import BUCKETS, HOPS, middle_of, percentile
from relay_service.sources import SourceState, SourceTable

_MIDDLES: Final = np.array([middle_of(bucket) for bucket in range(BUCKETS)])
_BOUNDS: Final = range(10, 37)
"""Powers of two, in nanoseconds, that the buckets of a histogram end at: about 1 us to 69 s."""
_DUPLICATE: Final = "DUPLICATE"
_MOST: Final = (1 << 64) - 1


def told(events: int) -> int:
    """A count of events as a message can hold it. What sources say that they lost may add up to more than 64 bits: then the highest stands for it."""
    return min(events, _MOST)


@dataclass(frozen=True, slots=True)
class HopFigures:
    """One hop since the start."""

    hop: str
    """venue_to_collector, collector_to_relay, relay; relay_to_log of a relay with a log."""
    p50_us: float
    """Median in microseconds; NaN when nothing was measured."""
    p99_us: float
    """99th percentile in microseconds."""
    count: int
    """How many were measured."""
    counts: npt.NDArray[np.int64]
    """The same by the buckets of `kernel.histogram`."""

    def cumulative(self) -> list[tuple[float, int]]:
        """(seconds, how many took less) for each power of two of nanoseconds from 2**10 to 2**36."""
        sums = self.counts.cumsum()
        return [((1 << power) / 1e9, int(sums[(power - 2) * 8 - 1])) for power in _BOUNDS]

    def total_seconds(self) -> float:
        """The sum of all, within 7 %: each is taken for the middle of its bucket."""
        return float(self.counts @ _MIDDLES) / 1e9


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
    """Each hop of the kernel."""


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
    duplicates = sum(source.duplicates for source in known)
    if duplicates:
        refused[_DUPLICATE] = refused.get(_DUPLICATE, 0) + duplicates
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
        duplicates=duplicates,
        hops=tuple(hop_figures(hop, engine.histograms[number]) for number, hop in enumerate(HOPS)),
    )


def hop_figures(hop: str, counts: npt.NDArray[np.int64]) -> HopFigures:
    """The figures of a hop from its histogram, as it stands now."""
    counts = counts.copy()
    return HopFigures(hop, percentile(counts, 0.5) / 1e3, percentile(counts, 0.99) / 1e3, int(counts.sum()), counts)
