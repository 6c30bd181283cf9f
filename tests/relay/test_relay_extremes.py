"""What the protocol can say and nothing can be: it costs whoever said it, and nobody else."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.records import QUOTE, FrameType, encode_control, encode_frame, pack_messages, unpack_rows
from relay_service.egress import unix_socket

BOTH = pytest.mark.parametrize("transport", ["grpc", "unix"])
LAST = (1 << 64) - 1


def loss(reason: str, count: int = 1) -> bytes:
    """A frame in which the source says that it lost something."""
    return encode_control(FrameType.SOURCE_GAP, pb.SourceGap(slot=7, reason=reason, count=count))


async def next_heartbeat(client: Any) -> Any:
    """One that was made after this call."""
    before = len(client.all("heartbeat"))
    await client.until(lambda: len(client.all("heartbeat")) > before + 1)
    return client.all("heartbeat")[-1]


@BOTH
@pytest.mark.parametrize("time_ns", [1, 1 << 63, LAST])
async def test_a_clock_that_cannot_be_stops_no_heartbeat(relay: Any, build: Any, transport: str, time_ns: int) -> None:
    relay.define(build.listing(1))
    client = await relay.subscriber(transport, heartbeat_interval_ms=10)
    await client.put()
    collector = await relay.collector("CLOCK")
    await collector.send_bytes(encode_frame(QUOTE.event_type, build.quotes([1]), slot=7, sequence=1, time_ns=time_ns))
    await client.rows(1)
    beat = await next_heartbeat(client)
    assert (beat.sources[0].clock_offset_ns > 0) is (time_ns == 1), "a time beyond 63 bits measures nothing"


async def test_a_negative_clock_of_a_publisher_stops_no_heartbeat(relay: Any, build: Any) -> None:
    relay.define(build.listing(1))
    hello = pb.SourceHello(source="BEHIND", slot=1, epoch=1, provenance=common_pb2.PROVENANCE_LIVE)
    batch = unpack_rows([(QUOTE, pack_messages(QUOTE, unpack_rows([(QUOTE, build.quotes([1]))]).quotes))])
    events = pb.SourceEvents(slot=1, first_sequence=1, send_time_ns=-(1 << 63), batch=batch)
    answer = await relay.stub.Publish(iter([pb.PublishRequest(hello=hello), pb.PublishRequest(events=events)]))
    assert answer.accepted == 1
    assert (await next_heartbeat(await relay.unix(heartbeat_interval_ms=10))).sources[0].clock_offset_ns == 0


@BOTH
async def test_losses_beyond_all_counting_stop_no_heartbeat(relay: Any, build: Any, transport: str) -> None:
    relay.define(build.listing(1))
    client = await relay.subscriber(transport, heartbeat_interval_ms=10)
    await client.put()
    collector = await relay.collector("LOSES")
    await collector.send_bytes(loss("RECONNECTED", LAST) * 3)
    for number in range(4):
        collector.next_sequence = collector.next_sequence + (1 << 63) - 2 & LAST
        await collector.send(build.quotes([1], first_bid=number + 1))
    await client.rows(4)
    assert client.of().bids == [1, 2, 3, 4]
    assert (await next_heartbeat(client)).sources[0].gap_events == LAST
    status = await relay.stub.GetRelayStatus(pb.GetRelayStatusRequest())
    assert status.gaps_declared == LAST


def behind(token: str, field: str, value: int) -> Any:
    """A start from a token, with this told of what came behind it."""
    start = pb.SubscriptionStart(resume_token=token)
    setattr(start, field, value)
    return start


@BOTH
@pytest.mark.parametrize("field", ["received_number", "received_sequence"])
async def test_a_resume_behind_more_events_than_there_can_be_is_refused(
    open_relay: Any, build: Any, transport: str, fresh_redis_url: str, field: str
) -> None:
    async with open_relay(log_url=fresh_redis_url) as relay:
        relay.define(build.listing(1))
        client, other = await relay.subscriber(transport, heartbeat_interval_ms=20), await relay.subscriber(transport)
        await client.put()
        await client.until(lambda: client.last("resume"))
        token = client.last("resume").resume.resume_token
        answer = await client.put(2, start=behind(token, field, LAST))
        await other.put()
        collector = await relay.collector()
        await collector.send(build.quotes([1, 1]))
        await other.rows(2)
        await client.rows(2)
        [violation] = answer.error.violations
        assert (violation.field, violation.rule) == (f"start.{field}", "received-range")


async def test_a_fault_in_what_is_one_clients_ends_that_one_alone(relay: Any, build: Any) -> None:
    relay.define(build.listing(1))
    clients = [await relay.unix(name=str(k)) for k in range(3)]
    for client in clients:
        await client.put()

    def fails() -> bytes:
        raise OverflowError("planted")

    next(one for one in relay.app.fanout.subscribers.values() if one.name == "1").take = fails
    collector = await relay.collector()
    for number in range(3):
        collector.next_sequence += 1  # a loss goes through the queue, rows behind it past it
        await collector.send(build.quotes([1], first_bid=number))
    for client in (clients[0], clients[2]):
        await client.rows(3)
        assert (client.of().bids, len(client.of().source_gaps)) == ([0, 1, 2], 3)
    await clients[1].until(lambda: clients[1].ended)
    assert len(relay.app.fanout.subscribers) == 2


async def test_who_reads_no_refusals_is_read_no_further(
    relay: Any, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay.define(build.listing(1))
    client, other = await relay.unix(), await relay.unix(heartbeat_interval_ms=10)
    written = []

    def counted(kind: FrameType, message: Any) -> bytes:
        written.append(kind)
        return encode_control(kind, message)

    monkeypatch.setattr(unix_socket, "encode_control", counted)
    frames, total = encode_frame(99, b"") * 10_000, 200_000
    sending = asyncio.create_task(client.send_bytes(frames * 20))
    before = -1
    while before != len(written) or not written:
        before = len(written)
        for _ in range(5):
            await next_heartbeat(other)
    assert before < total // 2, "the relay stopped to read"
    await client.until(lambda: len(client.rejects) == total)
    await sending
    await client.put()
    collector = await relay.collector()
    await collector.send(build.quotes([1]))
    await client.rows(1)


@BOTH
async def test_reasons_without_end_cost_a_reader_that_stops_a_bounded_amount(
    relay: Any, build: Any, transport: str
) -> None:
    relay.define(build.listing(1))
    client = await relay.subscriber(transport)
    await client.put()
    collector = await relay.collector("LOSES")
    for _ in range(5):
        await collector.send(build.quotes([1] * 4000))  # what the socket holds, and more
    for turn in range(20):
        await collector.send_bytes(b"".join(loss(f"REASON_{turn}_{k}") for k in range(500)))
    watcher = await relay.unix()
    await watcher.put()
    await collector.send(build.quotes([1]))
    await watcher.rows(1)
    [items] = [len(list(one.queue)) for one in relay.app.fanout.subscribers.values() if one.queue]
    assert items < 2000
    await client.rows(20_001)
    assert sum(gap.count for gap in client.of().source_gaps) == 10_000


async def test_a_reason_that_is_none_is_refused_and_its_loss_is_told(relay: Any, build: Any) -> None:
    relay.define(build.listing(1))
    client = await relay.unix()
    await client.put()
    collector = await relay.collector()
    await collector.send_bytes(loss("x" * 65, 3) + loss("TWO\nLINES", 4))
    await collector.send(build.quotes([1]))
    await client.rows(1)
    assert {gap.reason for gap in client.of().source_gaps} == {"SOURCE_GAP"}
    assert sum(gap.count for gap in client.of().source_gaps) == 7
    for _ in range(2):
        kind, payload = await collector.answer()
        rejected = pb.FrameRejected.FromString(payload)
        assert (kind, rejected.reason) == (FrameType.REJECT, "INVALID_ARGUMENT")
        assert "gap.reason" in rejected.message


async def test_a_log_without_events_is_not_said_to_hold_some(open_relay: Any, fresh_redis_url: str) -> None:
    async with open_relay(log_url=fresh_redis_url) as relay:
        with pytest.raises(grpc.aio.AioRpcError, match="is not in the log, which holds no event of it") as caught:
            await relay.stub.ExplainEvent(pb.ExplainEventRequest(sequence=1))
        assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE


async def test_a_source_that_begins_its_numbers_anew_is_seen_to_be_dropped(relay: Any, build: Any) -> None:
    relay.define(build.listing(1))
    client = await relay.unix()
    await client.put()
    collector = await relay.collector()
    await collector.send(build.quotes([1] * 3))
    collector.next_sequence = 1  # without another epoch: what comes passes for what came
    await collector.send(build.quotes([1] * 5, first_bid=200))
    await client.rows(5)
    assert client.of().bids == [100, 101, 102, 203, 204]
    status = await relay.stub.GetRelayStatus(pb.GetRelayStatusRequest())
    assert status.rejects == {"DUPLICATE": 3}
