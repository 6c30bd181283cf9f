"""Resumes at the relay as it serves: on both transports, with definitions, across a restart, for filters that only the registries can tell."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from alphapulse.api.relay.v1 import relay_service_pb2 as pb

BOTH = pytest.mark.parametrize("transport", ["grpc", "unix"])


def after(client: Any, subscription_id: int = 1) -> pb.SubscriptionStart:
    """Where a client goes on: its last point, and what came after it."""
    place = max(k for k, one in enumerate(client.log) if one.HasField("resume"))
    point = client.log[place].resume
    received = client.of(subscription_id)
    behind = received.rows[point.number :]
    return pb.SubscriptionStart(
        resume_token=point.resume_token,
        received_number=received.expected - 1,
        received_sequence=behind[-1]["sequence"] if behind else 0,
    )


@BOTH
async def test_a_client_resumes_across_a_restart(
    open_relay: Any, build: Any, transport: str, fresh_redis_url: str
) -> None:
    listings = [build.listing(1), build.listing(2, venue="XW")]
    async with open_relay(log_url=fresh_redis_url) as relay:
        relay.define(*listings)
        client = await relay.subscriber(transport, heartbeat_interval_ms=20)
        await client.put(filter={"venues": ["XV"]})
        collector = await relay.collector()
        await collector.send(build.quotes([1, 2, 1]))
        await client.rows(2)
        number = len(client.log)
        await client.until(lambda: client.last("resume", number) and client.last("resume").resume.number == 2)
        await collector.send(build.quotes([1, 2], first_bid=200))
        await client.rows(3)
        start = after(client)
        await client.close()
        watcher = await relay.unix()
        await watcher.put()
        await collector.send(build.quotes([2, 1], first_bid=300))
        await watcher.rows(2)
    async with open_relay(log_url=fresh_redis_url) as relay:
        relay.app.fanout.learned.clear()
        client = await relay.subscriber(transport, with_definitions=True)
        client.of().expected = start.received_number + 1
        acknowledged = await client.put(filter={"venues": ["XV"]}, start=start)
        # A point may have come behind the last row: then it stands behind all five events.
        assert acknowledged.from_sequence == (start.received_sequence or 5) + 1
        other = await relay.subscriber(transport)
        await other.put(filter={"include_unknown": True})
        collector = await relay.collector()
        await collector.send(build.quotes([7]))
        await other.rows(1)  # others are served; the replay waits for the definitions its filter asks for
        assert client.of().rows == []
        relay.define(*listings)
        relay.app.fanout.learned.set()
        await collector.send(build.quotes([1, 2], first_bid=400))
        rows = await client.rows(start.received_number + 2)
        assert [row["bid_price"] for row in rows] == [301, 400]
        assert client.of().gaps == client.of().source_gaps == []
        kinds = [one.WhichOneof("message") for one in client.log]
        assert (
            kinds.index("acknowledged") < kinds.index("definitions") < kinds.index("resume", kinds.index("resume") + 1)
        )
        await client.close()


@BOTH
async def test_what_is_asked_of_a_resume_that_cannot_be(
    open_relay: Any, build: Any, transport: str, fresh_redis_url: str
) -> None:
    async with open_relay(log_url=fresh_redis_url, relay_id="one") as relay:
        client = await relay.subscriber(transport)
        await client.put()
        start = pb.SubscriptionStart(
            resume_token=(await client.until(lambda: client.last("resume"))).resume.resume_token
        )
        assert (await client.put(start=start)).error.reason == "FAILED_PRECONDITION"
        start.received_sequence = 9
        assert (await client.put(2, start=start)).error.violations[0].rule == "received-range"
        refused = await client.put(2, start=pb.SubscriptionStart(received_number=9))
        assert refused.error.violations[0].rule == "received-without-token"
        await client.remove(1)
        start.received_sequence = 0
        assert (await client.put(1, start=start)).from_sequence == 1
    async with open_relay(log_url=fresh_redis_url, relay_id="two") as relay:
        client = await relay.subscriber(transport)
        assert (await client.put(start=start)).error.violations[0].rule == "resume-token-log"


async def test_a_snapshot_is_behind_the_first_point_and_the_last_point_is_told_when_the_relay_leaves(
    open_relay: Any, build: Any, fresh_redis_url: str
) -> None:
    async with open_relay(log_url=fresh_redis_url) as relay:
        relay.define(build.listing(1), build.listing(2))
        collector = await relay.collector()
        watcher, client = await relay.unix(), await relay.unix()
        await watcher.put()
        await collector.send(build.quotes([1, 2, 1]))
        await watcher.rows(3)
        await client.put(start=pb.SubscriptionStart(snapshot=pb.StartSnapshot()))
        point = (await client.until(lambda: client.last("resume"))).resume
        assert point.number == 2
        kinds = [one.WhichOneof("message") for one in client.log]
        assert kinds.count("resume") == 1
        assert kinds.index("resume") > max(k for k, kind in enumerate(kinds) if kind == "snapshot")
        await collector.send(build.quotes([2, 2]))
        await client.rows(4)
        leaving = asyncio.create_task(relay.handle.drain())
        await client.until(lambda: client.ended)
        assert client.last("resume").resume.number == 4
        await leaving
