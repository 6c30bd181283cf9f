"""How each domain fares, for GetRelayStatus and the metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from alphapulse.api.marketdata.v1 import marketdata_pb2
from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.domain.domains import Domain
from relay_service.egress.fanout import FanOut
from relay_service.log.first_log import FirstLog


@dataclass(frozen=True, slots=True)
class DomainFigures:
    """One domain."""

    domain: Domain
    last_sequence: int
    """Of the last event taken."""
    events: int
    """Taken so far, of sources; what the relay made itself is not among them."""
    unlogged: int
    """Taken, and not logged yet: they wait. 0 where events are delivered before they are logged."""
    subscriptions: int
    queued_bytes: int
    """What waits for all subscribers."""
    full_turns: int
    """Turns after which something still waited."""

    def to_message(self) -> Any:
        """As a DomainStatus."""
        return pb.DomainStatus(
            domain=marketdata_pb2.Domain.ValueType(self.domain),
            last_sequence=self.last_sequence,
            events=self.events,
            unlogged=self.unlogged,
            subscriptions=self.subscriptions,
            queued_bytes=self.queued_bytes,
            full_turns=self.full_turns,
        )


def figures_of(fanout: FanOut, full_turns: Callable[[Domain], int]) -> list[DomainFigures]:
    """All of them."""
    held = tuple(fanout.subscribers.values())
    wanted = [one.queue.domain for subscriber in held for one in tuple(subscriber.subscriptions.values())]
    return [
        DomainFigures(
            domain=domain,
            last_sequence=fanout.core.last_of(domain),
            events=sum(sum(one.events.values()) for one in fanout.core.sources.all() if one.domain is domain),
            unlogged=log.unlogged if isinstance(log := fanout.logs.get(domain), FirstLog) else 0,
            subscriptions=wanted.count(domain),
            queued_bytes=sum(one.queue.lane(domain).queued for one in held),
            full_turns=full_turns(domain),
        )
        for domain in Domain
    ]
