"""Runs one strategy on one stream until it is stopped, halted by a gap, or fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from alphapulse.domain.domains import Domain, domain_of
from alphapulse.domain.errors import DataLoss
from strategy_sdk._batch import Gap
from strategy_sdk._config import Addresses
from strategy_sdk._connect import stream_of
from strategy_sdk._events import Event
from strategy_sdk._partitioned import PartitionedStream
from strategy_sdk._strategy import CALLBACKS, Needs, Signal, Strategy
from strategy_sdk._stream import MarketStream
from strategy_sdk._stream_stats import StreamStats
from strategy_sdk._subscriptions import EventFilter


@dataclass(frozen=True, slots=True)
class RunStats:
    """How a run stands."""

    strategy: str
    uptime: float
    """Seconds."""
    signals: int
    too_old: int
    """Events left out because they were older than the strategy's `max_age`."""
    halted: str
    """Why the strategy was halted by a gap; empty: it was not."""
    stream: StreamStats
    last_heartbeat_age: float | None
    """Seconds since the relay's last heartbeat was taken; None before the first."""
    transport: str


class StrategyRun:
    """A strategy on its stream; made by `run_strategy`, or by itself where a program wants to watch the run.

    async with StrategyRun(strategy, addresses, sink) as run: await run.wait()
    """

    def __init__(
        self,
        strategy: Strategy,
        addresses: Addresses | None = None,
        signal_sink: Callable[[Signal], None] | None = None,
        *,
        gap_sink: Callable[[Gap], None] | None = None,
    ) -> None:
        self.strategy = strategy
        needs = strategy.needs
        self.stream = stream_of(addresses, strategy.name, needs.gap_policy)
        self._sink = signal_sink or (lambda _: None)
        self._gap_sink = gap_sink
        self._max_age_ns = None if needs.max_age is None else round(needs.max_age * 1e9)
        self._too_old = 0
        self._halted = ""
        self.stopped = False
        """Whether `stop` was called."""
        self._started = time.monotonic()

    async def __aenter__(self) -> StrategyRun:
        await self.stream.__aenter__()
        try:
            self.strategy.attach(self.stream, self._sink)
            self._register(self.stream)
            needs = self.strategy.needs
            for wanted in _by_domain(needs):
                market = wanted.chosen_domain is Domain.MARKET
                await self.stream.subscribe(wanted, contract=needs.contract, snapshot=needs.snapshot and market)
            await self.strategy.on_start()
        except BaseException:
            await self.stream.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.strategy.on_stop()
        finally:
            await self.stream.close()

    async def wait(self) -> RunStats:
        """Until `stop`, or a gap halts the strategy. What a callback raises comes out here."""
        try:
            await self.stream.run()
        except DataLoss as error:
            self._halted = error.message
        return self.stats()

    def stop(self) -> None:
        """Let `wait` return."""
        self.stopped = True
        self.stream.stop()

    def stats(self) -> RunStats:
        """How the run stands."""
        beat = self.stream.last_heartbeat
        return RunStats(
            strategy=self.strategy.name,
            uptime=time.monotonic() - self._started,
            signals=self.strategy.emitted,
            too_old=self._too_old,
            halted=self._halted,
            stream=self.stream.stats(),
            last_heartbeat_age=None if beat is None else (time.time_ns() - beat.received_ns) / 1e9,
            transport=self.stream.transport,
        )

    def _register(self, stream: MarketStream | PartitionedStream) -> None:
        if self._gap_sink is not None:
            stream.on_gap(self._gap_sink)
        stream.on_gap(self.strategy.on_gap)
        for kind, name in CALLBACKS.items():
            if getattr(type(self.strategy), name) is not getattr(Strategy, name):
                stream.on(kind, self._young(getattr(self.strategy, name)))

    def _young(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        limit = self._max_age_ns
        if limit is None:
            return function

        def checked(event: Event) -> Any:
            if time.time_ns() - event.collector_time_ns > limit:
                self._too_old += 1
                return None
            return function(event)

        return checked


def _by_domain(needs: Needs) -> list[EventFilter]:
    """A filter for each domain of what a strategy needs."""
    domains = sorted({domain_of(kind) for kind in needs.event_types}) or [needs.filter.chosen_domain]
    return [
        replace(
            needs.filter,
            event_types=[kind for kind in needs.event_types if domain_of(kind) is domain],
            domain=domain,
        )
        for domain in domains
    ]


async def run_strategy(
    strategy: Strategy,
    addresses: Addresses | None = None,
    signal_sink: Callable[[Signal], None] | None = None,
    *,
    seconds: float | None = None,
) -> RunStats:
    """Run a strategy for so many seconds, or for ever (None); how the run stood at its end."""
    async with StrategyRun(strategy, addresses, signal_sink) as run:
        loop = asyncio.get_running_loop()
        timer = None if seconds is None else loop.call_later(seconds, run.stop)
        try:
            return await run.wait()
        finally:
            if timer is not None:
                timer.cancel()
