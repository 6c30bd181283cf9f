"""The numbering of each source: what is expected next, what came twice, what never came, and which connection may speak for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import AlphaPulseError, InvalidArgument, LogUnavailable, ResourceExhausted, SequenceFenced
from alphapulse.domain.ids import source_id
from alphapulse.domain.provenance import Provenance
from relay_service.breaker import Breaker
from relay_service.limits import DomainLimits, Limits, RateLimit, Shed

MAX_SEQUENCE: Final = (1 << 64) - 1
"""The numbering of a source goes on with 0 behind it."""
_HALF: Final = 1 << 63
MAX_SOURCES: Final = 4096
"""Sources that one relay knows: each is in every heartbeat, and has figures of its own."""
_OFFSET_WINDOW_NS: Final = 10_000_000_000

Fence = Callable[[AlphaPulseError], None]
"""Ends the connection that speaks for a source, which is told why."""


@dataclass(slots=True, eq=False)
class SourceState:
    """One source as the relay knows it. Kept when its connection ends: the next one of the same epoch goes on where it stopped."""

    name: str
    """Such as "BINANCE"."""
    source_id: int
    """What its events carry."""
    domain: Domain = Domain.MARKET
    """What its events belong to; for good."""
    epoch: int = 0
    """Of its last accepted hello."""
    provenance: int = int(Provenance.LIVE)
    """Of its last accepted hello."""
    next_sequence: int = 1
    """What is expected next, unsigned 64 bits; it wraps to 0."""
    connected: bool = False
    """Whether a connection speaks for it."""
    last_event_ns: int = 0
    """When its last event came, nanoseconds since the Unix epoch."""
    gap_events: int = 0
    """Events missing in its numbering so far."""
    duplicates: int = 0
    """Events that came again, so far."""
    events: dict[int, int] = field(default_factory=dict)
    """Events taken so far, by type."""
    gap_pending: bool = False
    """The next event taken is marked GAP_BEFORE."""
    breaker: Breaker = field(default_factory=Breaker)
    """Keeps out a source that sends little but rows that cannot be taken."""
    limit: RateLimit = field(default_factory=lambda: RateLimit(DomainLimits()))
    """How much of it is taken in a second."""
    strays: Shed = field(default_factory=Shed)
    """Events of it that belong to another partition."""
    acknowledges: bool = False
    """It keeps what it sends until it is acknowledged, and sends again what could not be taken: its numbering knows no gap."""
    acknowledged: int = 0
    """Everything of this epoch up to this sequence is relayed, or was refused for good."""
    on_acknowledged: Callable[[int], None] | None = None
    """Tells the connection that speaks for it."""
    fence: Fence | None = None
    """Of the connection that speaks for it."""
    clock_offset_ns: int = 0
    """The relay's clock less the source's, from the fastest frames of the last 10 to 20 seconds: it includes the shortest way here."""
    _window_end_ns: int = 0
    _window_best: int = 0

    @property
    def last_sequence(self) -> int:
        """The last sequence taken."""
        return (self.next_sequence - 1) & MAX_SEQUENCE

    def ahead(self, sequence: int) -> int:
        """How far a sequence is beyond what is expected next; negative: it was taken before. Distances are modulo 2**64."""
        distance = (sequence - self.next_sequence) & MAX_SEQUENCE
        return distance if distance < _HALF else distance - MAX_SEQUENCE - 1

    def acknowledge(self, epoch: int, sequence: int) -> None:
        """Everything of an epoch up to a sequence is relayed, or was refused for good."""
        if epoch != self.epoch or sequence == self.acknowledged:
            return
        self.acknowledged = sequence
        if self.on_acknowledged is not None:
            self.on_acknowledged(sequence)

    def measure_clock(self, send_time_ns: int, now_ns: int) -> None:
        """Note the way of one frame. The offset is the least of the current window and the one before. A time that is negative, or beyond 63 bits,
        is none: of it nothing is noted."""
        if not 0 < send_time_ns < _HALF:
            return
        offset = now_ns - send_time_ns
        if now_ns >= self._window_end_ns:
            first = self._window_end_ns == 0
            self.clock_offset_ns = offset if first else min(self._window_best, offset)
            self._window_best = offset
            self._window_end_ns = now_ns + _OFFSET_WINDOW_NS
        elif offset < self._window_best:
            self._window_best = offset
            self.clock_offset_ns = min(offset, self.clock_offset_ns)


class Run(NamedTuple):
    """What is to be taken of a run of numbered events."""

    skip: int
    """Events at its start that came before."""
    missing: int
    """Events before it that never came."""


NOTHING_AMISS: Final = Run(0, 0)
"""They are what was expected next."""


def take_run(source: SourceState, first_sequence: int, count: int) -> Run:
    """Move a source on by `count` events numbered from `first_sequence`. Distances are modulo 2**64, so the numbering may wrap."""
    if first_sequence == source.next_sequence:
        source.next_sequence = (first_sequence + count) & MAX_SEQUENCE
        return NOTHING_AMISS
    ahead = (first_sequence - source.next_sequence) & MAX_SEQUENCE
    if ahead < _HALF:
        source.gap_events += ahead
        source.next_sequence = (first_sequence + count) & MAX_SEQUENCE
        return Run(0, ahead)
    skip = min(MAX_SEQUENCE + 1 - ahead, count)
    source.duplicates += skip
    if skip < count:
        source.next_sequence = (first_sequence + count) & MAX_SEQUENCE
    return Run(skip, 0)


class SourceTable:
    """All sources by name, each held to the limits of its domain."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._by_name: dict[str, SourceState] = {}
        self._by_id: dict[int, SourceState] = {}
        self._closed: dict[Domain, str] = {}
        """Domains of which nothing is taken any more, and why."""

    def all(self) -> list[SourceState]:
        """Every source that ever said hello, in the order they came."""
        return list(self._by_name.values())

    def get(self, name: str) -> SourceState | None:
        """A source by name."""
        return self._by_name.get(name)

    def by_id(self, number: int) -> SourceState | None:
        """A source by the number its events carry."""
        return self._by_id.get(number)

    def claim(
        self,
        name: str,
        epoch: int,
        provenance: int,
        fence: Fence | None = None,
        domain: Domain = Domain.MARKET,
    ) -> tuple[SourceState, bool]:
        """(source, restarted): a connection speaks for a source from now on; `fence` is called when another one takes over.

        A newer epoch begins the numbering anew; `restarted` is True when the source had sent events before, so some may be lost between. The
        same epoch goes on where it stopped. Raises SequenceFenced for an older epoch, InvalidArgument for a name, provenance or domain that cannot
        be, LogUnavailable where the domain is closed, ResourceExhausted for one source too many.
        """
        if domain in self._closed:
            raise LogUnavailable(self._closed[domain])
        if provenance not in (1, 2, 3):
            raise InvalidArgument.field(
                "provenance", str(provenance), "provenance", "expected LIVE (1), REPLAY (2) or SIMULATED (3)"
            )
        source = self._by_name.get(name) or self._new(name, domain)
        if source.domain is not domain:
            text = f"{name} is a source of the {source.domain.title} domain; events of another need another source"
            raise InvalidArgument.field("domain", domain.name, "source-domain", text)
        if epoch < source.epoch:
            raise SequenceFenced(
                f"source {name}: epoch {epoch} is older than {source.epoch}, which took over",
                metadata={"source": name, "epoch": str(epoch), "current_epoch": str(source.epoch)},
            )
        before, source.fence = source.fence, fence
        if before is not None:
            before(SequenceFenced("a newer connection speaks for a source of this one"))
        restarted = epoch > source.epoch and bool(source.events)
        if epoch > source.epoch:
            source.epoch, source.next_sequence, source.acknowledged = epoch, 1, 0
        source.gap_pending = source.gap_pending or restarted
        source.provenance, source.connected = provenance, True
        return source, restarted

    def close(self, domain: Domain, why: str) -> None:
        """Nothing of a domain is taken any more: its sources are sent away, and so is whoever says hello for one."""
        self._closed[domain] = why
        for source in self.all():
            if source.domain is domain and source.fence is not None:
                source.fence(LogUnavailable(why))

    def release(self, source: SourceState, fence: Fence) -> None:
        """The connection with this fence ended; nothing happens when another one took over before."""
        if source.fence == fence:
            source.fence, source.on_acknowledged, source.connected = None, None, False

    def _new(self, name: str, domain: Domain) -> SourceState:
        if not name or len(name) > 64 or not name.isprintable():
            raise InvalidArgument.field("source", name, "source-name", "expected 1 to 64 printable characters")
        if len(self._by_name) >= MAX_SOURCES:
            text = f"source {name}: this relay knows {MAX_SOURCES} sources, as many as it may, until it is started anew; a source keeps its name"
            raise ResourceExhausted(text, metadata={"source": name, "limit": str(MAX_SOURCES)})
        number = source_id(name)
        other = self._by_id.get(number)
        if other is not None:
            raise InvalidArgument.field(
                "source", name, "source-id-taken", f"its number {number} is that of {other.name}; choose another name"
            )
        source = SourceState(name, number, domain, limit=RateLimit(self._limits.of[domain]))
        self._by_name[name] = self._by_id[number] = source
        return source
