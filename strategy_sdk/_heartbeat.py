"""What the relay says of itself and its sources when it says that it is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.domain.domains import Domain

_DOMAINS: Final[dict[int, Domain]] = {int(domain): domain for domain in Domain}


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """How a source is, as the relay sees it."""

    source: str
    connected: bool
    last_event_ns: int
    """When its last event came, nanoseconds since the Unix epoch."""
    gap_events: int
    """Events missing in its numbering so far."""
    clock_offset_ns: int
    """The relay's clock less the source's."""
    events: Mapping[int, int]
    """Events taken so far, by type."""
    domain: Domain = Domain.MARKET
    """What its events belong to."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The relay is there, and has sent what it says it has: silence after it means that nothing happened."""

    time_ns: int
    """The relay's time, nanoseconds since the Unix epoch."""
    received_ns: int
    """This process's time when it came."""
    last_sequence: int
    """Of the market."""
    revision_token: str
    """The registries' revision the relay has applied."""
    sources: tuple[SourceHealth, ...]
    relay_id: str = ""
    """The life of the relay that `last_sequence` is of."""
    behind_ns: int = 0
    """Of an edge: for how long it may not have had what the relay relayed; about a second at rest. 0: the relay itself."""
    last_sequences: Mapping[int, int] = field(default_factory=dict)
    """Of each domain that had an event, by its number."""


def heartbeat_of(message: relay.Heartbeat, received_ns: int) -> Heartbeat:
    """From the API's message."""
    sources = tuple(
        SourceHealth(
            one.source,
            one.connected,
            one.last_event_ns,
            one.gap_events,
            one.clock_offset_ns,
            dict(one.events),
            _DOMAINS.get(one.domain, Domain.MARKET),
        )
        for one in message.sources
    )
    return Heartbeat(
        message.time_ns,
        received_ns,
        message.last_sequence,
        message.revision_token,
        sources,
        message.relay_id,
        message.behind_ns,
        dict(message.last_sequences),
    )
