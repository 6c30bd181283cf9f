"""Slow readers, broken frames, a relay without registries, a relay that leaves."""

from __future__ import annotations

import asyncio
import itertools
import socket
from typing import Any

import grpc
import pytest

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.domain.errors import ConfigurationError
from alphapulse.records import QUOTE, Frame, FrameDecoder, FrameType, Rows, encode_frame, pack_messages, unpack_rows

BOTH = pytest.mark.parametrize("transport", ["grpc", "unix"])
KEYS = range(1, 101)


async def flood(relay: Any, build: Any, frames: int, *, per_frame: int = 1000, follower: Any = None) -> int:
    """Frames of quotes; a follower reads along. How many events."""
    collector = await relay.collector("FLOOD")
    rows = build.quotes(itertools.islice(itertools.cycle(KEYS), per_frame))
    for number in range(frames):
        await collector.send(rows)
        if follower is not None:
            await follower.rows((number + 1) * per_frame)
    return frames * per_frame


@BOTH
async def test_a_reader_that_stops_gets_gaps_and_stops_nobody(start_relay: Any, build: Any, transport: str) -> None:
    relay = await start_relay(queue_bytes=1 << 20)
    relay.define(*(build.listing(key) for key in KEYS))
    slow = await relay.subscriber(transport)
    await slow.put()
    follower = await relay.subscriber(transport)
    await follower.put()
    total = await flood(relay, build, 250, follower=follower)
    assert len(follower.of().rows) == total
    assert follower.of().gaps == []
    queued = max(one.queue.queued for one in relay.app.fanout.subscribers.values())
    assert queued < (1 << 20) + 4096, "bounded, but for a few notices"
    await slow.rows(total)
    received = slow.of()
    assert received.gaps
    assert all(gap.reason == "QUEUE_FULL" for gap in received.gaps)
    assert len(received.rows) + received.dropped == total
    sequences = [row["sequence"] for row in received.rows]
    assert sequences == sorted(sequences)
    assert slow.last("lagging") is not None
    collector = await relay.collector("AFTER")
    await collector.send(build.quotes([1], first_bid=9_999_999))
    await slow.until(lambda: 9_999_999 in received.bids[-1:])


async def test_a_subscription_may_have_a_smaller_bound(relay: Any, build: Any) -> None:
    relay.define(*(build.listing(key) for key in KEYS))
    client, follower = await relay.unix(), await relay.unix()
    await client.put(1, stream=pb.StreamContract(max_queue_bytes=65536))
    await client.put(2)
    await follower.put()
    total = await flood(relay, build, 20, follower=follower)
    await client.rows(total)
    await client.rows(total, 2)
    assert client.of(1).gaps
    assert not client.of(2).gaps
    assert (await client.put(3, stream=pb.StreamContract(max_queue_bytes=1))).error.violations[0].rule == "queue-bytes"


@BOTH
async def test_conflation_keeps_the_last_and_counts_the_rest(relay: Any, build: Any, transport: str) -> None:
    relay.define(*(build.listing(key) for key in KEYS))
    slow, follower = await relay.subscriber(transport), await relay.subscriber(transport)
    await slow.put(latest=pb.LatestContract())
    await follower.put()
    total = await flood(relay, build, 250, follower=follower)
    last = {row["listing_key"]: row["sequence"] for row in follower.of().rows}
    received = slow.of()
    await slow.until(lambda: len(received.rows) + received.conflated == total)
    assert received.conflated > 0
    assert {row["listing_key"]: row["sequence"] for row in received.rows} == last
    assert received.gaps == []


@BOTH
async def test_what_is_no_frame_is_refused_and_costs_no_subscriber(relay: Any, build: Any, transport: str) -> None:
    relay.define(build.listing(1))
    client = await relay.subscriber(transport)
    await client.put()
    collector = await relay.collector("BAD")
    good = encode_frame(QUOTE.event_type, build.quotes([1]), slot=7, sequence=1)
    await collector.send_bytes(encode_frame(77, b"what is this", slot=7, sequence=1))
    await collector.send_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    await collector.send_bytes(encode_frame(QUOTE.event_type, b"\0" * QUOTE.row_size, slot=7, sequence=1))
    collector.next_sequence = 2
    await collector.send(build.quotes([1]))
    assert [row["bid_price"] for row in await client.rows(1)] == [100]
    reasons = [pb.FrameRejected.FromString((await collector.answer())[1]).reason for _ in range(3)]
    assert reasons == ["FRAME_UNKNOWN_TYPE", "FRAME_CORRUPT", "ROWS_REJECTED"]
    await collector.send_bytes(good[:40])
    await collector.__aexit__()
    other = await relay.collector("GOOD")
    await other.send(build.quotes([1], first_bid=8))
    assert (await client.rows(2))[-1]["bid_price"] == 8
    status = await relay.stub.GetRelayStatus(pb.GetRelayStatusRequest())
    assert status.rejects["FRAME_CORRUPT"] == 1


async def test_what_is_no_frame_on_the_egress_socket(relay: Any, build: Any) -> None:
    relay.define(build.listing(1))
    client, other = await relay.unix(), await relay.unix()
    await client.put()
    await other.put()
    await client.send_bytes(encode_frame(QUOTE.event_type, build.quotes([1])))
    await client.send_bytes(encode_frame(FrameType.SUBSCRIBE, b"\xff\xff"))
    await client.until(lambda: len(client.rejects) == 2)
    assert [one.reason for one in client.rejects] == ["FRAME_UNKNOWN_TYPE", "INVALID_ARGUMENT"]
    await client.send_bytes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * 40)
    await client.until(lambda: client.ended)
    assert client.rejects[-1].reason == "FRAME_BAD_MAGIC"
    collector = await relay.collector()
    await collector.send(build.quotes([1]))
    await other.rows(1)


async def test_without_registries_events_are_relayed_and_marked(start_relay: Any, build: Any) -> None:
    relay = await start_relay(registry_enabled=False)
    client = await relay.grpc()
    await client.put(filter={"listing_keys": [4]})
    refused = await client.put(2, filter={"venues": ["XV"]})
    assert refused.error.violations[0].rule == "needs-registry"
    collector = await relay.collector()
    await collector.send(build.quotes([3, 4]))
    [row] = await client.rows(1)
    assert (row["listing_key"], row["flags"], row["definition_version"]) == (4, 1 | 1 << 14, 0)
    assert client.all("welcome")[0].registry_enabled is False


async def test_publish_over_grpc(relay: Any, build: Any) -> None:
    relay.define(build.listing(1))
    client = await relay.unix()
    await client.put()
    hello = pb.SourceHello(source="OVER_GRPC", slot=1, epoch=1, provenance=1)

    def events(rows: Rows, first: int) -> pb.PublishRequest:
        batch = unpack_rows([(QUOTE, pack_messages(QUOTE, unpack_rows([(QUOTE, rows)]).quotes))])
        return pb.PublishRequest(events=pb.SourceEvents(slot=1, first_sequence=first, batch=batch))

    requests = [
        pb.PublishRequest(hello=hello),
        events(build.quotes([1, 1]), 1),
        events(build.quotes([1], first_bid=300), 5),
    ]
    answer = await relay.stub.Publish(iter(requests))
    assert (answer.accepted, answer.gap_events) == (3, 2)
    assert [row["bid_price"] for row in await client.rows(3)] == [100, 101, 300]
    assert client.of().source_gaps[0].count == 2


@BOTH
async def test_a_relay_that_leaves_says_so_and_sends_what_waits(start_relay: Any, build: Any, transport: str) -> None:
    relay = await start_relay()
    relay.define(build.listing(1))
    client, follower = await relay.subscriber(transport), await relay.unix()
    await client.put()
    await follower.put()
    collector = await relay.collector()
    await collector.send(build.quotes([1, 1]))
    await follower.rows(2)
    leaving = asyncio.create_task(relay.handle.drain())
    kind, _ = await collector.answer()
    assert kind == FrameType.GOODBYE
    await client.rows(2)
    await client.until(lambda: client.last("draining"))
    assert client.last("draining").draining.grace_ms > 0
    await follower.until(lambda: follower.ended)
    if transport == "grpc":
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.call.read()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    else:
        await client.until(lambda: client.ended)
    await leaving
    assert not relay.config.egress_socket.exists()
    assert not relay.config.ingress_socket.exists()


async def test_who_connects_while_a_relay_leaves_is_told(open_relay: Any) -> None:
    """However far the connection has come."""
    told = 0
    for turns in range(1, 5):
        async with open_relay() as relay:
            peers = [socket.socket(socket.AF_UNIX) for _ in range(2)]
            for peer in peers:
                peer.connect(str(relay.config.egress_socket))
            for _ in range(turns):
                await asyncio.sleep(0)
            await relay.handle.drain()
            assert not relay.app.fanout.subscribers
            for peer in peers:
                with peer:
                    peer.settimeout(0)  # all that the relay has to say was said
                    data = b""
                    try:
                        while part := peer.recv(4096):
                            data += part
                    except ConnectionResetError:
                        assert turns < 3, "it was accepted"
                        continue
                    kinds = [one.type for one in FrameDecoder().feed(data) if isinstance(one, Frame)]
                    assert kinds == [FrameType.CONTROL, FrameType.GOODBYE]
                    told += 1
    assert told >= 4


async def test_a_stale_socket_file_is_replaced_and_a_living_one_is_not(start_relay: Any, socket_folder: Any) -> None:
    stale = socket_folder / "out.sock"
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(stale))
        living.listen()
        with pytest.raises(ConfigurationError, match="RELAY_EGRESS_SOCKET"):
            await start_relay()
    assert stale.is_socket()
    relay = await start_relay()
    await relay.unix()
