"""The SubscribeResponses that are no deliveries, serialized; and subscribers as ListSubscribers shows them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.marketdata.v1 import marketdata_pb2
from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import AlphaPulseError
from alphapulse.domain.partitions import Partition
from alphapulse.records import row_sizes
from relay_service.counters import HopFigures, told
from relay_service.egress.items import GapNotice
from relay_service.sources import SourceState
from relay_service.subscriptions.wanted import Filter, FromTime, FromToken, Latest, Sample, Start, Wanted


def welcome(relay_id: str, subscriber_id: str, registry_enabled: bool, edge_id: str, partition: Partition) -> bytes:
    """Answers a hello."""
    message = pb.RelayWelcome(
        relay_id=relay_id,
        subscriber_id=subscriber_id,
        row_sizes=row_sizes(),
        registry_enabled=registry_enabled,
        edge_id=edge_id,
        partition=partition_message(partition),
    )
    return pb.SubscribeResponse(welcome=message).SerializeToString()


def partition_message(partition: Partition) -> Any:
    """As a Partition; None where there is one alone."""
    return None if partition.is_whole else pb.Partition(index=partition.index, count=partition.count)


def acknowledged(
    subscription_id: int, from_sequence: int, matching: int, token: str, *, removed: bool = False
) -> bytes:
    """A subscription holds, or ended."""
    message = pb.SubscriptionAcknowledged(
        subscription_id=subscription_id,
        from_sequence=from_sequence,
        matching_listings=matching,
        removed=removed,
        revision_token=token,
    )
    return pb.SubscribeResponse(acknowledged=message).SerializeToString()


def refused(subscription_id: int, error: AlphaPulseError) -> bytes:
    """A subscription was refused."""
    message = pb.SubscriptionRefused(subscription_id=subscription_id, error=_item_error(error))
    return pb.SubscribeResponse(refused=message).SerializeToString()


def _item_error(error: AlphaPulseError) -> Any:
    violations = [
        common_pb2.ItemViolation(field=one.field, value=one.value, rule=one.rule, description=one.description)
        for one in error.violations
    ]
    return common_pb2.ItemError(reason=error.reason, message=str(error), violations=violations, metadata=error.metadata)


def ended(subscription_id: int, error: AlphaPulseError) -> bytes:
    """A subscription ended, though nobody asked for it."""
    message = pb.SubscriptionEnded(subscription_id=subscription_id, error=_item_error(error))
    return pb.SubscribeResponse(ended=message).SerializeToString()


def gap(notice: GapNotice) -> bytes:
    """Events that will not come."""
    message = pb.Gap(
        subscription_id=notice.subscription.wanted.subscription_id,
        from_number=notice.from_number,
        to_number=notice.to_number,
        count=told(notice.count),
        reason=notice.reason,
        source=notice.source,
        listing_key=notice.listing_key,
        last_sequence=notice.last_sequence,
        source_gap=notice.source_gap,
    )
    return pb.SubscribeResponse(gap=message).SerializeToString()


def beat(
    last_sequences: Mapping[Domain, int],
    sources: Iterable[SourceState],
    token: str,
    relay_id: str,
    behind_ns: int,
    **fields: Any,
) -> Any:
    """What a relay says of itself, as a Heartbeat."""
    return pb.Heartbeat(
        time_ns=time.time_ns(),
        last_sequence=last_sequences.get(Domain.MARKET, 0),
        last_sequences={int(domain): sequence for domain, sequence in last_sequences.items()},
        sources=[source_health(source) for source in sources],
        revision_token=token,
        relay_id=relay_id,
        behind_ns=behind_ns,
        **fields,
    )


def heartbeat(message: Any) -> bytes:
    """The relay is there."""
    return pb.SubscribeResponse(heartbeat=message).SerializeToString()


def source_health(source: SourceState) -> Any:
    """How a source is, as a SourceHealth."""
    return pb.SourceHealth(
        source=source.name,
        connected=source.connected,
        last_sequence=source.last_sequence,
        last_event_ns=source.last_event_ns,
        gap_events=told(source.gap_events),
        clock_offset_ns=source.clock_offset_ns,
        events=source.events,
        breaker=pb.BreakerState.ValueType(source.breaker.state),
        breaker_opened=source.breaker.opened,
        breaker_shed=source.breaker.shed,
        domain=marketdata_pb2.Domain.ValueType(source.domain),
        limited=source.limit.shed,
    )


def hop_latency(figures: HopFigures) -> Any:
    """A HopLatency; 0 where nothing was measured."""
    p50, p99 = (0.0 if math.isnan(value) else value for value in (figures.p50_us, figures.p99_us))
    return pb.HopLatency(hop=figures.hop, p50_us=p50, p99_us=p99, count=figures.count)


def lagging(queued: int, bound: int) -> bytes:
    """The client is behind."""
    return pb.SubscribeResponse(lagging=pb.Lagging(queued_bytes=queued, max_queue_bytes=bound)).SerializeToString()


def draining(grace_ms: int) -> bytes:
    """The relay is about to stop."""
    return pb.SubscribeResponse(draining=pb.RelayDraining(grace_ms=grace_ms)).SerializeToString()


def snapshot_mark(subscription_id: int, sequence: int, complete: bool, known_from: int) -> bytes:
    """Begin or end of a snapshot."""
    message = pb.SnapshotMark(
        subscription_id=subscription_id, sequence=sequence, complete=complete, known_from=known_from
    )
    return pb.SubscribeResponse(snapshot=message).SerializeToString()


def resume_point(subscription_id: int, token: str, number: int, relay_id: str) -> bytes:
    """Where to resume, and the life of the relay that follows."""
    message = pb.ResumePoint(subscription_id=subscription_id, resume_token=token, number=number, relay_id=relay_id)
    return pb.SubscribeResponse(resume=message).SerializeToString()


def put_subscription(wanted: Wanted) -> Any:
    """A subscription as a PutSubscription that asks for the same."""
    chosen = wanted.filter
    names = (
        field.name for field in pb.SubscriptionFilter.DESCRIPTOR.fields if field.name in Filter.__dataclass_fields__
    )
    fields = {name: getattr(chosen, name) for name in names}
    lists: dict[str, Any] = {
        name: sorted(value) if isinstance(value, frozenset) else value for name, value in fields.items()
    }
    lists["predicate"] = "" if chosen.predicate is None else chosen.predicate.text
    message = pb.PutSubscription(subscription_id=wanted.subscription_id, filter=pb.SubscriptionFilter(**lists))
    contract = wanted.contract
    if isinstance(contract, Sample):
        message.sample.every = contract.every
    elif isinstance(contract, Latest) and contract.interval_ms:
        message.window.interval_ms = contract.interval_ms
    elif isinstance(contract, Latest):
        message.latest.SetInParent()
    else:
        message.stream.max_queue_bytes = contract.max_queue_bytes
        message.stream.SetInParent()
    if isinstance(wanted.start, FromTime):
        message.start.time_ns = wanted.start.time_ns
    elif isinstance(wanted.start, FromToken):
        message.start.resume_token = ""  # set, but not told: it is of use to whoever has it
    elif wanted.start is Start.SNAPSHOT:
        message.start.snapshot.SetInParent()
    else:
        message.start.now.SetInParent()
    return message
