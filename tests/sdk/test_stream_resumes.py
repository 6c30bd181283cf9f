"""A stream that lost its connection goes on where it stopped: what it tells the relay, and what it does when the relay cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.domain.errors import InvalidArgument
from alphapulse.records import QUOTE, TRADE
from strategy_sdk import RECONNECTED, Event, EventType, Gap, Latest, MarketStream

Open = Callable[..., MarketStream]


async def take(stream: MarketStream, count: int) -> list[Event | Gap]:
    return [await anext(stream) for _ in range(count)]


async def point(client: Any, token: str, number: int, subscription: int = 1, life: str = "") -> None:
    message = relay.ResumePoint(subscription_id=subscription, resume_token=token, number=number, relay_id=life)
    await client.send(relay.SubscribeResponse(resume=message))


async def next_put(fake_relay: Any) -> relay.PutSubscription:
    """The next subscription that a client asks for."""
    while True:
        request = await fake_relay.asked.get()
        if request.HasField("put"):
            put: relay.PutSubscription = request.put
            return put


def refusal(reason: str) -> Any:
    return relay.SubscriptionRefused(error=common_pb2.ItemError(reason=reason, message="not now"))


async def lost_after_a_point(fake_relay: Any, stream: MarketStream) -> None:
    """A stream with a subscription that has received events 1 to 4, a point after 2, and is cut."""
    await stream.subscribe(event_types=[EventType.QUOTE])
    client = await fake_relay.client()
    await client.quotes(1, 2)
    await point(client, "here", 2)
    await client.quotes(3, 2)
    assert [one.number for one in await take(stream, 4) if isinstance(one, Event)] == [1, 2, 3, 4]
    while not fake_relay.asked.empty():
        fake_relay.asked.get_nowait()
    await client.cut()


async def test_it_goes_on_behind_what_it_received(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        await lost_after_a_point(fake_relay, stream)
        reading = asyncio.create_task(take(stream, 2))
        client = await fake_relay.client()
        [put] = client.puts
        assert put.start == relay.SubscriptionStart(resume_token="here", received_sequence=4, received_number=4)
        await client.quotes(5, 2)
        events = await reading
        assert [one.number for one in events if isinstance(one, Event)] == [5, 6]
        stats = stream.stats()
        assert (stats.reconnects, stats.gaps_declared, stats.undeclared_gaps, stats.duplicates) == (1, 0, 0, 0)


async def test_where_another_life_of_the_relay_begins_a_batch_says_so(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        await lost_after_a_point(fake_relay, stream)
        reading = asyncio.create_task(anext(stream))
        client = await fake_relay.client()
        await point(client, "the same", 4, life="test")
        await client.quotes(5, 1)
        await reading
        await point(client, "the next", 5, life="test.2")
        await client.quotes(6, 1, 1)
        batches = stream.batches()
        turn, after = await anext(batches), await anext(batches)
        assert (turn.life, turn.count, turn.gaps) == ("test.2", 0, ())
        assert (after.life, after.first_number, after.last_sequence) == ("", 6, 1)


async def test_what_it_received_behind_the_point_is_told_with_gaps_and_by_type(
    fake_relay: Any, open_stream: Open
) -> None:
    async with open_stream() as stream:
        await stream.subscribe()
        await stream.subscribe(contract=Latest())
        client = await fake_relay.client()
        await point(client, "one", 0)
        await point(client, "two", 0, 2)
        await client.gap(from_number=1, to_number=5, count=5, reason="QUEUE_FULL", last_sequence=50)
        await client.gap(count=9, reason="SOURCE_GAP", source="KRAKEN", last_sequence=50, source_gap=3)
        rows = TRADE.new(2)
        rows["sequence"] = [40, 60]
        await client.rows(1, (TRADE, rows), subscription=2)
        rows = QUOTE.new(1)
        rows["sequence"] = np.array([45])
        await client.rows(3, (QUOTE, rows), subscription=2)
        await take(stream, 5)
        for _ in range(2):
            await next_put(fake_relay)
        await client.cut()
        reading = asyncio.create_task(anext(stream))
        first, second = [(await next_put(fake_relay)).start for _ in range(2)]
        assert (first.received_sequence, first.received_number, first.received_source_gap) == (50, 5, 3)
        assert (second.received_sequence, second.received_number) == (0, 3)
        assert dict(second.received_by_type) == {TRADE.event_type: 60, QUOTE.event_type: 45}
        reading.cancel()


@pytest.mark.parametrize("reason", ["RESUME_TOKEN_TOO_OLD", "NO_EVENT_LOG", "RESUME_TOKEN_INVALID", "UNIMPLEMENTED"])
async def test_where_the_relay_cannot_it_starts_anew_and_says_so(
    fake_relay: Any, open_stream: Open, reason: str
) -> None:
    async with open_stream() as stream:
        await lost_after_a_point(fake_relay, stream)
        await fake_relay.hellos.get()
        fake_relay.refuses = refusal(reason)
        reading = asyncio.create_task(take(stream, 2))
        client = await fake_relay.hellos.get()
        assert (await next_put(fake_relay)).start.resume_token == "here"
        fake_relay.refuses = None
        assert (await next_put(fake_relay)).start.WhichOneof("start") == "now"
        await client.quotes(1, 1)
        gap, event = await reading
        assert isinstance(gap, Gap)
        assert gap.reason == RECONNECTED
        assert isinstance(event, Event)
        assert event.number == 1
        assert stream.stats().undeclared_gaps == 0


async def test_a_log_that_cannot_be_read_now_is_asked_again(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        await lost_after_a_point(fake_relay, stream)
        await fake_relay.hellos.get()
        fake_relay.refuses = refusal("UNAVAILABLE")
        reading = asyncio.create_task(take(stream, 1))
        client = await fake_relay.hellos.get()
        first = await next_put(fake_relay)
        fake_relay.refuses = None
        assert await next_put(fake_relay) == first
        await client.quotes(5, 1)
        [event] = await reading
        assert isinstance(event, Event)
        assert (event.number, stream.stats().gaps_declared) == (5, 0)


async def test_any_other_refusal_of_it_ends_the_stream(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        await lost_after_a_point(fake_relay, stream)
        fake_relay.refuses = refusal("INVALID_ARGUMENT")
        with pytest.raises(InvalidArgument, match="not now"):
            await anext(stream)
