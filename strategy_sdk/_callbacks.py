"""Callbacks by kind of event: plain functions or coroutine functions, called in the order they were registered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from strategy_sdk._batch import EventBatch, Gap
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
from strategy_sdk._progress import Progress

E = TypeVar("E")
Callback = Callable[[E], Awaitable[None] | None]


class Callbacks:
    """Whom to call. Each registration gives the function back, so it serves as a decorator too."""

    def __init__(self) -> None:
        self._on: dict[type[Event], list[Callback[Any]]] = {}
        self._on_gap: list[Callback[Gap]] = []
        self._on_definition: list[Callable[[bytes], None]] = []
        self._wanted: frozenset[int] = frozenset()
        self._progress = Progress()

    @property
    def progress(self) -> Progress:
        """How far the reader is."""
        return self._progress

    def on(self, kind: type[E], function: Callback[E]) -> Callback[E]:
        """Call for events of a class: `on(Trade, f)`; of every class: `on(Event, f)`; for gaps: `on(Gap, f)`."""
        if kind is Gap:
            self._on_gap.append(function)  # type: ignore[arg-type]
        elif isinstance(kind, type) and issubclass(kind, Event):
            for each in (kind,) if kind is not Event else Event.__subclasses__():
                self._on.setdefault(each, []).append(function)
            self._wanted = frozenset(each.layout.event_type for each in self._on)
        else:
            raise TypeError(f"{kind!r} is neither a class of events nor Gap")
        return function

    def on_trade(self, function: Callback[Trade]) -> Callback[Trade]:
        """Call for trades."""
        return self.on(Trade, function)

    def on_quote(self, function: Callback[Quote]) -> Callback[Quote]:
        """Call for quotes."""
        return self.on(Quote, function)

    def on_book_level(self, function: Callback[BookLevel]) -> Callback[BookLevel]:
        """Call for book levels."""
        return self.on(BookLevel, function)

    def on_bar(self, function: Callback[Bar]) -> Callback[Bar]:
        """Call for bars."""
        return self.on(Bar, function)

    def on_statistic(self, function: Callback[Statistic]) -> Callback[Statistic]:
        """Call for statistics."""
        return self.on(Statistic, function)

    def on_trading_status(self, function: Callback[TradingStatus]) -> Callback[TradingStatus]:
        """Call for changes of trading status."""
        return self.on(TradingStatus, function)

    def on_notice(self, function: Callback[Notice]) -> Callback[Notice]:
        """Call for what was published: filings, news, calendars, posts."""
        return self.on(Notice, function)

    def on_wide_amount(self, function: Callback[WideAmount]) -> Callback[WideAmount]:
        """Call for amounts of trades that no row holds; the trades come next and have them."""
        return self.on(WideAmount, function)

    def on_discovered(self, function: Callback[InstrumentDiscovered]) -> Callback[InstrumentDiscovered]:
        """Call for listings that were not known before."""
        return self.on(InstrumentDiscovered, function)

    def on_opportunity(self, function: Callback[Opportunity]) -> Callback[Opportunity]:
        """Call for cross-venue opportunities."""
        return self.on(Opportunity, function)

    def on_synthetic(self, function: Callback[SyntheticUpdate]) -> Callback[SyntheticUpdate]:
        """Call for new values of synthetics."""
        return self.on(SyntheticUpdate, function)

    def on_signal(self, function: Callback[StrategySignal]) -> Callback[StrategySignal]:
        """Call for signals of strategies."""
        return self.on(StrategySignal, function)

    def on_execution(self, function: Callback[ExecutionReport]) -> Callback[ExecutionReport]:
        """Call for reports of orders."""
        return self.on(ExecutionReport, function)

    def on_gap(self, function: Callback[Gap]) -> Callback[Gap]:
        """Call for gaps."""
        return self.on(Gap, function)

    def on_definition(self, function: Callable[[bytes], None]) -> Callable[[bytes], None]:
        """Call a plain function for each definition when it is received, whichever way events are read: before the listing's first event, and
        again whenever it changes. It is given a serialized `alphapulse.api.relay.v1.ListingDefinition`, for those who store all of it."""
        self._on_definition.append(function)
        return function

    def _defined(self, definition: relay.ListingDefinition) -> None:
        for function in self._on_definition:
            function(definition.SerializeToString())

    async def dispatch(self, batch: EventBatch) -> None:
        """Call for the gaps of a batch, then for its events in order. Events nobody is called for are not made."""
        progress = self._progress
        for gap in batch.gaps:
            for function in self._on_gap:
                waits = function(gap)
                if waits is not None:
                    await waits
        for event in batch.events(self._wanted):
            progress.handed = event
            for called in self._on[type(event)]:
                waits = called(event)
                if waits is not None:
                    await waits
        progress.handed = batch
