"""Subscriptions as a client sees them, over gRPC and on the Unix socket."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.records import QUOTE, TRADE

BOTH = pytest.mark.parametrize("transport", ["grpc", "unix"])


@BOTH
async def test_events_arrive_numbered_and_stamped(relay: Any, build: Any, transport: str) -> None:
    relay.define(*(build.listing(key) for key in (1, 2, 3)))
    client = await relay.subscriber(transport)
    answer = await client.put(filter={"listing_keys": [1, 3]})
    assert (answer.matching_listings, answer.from_sequence) == (2, 1)
    collector = await relay.collector()
    await collector.send(build.quotes([1, 2, 3]))
    await collector.send(build.quotes([3, 2], first_bid=200))
    rows = await client.rows(3)
    assert [(row["listing_key"], row["bid_price"]) for row in rows] == [(1, 100), (3, 102), (3, 200)]
    assert [row["sequence"] for row in rows] == [1, 3, 4]
    assert all(0 < row["relay_in_ns"] <= row["relay_out_ns"] for row in rows)
    assert all(row["definition_version"] == 1 for row in rows)


@BOTH
async def test_a_listing_that_comes_to_match_joins_by_itself(relay: Any, build: Any, transport: str) -> None:
    client = await relay.subscriber(transport)
    assert (await client.put(filter={"venues": ["LATE"]})).matching_listings == 0
    await client.put(2, filter={"include_unknown": True})
    collector = await relay.collector()
    await collector.send(build.quotes([5]))
    await client.rows(1, 2)
    relay.define(build.listing(5, venue="LATE"))
    await collector.send(build.quotes([5], first_bid=7))
    rows = await client.rows(1)
    assert [row["bid_price"] for row in rows] == [7]


@BOTH
async def test_definitions_come_before_the_first_event_and_again_when_changed(
    relay: Any, build: Any, transport: str
) -> None:
    relay.define(build.listing(1), build.listing(2))
    client = await relay.subscriber(transport, with_definitions=True)
    await client.put()
    collector = await relay.collector()
    await collector.send(build.quotes([2, 2, 1]))
    await client.rows(3)
    first = client.all("definitions")
    assert [one.listing.listing_key for message in first for one in message.definitions] == [2, 1]
    kinds = [one.WhichOneof("message") for one in client.log]
    if transport == "grpc":
        assert kinds.index("definitions") < kinds.index("delivery")
    relay.define(build.listing(2, version=2))
    await client.until(lambda: len(client.all("definitions")) > len(first))
    changed = client.all("definitions")[-1].definitions
    assert [(one.listing.listing_key, one.listing.definition_version) for one in changed] == [(2, 2)]


@BOTH
async def test_change_and_removal_on_one_stream(relay: Any, build: Any, transport: str) -> None:
    relay.define(build.listing(1), build.listing(2))
    client = await relay.subscriber(transport)
    collector = await relay.collector()
    await client.put(filter={"listing_keys": [1]})
    await client.put(2, filter={"listing_keys": [2]})
    await collector.send(build.quotes([1, 2]))
    await client.rows(1)
    await client.rows(1, 2)
    changed = await client.put(filter={"listing_keys": [2]})
    assert changed.from_sequence == 3
    assert (await client.remove(2)).acknowledged.removed
    await collector.send(build.quotes([1, 2], first_bid=300))
    rows = await client.rows(2)
    assert [row["bid_price"] for row in rows] == [100, 301], "numbers go on, the filter is another"
    assert len(client.of(2).rows) == 1
    refusal = await client.remove(2)
    assert refusal.refused.error.reason == "NOT_FOUND"


@BOTH
async def test_what_is_wrong_with_a_subscription_does_not_end_the_stream(
    relay: Any, build: Any, transport: str
) -> None:
    relay.define(build.listing(1))
    client = await relay.subscriber(transport)
    refused = await client.put(
        0, filter={"event_types": [99], "instrument_ids": ["x"], "isin_prefixes": ["us!"], "listing_keys": [0]}
    )
    fields = [one.field for one in refused.error.violations]
    assert refused.error.reason == "INVALID_ARGUMENT"
    assert fields == [
        "subscription_id",
        "filter.event_types[0]",
        "filter.listing_keys[0]",
        "filter.instrument_ids[0]",
        "filter.isin_prefixes[0]",
    ]
    for asked, reason in (
        ({"start": pb.SubscriptionStart(resume_token="x")}, "NO_EVENT_LOG"),
        ({"start": pb.SubscriptionStart(time_ns=1)}, "NO_EVENT_LOG"),
    ):
        answer = await client.put(5, **asked)
        assert answer.error.reason == reason
    assert (await client.put(filter={"venues": ["NEVER"], "listing_keys": [77]})).matching_listings == 0
    assert (await client.put(2)).matching_listings == 1
    collector = await relay.collector()
    await collector.send(build.quotes([1]))
    await client.rows(1, 2)


async def test_an_id_that_does_not_fit_a_frame_is_refused_on_the_socket_alone(relay: Any) -> None:
    unix, over_grpc = await relay.unix(), await relay.grpc()
    assert (await unix.put(65536)).error.violations[0].field == "subscription_id"
    assert (await over_grpc.put(65536)).subscription_id == 65536


@BOTH
async def test_a_snapshot_is_joined_at_its_sequence(relay: Any, build: Any, transport: str) -> None:
    relay.define(*(build.listing(key) for key in (1, 2, 3)))
    collector = await relay.collector()
    watcher = await relay.subscriber(transport)
    await watcher.put()
    await collector.send(build.quotes([1, 2, 1]))
    await watcher.rows(3)
    client = await relay.subscriber(transport)
    await client.put(start=pb.SubscriptionStart(snapshot=pb.StartSnapshot()), filter={"event_types": [2]})
    await collector.send(build.quotes([3], first_bid=500))
    rows = await client.rows(3)
    marks = client.all("snapshot")
    assert [(mark.sequence, mark.complete) for mark in marks] == [(3, False), (3, True)]
    assert [(row["listing_key"], row["sequence"], row["bid_price"]) for row in rows] == [
        (2, 2, 101),
        (1, 3, 102),
        (3, 4, 500),
    ]


@BOTH
async def test_what_a_source_loses_is_declared_to_who_could_have_got_it(relay: Any, build: Any, transport: str) -> None:
    relay.define(build.listing(1))
    client = await relay.subscriber(transport)
    await client.put()
    await client.put(2, filter={"sources": ["OTHER"]})
    collector = await relay.collector("LOSSY")
    await collector.send(build.quotes([1]))
    collector.next_sequence += 5
    await collector.send(build.quotes([1]))
    await client.rows(2)
    [gap] = client.of().source_gaps
    assert (gap.source, gap.count, gap.reason, gap.from_number) == ("LOSSY", 5, "SOURCE_GAP", 0)
    assert not client.of(2).source_gaps


@BOTH
async def test_unknown_listings_are_delivered_to_who_asks_for_them(relay: Any, build: Any, transport: str) -> None:
    relay.define(build.listing(1))
    client = await relay.subscriber(transport)
    await client.put(1)
    await client.put(2, filter={"include_unknown": True})
    collector = await relay.collector()
    await collector.send(build.quotes([1, 9]))
    rows = await client.rows(2, 2)
    assert [bool(row["flags"] & 4) for row in rows] == [False, True]
    await collector.send(build.quotes([1]))
    await client.rows(2)
    assert {row["listing_key"] for row in client.of(1).rows} == {1}


@BOTH
async def test_samples_and_windows(relay: Any, build: Any, transport: str) -> None:
    relay.define(build.listing(1), build.listing(2))
    client = await relay.subscriber(transport)
    await client.put(1, sample=pb.SampleContract(every=3))
    await client.put(2, window=pb.WindowContract(interval_ms=200))
    collector = await relay.collector()
    await collector.send(build.quotes([1, 2, 1, 1, 1, 2, 1]))
    rows = await client.rows(3)
    assert [(row["listing_key"], row["bid_price"]) for row in rows] == [(1, 100), (2, 101), (1, 104)]
    rows = await client.rows(2, 2)
    assert [(row["listing_key"], row["bid_price"]) for row in rows] == [(2, 105), (1, 106)]
    await client.until(lambda: client.of(2).conflated == 5)


@BOTH
async def test_heartbeats_prove_that_silence_is_silence(relay: Any, build: Any, transport: str) -> None:
    relay.define(build.listing(1))
    client = await relay.subscriber(transport, heartbeat_interval_ms=20)
    await client.put(4)
    collector = await relay.collector("BEAT")
    await collector.send(build.quotes([1, 1]))
    await client.rows(2, 4)
    since = len(client.log)
    await client.until(lambda: client.last("heartbeat", since))
    beat = client.last("heartbeat").heartbeat
    assert beat.last_sequence == 2
    assert dict(beat.last_numbers) == {4: 2}
    [source] = beat.sources
    assert (source.source, source.connected, dict(source.events)) == ("BEAT", True, {2: 2})


@BOTH
async def test_types_keep_their_order_within_a_subscription(relay: Any, build: Any, transport: str) -> None:
    relay.define(build.listing(1))
    client = await relay.subscriber(transport)
    await client.put(filter={"event_types": [1, 2]})
    collector = await relay.collector()
    trades = TRADE.new(2)
    trades["listing_key"], trades["flags"], trades["price"], trades["size"] = 1, 1, 5, 6
    for rows, layout in ((build.quotes([1]), QUOTE), (trades, TRADE), (build.quotes([1]), QUOTE)):
        await collector.send(rows, layout)
    rows = await client.rows(4)
    assert [(row["type"], row["sequence"]) for row in rows] == [(2, 1), (1, 2), (1, 3), (2, 4)]


async def test_a_stream_begins_with_a_hello(relay: Any) -> None:
    call = relay.stub.Subscribe(iter([pb.SubscribeRequest(put=pb.PutSubscription(subscription_id=1))]))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_status_and_subscribers(relay: Any, build: Any) -> None:
    relay.define(build.listing(1))
    one, two = await relay.grpc(name="one"), await relay.unix(name="two")
    await one.put(filter={"listing_keys": [1]}, latest=pb.LatestContract())
    await two.put(3, filter={"venues": ["XV"]})
    collector = await relay.collector("S")
    await collector.send(build.quotes([1, 8]))
    await one.rows(1)
    await two.rows(1, 3)
    page = await relay.stub.ListSubscribers(pb.ListSubscribersRequest(page_size=1))
    rest = await relay.stub.ListSubscribers(pb.ListSubscribersRequest(page_token=page.next_page_token))
    found = {client.name: client for client in (*page.subscribers, *rest.subscribers)}
    assert {name: client.transport for name, client in found.items()} == {"one": "grpc", "two": "unix"}
    [info] = found["two"].subscriptions
    assert (info.delivered, info.matching_listings, list(info.subscription.filter.venues)) == (1, 1, ["XV"])
    status = await relay.stub.GetRelayStatus(pb.GetRelayStatusRequest())
    assert (status.last_sequence, dict(status.delivered), status.unknown_listing_events) == (2, {2: 2}, 1)
    assert {hop.hop: hop.count for hop in status.latencies}["relay"] == 2
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await relay.stub.ExplainEvent(pb.ExplainEventRequest(sequence=1))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION  # it keeps no log
