"""Execution reports are logged before they are delivered, acknowledged to who published them, and resumed: nothing is lost, whatever goes away."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from alphapulse.client import Backoff
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, ResourceExhausted
from alphapulse.embedded import LaunchOptions, ValkeyStore
from strategy_sdk import (
    Addresses,
    Direction,
    EventFilter,
    EventType,
    ExecutionReport,
    Gap,
    Needs,
    OrderSide,
    OrderState,
    OrderUpdate,
    Publisher,
    Signal,
    Strategy,
    StrategyRun,
    StrategySignal,
    connect,
    publish,
)

PATIENCE = 20.0
BOTH = pytest.mark.parametrize("transport", ["grpc", "unix"])
QUICK = {"backoff": Backoff(first=0.01, cap=0.05)}


def order(number: int, **fields: Any) -> OrderUpdate:
    usual: dict[str, Any] = {
        "listing_key": 1,
        "client_order_id": f"order-{number}",
        "side": OrderSide.BUY,
        "state": OrderState.OPEN,
        "size": ExactDecimal.parse("1.5"),
    }
    return OrderUpdate(**usual | fields)


async def until(found: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if found():
                return
            await asyncio.sleep(0.002)


def publisher(relay: Any, transport: str, domain: Domain = Domain.EXECUTION, source: str = "GATEWAY") -> Publisher:
    way = {"ingress_socket": str(relay.config.ingress_socket)} if transport == "unix" else {"ingress_socket": ""}
    return publish(
        source, domain, relay.handle.address if transport == "grpc" else "", **way, backoff=Backoff(0.01, 0.05)
    )


class Reader:
    """A stream of the SDK that keeps what comes."""

    def __init__(self, relay: Any, domain: Domain = Domain.EXECUTION) -> None:
        self.events: list[Any] = []
        self.gaps: list[Gap] = []
        self._domain = domain
        self.stream = connect(
            egress_socket=str(relay.config.egress_socket), heartbeat_seconds=0.05, backoff=Backoff(0.01, 0.05)
        )

    async def __aenter__(self) -> Reader:
        await self.stream.__aenter__()
        await self.stream.subscribe(domain=self._domain, include_unknown=True)
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stream.close()
        await self._task

    async def _read(self) -> None:
        async for one in self.stream:
            (self.gaps if isinstance(one, Gap) else self.events).append(one)

    @property
    def orders(self) -> list[str]:
        return [one.client_order_id for one in self.events]


class Valkey:
    """A server that a test may stop, and start again, empty, at the same place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port: int | None = None
        self.start()
        self.url = self._server.url

    def start(self) -> None:
        options = LaunchOptions(durable=False, remove_with_parent=True, port=self._port)
        self._server = ValkeyStore(self._folder, options)
        self._server.start()
        self._port = self._server.port

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    """A server of the test's own."""
    with tempfile.TemporaryDirectory(prefix="alphapulse-test-") as folder:
        server = Valkey(Path(folder) / "v")
        yield server
        server.stop()


@BOTH
async def test_every_field_of_a_report_and_of_a_signal_arrives(start_relay: Any, transport: str) -> None:
    relay = await start_relay()
    async with Reader(relay) as executions, Reader(relay, Domain.SIGNAL) as signals:
        async with publisher(relay, transport) as out:
            fill = {"last_price": ExactDecimal.parse("100.25"), "last_size": ExactDecimal.parse("0.125")}
            texts = {"order_id": "V-1", "execution_id": "X-9", "strategy": "momentum", "reason": "größer"}
            update = order(
                7,
                price=ExactDecimal.parse("100.3"),
                filled_size=ExactDecimal.parse("0.125"),
                state=OrderState.PARTIALLY_FILLED,
                venue_time_ns=5,
                **fill,
                **texts,
            )
            out.execution(update)
            out.execution(order(8))
            await out.settled()
        async with publisher(relay, transport, Domain.SIGNAL, "MOMENTUM") as out:
            out.signal(Signal("momentum", 1, Direction.SELL, 0.75, "it falls", 123, 9, "momentum.1m", -2.5, 0.9, 60))
            await out.settled()
        await until(lambda: len(executions.events) == 2 and signals.events)
    first, second = executions.events
    assert isinstance(first, ExecutionReport)
    for name in ("client_order_id", "side", "state", "price", "size", "filled_size", "venue_time_ns", *fill, *texts):
        assert getattr(first, name) == getattr(update, name), name
    assert (second.price, second.filled_size, second.order_id) == (None, ExactDecimal(0, 0), "")
    assert not first.possible_duplicate
    [signal] = signals.events
    assert isinstance(signal, StrategySignal)
    assert (signal.strategy, signal.name, signal.direction.name, signal.text) == (
        "momentum",
        "momentum.1m",
        "SELL",
        "it falls",
    )
    assert (signal.value, signal.strength, signal.confidence, signal.horizon_ns) == (-2.5, 0.75, 0.9, 60)
    assert (signal.cause_sequence, signal.collector_time_ns) == (9, 123)


async def test_what_cannot_be_published_is_refused_with_its_rule(start_relay: Any, monkeypatch: Any) -> None:
    relay = await start_relay()
    async with publisher(relay, "unix") as out:

        def rule(**fields: Any) -> str:
            with pytest.raises(InvalidArgument) as caught:
                out.execution(order(1, **fields))
            return str(caught.value.violations[0].rule)

        assert rule(client_order_id="x" * 41) == "text-size"
        assert rule(reason="a\0b") == "text"
        assert rule(listing_key=0) == "listing-keys"
        assert rule(last_price=ExactDecimal(1, 0)) == "whole-fill"
        assert rule(size=ExactDecimal(-1, 0)) == "not-negative"
        assert rule(size=ExactDecimal(1, 18), filled_size=ExactDecimal(1, -18)) == "fits-64-bits"
        with pytest.raises(FailedPrecondition):
            out.signal(Signal("s", 1, Direction.BUY, 1.0, "", 1))
        assert out.stats().published == 0
    with pytest.raises(InvalidArgument):
        publish("S", Domain.MARKET)
    monkeypatch.setattr("strategy_sdk._publishing.MAX_UNACKNOWLEDGED", 3)
    async with publish("S", Domain.EXECUTION, "127.0.0.1:1") as out:
        for number in range(3):
            out.execution(order(number))
        with pytest.raises(ResourceExhausted):
            out.execution(order(4))
        with pytest.raises(DeadlineExceeded):
            await out.settled(timeout=0.05)


async def test_nothing_is_delivered_before_it_is_logged_and_nothing_is_lost(
    start_relay: Any, build: Any, valkey: Valkey
) -> None:
    relay = await start_relay(log_url=valkey.url, execution_patience_seconds=0.1)
    relay.define(build.listing(1))
    log = relay.app.logs[Domain.EXECUTION]
    market = await relay.unix()
    await market.put()
    collector = await relay.collector()
    async with Reader(relay) as reader, publisher(relay, "unix") as out:
        for number in range(5):
            out.execution(order(number))
        await out.settled()
        await until(lambda: len(reader.events) == 5)
        valkey.stop()
        out.execution(order(5))  # taken in, and waits for the log
        await until(lambda: log.unlogged == 1)
        await until(lambda: relay.app.core.gates[Domain.EXECUTION](1))  # it has waited for as long as it may
        for number in range(6, 20):
            out.execution(order(number))
        await until(lambda: relay.app.core.counters().rejects.get("LOG_UNAVAILABLE"))
        await collector.send(build.quotes([1, 1, 1]))
        await market.rows(3)  # the market goes on
        assert relay.app.core.last_of(Domain.EXECUTION) == 6, "what could not be logged was not taken in"
        assert (len(reader.events), out.stats().unacknowledged) == (5, 15)
        valkey.start()
        await out.settled(timeout=PATIENCE)
        await until(lambda: len(reader.events) == 20)
        assert reader.orders == [f"order-{number}" for number in range(20)]
        assert [one.number for one in reader.events] == list(range(1, 21))
        assert not any(one.possible_duplicate for one in reader.events)
        assert (reader.gaps, out.stats().refused, log.unlogged) == ([], {}, 0)


@BOTH
async def test_executions_are_resumed_across_restarts_and_published_once(
    open_relay: Any, fresh_redis_url: str, transport: str
) -> None:
    reader: Any = None
    out: Any = None
    number = 0
    port = 0
    for _ in range(3):
        async with open_relay(log_url=fresh_redis_url, grpc_port=port) as relay:
            port = int(relay.handle.address.rpartition(":")[2])
            if reader is None:
                reader = await Reader(relay).__aenter__()
                out = await publisher(relay, transport).__aenter__()
            for _ in range(5):
                out.execution(order(number))
                number += 1
            await out.settled(timeout=PATIENCE)
            late = await relay.unix()
            await late.put(filter={"domain": 3, "include_unknown": True})
            for subscriber in tuple(relay.app.fanout.subscribers.values()):
                subscriber.ending = True  # sent away; what follows is resumed from the log
                subscriber.wake()
            for _ in range(5):
                out.execution(order(number))
                number += 1
            await out.settled(timeout=PATIENCE)
        for _ in range(2):
            out.execution(order(number))  # no relay is there
            number += 1
    async with open_relay(log_url=fresh_redis_url, grpc_port=port):
        await out.settled(timeout=PATIENCE)
        await until(lambda: len(reader.events) == number)
    await out.__aexit__(None, None, None)
    await reader.__aexit__(None, None, None)
    assert reader.orders == [f"order-{one}" for one in range(number)]
    assert reader.gaps == []
    assert reader.stream.stats().undeclared_gaps == 0


async def test_what_a_relay_took_and_did_not_log_before_it_died_is_sent_again_and_marked(
    open_relay: Any, valkey: Valkey
) -> None:
    async with open_relay(log_url=valkey.url) as relay:
        out = await publisher(relay, "unix").__aenter__()
        out.execution(order(0))
        await out.settled()
        valkey.stop()
        for number in (1, 2):
            out.execution(order(number))
        await until(lambda: relay.app.logs[Domain.EXECUTION].unlogged == 2)
    valkey.start()
    async with open_relay(log_url=valkey.url) as relay, Reader(relay) as reader:
        out.execution(order(3))
        await out.settled(timeout=PATIENCE)
        await until(lambda: len(reader.events) == 3)
        marks = {one.client_order_id: one.possible_duplicate for one in reader.events}
        assert marks == {"order-1": True, "order-2": True, "order-3": marks["order-3"]}
        assert [one.sequence for one in reader.events] == [1, 2, 3]
        await out.__aexit__(None, None, None)


class Echo(Strategy):
    """Says a signal at each quote, and hears what is said."""

    needs = Needs((EventType.QUOTE, EventType.STRATEGY_SIGNAL), EventFilter(include_unknown=True), snapshot=True)

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[StrategySignal] = []
        self.quoted: list[int] = []

    def on_quote(self, quote: Any) -> None:
        self.quoted.append(quote.sequence)
        self.signal(quote, Direction.BUY, 0.5, f"bid {quote.bid}")

    def on_signal(self, signal: StrategySignal) -> None:
        self.heard.append(signal)


async def test_a_strategy_publishes_its_signals_and_hears_those_of_others(start_relay: Any, build: Any) -> None:
    relay = await start_relay()
    collector = await relay.collector()
    strategy = Echo()
    addresses = Addresses(relay=relay.handle.address, egress_socket=str(relay.config.egress_socket))
    async with (
        publisher(relay, "unix", Domain.SIGNAL, "ECHO") as out,
        StrategyRun(strategy, addresses, out.signal) as run,
    ):
        running = asyncio.create_task(run.wait())
        await collector.send(build.quotes([1, 2, 3]))
        await until(lambda: len(strategy.heard) == 3)
        run.stop()
        await running
    assert [one.cause_sequence for one in strategy.heard] == strategy.quoted == [1, 2, 3]
    assert [one.sequence for one in strategy.heard] == [1, 2, 3], "signals count for themselves"
    assert {(one.strategy, one.text) for one in strategy.heard} == {("Echo", f"bid {bid}") for bid in (100, 101, 102)}
