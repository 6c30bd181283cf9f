"""What a stream has done so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from strategy_sdk._latency import HopLatency
from strategy_sdk._states import EventType


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
    """The relay's highest sequence seen."""
    latency: Mapping[str, HopLatency]
    """By hop: venue_to_collector, collector_to_relay, relay, relay_to_client, collector_to_client. Across machines they hold
    what the machines' clocks differ by."""
