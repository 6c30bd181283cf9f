"""What a strategy is: what it needs, what it does with it, what it says."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Final

from alphapulse.domain.errors import InvalidArgument
from strategy_sdk._batch import Gap
from strategy_sdk._convert import Definition
from strategy_sdk._events import (
    Bar,
    BookLevel,
    Event,
    ExecutionReport,
    InstrumentDiscovered,
    Notice,
    Opportunity,
    Quote,
    Statistic,
    StrategySignal,
    SyntheticUpdate,
    Trade,
    TradingStatus,
    WideAmount,
)
from strategy_sdk._freshness import GapPolicy
from strategy_sdk._partitioned import PartitionedStream
from strategy_sdk._states import EventType
from strategy_sdk._stream import MarketStream
from strategy_sdk._subscriptions import Contract, EventFilter, Every


class Direction(Enum):
    """What a signal proposes."""

    BUY = "BUY"
    SELL = "SELL"
    FLAT = "FLAT"
    """Hold nothing."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What a strategy says of a listing."""

    strategy: str
    listing_key: int
    direction: Direction
    strength: float
    """0 to 1."""
    reason: str
    """One line for a person."""
    time_ns: int
    """When it was made, nanoseconds since the Unix epoch."""
    sequence: int = 0
    """The relay's sequence of the event that caused it; 0: none did."""
    name: str = ""
    """The signal's own name, such as "momentum.1m"; what `value` is measured in is a matter of it."""
    value: float = math.nan
    """A figure, in the signal's own unit; NaN: none."""
    confidence: float = math.nan
    """0 to 1: how likely the strategy holds itself to be right; NaN: not told."""
    horizon_ns: int = 0
    """How long it is meant to hold, in nanoseconds; 0: not told."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a strategy asks for before it runs."""

    event_types: tuple[EventType, ...]
    """Of one domain or several: each domain is a subscription of its own."""
    filter: EventFilter = field(default_factory=EventFilter)
    """Which events of these types; its own event_types are not used."""
    contract: Contract = field(default_factory=Every)
    """What happens when the strategy is slow."""
    max_age: float | None = None
    """Seconds; an event older than this when it is handed over (from the collector's clock) is counted and left out. None: any age."""
    gap_policy: GapPolicy = GapPolicy.CONTINUE
    """HALT ends the strategy at a gap; RESYNC lets it ask `is_stale`; the gap is handed over in every case."""
    snapshot: bool = False
    """Begin with the state as it is now."""


class Strategy:
    """Base of all strategies: declare `needs`, override the callbacks you want, `emit` signals.

    Callbacks run one after another on one loop and must not block it. Only events whose callback is overridden are made.
    """

    name: ClassVar[str] = ""
    """For signals and for the relay's list of subscribers. Empty: the class's name."""
    needs: ClassVar[Needs]

    def __init__(self) -> None:
        self.emitted = 0
        self._sink: Callable[[Signal], None] = _nowhere
        self._stream: MarketStream | PartitionedStream | None = None
        self._cause = 0

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.name:
            cls.name = cls.__name__

    def attach(self, stream: MarketStream | PartitionedStream, sink: Callable[[Signal], None]) -> None:
        """Called by the runner before `on_start`."""
        self._stream, self._sink = stream, sink

    # --- what to override
    async def on_start(self) -> None:
        """Subscribed, before the first event."""

    async def on_stop(self) -> None:
        """After the last event, whatever ended the run."""

    def on_gap(self, gap: Gap) -> Awaitable[None] | None:
        """Events will not come: forget what depends on having seen them all."""

    def on_trade(self, trade: Trade) -> Awaitable[None] | None:
        """A trade."""

    def on_quote(self, quote: Quote) -> Awaitable[None] | None:
        """A best bid and offer."""

    def on_book_level(self, level: BookLevel) -> Awaitable[None] | None:
        """A price level of a book."""

    def on_bar(self, bar: Bar) -> Awaitable[None] | None:
        """A bar."""

    def on_statistic(self, statistic: Statistic) -> Awaitable[None] | None:
        """A figure of a listing."""

    def on_trading_status(self, status: TradingStatus) -> Awaitable[None] | None:
        """A change of trading status."""

    def on_notice(self, notice: Notice) -> Awaitable[None] | None:
        """Something was published: a filing, an article, an entry of a calendar, a post."""

    def on_wide_amount(self, amount: WideAmount) -> Awaitable[None] | None:
        """An amount that no row holds, of the trade that comes next and has it."""

    def on_discovered(self, discovered: InstrumentDiscovered) -> Awaitable[None] | None:
        """A listing that was not known before."""

    def on_opportunity(self, opportunity: Opportunity) -> Awaitable[None] | None:
        """A cross-venue opportunity."""

    def on_synthetic(self, update: SyntheticUpdate) -> Awaitable[None] | None:
        """A new value of a synthetic."""

    def on_signal(self, signal: StrategySignal) -> Awaitable[None] | None:
        """What a strategy said, another one or this one itself."""

    def on_execution(self, report: ExecutionReport) -> Awaitable[None] | None:
        """What became of an order."""

    # --- what to use
    def emit(self, signal: Signal) -> None:
        """Say a signal."""
        if not 0.0 <= signal.strength <= 1.0 or math.isnan(signal.strength):
            raise InvalidArgument.field("strength", str(signal.strength), "range", "a strength lies between 0 and 1")
        self.emitted += 1
        self._sink(signal)

    def signal(self, cause: Event, direction: Direction, strength: float, reason: str) -> None:
        """Say a signal about the listing of the event that caused it."""
        self.emit(Signal(self.name, cause.listing_key, direction, strength, reason, time.time_ns(), cause.sequence))

    def definition(self, listing_key: int) -> Definition | None:
        """What a listing is; known before its first event."""
        return self._stream.definition(listing_key) if self._stream is not None else None

    def is_stale(self, listing_key: int) -> bool:
        """With GapPolicy.RESYNC: whether what is held of a listing is from before a gap."""
        return self._stream.is_stale(listing_key) if self._stream is not None else False


def _nowhere(_: Signal) -> None:
    """Signals of a strategy that no runner holds."""


CALLBACKS: Final[dict[type[Event], str]] = {
    Trade: "on_trade",
    Quote: "on_quote",
    BookLevel: "on_book_level",
    Bar: "on_bar",
    Statistic: "on_statistic",
    TradingStatus: "on_trading_status",
    Notice: "on_notice",
    WideAmount: "on_wide_amount",
    InstrumentDiscovered: "on_discovered",
    Opportunity: "on_opportunity",
    SyntheticUpdate: "on_synthetic",
    StrategySignal: "on_signal",
    ExecutionReport: "on_execution",
}
