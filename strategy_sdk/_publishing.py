"""Publishing signals and reports of orders: rows go to the relay, and are kept until it says that they are relayed."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from alphapulse.client import Backoff
from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, ResourceExhausted
from alphapulse.domain.errors import from_reason as error_of
from alphapulse.domain.ids import source_id
from alphapulse.domain.provenance import Provenance
from alphapulse.publishing import GrpcLink, KeptPort, RelayLink, RowBuffer
from alphapulse.publishing.kept import KeptExecutionPort
from alphapulse.publishing.messages import Rejected
from alphapulse.records import EXECUTION_REPORT, STRATEGY_SIGNAL, RecordLayout, compile_writer, text_of
from strategy_sdk._config import Addresses
from strategy_sdk._order_updates import OrderUpdate, execution_fields
from strategy_sdk._states import SignalDirection
from strategy_sdk._strategy import Direction, Signal

MAX_UNACKNOWLEDGED: Final = 100_000
"""Events that may wait for a relay: what comes beyond is refused to the caller, nothing is dropped."""
_LOOK_SECONDS: Final = 0.1
"""How often `settled` looks whether the relay refuses the source."""
AGENT: Final = "alphapulse-sdk 0.1.0"
_PORTS: Final = {Domain.SIGNAL: KeptPort, Domain.EXECUTION: KeptExecutionPort}
_WRITE_SIGNAL: Final = compile_writer(STRATEGY_SIGNAL)
_WRITE_EXECUTION: Final = compile_writer(EXECUTION_REPORT)
_DIRECTIONS: Final = {
    Direction.BUY: SignalDirection.BUY,
    Direction.SELL: SignalDirection.SELL,
    Direction.FLAT: SignalDirection.FLAT,
}


@dataclass(frozen=True, slots=True)
class PublisherStats:
    """How a publisher stands."""

    published: int
    """Events handed to it."""
    unacknowledged: int
    """Events of them that are not known to be relayed."""
    refused: dict[str, int]
    """Events the relay refused for good, by reason."""
    connected: bool


class Publisher:
    """One source of one domain; made by `publish`. An async context manager; used in one loop.

    `signal` and `execution` take an event at once and never wait; `settled` waits until the relay has relayed all of them: of executions, where it
    keeps a log, until they are in it. A lost connection is mended, and what was not acknowledged is sent again: exactly once by a relay that
    lives on, and marked POSSIBLE_DUPLICATE where it might not be once, after a relay died.
    """

    def __init__(self, source: str, domain: Domain, link: RelayLink | GrpcLink, provenance: Provenance) -> None:
        self.source = source
        self.domain = domain
        self._link = link
        self._provenance = provenance
        self._source_id = source_id(source)
        self._rows = RowBuffer()
        self._port: Any = None
        self._published = 0
        self._refused: Counter[str] = Counter()
        self._moved = asyncio.Event()
        self._stack = AsyncExitStack()
        self.on_refused: Callable[[str, str], None] = lambda reason, message: None
        """Called with (reason, message) when the relay refuses events for good."""

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._link)
        port: KeptPort = self._link.port(self.source, self._provenance, self._rows, _PORTS[self.domain])  # type: ignore[assignment]
        port.moved, port.refusals = self._moved.set, self._take_refusal
        self._port = port
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _take_refusal(self, refused: Rejected) -> None:
        self._refused[refused.reason] += refused.events
        self.on_refused(refused.reason, refused.message)
        self._moved.set()

    def signal(self, signal: Signal) -> None:
        """Publish a signal. Raises InvalidArgument for what cannot be one, ResourceExhausted while MAX_UNACKNOWLEDGED events wait for a relay."""
        self._must_be(Domain.SIGNAL)
        texts = {
            name: text_of(value, STRATEGY_SIGNAL.texts[name], name)
            for name, value in (("name", signal.name), ("strategy", signal.strategy), ("text", signal.reason))
        }
        values = {
            "value": signal.value,
            "strength": signal.strength,
            "confidence": signal.confidence,
            "horizon_ns": signal.horizon_ns,
            "cause_sequence": signal.sequence,
            "direction": int(_DIRECTIONS[signal.direction]),
        }
        if not (math.isnan(signal.confidence) or 0 <= signal.confidence <= 1):
            text = "a confidence lies between 0 and 1, or is NaN"
            raise InvalidArgument.field("confidence", str(signal.confidence), "range", text)
        self._put(STRATEGY_SIGNAL, _WRITE_SIGNAL, signal.listing_key, 0, signal.time_ns, 0, texts | values)

    def execution(self, update: OrderUpdate) -> None:
        """Publish what became of an order. Raises as `signal` does."""
        self._must_be(Domain.EXECUTION)
        flags, fields = execution_fields(update)
        self._put(
            EXECUTION_REPORT,
            _WRITE_EXECUTION,
            update.listing_key,
            update.venue_time_ns,
            time.time_ns(),
            flags,
            fields,
        )

    def _must_be(self, domain: Domain) -> None:
        if self.domain is not domain:
            text = f"{self.source} publishes to the {self.domain.title} domain; {domain.title}s need a publisher of their own"
            raise FailedPrecondition(text)
        if self._port is None:
            raise FailedPrecondition("a publisher is entered before it is used: `async with publish(...) as publisher`")

    def _put(
        self,
        layout: RecordLayout,
        write: Callable[..., bytes],
        listing_key: int,
        venue_time_ns: int,
        time_ns: int,
        flags: int,
        fields: Mapping[str, Any],
    ) -> None:
        if not 0 < listing_key < 1 << 64:
            text = "the first 64 bits of the id of a listing or synthetic; never 0"
            raise InvalidArgument.field("listing_key", str(listing_key), "listing-keys", text)
        if self._port.unacknowledged >= MAX_UNACKNOWLEDGED:
            full = f"{MAX_UNACKNOWLEDGED} events wait for the relay already"
            raise ResourceExhausted(full, hint="wait with `settled`; nothing was dropped")
        common = {
            "listing_key": listing_key,
            "sequence": 0,
            "venue_time_ns": venue_time_ns,
            "collector_time_ns": time_ns,
            "relay_in_ns": 0,
            "relay_out_ns": 0,
            "source_id": self._source_id,
            "definition_version": 0,
            "flags": int(self._provenance) | flags,
        }
        self._rows.put(layout.event_type, write(*({**common, **fields}[name] for name in layout.fields)))
        self._published += 1
        self._port.flush(at_once=True)

    async def settled(self, timeout: float = 10.0) -> None:
        """Wait until everything published is relayed, or refused for good. Raises DeadlineExceeded, and what the relay refuses the source with."""
        try:
            async with asyncio.timeout(timeout):
                while self._port.unacknowledged:
                    self._raise_refusal()
                    self._moved.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_SECONDS):
                            await self._moved.wait()
        except TimeoutError:
            waiting = self._port.unacknowledged
            raise DeadlineExceeded(f"{waiting} events of {self.source} are not relayed after {timeout:g} s") from None
        self._raise_refusal()

    def _raise_refusal(self) -> None:
        if self._port.refused:
            reason, _, message = self._port.refused.partition(": ")
            raise error_of(reason, message)

    def stats(self) -> PublisherStats:
        """How it stands."""
        waiting = 0 if self._port is None else self._port.unacknowledged
        return PublisherStats(self._published, waiting, dict(self._refused), self._link.connected)


def publish(
    source: str,
    domain: Domain,
    address: str = "",
    *,
    ingress_socket: str | None = None,
    provenance: Provenance = Provenance.LIVE,
    backoff: Backoff | None = None,
    addresses: Addresses | None = None,
) -> Publisher:
    """A source that publishes signals (`Domain.SIGNAL`) or reports of orders (`Domain.EXECUTION`).

    `source` names it to the relay and to filters by source; of two with one name the later fences the earlier off. `ingress_socket` is the path of
    the relay's Unix socket for sources; without it RELAY_INGRESS_SOCKET is taken where such a socket exists and no `address` is given; "" means gRPC.
    `address` is the relay's `host:port`, else RELAY_ADDRESS, else 127.0.0.1:50061; several, separated by commas, are tried by turns.
    Raises InvalidArgument for a domain that strategies do not publish to.
    """
    if domain not in _PORTS:
        text = "strategies publish to SIGNAL or EXECUTION; market data comes from collectors"
        raise InvalidArgument.field("domain", domain.name, "publishable-domain", text)
    where = addresses or Addresses.from_environment()
    socket = ingress_socket if ingress_socket is not None else ("" if address else where.usable_ingress)
    link: RelayLink | GrpcLink
    if socket:
        link = RelayLink(socket, backoff=backoff, agent=AGENT)
    else:
        ways = [one.strip() for one in (address or where.relay).split(",") if one.strip()]
        link = GrpcLink(ways, backoff=backoff, agent=AGENT)
    return Publisher(source, domain, link, provenance)
