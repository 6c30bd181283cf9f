"""A second subscriber beside the strategy, over gRPC and with every event type: what it was sent is what the summary counts."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from alphapulse.domain.errors import AlphaPulseError
from alphapulse_cli.platform import Addresses
from strategy_sdk import EventType, Opportunity, OpportunityState, SyntheticUpdate, connect

_SHOWN = 6
_LOOKED_INTO = frozenset({int(EventType.CROSS_VENUE_OPPORTUNITY), int(EventType.SYNTHETIC_UPDATE)})


@dataclass(frozen=True, slots=True)
class ShownOpportunity:
    """An opportunity as the view shows it."""

    instrument: str
    buy: str
    sell: str
    gross_bps: float
    net_bps: float


@dataclass(frozen=True, slots=True)
class ShownSynthetic:
    """A synthetic as the view shows it."""

    value: float | None
    state: str


@dataclass(slots=True)
class Seen:
    """What the observer saw."""

    events: dict[str, int] = field(default_factory=dict)
    gaps_declared: int = 0
    gaps_undeclared: int = 0
    latency_us: dict[str, dict[str, float]] = field(default_factory=dict)
    opportunities: deque[ShownOpportunity] = field(default_factory=lambda: deque(maxlen=_SHOWN))
    synthetics: dict[int, ShownSynthetic] = field(default_factory=dict)
    error: str = ""


class Observer:
    """`async with Observer(addresses) as observer:` is subscribed once it is entered."""

    def __init__(self, addresses: Addresses) -> None:
        self._stream = connect(addresses.of("relay"), egress_socket="", name="demo")
        self._reading: asyncio.Task[None] | None = None
        self._seen = Seen()

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        await self._stream.subscribe(include_unknown=True)
        self._reading = asyncio.create_task(self._read(), name="observe")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.stop()
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        await self._stream.close()

    async def _read(self) -> None:
        try:
            async for batch in self._stream.batches():
                for event in batch.events(_LOOKED_INTO):
                    if isinstance(event, Opportunity):
                        self._take_opportunity(event)
                    elif isinstance(event, SyntheticUpdate):
                        value = None if math.isnan(event.value) else event.value
                        self._seen.synthetics[event.listing_key] = ShownSynthetic(value, event.state.name.lower())
        except AlphaPulseError as error:  # the demo goes on, and says so
            self._seen.error = str(error)

    def _take_opportunity(self, event: Opportunity) -> None:
        if event.state is OpportunityState.CLOSED:
            return
        buy, sell = self._stream.definition(event.listing_key), self._stream.definition(event.sell_listing_key)
        self._seen.opportunities.append(
            ShownOpportunity(
                buy.instrument.name if buy else f"{event.instrument_key:016x}",
                f"{buy.listing.venue if buy else '?'} {event.buy_price}",
                f"{sell.listing.venue if sell else '?'} {event.sell_price}",
                event.gross_bps,
                event.net_bps,
            )
        )

    def seen(self) -> Seen:
        """Up to now."""
        stats = self._stream.stats()
        self._seen.events = _by_name(stats.events)
        self._seen.gaps_declared = stats.gaps_declared
        self._seen.gaps_undeclared = stats.undeclared_gaps
        self._seen.latency_us = {hop: {"p50": x.p50_us, "p99": x.p99_us} for hop, x in stats.latency.items()}
        return self._seen

    async def settle(self, wanted: int, seconds: float = 5.0) -> None:
        """Waits until it was sent the relay's event of this sequence, the sources being still."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._stream.stats().last_sequence < wanted:  # noqa: ASYNC110 - the stream counts, it does not signal
                    await asyncio.sleep(0.02)


def _by_name(counts: Mapping[EventType, int]) -> dict[str, int]:
    return {kind.name.lower(): count for kind, count in counts.items() if count}
