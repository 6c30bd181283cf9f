"""What a stream has done so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

from alphapulse.domain.domains import Domain
from strategy_sdk._batch import EventBatch
from strategy_sdk._latency import HopLatency, LatencyRecorder
from strategy_sdk._numbering import NumberingCounts
from strategy_sdk._states import EventType

_DOMAINS: Final = {int(domain): domain for domain in Domain}


@dataclass(frozen=True, slots=True)
class StreamStats:
    """Counts since the stream was opened."""

    events: Mapping[EventType, int]
    """Events received, by type."""
    batches: int
    """Deliveries received."""
    gaps_declared: int
    """Gaps the relay declared, and those of reconnections."""
    gap_events: int
    """Events in declared gaps, where their number is known."""
    undeclared_gaps: int
    """Holes in the numbering that nobody declared. 0, or something is broken."""
    undeclared_events: int
    """Events in them."""
    duplicates: int
    """Events that came a second time, dropped."""
    conflated: int
    """Events that newer ones replaced, for contracts that conflate."""
    reconnects: int
    """Times the stream connected anew."""
    heartbeats: int
    """Heartbeats received."""
    lagging: int
    """Times the relay said that this client is behind."""
    last_sequence: int
    """The relay's highest sequence seen, of the market."""
    latency: Mapping[str, HopLatency]
    """By hop: venue_to_collector, collector_to_relay, relay, relay_to_client, collector_to_client. Across machines they hold
    what the machines' clocks differ by."""


class Tally:
    """Counts along the way."""

    def __init__(self) -> None:
        self.reconnects = self.heartbeats = self.lagging = self.conflated = 0
        self.sequences: dict[Domain, int] = {}
        """The relay's highest seen of each domain."""
        self._events: Counter[int] = Counter()
        self._batches = 0
        self._latency = LatencyRecorder()

    def batch(self, batch: EventBatch, *, prompt: bool) -> None:
        """Events were received; `prompt`: as they happened, so the time they took is measured."""
        for layout, rows in batch.runs:
            self._events[layout.event_type] += len(rows)
            if prompt:
                self._latency.record(layout, rows, batch.received_ns)
        self._batches += 1
        self.conflated += batch.conflated
        if batch.runs:
            domain = batch.runs[0][0].domain
            self.sequences[domain] = max(self.sequences.get(domain, 0), batch.last_sequence)

    def heartbeat(self, last_sequences: Mapping[int, int], *, turned: bool) -> None:
        """The relay says which event was its last of each domain, by its number; `turned`: in another life than before, whose sequences begin
        anew."""
        self.heartbeats += 1
        if turned:
            self.sequences.clear()
        for number, last in last_sequences.items():
            domain = _DOMAINS.get(number)
            if domain is not None:
                self.sequences[domain] = max(self.sequences.get(domain, 0), last)

    def stats(self, counts: NumberingCounts) -> StreamStats:
        """All of it as it stands."""
        return StreamStats(
            events={EventType(kind): count for kind, count in sorted(self._events.items())},
            batches=self._batches,
            gaps_declared=counts.gaps_declared,
            gap_events=counts.gap_events,
            undeclared_gaps=counts.undeclared_gaps,
            undeclared_events=counts.undeclared_events,
            duplicates=counts.duplicates,
            conflated=self.conflated,
            reconnects=self.reconnects,
            heartbeats=self.heartbeats,
            lagging=self.lagging,
            last_sequence=self.sequences.get(Domain.MARKET, 0),
            latency=self._latency.summary(),
        )


_SUMMED: Final = frozenset(one.name for one in fields(StreamStats)) - {"events", "last_sequence", "latency"}


def stats_of_all(parts: Sequence[StreamStats]) -> StreamStats:
    """Of several streams together: counts are sums, `last_sequence` is the highest, and each hop's latency that of the slowest."""
    events: Counter[EventType] = Counter()
    latency: dict[str, HopLatency] = {}
    for part in parts:
        events.update(part.events)
        for hop, one in part.latency.items():
            before = latency.get(hop, HopLatency(0.0, 0.0, 0))
            p50, p99 = max(before.p50_us, one.p50_us), max(before.p99_us, one.p99_us)
            latency[hop] = HopLatency(p50, p99, before.count + one.count)
    sums = {name: sum(getattr(part, name) for part in parts) for name in _SUMMED}
    last_sequence = max(part.last_sequence for part in parts)
    return StreamStats(events=dict(sorted(events.items())), last_sequence=last_sequence, latency=latency, **sums)
