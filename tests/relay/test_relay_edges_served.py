"""Edges as they serve: the SDK that moves when one is killed, both transports, filters over definitions, snapshots, health, a log that is away."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf.json_format import MessageToDict
from grpc_health.v1 import health_pb2, health_pb2_grpc

from alphapulse.api.instrument.v1.instrument_pb2 import Instrument
from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.api.venue.v1.venue_pb2 import Venue
from alphapulse.client import Backoff
from alphapulse.domain.errors import ConfigurationError
from alphapulse.embedded import LaunchOptions, ValkeyStore
from relay_service.config import Role
from strategy_sdk import Event, Gap, connect

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0
BOTH = pytest.mark.parametrize("transport", ["grpc", "unix"])


async def until(found: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if found():
                return
            await asyncio.sleep(0.002)


def level(edge: Any, core: Any) -> Callable[[], bool]:
    """Whether an edge has handed on everything that the relay has."""
    return lambda: edge.app.log.position[:2] >= core.app.log.position[:2]


def sources_of(stream: Any) -> set[str]:
    """The sources that the last heartbeat told of."""
    return {one.source for one in stream.last_heartbeat.sources}


async def beat_of(client: Any) -> Any:
    """The next heartbeat."""
    place = len(client.log)
    return (await client.until(lambda: client.last("heartbeat", place))).heartbeat


async def kill(relay: Any) -> None:
    """Its server is gone at once, and tells nobody."""
    await relay.handle.server._server.stop(None)


@pytest.fixture
def open_edge(open_relay: Any, fresh_redis_url: str) -> Callable[..., Any]:
    """An edge over the log of this test."""

    def opened(name: str, *listings: Any, **settings: Any) -> Any:
        @asynccontextmanager
        async def start() -> AsyncIterator[Any]:
            usual = {"role": Role.EDGE, "edge_id": name, "log_url": fresh_redis_url}
            async with open_relay(**usual | settings) as edge:
                edge.define(*listings)
                yield edge

        return start()

    return opened


async def test_a_strategy_at_an_edge_that_is_killed_goes_on_at_another(
    open_relay: Any, open_edge: Any, build: Any, fresh_redis_url: str
) -> None:
    """Nothing is missed and nothing comes twice, through the death of an edge, restarts of the relay, and a move to the relay itself."""
    listings = [build.listing(1), build.listing(2)]
    found: list[Event | Gap] = []
    lives: list[str] = []
    bid = 0

    async def read(stream: Any) -> None:
        async for batch in stream.batches():
            lives.extend([batch.life] if batch.life else [])
            found.extend([*batch.gaps, *batch.events()])

    async def send(collector: Any) -> None:
        nonlocal bid
        bid += 10
        await collector.send(build.quotes([1, 2, 1], first_bid=bid))

    async def came() -> None:
        await until(lambda: any(isinstance(one, Event) and one.values["bid_price"] == bid + 2 for one in found))

    async with AsyncExitStack() as stack:
        async with open_relay(log_url=fresh_redis_url) as core:
            core.define(*listings)
            first = await stack.enter_async_context(open_edge("one", *listings))
            second = await stack.enter_async_context(open_edge("two", *listings))
            addresses = f"{first.handle.address},{second.handle.address}"
            stream = await stack.enter_async_context(
                connect(addresses, heartbeat_seconds=0.05, backoff=Backoff(first=0.01, cap=0.05))
            )
            assert stream.edge_id.startswith("one.")
            assert stream.relay_id == core.app.fanout.relay_id
            await stream.subscribe()
            reading = asyncio.create_task(read(stream))
            collector = await core.collector("A")
            await send(collector)
            await came()
            await send(collector)
            await kill(first)
            for _ in range(5):
                await send(collector)
            await came()
            assert stream.edge_id.startswith("two.")
        for life in range(2):
            async with open_relay(log_url=fresh_redis_url) as core:
                core.define(*listings)
                collector = await core.collector(f"B{life}")
                await send(collector)
                await came()
                name = core.app.fanout.relay_id
                await until(lambda name=name: stream.relay_id == name)
                assert lives[-1] == name
                await until(lambda life=life: sources_of(stream) == {f"B{life}"})
                await send(collector)
        await came()
        stats = stream.stats()
        await stream.close()
        await reading
    events = [one for one in found if isinstance(one, Event)]
    assert [one.values["bid_price"] for one in events] == [
        10 * k + j for k in range(1, bid // 10 + 1) for j in range(3)
    ]
    assert [one.number for one in events] == list(range(1, len(events) + 1))
    assert [one for one in found if isinstance(one, Gap)] == []
    assert (stats.duplicates, stats.undeclared_gaps) == (0, 0)
    assert stats.reconnects >= 1  # on a busy machine an edge may be silent for too long, and be left once more
    assert len(lives) == len(set(lives)) == 2


def defined(client: Any) -> dict[int, Any]:
    """The definitions that came, by listing_key."""
    return {one.listing.listing_key: one for told in client.all("definitions") for one in told.definitions}


def instruments(build: Any) -> list[Instrument]:
    return [Instrument(instrument_id=build.hex_id(900), asset_class=1, name="share")]


def venues() -> list[Venue]:
    made = [Venue(code=code, status=1) for code in ("XV", "XW")]
    for venue in made:
        venue.fee_schedules.add().tiers.add().taker_bps.mantissa = 1
    return made


@BOTH
async def test_an_edge_serves_what_the_relay_would(
    open_relay: Any, open_edge: Any, build: Any, fresh_redis_url: str, transport: str
) -> None:
    """The same rows by the same filters, derived events among them, snapshots, and tokens that are good at either."""
    listings = [build.listing(1, 900), build.listing(2, 900, venue="XW"), build.listing(3)]
    asked = [
        {"venues": ["XV"]},
        {"predicate": "taker_bps < 2", "event_types": [2]},
        {"instrument_ids": [build.hex_id(900)]},
        {"event_types": [17], "venues": ["XW"]},
        {"include_unknown": True, "sources": ["A"]},
    ]

    def know(relay: Any) -> None:
        for venue in venues():
            relay.app.core.replica.apply_venue(venue)
        relay.define(*listings, instruments=instruments(build))

    async with open_relay(log_url=fresh_redis_url, quote_age_ms=3_600_000) as core, open_edge("one") as edge:
        know(core)
        know(edge)
        hello: dict[str, Any] = {"heartbeat_interval_ms": 20, "with_definitions": True}
        clients = [await one.subscriber(transport, **hello) for one in (core, edge)]
        for client in clients:
            for number, chosen in enumerate(asked, 1):
                await client.put(number, filter=chosen)
        collector = await core.collector("A")
        await collector.send(build.quotes([1, 3, 9], first_bid=1000))
        await collector.send(build.quotes([2], first_bid=1100))
        theirs, mine = clients
        for number, count in enumerate([3, 3, 3, 1, 5], 1):
            assert await mine.rows(count, number) == await theirs.rows(count, number)
            assert len(mine.of(number).rows) == count
        assert [row["type"] for row in mine.of(4).rows] == [17]
        assert defined(mine) == defined(theirs)
        assert set(defined(mine)) == {1, 2, 3}

        snapshots = []
        for relay in (core, edge):
            client = await relay.subscriber(transport)
            await client.put(start=pb.SubscriptionStart(snapshot=pb.StartSnapshot()))
            rows = await client.rows(3)
            snapshots.append([row | {"relay_out_ns": 0} for row in rows])
            assert client.last("snapshot").snapshot.known_from == 0
        assert snapshots[0] == snapshots[1]

        def last_point(client: Any) -> Any:
            points = [one for one in client.all("resume") if one.subscription_id == 5 and one.number == 5]
            return points[-1] if points else None

        moved = []
        for client, elsewhere in ((mine, core), (theirs, edge)):
            point = await client.until(lambda client=client: last_point(client))
            assert point.relay_id == core.app.fanout.relay_id
            other = await elsewhere.subscriber(transport)
            other.of().expected = 6
            await other.put(filter=asked[4], start=pb.SubscriptionStart(resume_token=point.resume_token))
            moved.append(other)
        await collector.send(build.quotes([9], first_bid=7))
        for other in moved:
            assert [row["bid_price"] for row in await other.rows(6)] == [7]

        publish: Any = edge.stub.Publish(iter([pb.PublishRequest(hello=pb.SourceHello(source="X"))]))
        kept: Any = edge.stub.PublishAcknowledged(iter(()))  # what is sent could meet the end of the call
        for asked_for in (publish, kept.read()):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await asked_for
            assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        core_status, status = [await one.stub.GetRelayStatus(pb.GetRelayStatusRequest()) for one in (core, edge)]
        assert (status.relay_id, status.last_sequence) == (core_status.relay_id, core_status.last_sequence)
        assert status.edge_id.startswith("one.")
        assert core_status.edge_id == ""
        assert core_status.behind_ns == 0 < status.behind_ns
        beat = await mine.until(
            lambda: next(
                (one for one in mine.all("heartbeat") if [dict(s.events) for s in one.sources] == [{2: 5}]), None
            )
        )
        assert (beat.relay_id, beat.last_sequence) == (core_status.relay_id, core_status.last_sequence)
        [source] = beat.sources
        [told] = core_status.sources
        shown, expected = (MessageToDict(one) for one in (source, told))
        assert shown == expected


async def test_rows_wait_for_definitions_that_the_relay_had_before_the_edge(
    open_relay: Any, open_edge: Any, build: Any, fresh_redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = build.listing(1)
    monkeypatch.setattr("relay_service.edge.core.DEFINITION_SECONDS", 60.0)
    async with open_relay(log_url=fresh_redis_url) as core, open_edge("one") as edge:
        core.define(listing)
        client = await edge.unix()
        await client.put(filter={"venues": ["XV"]})
        collector = await core.collector()
        await collector.send(build.quotes([1]))
        await until(lambda: edge.app.core.definition_waits)
        edge.define(listing)
        await client.rows(1)
        edge.app.core.replica.remove_listing(1)
        await collector.send(build.quotes([1, 1]))
        await until(lambda: core.app.core.last_sequence == 3)
        await until(level(edge, core))
        assert edge.app.core.definition_waits == 1, "one that is gone is not waited for"
        monkeypatch.setattr("relay_service.edge.core.DEFINITION_SECONDS", 0.05)
        core.define(build.listing(2))
        await client.put(2, filter={"include_unknown": True})
        for _ in range(2):
            await collector.send(build.quotes([2]))
        await client.rows(2, 2)
        assert edge.app.core.definition_waits == 2, "one that does not come is waited for once"


async def test_without_its_log_an_edge_is_not_ready_and_says_how_far_behind_it_is(
    open_relay: Any, open_edge: Any, build: Any
) -> None:
    with tempfile.TemporaryDirectory(prefix="alphapulse-test-") as folder:
        server = ValkeyStore(Path(folder) / "v", LaunchOptions(durable=True, remove_with_parent=True))
        server.start()
        async with open_relay(log_url=server.url) as core, open_edge("one", log_url=server.url) as edge:
            for one in (core, edge):
                one.define(build.listing(1))
            client = await edge.grpc(heartbeat_interval_ms=20)
            await client.put()
            collector = await core.collector()
            await collector.send(build.quotes([1]))
            await client.rows(1)
            health: Any = health_pb2_grpc.HealthStub(grpc.aio.insecure_channel(edge.handle.address))

            async def ready(service: str = "readiness") -> bool:
                answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
                return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

            assert await ready()
            server.stop()
            await until(lambda: not edge.app.readiness.is_ready)
            assert not await ready()
            assert await ready(""), "it lives"
            for _ in range(50):
                await collector.send(build.quotes([1] * 20))
            await until(lambda: core.app.core.last_sequence == 1001)
            first, later = await beat_of(client), await beat_of(client)
            assert first.last_sequence == later.last_sequence == 1
            assert later.behind_ns - first.behind_ns >= (later.time_ns - first.time_ns) // 2 > 0
            again = ValkeyStore(
                Path(folder) / "v", LaunchOptions(durable=True, remove_with_parent=True, port=server.port)
            )
            again.start()
            try:
                await client.rows(1001)
                assert client.of().gaps == client.of().source_gaps == []
                assert [row["sequence"] for row in client.of().rows] == list(range(1, 1002))
                await until(lambda: edge.app.readiness.is_ready)
                assert await ready()
                await client.close()
            finally:
                again.stop()


async def test_what_is_alerted_on_is_told_by_an_edge_and_what_the_relay_counts_is_left_to_it(
    open_relay: Any, open_edge: Any, fresh_redis_url: str
) -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules/alphapulse.yml").read_text())["groups"][0]["rules"]
    alerted = {name for rule in rules for name in re.findall(r"relay_edge_\w+", rule["expr"])}
    async with open_relay(log_url=fresh_redis_url) as core, open_edge("one") as edge:
        told, theirs = (
            {sample.name for family in one.app._registry.collect() for sample in family.samples} for one in (edge, core)
        )
    assert alerted
    assert alerted <= told
    assert {"relay_subscribers", "relay_gap_events_declared_total", "relay_listings"} <= told & theirs
    assert {"relay_opportunities_total", "relay_log_entries_total"} <= theirs - told


def test_an_edge_without_a_log_is_refused_by_name(open_edge: Any) -> None:
    async def run() -> None:
        async with open_edge("one", log_url=""):
            pass

    with pytest.raises(ConfigurationError, match="RELAY_LOG_URL"):
        asyncio.run(run())
