"""The strategy SDK at a relay that sends it away, leaves and comes back: every event once, and nothing declared that was not lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from alphapulse.client import Backoff
from strategy_sdk import Event, Gap, Latest, connect

PATIENCE = 20.0


def send_away(relay: Any) -> None:
    """The relay ends every connection; none of them is told why."""
    for subscriber in tuple(relay.app.fanout.subscribers.values()):
        subscriber.queue._items.clear()
        subscriber.ending = True
        subscriber.wake()


@pytest.mark.parametrize("conflates", [False, True])
async def test_a_strategy_misses_nothing_across_restarts(
    open_relay: Any, build: Any, fresh_redis_url: str, conflates: bool
) -> None:
    found: list[Event | Gap] = []
    came = asyncio.Event()
    reading: asyncio.Task[None] | None = None

    async def read(stream: Any) -> None:
        async for one in stream:
            found.append(one)
            came.set()

    async def until(bid: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while not any(one.values["bid_price"] == bid for one in found if isinstance(one, Event)):
                came.clear()
                await came.wait()

    stream: Any = None
    bid = 0
    for life in range(3):
        async with open_relay(log_url=fresh_redis_url) as relay:
            relay.define(build.listing(1), build.listing(2))
            if stream is None:
                stream = connect(
                    egress_socket=str(relay.config.egress_socket),
                    heartbeat_seconds=0.05,
                    backoff=Backoff(first=0.01, cap=0.05),
                )
                await stream.__aenter__()
                await stream.subscribe(contract=Latest() if conflates else None)
                reading = asyncio.create_task(read(stream))
            collector = await relay.collector(f"S{life}")
            for _ in range(4):
                bid += 10
                await collector.send(build.quotes([1, 2, 1, 2], first_bid=bid))
                await until(bid + 3)
                watcher = await relay.unix()
                await watcher.put()
                send_away(relay)
                bid += 10
                await collector.send(build.quotes([1, 2], first_bid=bid))
                await until(bid + 1)
    assert reading is not None
    await stream.close()
    await reading
    events = [one for one in found if isinstance(one, Event)]
    bids = [one.values["bid_price"] for one in events]
    assert bids == sorted(set(bids))
    assert [one.number for one in events] == list(range(1, len(events) + 1))
    assert [one for one in found if isinstance(one, Gap)] == []
    stats = stream.stats()
    assert stats.reconnects >= 14
    assert (stats.duplicates, stats.undeclared_gaps) == (0, 0)
    if not conflates:
        assert len(bids) == 3 * 4 * 6


async def test_of_several_relays_any_that_answers_will_do(start_relay: Any, build: Any) -> None:
    relay = await start_relay()
    addresses = f"127.0.0.1:1, {relay.handle.address}"
    async with connect(addresses, backoff=Backoff(first=0.01, cap=0.05)) as stream:
        await stream.subscribe()
        assert stream.transport == f"grpc {relay.handle.address}"
