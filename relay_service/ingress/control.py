"""What one connection, socket or gRPC, does with the control messages of a collector: hello, gap, barrier."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from alphapulse.api.relay.v1.relay_service_pb2 import RevisionBarrier, SourceAcknowledged, SourceHello, SourceWelcome
from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import AlphaPulseError, FailedPrecondition, InvalidArgument, LogUnavailable
from alphapulse.domain.revisions import RevisionToken
from alphapulse.records import row_sizes
from relay_service.core import RelayCore
from relay_service.placement import check_partition
from relay_service.results import AcceptResult, SourceGapRecord
from relay_service.sources import Fence, SourceState

Sink = Callable[[AcceptResult], None]
"""Takes what the core made of a frame; called from the connection, without a task switch."""

MAX_BARRIER_MS = 60_000
"""A barrier is waited for no longer than this, whatever it asks."""
DEFAULT_BARRIER_MS = 5_000
MAX_SLOT = 65_535
_MAX_REASON = 64
"""Characters of the reason of a loss."""


def differing_layout(theirs: Mapping[int, int]) -> str:
    """How the collector's rows differ from the relay's; empty where they do not. Types that only one side knows do not matter."""
    ours = row_sizes()
    return ", ".join(
        f"type {kind}: {size} bytes there, {ours[kind]} here"
        for kind, size in sorted(theirs.items())
        if kind in ours and ours[kind] != size
    )


def _domain_of(number: int) -> Domain:
    """The domain of a hello; market where it is not told."""
    known = {int(domain): domain for domain in Domain}
    if number and number not in known:
        rule = ", ".join(f"{domain.name} ({number})" for number, domain in known.items())
        raise InvalidArgument.field("domain", str(number), "domain", f"expected {rule}")
    return known.get(number, Domain.MARKET)


@dataclass(slots=True)
class Seats:
    """The sources of one connection, by the slot numbers it gave them."""

    core: RelayCore
    sink: Sink
    fence: Fence
    """Ends the connection: a newer one speaks for one of its sources, or nothing of its domain is taken any more."""
    by_slot: dict[int, SourceState]
    acknowledge: Callable[[Iterable[SourceAcknowledged]], None]
    """Sends receipts to the collector."""
    domain: Domain = Domain.MARKET
    """Of all its sources: the one of the first."""
    _receipts: dict[int, int] = field(default_factory=dict)
    """By slot the last sequence to be acknowledged at the end of this turn."""

    def slot_of(self, source: SourceState) -> int:
        """The slot number of a source; 0 where it has none."""
        return next((slot for slot, held in self.by_slot.items() if held is source), 0)

    def hello(self, hello: SourceHello, now_ns: int) -> SourceWelcome:
        """Seat a source, or say why not. Raises LogUnavailable where nothing of its domain is taken any more: it is to go elsewhere."""
        try:
            source = self._seat(hello, now_ns)
        except LogUnavailable:
            raise
        except AlphaPulseError as error:
            return SourceWelcome(slot=hello.slot, accepted=False, reason=error.reason, message=error.message)
        return SourceWelcome(
            slot=hello.slot,
            accepted=True,
            next_sequence=source.next_sequence,
            acknowledged_sequence=source.acknowledged,
        )

    def _seat(self, hello: SourceHello, now_ns: int) -> SourceState:
        if hello.slot > MAX_SLOT:
            raise InvalidArgument.field("slot", str(hello.slot), "slot-range", f"a slot is 0 to {MAX_SLOT}")
        differs = differing_layout(hello.row_sizes)
        if differs:
            raise FailedPrecondition(f"the collector's rows are of another layout: {differs}")
        held = self.by_slot.get(hello.slot)
        if held is not None and held.name != hello.source:
            raise InvalidArgument.field(
                "slot", str(hello.slot), "slot-taken", f"this connection gave it to {held.name}"
            )
        domain = _domain_of(hello.domain)
        if self.by_slot and domain is not self.domain:
            other = (
                f"this connection carries sources of the {self.domain.title} domain; a source of another needs another"
            )
            raise InvalidArgument.field("domain", domain.name, "connection-domain", other)
        if domain is Domain.EXECUTION and not hello.acknowledges:
            text = "a source of the execution domain keeps what it sends until it is acknowledged, and sends it again where the relay asks for it"
            raise InvalidArgument.field("acknowledges", "false", "acknowledges", text)
        if domain is Domain.MARKET:
            check_partition("partition", hello.partition, self.core.partition)
        source, restarted = self.core.sources.claim(
            hello.source, hello.epoch, hello.provenance, self._fence_of(hello.source), domain
        )
        self.domain = domain
        self.by_slot[hello.slot] = source
        source.acknowledges = hello.acknowledges
        source.on_acknowledged = (lambda sequence: self._note(hello.slot, sequence)) if hello.acknowledges else None
        if restarted:
            record = SourceGapRecord(source.name, "SOURCE_RESTARTED", 0, self.core.last_of(domain) + 1)
            self.sink(AcceptResult(gaps=(record,), domain=domain, now_ns=now_ns, source=source.name))
        return source

    @property
    def is_settled(self) -> bool:
        """Whether everything that sources which keep what they send have sent is acknowledged, or refused, and they were told."""
        return not self._receipts and all(
            source.acknowledged == source.last_sequence for source in self.by_slot.values() if source.acknowledges
        )

    def _note(self, slot: int, sequence: int) -> None:
        """Acknowledge at the end of this turn: of many frames the last one does."""
        if not self._receipts:
            asyncio.get_running_loop().call_soon(self._send_receipts)
        self._receipts[slot] = sequence

    def _send_receipts(self) -> None:
        receipts, self._receipts = self._receipts, {}
        self.acknowledge(SourceAcknowledged(slot=slot, sequence=sequence) for slot, sequence in receipts.items())

    def _fence_of(self, name: str) -> Fence:
        """The connection's fence; a hello that repeats a source of this very connection does not end it."""
        if any(source.name == name for source in self.by_slot.values()):
            held = self.core.sources.get(name)
            if held is not None and held.fence == self.fence:
                held.fence = None
        return self.fence

    def gap(self, slot: int, reason: str, listing_key: int, events: int, now_ns: int) -> bool:
        """Pass on what a source says it lost; False when the slot has no source. Raises InvalidArgument for a reason that is none; its loss is told
        all the same, as SOURCE_GAP."""
        source = self.by_slot.get(slot)
        if source is None:
            return False
        is_sound = len(reason) <= _MAX_REASON and reason.isprintable()
        told = reason if reason and is_sound else "SOURCE_GAP"
        self.sink(self.core.source_gap(source, told, listing_key, events, now_ns))
        if not is_sound:
            text = f"expected at most {_MAX_REASON} printable characters; the loss is told as SOURCE_GAP"
            raise InvalidArgument.field("gap.reason", reason[:_MAX_REASON], "gap-reason", text)
        return True

    def leave(self) -> None:
        """The connection ended."""
        for source in self.by_slot.values():
            self.core.sources.release(source, self.fence)
        self.by_slot.clear()


async def pass_barrier(core: RelayCore, barrier: RevisionBarrier) -> RevisionBarrier:
    """Wait until the replica has reached the barrier's revision; the answer says whether it did. Raises ResumeTokenInvalid for a damaged token."""
    token = RevisionToken.decode(barrier.revision_token, "revision_token")
    timeout_ms = min(barrier.timeout_ms or DEFAULT_BARRIER_MS, MAX_BARRIER_MS)
    if not core.settings.registry_enabled:
        reached = core.replica.revision.covers(token)
    else:
        reached = await core.replica.wait_revision(token, timeout_ms / 1000)
    return RevisionBarrier(revision_token=barrier.revision_token, timeout_ms=barrier.timeout_ms, reached=reached)
