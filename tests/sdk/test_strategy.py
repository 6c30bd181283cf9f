"""Strategies and their runner: what is declared is asked for, what is emitted comes out, the lines are as documented."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alphapulse.domain.errors import InvalidArgument
from alphapulse.records import QUOTE
from strategy_sdk import (
    Addresses,
    Direction,
    EventFilter,
    EventType,
    Gap,
    GapPolicy,
    Needs,
    Quote,
    Signal,
    Strategy,
    StrategyRun,
    run_strategy,
)
from strategy_sdk.run import HALTED, load_strategy, main, run

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "momentum.py"


class Echo(Strategy):
    """Says BUY for every quote."""

    needs = Needs((EventType.QUOTE,), EventFilter(venues=["BINANCE"]), max_age=30.0, gap_policy=GapPolicy.HALT)

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []

    async def on_start(self) -> None:
        self.told.append("start")

    async def on_stop(self) -> None:
        self.told.append("stop")

    def on_quote(self, quote: Quote) -> None:
        self.told.append(quote.number)
        self.signal(quote, Direction.BUY, 0.5, "seen")

    def on_gap(self, gap: Gap) -> None:
        self.told.append(gap.reason)


def moving(mids: list[float], key: int = 7) -> Any:
    """Quotes a tenth of a second apart, ending now, with these mid prices."""
    rows = QUOTE.new(len(mids))
    now = time.time_ns()
    rows["listing_key"] = key
    rows["sequence"] = np.arange(1, len(mids) + 1)
    rows["collector_time_ns"] = now - np.arange(len(mids))[::-1] * 10_000_000
    rows["bid_price"] = rows["ask_price"] = np.round(np.array(mids) * 1e6).astype(np.int64)
    rows["price_exponent"] = -6
    rows["flags"] = 1
    return rows


async def test_a_strategy_gets_what_it_needs_and_is_halted_by_a_gap(fake_relay: Any) -> None:
    signals: list[Signal] = []
    strategy = Echo()
    async with StrategyRun(strategy, Addresses(relay=fake_relay.address), signals.append) as strategy_run:
        client = await fake_relay.client()
        assert client.hello.name == "Echo"
        assert client.puts[0].filter.venues == ["BINANCE"]
        assert list(client.puts[0].filter.event_types) == [EventType.QUOTE]
        await client.rows(1, (QUOTE, moving([1.0, 2.0])))
        old = moving([3.0])
        old["sequence"], old["collector_time_ns"] = 3, 1
        await client.rows(3, (QUOTE, old))
        await client.gap(reason="QUEUE_FULL", count=1, from_number=4, to_number=4)
        stats = await strategy_run.wait()
    assert strategy.told == ["start", 1, 2, "QUEUE_FULL", "stop"]
    assert [(one.strategy, one.listing_key, one.direction, one.sequence) for one in signals] == [
        ("Echo", 7, Direction.BUY, 1),
        ("Echo", 7, Direction.BUY, 2),
    ]
    assert (stats.signals, stats.too_old, stats.stream.gaps_declared) == (2, 1, 1)
    assert "QUEUE_FULL" in stats.halted


async def test_the_runner_writes_lines(fake_relay: Any) -> None:
    output = io.StringIO()
    running = asyncio.create_task(run(Echo(), Addresses(relay=fake_relay.address), output, interval=0.01))
    client = await fake_relay.client()
    await client.rows(1, (QUOTE, moving([1.0])))
    await client.heartbeat(s1=1)
    await client.gap(reason="SOURCE_GAP", count=2, source="KRAKEN")
    assert await running == HALTED
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    assert {line["type"] for line in lines} >= {"start", "signal", "gap", "stop"}
    (found,) = (line for line in lines if line["type"] == "signal")
    assert (found["strategy"], found["listing_key"], found["direction"]) == ("Echo", f"{7:016x}", "BUY")
    last = lines[-1]
    assert last["type"] == "stop"
    assert last["events"] == {"QUOTE": 1}
    assert (last["signals"], last["gaps_declared"], last["gaps_undeclared"]) == (1, 1, 0)
    assert set(last["latency_us"]["collector_to_client"]) == {"p50", "p99"}


async def test_a_signal_ends_a_runner_that_waits_for_a_relay(fake_relay: Any) -> None:
    fake_relay.greets = False
    running = asyncio.create_task(run(Echo(), Addresses(relay=fake_relay.address), io.StringIO()))
    await fake_relay.hellos.get()
    signal.raise_signal(signal.SIGTERM)
    async with asyncio.timeout(4):
        assert await running == 0


async def test_run_strategy_ends_in_time(fake_relay: Any) -> None:
    stats = await run_strategy(Echo(), Addresses(relay=fake_relay.address), seconds=0.05)
    assert stats.halted == ""
    assert stats.strategy == "Echo"


async def test_momentum_follows_a_trend_and_starts_anew_after_a_gap(fake_relay: Any) -> None:
    strategy = load_strategy(f"{EXAMPLE}:Momentum")
    signals: list[Signal] = []
    calm = [100.0 + 0.001 * (k % 2) for k in range(600)]
    up = [100.0 + 0.01 * k for k in range(200)]
    down = [102.0 - 0.01 * k for k in range(300)]
    rows = moving(calm + up + down)
    rows["collector_time_ns"] = time.time_ns() + np.arange(len(rows)) * 10_000_000
    strategy_run = StrategyRun(
        strategy,
        Addresses(relay=fake_relay.address),
        signals.append,
        gap_sink=lambda gap: strategy_run.stop() if gap.reason == "END" else None,
    )
    async with strategy_run:
        client = await fake_relay.client()
        await client.rows(1, (QUOTE, rows))
        await client.gap(reason="SOURCE_GAP", listing_key=7)
        after = moving(up)
        after["sequence"] += len(rows)
        await client.rows(1 + len(rows), (QUOTE, after))
        await client.gap(reason="END")
        await strategy_run.wait()
    assert [one.direction for one in signals] == [Direction.BUY, Direction.SELL]
    assert all(0 < one.strength <= 1 for one in signals)


def test_wrong_places_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    for place in ("nothing", "strategy_sdk:Signal", "no.such.module:X", "strategy_sdk:Strategy", "missing.py:X"):
        with pytest.raises(InvalidArgument, match="strategy="):
            load_strategy(place)
        assert main([place]) == 2
    assert "strategy=" in capsys.readouterr().err


def test_a_strength_lies_between_0_and_1() -> None:
    signal = Signal("s", 1, Direction.BUY, 1.0, "", 1)
    Echo().emit(signal)
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(InvalidArgument, match="strength"):
            Echo().emit(replace(signal, strength=strength))
