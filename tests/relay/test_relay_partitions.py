"""The market divided between two relays: a source that is sent to both, a strategy that reads both, and what each refuses of the other's."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from support.relay_partitions import FAST, INSTRUMENTS, PATIENCE, Reader, Source, parts, source_of, until, ways

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.api.synthetic.v1.synthetic_pb2 import Synthetic
from alphapulse.domain.errors import (
    AlphaPulseError,
    ConfigurationError,
    InvalidArgument,
    ResumeTokenInvalid,
    WrongPartition,
)
from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import FrameDecoder, FrameType, encode_control, row_sizes
from relay_service.config import RelayConfig, Role
from relay_service.evidence.reading import replay
from strategy_sdk import (
    Event,
    EventType,
    Opportunity,
    Places,
    SyntheticState,
    SyntheticUpdate,
    connect,
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


async def welcome_of(path: Path, partition: pb.Partition | None) -> Any:
    """What a source of the market is told that says hello so."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    hello = pb.SourceHello(source="OTHER", slot=7, epoch=1, provenance=1, row_sizes=row_sizes(), partition=partition)  # type: ignore[arg-type]
    writer.write(encode_control(FrameType.HELLO, hello))
    decoder = FrameDecoder()
    frames: list[Any] = []
    while not frames:
        frames = list(decoder.feed(await reader.read(4096)))
    writer.close()
    await writer.wait_closed()
    return pb.SourceWelcome.FromString(bytes(frames[0].payload))


async def test_each_listing_is_at_one_relay_and_a_strategy_has_all(open_part: Any, build: Any, source: Source) -> None:
    """Listings of one instrument meet at one relay, which sees them cross; the other's sequences and numbers know nothing of it."""
    async with open_part(0) as first, open_part(1) as second, connect_partitions(ways(first, second), **FAST) as stream:
        taken = await stream.subscribe()
        reader = Reader(stream)
        for _ in range(20):
            source.send(1, 3, 2, 4, 1, 3)
        now = build.now_ns()
        source.send(3, 4, collector_time_ns=now, venue_time_ns=now, bid_price=[9_000, 9_500], ask_price=[9_100, 9_600])
        await until(lambda: any(isinstance(one, Opportunity) for one in reader.events))
        await until(lambda: len(reader.quotes(1, 2, 3, 4)) == len(source.sent))
        await until(lambda: len(reader.events) == first.app.core.last_sequence + second.app.core.last_sequence)
        for key in INSTRUMENTS:
            assert len(reader.quotes(key)) == len(source.of(key))
            assert reader.quotes(key)[:-1] == source.of(key)[: len(reader.quotes(key)) - 1]
        for index, relay in enumerate((first, second)):
            own = [one for one in reader.events if stream.partition_of(one.subscription_id) == index]
            assert {INSTRUMENTS[one.listing_key] % 2 for one in own} == {index}
            assert [one.number for one in own] == list(range(1, len(own) + 1))
            assert [one.sequence for one in own] == list(range(1, relay.app.core.last_sequence + 1))
            assert relay.app.core.counters().rejects == {}
            [health] = relay.app.core.sources.all()
            assert (health.gap_events, health.duplicates) == (0, 0)
        crossed = next(one for one in reader.events if isinstance(one, Opportunity))
        assert {crossed.listing_key, crossed.sell_listing_key} == {3, 4}
        assert reader.gaps == []
        assert [part.id for part in taken.parts] == [1, 2]
        source.port.gap("RECONNECTED")  # of all of the source: told by both
        source.port.gap("BOOK_RESYNC", 3)
        await until(lambda: len(reader.gaps) == 3)
        told = sorted((gap.reason, stream.partition_of(gap.subscription_id), gap.listing_key) for gap in reader.gaps)
        assert told == [("BOOK_RESYNC", 1, 3), ("RECONNECTED", 0, 0), ("RECONNECTED", 1, 0)]
        status = await second.stub.GetRelayStatus(pb.GetRelayStatusRequest())
        assert (status.partition.index, status.partition.count) == (1, 2)
        await reader.end()


async def test_a_relay_that_dies_is_a_matter_of_its_own_partition(open_part: Any, source: Source) -> None:
    """What it took and the other's go on; what was sent to nobody is told as lost, at its own partition alone; a place of both goes on in another
    process."""
    async with AsyncExitStack() as stack:
        second = await stack.enter_async_context(open_part(1))
        async with open_part(0) as first:
            stream = await stack.enter_async_context(connect_partitions(ways(first, second), **FAST))
            taken = await stream.subscribe()
            reader = Reader(stream)
            source.send(1, 3)
            await until(lambda: len(reader.events) == 2)
            await until(lambda: all(part.place is not None for part in taken.parts))
        for _ in range(50):
            source.send(3, 4)
        await until(lambda: reader.quotes(3, 4) == source.of(3, 4))
        assert reader.gaps == []
        source.send(1)  # waits for a relay that is away
        async with open_part(0) as again:
            source.send(2, 4)
            await until(lambda: reader.quotes(1, 2) == source.of(1, 2) and reader.quotes(4) == source.of(4))
            assert {gap.reason for gap in reader.gaps} == {"RELAY_RESTARTED"}
            assert {stream.partition_of(gap.subscription_id) for gap in reader.gaps} == {0}
            assert reader.numbers(1) == list(range(1, len(source.of(1, 2)) + 1))
            assert reader.numbers(2) == list(range(1, len(source.of(3, 4)) + 1))
            stats = stream.stats()
            assert (stats.duplicates, stats.undeclared_gaps) == (0, 0)
            assert stream.parts[0].relay_id.rpartition(".")[0] == "relay/0of2"
            kept = str(taken.place)
            await reader.end()
            source.send(1, 3, 2, 4)  # while no process of the strategy runs
            async with connect_partitions(ways(again, second), **FAST) as other:
                await other.subscribe(start=Places.parse(kept))
                later = Reader(other)
                await until(lambda: len(later.events) == 4)
                assert later.quotes(1, 2) == source.of(1, 2)[-2:]
                assert later.quotes(3, 4) == source.of(3, 4)[-2:]
                assert later.gaps == []
                assert later.numbers(1)[0] == reader.numbers(1)[-1] + 1
                assert later.numbers(2)[0] == reader.numbers(2)[-1] + 1
                await later.end()


async def test_a_place_in_the_middle_of_a_batch_is_that_of_the_reader(open_part: Any, source: Source) -> None:
    """A batch of one partition that was read in part, beside those of the other that wait: the rest of it comes, and nothing twice."""
    rolled = random.Random(7)
    taken: list[Event] = []
    kept = ""
    async with open_part(0) as first, open_part(1) as second:
        for _ in range(8):
            async with connect_partitions(ways(first, second), **FAST) as stream:
                subscription = await stream.subscribe(start=Places.parse(kept) if kept else None)
                source.send(*[1, 3, 2, 4] * 10)
                for _ in range(rolled.randint(5, 40)):
                    one = await anext(stream)
                    assert isinstance(one, Event)
                    taken.append(one)
                    while (place := subscription.place) is None:  # before the first point nothing can be kept
                        taken.append(await anext(stream))  # type: ignore[arg-type]
                    kept = str(place)
        async with connect_partitions(ways(first, second), **FAST) as stream:
            await stream.subscribe(start=Places.parse(kept))
            async with asyncio.timeout(PATIENCE):
                while len(taken) < len(source.sent):
                    taken.append(await anext(stream))  # type: ignore[arg-type]
    for key in INSTRUMENTS:
        assert [one.values["bid_price"] for one in taken if one.listing_key == key] == [
            bid for _, bid in source.of(key)
        ]
    for identity in (1, 2):
        numbers = [one.number for one in taken if one.subscription_id == identity]
        assert numbers == list(range(1, len(source.sent) // 2 + 1))


async def test_a_strategy_at_an_edge_of_each_partition_moves_and_misses_nothing(open_part: Any, source: Source) -> None:
    async with AsyncExitStack() as stack:
        cores = [await stack.enter_async_context(open_part(index)) for index in range(2)]
        source.send(1, 3)  # an edge serves what a relay has written
        await until(lambda: all(core.app.core.last_sequence for core in cores))
        edges = {
            name: await stack.enter_async_context(open_part(int(name[-1]), role=Role.EDGE, edge_id=name))
            for name in ("a0", "b0", "a1")
        }
        at_zero = f"{edges['a0'].handle.address},{edges['b0'].handle.address}"
        stream = await stack.enter_async_context(connect_partitions([at_zero, edges["a1"].handle.address], **FAST))
        await stream.subscribe()
        reader = Reader(stream)
        for _ in range(15):
            source.send(1, 3, 2, 4)
        await until(lambda: reader.quotes(1, 2))
        edge = edges[stream.parts[0].edge_id.partition(".")[0]]
        await edge.handle.server._server.stop(None)  # gone at once, and tells nobody
        for _ in range(15):
            source.send(1, 3, 2, 4)
        await until(lambda: not stream.parts[0].edge_id.startswith(edge.config.edge_id))
        await until(lambda: reader.quotes(1, 2, 3, 4)[-1:] and len(reader.events) == len(source.sent) - 2)
        for key in INSTRUMENTS:
            assert reader.quotes(key) == source.of(key)[-len(reader.quotes(key)) :]
        assert reader.gaps == []
        assert stream.stats().undeclared_gaps == stream.stats().duplicates == 0
        assert stream.parts[1].edge_id.startswith("a1.")
        await reader.end()


async def test_nothing_passes_for_another_partition(open_part: Any, source: Source, start_relay: Any) -> None:
    """A place, a client, a source, and a filter's token of one partition at the other: refused, with what is told and what is there."""
    async with open_part(0) as first, open_part(1) as second:
        async with connect_partitions(ways(first, second), **FAST) as stream:
            taken = await stream.subscribe()
            reader = Reader(stream)
            place = await until(lambda: taken.place)
            with pytest.raises(ResumeTokenInvalid) as refused:
                await stream.subscribe(start=Places(place.of[::-1]))
            assert refused.value.violations[0].rule == "resume-token-log"
            assert "relay/0of2" in str(refused.value) or "relay/1of2" in str(refused.value)
            for wrong in (place.of[0], Places(place.of[:1])):
                with pytest.raises(InvalidArgument) as counted:
                    await stream.subscribe(start=wrong)
                assert counted.value.violations[0].rule == "place-partitions"
            assert len(stream.parts[0].subscriptions) == len(stream.parts[1].subscriptions) == 1
            await reader.end()
        for wanted in (ways(second, first), ways(first, second)[:1] * 2, [*ways(first, second), ways(second)[0]]):
            with pytest.raises(WrongPartition) as swapped:
                async with connect_partitions(wanted, **FAST):
                    pass
            assert re.search(r"partition [01]/2", str(swapped.value))
        for way in ({"egress_socket": ways(first)[0]}, {"address": first.handle.address, "egress_socket": ""}):
            with pytest.raises(AlphaPulseError, match="partition") as alone:
                async with connect(**way):
                    pass
            assert alone.value.reason == "WRONG_PARTITION", "a part must not pass as the whole"
        for told in (None, pb.Partition(index=1, count=2), pb.Partition(index=0, count=3)):
            welcome = await welcome_of(first.config.ingress_socket, told)
            assert (welcome.accepted, welcome.reason) == (False, "WRONG_PARTITION")
        assert first.app.core.counters().rejects == {"HELLO_REFUSED": 3}
        assert await first.collector("SIGNALS", domain=2, acknowledges=True), "strategies say signals where they like"


async def test_rows_sent_to_the_wrong_relay_are_refused_counted_and_told(open_part: Any, build: Any) -> None:
    """The planted fault of a collector that divides by another key: nothing of it is relayed, and who subscribes is told how much."""
    async with open_part(1) as relay:
        client = await relay.unix(partition=pb.Partition(index=1, count=2))
        await client.put(filter={"include_unknown": True})
        collector = await relay.collector(partition=pb.Partition(index=1, count=2))
        await collector.send(build.quotes([3, 1, 99, 2, 4], first_bid=100))
        kind, payload = await collector.answer()
        refused = pb.FrameRejected.FromString(payload)
        assert (kind, refused.reason, refused.events, refused.slot) == (FrameType.REJECT, "WRONG_PARTITION", 2, 7)
        await client.rows(3)
        assert client.of().bids == [100, 102, 104], "a listing that nobody knows is taken where it comes"
        [gap] = client.of().source_gaps
        assert (gap.reason, gap.count, gap.source) == ("WRONG_PARTITION", 2, "TEST")
        assert client.of().rows[0]["flags"] & RecordFlag.GAP_BEFORE
        await collector.send(build.quotes([2] * 150))
        await until(lambda: relay.app.core.counters().rejects == {"WRONG_PARTITION": 152})
        await client.until(lambda: sum(one.count for one in client.of().source_gaps) == 152)
        [state] = relay.app.core.sources.all()
        assert (state.gap_events, state.next_sequence) == (0, 156), "the source's own numbering has no hole"
        await collector.send(build.quotes([4, 1]))  # the last loss that was told has something behind it
        core, log = relay.app.core, relay.app.log
        await until(lambda: core.counters().rejects == {"WRONG_PARTITION": 153} and log.unlogged == 0)
        name = relay.app.fanout.relay_id
        assert name.startswith("relay/1of2.")
        again = await replay(log.store, log.incarnation, name)
        assert (again.divergence, again.stopped, again.rows) == (None, "", core.last_sequence)


async def test_a_listing_that_changes_its_instrument_is_taken_until_its_collector_knows(
    open_part: Any, build: Any, source: Source
) -> None:
    """And its book, told anew, goes to where it belongs from then on; the relay that had it keeps it out of snapshots."""
    async with open_part(0) as first, open_part(1) as second, connect_partitions(ways(first, second), **FAST) as stream:
        await stream.subscribe()
        reader = Reader(stream)
        source.send(1, 2, 3)
        await until(lambda: len(reader.events) == 3)
        for relay in (first, second):  # the registry finds that 1 is of the instrument of 3
            relay.define(build.listing(1, 501, "X1", version=2))
        source.send(1)
        await until(lambda: len(reader.events) == 4)
        assert stream.partition_of(reader.events[-1].subscription_id) == 0
        source.port.on_lost = lambda: source.write(1, 2, 3)  # every book
        source.homes.of[1], source.homes.version = 501, 1
        source.send(1)
        await until(lambda: len(reader.events) == 7)
        assert [stream.partition_of(one.subscription_id) for one in reader.events[4:]] == [1, 1, 1]
        assert sorted(one.listing_key for one in reader.events[4:]) == [1, 1, 3], "the books of that relay alone"
        await reader.end()
        async with connect_partitions(ways(first, second), **FAST) as other:
            await other.subscribe(snapshot=True)
            later = Reader(other)
            await until(lambda: len(later.events) >= 3)
            assert sorted(later.quotes(1, 2, 3, 4)) == sorted([source.of(1)[-1], source.of(2)[-2], source.of(3)[-1]])
            await later.end()


def synthetic(build: Any, key: int, name: str, *components: int) -> Synthetic:
    made = Synthetic(synthetic_id=build.hex_id(key), listing_key=key, name=name, formula_version=1, status=1)  # type: ignore[arg-type]
    made.formula = " + ".join("abc"[: len(components)])
    for variable, listing in zip("abc", components, strict=False):
        made.components.add(variable=variable, listing_id=build.hex_id(listing))
    return made


async def test_a_synthetic_over_several_partitions_is_told_and_never_valued(
    open_part: Any, build: Any, source: Source
) -> None:
    async with open_part(0) as first, open_part(1) as second, connect_partitions(ways(first, second), **FAST) as stream:
        whole, divided = synthetic(build, 70, "WHOLE", 1, 2), synthetic(build, 71, "DIVIDED", 1, 3)
        above = synthetic(build, 72, "ABOVE", 1)
        above.formula = "a + b"
        above.components.add(variable="b", synthetic="DIVIDED")
        for relay in (first, second):
            for one in (whole, divided, above):
                relay.app.core.replica.apply_synthetic(one)
        await stream.subscribe(event_types=[EventType.SYNTHETIC_UPDATE])
        reader = Reader(stream)
        source.send(1, 2, 3, 4)

        def states(key: int) -> set[SyntheticState]:
            return {one.state for one in reader.events if isinstance(one, SyntheticUpdate) and one.listing_key == key}

        await until(lambda: SyntheticState.FRESH in states(70) and states(71) and states(72))
        assert states(71) == states(72) == {SyntheticState.MISSING}
        for relay in (first, second):
            status = await relay.stub.GetRelayStatus(pb.GetRelayStatusRequest())
            assert list(status.divided_synthetics) == ["ABOVE", "DIVIDED"]
        await reader.end()


@pytest.mark.parametrize("text", ["2/2", "x", "1"])
def test_a_partition_that_is_none_stops_the_start(text: str, open_relay: Any) -> None:
    with pytest.raises(ConfigurationError, match="RELAY_PARTITION") as refused:
        _ = RelayConfig(partition=text).share
    assert "k/n" in str(refused.value)


def test_addresses_of_partitions_are_refused_where_one_stream_is_asked_for() -> None:
    with pytest.raises(InvalidArgument, match="connect_partitions"):
        connect("a:1;b:1", egress_socket="")
    for wrong in (["a:1"], ["a:1", ""]):
        with pytest.raises(InvalidArgument, match="partitions"):
            connect_partitions(wrong)
