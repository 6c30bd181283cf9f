"""The strategy SDK at a relay that sends it away, leaves and comes back: every event once, and nothing declared that was not lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from alphapulse.client import Backoff
from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import InvalidArgument, NoEventLog, ResumeTokenInvalid
from alphapulse.recording import Recorder, read_gaps
from alphapulse_cli.recording_session import RecordingSession
from strategy_sdk import Event, EventFilter, EventType, Gap, Latest, Place, Quote, connect

PATIENCE = 20.0


async def until(found: Callable[..., bool], *of: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if found(*of):
                return
            await asyncio.sleep(0.002)


def send_away(relay: Any) -> None:
    """The relay ends every connection; none of them is told why."""
    for subscriber in tuple(relay.app.fanout.subscribers.values()):
        subscriber.queue.lane(Domain.MARKET).items.clear()
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

    async def came_to(bid: int) -> None:
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
                await came_to(bid + 3)
                watcher = await relay.unix()
                await watcher.put()
                send_away(relay)
                bid += 10
                await collector.send(build.quotes([1, 2], first_bid=bid))
                await came_to(bid + 1)
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


async def test_a_strategy_that_keeps_its_place_goes_on_in_another_process(
    open_relay: Any, build: Any, fresh_redis_url: str
) -> None:
    """Each stream is dropped in the middle of a batch, once what was taken of it and the place behind it were kept."""
    rolled = random.Random(4)
    taken: list[Event] = []
    kept: str = ""
    bid = 0
    for _ in range(2):
        async with open_relay(log_url=fresh_redis_url) as relay:
            relay.define(build.listing(1), build.listing(2))
            collector, watcher, before = await relay.collector(), await relay.unix(), bid
            await watcher.put()
            for turn in range(5):
                where = relay.handle.address if turn % 2 else ""
                async with connect(where, egress_socket="" if where else str(relay.config.egress_socket)) as stream:
                    start = Place.parse(kept) if kept else None
                    subscription = await stream.subscribe(start=start)
                    count = rolled.randint(5, 40)
                    await collector.send(build.quotes([1, 2] * count, first_bid=bid + 1))
                    bid += 2 * count
                    async for one in stream:
                        assert isinstance(one, Event)
                        taken.append(one)
                        kept = str(subscription.place)
                        if rolled.random() < 0.05 or one.values["bid_price"] == bid:
                            break
            await watcher.rows(bid - before)  # the relay has taken everything before it goes
    async with open_relay(log_url=fresh_redis_url) as relay, connect(relay.handle.address) as stream:
        relay.define(build.listing(1), build.listing(2))
        await stream.subscribe(start=Place.parse(kept))
        async with asyncio.timeout(PATIENCE):
            while len(taken) < bid:
                one = await anext(stream)
                assert isinstance(one, Event)
                taken.append(one)
    assert [one.values["bid_price"] for one in taken] == list(range(1, bid + 1))
    assert [one.number for one in taken] == list(range(1, bid + 1))


async def test_a_strategy_starts_from_a_time(open_relay: Any, build: Any, fresh_redis_url: str) -> None:
    async with open_relay(log_url=fresh_redis_url) as relay:
        relay.define(build.listing(1))
        collector = await relay.collector()
        socket = str(relay.config.egress_socket)
        times = []
        async with connect(egress_socket=socket) as stream:
            await stream.subscribe()
            for frame in (1, 2, 3):
                await collector.send(build.quotes([1, 1], first_bid=10 * frame))
                times.append((await anext(stream)).relay_in_ns)
                await anext(stream)

        async def first_bid(start: int | datetime) -> int:
            async with connect(egress_socket=socket) as stream:
                await stream.subscribe(start=start)
                one = await anext(stream)
                assert isinstance(one, Quote)
                assert one.number == 1
                return int(one.values["bid_price"])

        assert await first_bid(times[1]) == 20
        assert await first_bid(times[1] + 1) == 30
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=times[1] // 1_000)
        assert await first_bid(moment) == 20
        async with connect(egress_socket=socket) as stream:
            with pytest.raises(InvalidArgument) as refused:
                await stream.subscribe(start=datetime.now(UTC) + timedelta(hours=1))
            assert refused.value.violations[0].rule == "start-time"
            with pytest.raises(ResumeTokenInvalid) as forged:
                await stream.subscribe(start=Place("no token"))
            assert forged.value.violations[0].rule == "resume-token-format"
    async with open_relay() as relay, connect(relay.handle.address) as stream:
        with pytest.raises(NoEventLog):
            await stream.subscribe(start=times[0])


async def test_of_several_relays_any_that_answers_will_do(start_relay: Any, build: Any) -> None:
    relay = await start_relay()
    addresses = f"127.0.0.1:1, {relay.handle.address}"
    async with connect(addresses, backoff=Backoff(first=0.01, cap=0.05)) as stream:
        await stream.subscribe()
        assert stream.transport == f"grpc {relay.handle.address}"


async def test_a_recording_keeps_the_lives_of_the_relay_apart(
    open_relay: Any, build: Any, fresh_redis_url: str, tmp_path: Path
) -> None:
    """What was relayed while the recorder was away, before the relay left, is recorded as of that life."""
    expected: list[tuple[str, int]] = []
    async with AsyncExitStack() as stack:
        for life in range(2):
            async with open_relay(log_url=fresh_redis_url) as relay:
                relay.define(build.listing(1))
                if not life:
                    way = {"egress_socket": str(relay.config.egress_socket), "heartbeat_seconds": 0.05}
                    stream = await stack.enter_async_context(connect(**way, backoff=Backoff(first=0.2, cap=0.2)))
                    recorder = stack.enter_context(Recorder(tmp_path / "recording"))
                    session = RecordingSession(stream, recorder, lambda _: None)
                    recording = asyncio.create_task(session.run(EventFilter()))
                collector = await relay.collector(f"S{life}")
                watcher = await relay.unix()
                await watcher.put()
                name = relay.app.fanout.settings.relay_id
                await until(lambda one, life: one.relay_id == life, stream, name)
                await collector.send(build.quotes([1, 1], first_bid=life * 100))
                await watcher.rows(2)
                expected += [(name, life * 100), (name, life * 100 + 1)]
                await until(lambda one, count: one.stats().events.get(EventType.QUOTE) == count, stream, len(expected))
                if not life:
                    send_away(relay)
                    late = await relay.unix()
                    await late.put()
                    await collector.send(build.quotes([1], first_bid=50))
                    await late.rows(1)
                    expected.append((name, 50))
        stream.stop()
        await recording
    found = []
    for path in (tmp_path / "recording" / "quote").rglob("*.parquet"):
        table = pq.read_table(path)
        name = table.schema.metadata[b"alphapulse.relay_id"].decode()
        found += [(name, bid) for bid in table.column("bid_price_mantissa").to_pylist()]
    assert sorted(found) == sorted(expected)
    assert read_gaps(tmp_path / "recording") == []
