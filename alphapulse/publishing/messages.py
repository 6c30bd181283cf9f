"""The control messages between a source and its relay, as values. On the ingress socket they are the payloads of frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.marketdata.v1 import marketdata_pb2
from alphapulse.api.relay.v1 import relay_service_pb2
from alphapulse.domain.domains import Domain
from alphapulse.domain.partitions import Partition
from alphapulse.domain.provenance import Provenance


@dataclass(frozen=True, slots=True)
class Welcome:
    """The relay's answer to a hello."""

    slot: int
    accepted: bool
    reason: str
    message: str
    next_sequence: int
    acknowledged: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """What the relay refused."""

    reason: str
    message: str
    events: int
    sequence: int = 0
    """Of the first event of what was refused."""
    resend_from: int = 0
    """Nothing from this sequence on was taken: it is sent again, a little later; 0: it is refused for good."""
    slot: int = 0


def hello(
    source: str,
    slot: int,
    epoch: int,
    provenance: Provenance,
    row_sizes: Mapping[int, int],
    *,
    agent: str,
    domain: Domain = Domain.MARKET,
    acknowledges: bool = False,
    partition: Partition | None = None,
) -> relay_service_pb2.SourceHello:
    """Introduces a source."""
    return relay_service_pb2.SourceHello(
        source=source,
        slot=slot,
        epoch=epoch,
        provenance=common_pb2.Provenance.ValueType(int(provenance)),
        row_sizes=row_sizes,
        agent=agent,
        domain=marketdata_pb2.Domain.ValueType(int(domain)),
        acknowledges=acknowledges,
        partition=None
        if partition is None
        else relay_service_pb2.Partition(index=partition.index, count=partition.count),
    )


def welcome(answer: Any) -> Welcome:
    """From a SourceWelcome."""
    return Welcome(
        answer.slot, answer.accepted, answer.reason, answer.message, answer.next_sequence, answer.acknowledged_sequence
    )


def acknowledged(payload: bytes) -> tuple[int, int]:
    """(slot, sequence) from the payload of an ACKNOWLEDGED frame."""
    answer = relay_service_pb2.SourceAcknowledged.FromString(payload)
    return answer.slot, answer.sequence


def barrier(token: str, timeout_ms: int = 5_000) -> bytes:
    """The payload of a BARRIER frame."""
    return relay_service_pb2.RevisionBarrier(revision_token=token, timeout_ms=timeout_ms).SerializeToString()


def barrier_answer(payload: bytes) -> tuple[str, bool]:
    """(token, reached) from the payload of a BARRIER frame."""
    answer = relay_service_pb2.RevisionBarrier.FromString(payload)
    return answer.revision_token, answer.reached


def rejected(answer: Any) -> Rejected:
    """From a FrameRejected."""
    return Rejected(answer.reason, answer.message, answer.events, answer.sequence, answer.resend_from, answer.slot)


def gap(slot: int, reason: str, listing_key: int, count: int) -> bytes:
    """The payload of a SOURCE_GAP frame."""
    return relay_service_pb2.SourceGap(
        slot=slot, reason=reason, listing_key=listing_key, count=count
    ).SerializeToString()
