"""Subscriptions that stay behind are ended with a token, and get from the log what their queue could not hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import relay_resuming as resuming

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.client import Backoff
from alphapulse.records import QUOTE, TRADE
from strategy_sdk import Gap, connect

BOTH = pytest.mark.parametrize("transport", ["grpc", "unix"])
LIMIT = 10
"""Seconds that a subscription may stay behind."""
SMALL = {"stream": pb.StreamContract(max_queue_bytes=4096)}
Q, T = QUOTE.event_type, TRADE.event_type
ALL = list(resuming.KEYS)


@asynccontextmanager
async def world_of(url: str, slow_seconds: float = LIMIT) -> AsyncIterator[Any]:
    world = resuming.World(url)
    world.slow_seconds = slow_seconds
    await world.start()
    try:
        yield world
    finally:
        await world.stop()


def client_of(world: Any, contract: dict[str, Any] | None = None) -> Any:
    strategy = resuming.Strategy(world, {}, SMALL if contract is None else contract)
    strategy.connect()
    strategy.read()
    return strategy


async def flood(world: Any, seconds: int, times: int = 20) -> None:
    """More than waits for anybody, so many seconds later."""
    world.ahead_ns += seconds * 1_000_000_000
    for _ in range(times):
        world.relay("A", Q, ALL)
    await asyncio.sleep(0)  # what is to be ended ends


async def test_who_stays_behind_has_to_resume_and_misses_nothing_from_there_on(fresh_redis_url: str) -> None:
    async with world_of(fresh_redis_url) as world:
        strategy = client_of(world)
        await flood(world, 0)
        await flood(world, LIMIT - 1)
        assert strategy.client.subscriptions, "it may stay behind for that long"
        await flood(world, 2)
        assert not strategy.client.subscriptions
        declared = len(world.events)
        for _ in range(20):
            world.relay("A", T, ALL)
            await asyncio.sleep(0)
        await strategy.settle()
        [error] = strategy.ended
        assert (error.reason, "10 seconds" in error.message) == ("SUBSCRIBER_TOO_SLOW", True)
        dropped = sum(gap.count for gap in strategy.gaps)
        assert [gap.reason for gap in strategy.gaps] == ["QUEUE_FULL"] * len(strategy.gaps)
        assert len(strategy.rows) + dropped == len(world.events)
        assert max(gap.last_sequence for gap in strategy.gaps) == declared, "what came after the end is all there"
        strategy.cut()
        resuming.check(world, strategy, 0, crashed=False)
        assert world.fanout.figures.ended == 1


async def test_who_catches_up_in_between_goes_on(fresh_redis_url: str) -> None:
    async with world_of(fresh_redis_url) as world:
        strategy = client_of(world)
        for _ in range(4):
            await flood(world, LIMIT - 1)
            strategy.read()
        await flood(world, 2)
        assert len(strategy.gaps) >= 4
        assert (strategy.ended, len(strategy.client.subscriptions)) == ([], 1)
        strategy.cut()


@pytest.mark.parametrize("contract", [{"latest": pb.LatestContract()}, {"sample": pb.SampleContract(every=1)}])
async def test_other_contracts_are_never_ended(fresh_redis_url: str, contract: dict[str, Any]) -> None:
    async with world_of(fresh_redis_url) as world:
        strategy = client_of(world, contract)
        await flood(world, 0, 300)
        await flood(world, LIMIT + 1, 300)
        assert len(strategy.client.subscriptions) == 1
        strategy.cut()


async def test_a_change_that_crosses_the_end_begins_nothing(fresh_redis_url: str) -> None:
    async with world_of(fresh_redis_url) as world:
        strategy = client_of(world)
        await flood(world, 0)
        await flood(world, LIMIT + 1)
        change = pb.PutSubscription(subscription_id=1, filter=pb.SubscriptionFilter(listing_keys=[1]), **SMALL)
        strategy.session.handle(pb.SubscribeRequest(put=change))
        assert not strategy.client.subscriptions
        await strategy.settle()
        assert [one.reason for one in strategy.refusals] == ["SUBSCRIBER_TOO_SLOW"]
        strategy.refusals.clear()
        world.relay("B", T, ALL)
        await strategy.settle()
        strategy.cut()
        resuming.check(world, strategy, 0, crashed=False)


async def test_a_removal_that_crosses_the_end_is_one(fresh_redis_url: str) -> None:
    async with world_of(fresh_redis_url) as world:
        strategy = client_of(world)
        await flood(world, 0)
        await flood(world, LIMIT + 1)
        remove = pb.SubscribeRequest(remove=pb.RemoveSubscription(subscription_id=1))
        strategy.session.handle(remove)
        kinds = [pb.SubscribeResponse.FromString(data) for data in iter(strategy.client.take, None)]
        assert [one.WhichOneof("message") for one in kinds[-2:]] == ["ended", "acknowledged"]
        assert kinds[-1].acknowledged.removed
        strategy.session.handle(remove)
        assert pb.SubscribeResponse.FromString(strategy.client.take()).refused.error.reason == "NOT_FOUND"
        strategy.cut()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("relay"), st.sampled_from([Q, T]), st.integers(1, 60)),
        st.tuples(st.just("lose"), st.integers(1, 5)),
        st.tuples(st.just("read"), st.integers(1, 4)),
        st.tuples(st.just("later"), st.integers(1, 2 * LIMIT)),
        st.tuples(st.just("turn")),
        st.tuples(st.just("cut")),
    ),
    min_size=5,
    max_size=40,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_whoever_stays_behind_everything_comes_once_or_is_declared(fresh_redis_url: str, script: list[Any]) -> None:
    asyncio.run(_play(fresh_redis_url, script))


async def _play(url: str, script: list[Any]) -> None:
    async with world_of(url) as world:
        strategy, lost = client_of(world), 0
        for kind, *values in script:
            if kind == "relay":
                world.relay("A", values[0], ALL * values[1])
            elif kind == "lose":
                world.lose("B", values[0])
                lost += values[0]
            elif kind == "read":
                strategy.read(values[0])
            elif kind == "later":
                world.ahead_ns += values[0] * 1_000_000_000
            elif kind == "turn":
                await asyncio.sleep(0.001)
            else:
                strategy.cut()
                strategy.connect()
        await asyncio.sleep(0)
        await strategy.settle()
        strategy.cut()
        resuming.check(world, strategy, lost, crashed=False)


@BOTH
async def test_a_strategy_that_was_too_slow_goes_on_from_the_log(
    start_relay: Any, build: Any, fresh_redis_url: str, transport: str
) -> None:
    relay = await start_relay(log_url=fresh_redis_url, slow_seconds=0.05, queue_bytes=1 << 16)
    relay.define(build.listing(1))
    collector = await relay.collector()
    way = {"egress_socket": str(relay.config.egress_socket)}
    if transport == "grpc":
        way = {"address": relay.handle.address, "egress_socket": ""}
    async with connect(**way, heartbeat_seconds=0.05, backoff=Backoff(first=0.01, cap=0.05)) as stream:
        await stream.subscribe(listing_keys=[1])
        sent = 0
        while not relay.app.fanout.figures.ended:
            await collector.send(build.quotes([1] * 1000, first_bid=sent + 1))
            sent += 1000
            await asyncio.sleep(0.001)
        for _ in range(50):  # more than its queue could hold
            await collector.send(build.quotes([1] * 1000, first_bid=sent + 1))
            sent += 1000
        came: list[int] = []
        gaps: list[Gap] = []
        async with asyncio.timeout(20):
            while not came or came[-1] != sent:
                batch = await stream.next_batch()
                assert batch is not None
                gaps += batch.gaps
                for _, rows in batch.runs:
                    came += rows["bid_price"].tolist()
        stats = stream.stats()
    assert {gap.reason for gap in gaps} == {"QUEUE_FULL"}
    assert len(came) + sum(gap.count for gap in gaps) == sent
    assert came == sorted(set(came))
    assert (stats.undeclared_gaps, stats.duplicates, stats.reconnects) == (0, 0, 0)
