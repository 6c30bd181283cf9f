"""Two relays that divide the market, and whatever happens to them and to who reads them, drawn from a seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from support.relay_partitions import FAST, INSTRUMENTS, PATIENCE, Reader, Source, parts, source_of, until, ways

from alphapulse.domain.domains import Domain
from strategy_sdk import (
    Event,
    Gap,
    Places,
    connect_partitions,
)


@pytest.fixture
def open_part(open_relay: Any, build: Any, fresh_redis_url: str, socket_folder: Path) -> Callable[..., Any]:
    """A relay, or an edge, that is one of two."""
    return parts(open_relay, build, fresh_redis_url, socket_folder)


@pytest.fixture
async def source(build: Any, socket_folder: Path) -> AsyncIterator[Source]:
    """Connected to both as soon as they are there."""
    async with source_of(build, socket_folder) as made:
        yield made


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_happens_to_relays_each_partition_keeps_its_promise(
    open_part: Any, source: Source, seed: int
) -> None:
    """Relays leave and come back, clients are sent away, strategies die in the middle of a batch and go on from their place: every event comes once,
    in its listing's order, or its own partition says that something is missing; the numbers of each have no hole."""
    rolled = random.Random(seed)
    found: list[tuple[int, int, int, int]] = []
    """(partition, number, listing, bid)."""
    declared = {0: 0, 1: 0}
    kept = ""
    async with AsyncExitStack() as last:
        relays = {index: AsyncExitStack() for index in range(2)}
        there = {index: await stack.enter_async_context(open_part(index)) for index, stack in relays.items()}
        for stack in relays.values():
            last.push_async_callback(stack.aclose)
        await until(lambda: all(relay.app.core.sources.all() for relay in there.values()))
        for _ in range(4):
            async with connect_partitions(ways(*there.values()), **FAST) as stream:
                subscription = await stream.subscribe(start=Places.parse(kept) if kept else None)

                def take(one: Event | Gap, stream: Any = stream) -> None:
                    index = stream.partition_of(one.subscription_id)
                    if isinstance(one, Gap):
                        assert not one.from_number, "nobody is slow here"
                        declared[index] += 1
                    else:
                        found.append((index, one.number, one.listing_key, one.values["bid_price"]))

                for _ in range(rolled.randint(3, 6)):
                    source.send(*(rolled.choice((1, 2, 3, 4)) for _ in range(rolled.randint(1, 60))))
                    what, index = rolled.choice(("leave", "cut", "nothing")), rolled.randrange(2)
                    if what == "leave":
                        await relays[index].aclose()
                        source.send(1, 2, 3, 4)
                        there[index] = await relays[index].enter_async_context(open_part(index))
                    elif what == "cut":
                        for subscriber in tuple(there[index].app.fanout.subscribers.values()):
                            subscriber.queue.lane(Domain.MARKET).items.clear()
                            subscriber.ending = True
                            subscriber.wake()
                    for _ in range(rolled.randint(0, 30)):
                        if len(found) < len(source.sent) - 60:
                            take(await asyncio.wait_for(anext(stream), PATIENCE))
                while (place := subscription.place) is None:
                    source.send(1, 2, 3, 4)
                    take(await asyncio.wait_for(anext(stream), PATIENCE))
                kept = str(place)
        async with connect_partitions(ways(*there.values()), **FAST) as stream:
            await stream.subscribe(start=Places.parse(kept))
            reader = Reader(stream)
            await until(lambda: source.link.connected and all(one.connected for one in source.link._links))
            source.send(1, 2, 3, 4)
            await until(lambda: all(source.of(key)[-1] in reader.quotes(key) for key in INSTRUMENTS))
            found += [
                (stream.partition_of(one.subscription_id), one.number, one.listing_key, one.values["bid_price"])
                for one in reader.events
            ]
            for gap in reader.gaps:
                declared[stream.partition_of(gap.subscription_id)] += 1
            await reader.end()
    for index in range(2):
        own = [one for one in found if one[0] == index]
        assert [number for _, number, _, _ in own] == list(range(1, len(own) + 1))
        missing = 0
        for key in (key for key, instrument in INSTRUMENTS.items() if instrument % 2 == index):
            came = [(listing, bid) for _, _, listing, bid in own if listing == key]
            assert came == sorted(set(came)), "twice, or out of order"
            assert set(came) <= set(source.of(key))
            missing += len(source.of(key)) - len(came)
        assert not missing or declared[index], (
            f"{missing} events are missing at partition {index}, and nothing was told"
        )
