"""A place that is kept: what it says, at any moment, of what was handed over; what a start from it, or from a time, asks of the relay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.domain.errors import InvalidArgument, ResumeTokenTooOld
from alphapulse.records import LAYOUTS, QUOTE, TRADE
from strategy_sdk import RECONNECTED, Event, Gap, Latest, MarketStream, Place, Quote

Open = Callable[..., MarketStream]
words = st.text(st.characters(codec="ascii"), min_size=1)
uint64 = st.integers(0, 2**64 - 1)
places = st.builds(
    Place,
    words,
    uint64,
    uint64,
    st.dictionaries(st.sampled_from(sorted(LAYOUTS)), uint64),
    uint64,
    words,
)


async def point(client: Any, token: str, number: int, life: str = "test") -> None:
    message = relay.ResumePoint(subscription_id=1, resume_token=token, number=number, relay_id=life)
    await client.send(relay.SubscribeResponse(resume=message))


async def received(stream: MarketStream) -> None:
    """Everything that was sent before is received, though not handed over: the answer to another subscription comes behind it."""
    await stream.subscribe()


async def next_put(fake_relay: Any) -> relay.PutSubscription:
    while True:
        request = await fake_relay.asked.get()
        if request.HasField("put"):
            put: relay.PutSubscription = request.put
            return put


@given(places)
def test_a_place_is_the_same_after_it_was_stored(place: Place) -> None:
    assert Place.parse(str(place)) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        str(Place("t", 1)).replace('"format":1', '"format":2'),
        str(Place("t", 1)).replace('"t"', '""'),
        str(Place("t", 1)).replace('"t"', "7"),
        str(Place("t", -1)),
        str(Place("t", 2**64)),
        str(Place("t", True)),
        str(Place("t", by_type={99: 1})),
        str(Place("t")).replace('"by_type":{}', '"by_type":{"x":1}'),
        str(Place("t")).replace('"number"', '"numbers"'),
    ],
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        Place.parse(text)
    (violation,) = refused.value.violations
    assert (violation.field, violation.rule) == ("place", "place-format")


async def test_it_is_behind_what_was_handed_over_and_not_behind_what_was_received(
    fake_relay: Any, open_stream: Open
) -> None:
    async with open_stream() as stream:
        subscription = await stream.subscribe()
        client = await fake_relay.client()
        assert subscription.place is None
        await point(client, "one", 0)
        await client.quotes(1, 3)
        await client.gap(count=2, reason="SOURCE_GAP", source="KRAKEN", last_sequence=3, source_gap=9)
        await client.gap(from_number=4, to_number=5, count=2, reason="QUEUE_FULL", last_sequence=7)
        await point(client, "two", 5)
        await client.quotes(6, 2, 8)
        await point(client, "three", 7, "test.2")
        await client.quotes(8, 1, 1)
        await received(stream)
        found = []
        async for one in stream:
            found.append((type(one), subscription.place))
            if isinstance(one, Event) and one.number == 8:
                break
        assert found == [
            (Quote, Place("one", 1, 1, relay_id="test")),
            (Quote, Place("one", 2, 2, relay_id="test")),
            (Quote, Place("one", 3, 3, relay_id="test")),
            (Gap, Place("one", 3, 3, source_gap=9, relay_id="test")),
            (Gap, Place("two", 5, relay_id="test")),
            (Quote, Place("two", 6, 8, relay_id="test")),
            (Quote, Place("two", 7, 9, relay_id="test")),
            (Quote, Place("three", 8, 1, relay_id="test.2")),
        ]


async def test_every_face_of_a_stream_has_the_place_of_what_it_handed_over(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        subscription = await stream.subscribe()
        client = await fake_relay.client()
        await point(client, "one", 0)
        await client.quotes(1, 3)
        batch = await anext(stream.batches())
        assert batch.count == 3
        assert subscription.place == Place("one", 3, 3, relay_id="test")
        called: list[Place | None] = []

        @stream.on_quote
        def called_for(quote: Quote) -> None:
            called.append(subscription.place)
            if quote.number == 5:
                stream.stop()

        await client.quotes(4, 2)
        await stream.run()
        assert called == [Place("one", 4, 4, relay_id="test"), Place("one", 5, 5, relay_id="test")]
        assert subscription.place == called[-1]


async def test_with_conflation_it_tells_each_type(fake_relay: Any, way: str, open_stream: Open) -> None:
    async with open_stream() as stream:
        subscription = await stream.subscribe(contract=Latest())
        client = await fake_relay.client()
        await point(client, "one", 0)
        trades, quotes = TRADE.new(2), QUOTE.new(2)
        trades["sequence"], quotes["sequence"] = [40, 60], [45, 50]
        await client.rows(1, (TRADE, trades), (QUOTE, quotes))
        found = []
        async for one in stream:
            assert isinstance(one, Event)
            place = subscription.place
            assert place is not None
            assert (place.number, place.sequence) == (one.number, 0)
            found.append(dict(place.by_type))
            if one.number == 4:
                break
        trade, quote = TRADE.event_type, QUOTE.event_type
        one_delivery = [{trade: 40}, {trade: 40, quote: 45}, {trade: 40, quote: 50}, {trade: 60, quote: 50}]
        a_frame_each = [{trade: 40}, {trade: 60}, {trade: 60, quote: 45}, {trade: 60, quote: 50}]
        assert found == (one_delivery if way == "grpc" else a_frame_each)


async def test_points_of_a_reader_that_is_away_are_one(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        subscription = await stream.subscribe()
        client = await fake_relay.client()
        for k in range(1_000):
            await point(client, f"token {k}", 0)
        await received(stream)
        assert len(stream._progress._marks) == 1
        assert subscription.place == Place("token 999", relay_id="test")


async def test_a_start_from_a_place_is_asked_for_until_it_is_answered_and_goes_on_from_there(
    fake_relay: Any, open_stream: Open
) -> None:
    start = Place("kept", 41, 77, source_gap=3, relay_id="test.0")
    fake_relay.answers = False
    async with open_stream() as stream:
        asking = asyncio.create_task(stream.subscribe(start=start))
        await fake_relay.asked.get()
        first = (await fake_relay.asked.get()).put
        assert first.start == relay.SubscriptionStart(
            resume_token="kept", received_number=41, received_sequence=77, received_source_gap=3
        )
        fake_relay.answers = True
        await (await fake_relay.hellos.get()).cut()
        subscription = await asking
        client = await fake_relay.client()
        assert client.puts == [first]
        assert subscription.place == start
        await point(client, "later", 41, "test.1")
        await client.quotes(42, 1, 1)
        batches = stream.batches()
        turn, batch = await anext(batches), await anext(batches)
        assert (turn.life, batch.first_number) == ("test.1", 42)
        assert subscription.place == Place("later", 42, 1, relay_id="test.1")
        stats = stream.stats()
        assert (stats.gaps_declared, stats.undeclared_gaps, stats.duplicates) == (0, 0, 0)


async def test_where_it_starts_anew_later_there_is_no_place_until_the_next_point(
    fake_relay: Any, open_stream: Open
) -> None:
    async with open_stream() as stream:
        subscription = await stream.subscribe(start=Place("kept", 41))
        client = await fake_relay.client()
        await client.quotes(42, 1)
        assert isinstance(await anext(stream), Quote)
        fake_relay.refuses = relay.SubscriptionRefused(error=common_pb2.ItemError(reason="NO_EVENT_LOG", message="no"))
        await fake_relay.hellos.get()
        await next_put(fake_relay)
        await client.cut()
        reading = asyncio.create_task(anext(stream))
        assert (await next_put(fake_relay)).start.received_number == 42
        fake_relay.refuses = None
        client = await fake_relay.hellos.get()
        gap = await reading
        assert isinstance(gap, Gap)
        assert gap.reason == RECONNECTED
        assert subscription.place is None
        assert (await next_put(fake_relay)).start == relay.SubscriptionStart(now=relay.StartNow())
        await point(client, "another", 0)
        await client.quotes(1, 1)
        assert isinstance(await anext(stream), Quote)
        assert subscription.place == Place("another", 1, 1, relay_id="test")


async def test_a_refused_start_is_an_error_of_its_own(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        error = common_pb2.ItemError(reason="RESUME_TOKEN_TOO_OLD", message="gone", metadata={"oldest_token": "old"})
        fake_relay.refuses = relay.SubscriptionRefused(error=error)
        place = Place("kept", 41, 77, {QUOTE.event_type: 5}, 3, "test.0")
        with pytest.raises(ResumeTokenTooOld) as refused:
            await stream.subscribe(start=place)
        assert place.at(refused.value.metadata["oldest_token"]) == Place("old", 41, relay_id="test.0")
        assert stream.subscriptions == ()


async def test_a_log_that_cannot_be_read_at_first_is_asked_again(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        fake_relay.refuses = relay.SubscriptionRefused(error=common_pb2.ItemError(reason="UNAVAILABLE", message="no"))
        asking = asyncio.create_task(stream.subscribe(start=Place("kept", 41)))
        first = await next_put(fake_relay)
        fake_relay.refuses = None
        await asking
        assert await next_put(fake_relay) == first


@pytest.mark.parametrize(
    ("start", "time_ns"),
    [
        (0, 0),
        (1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (datetime(2026, 5, 4, 12, 0, 0, 123_456, tzinfo=UTC), 1_777_896_000_123_456_000),
        (datetime(2026, 5, 4, 14, 0, 0, 123_456, tzinfo=timezone(timedelta(hours=2))), 1_777_896_000_123_456_000),
    ],
)
async def test_a_start_from_a_time_is_asked_for_to_the_nanosecond(
    fake_relay: Any, open_stream: Open, start: int | datetime, time_ns: int
) -> None:
    async with open_stream() as stream:
        await stream.subscribe(start=start)
        (put,) = (await fake_relay.client()).puts
        assert put.start == relay.SubscriptionStart(time_ns=time_ns)


@pytest.mark.parametrize(
    ("start", "snapshot", "rule"),
    [
        (datetime(2026, 5, 4), False, "time-zone"),
        (-1, False, "start-time"),
        (2**63, False, "start-time"),
        ("2026-05-04", False, "start-kind"),
        (1.5, False, "start-kind"),
        (True, False, "start-kind"),
        (0, True, "start-twice"),
        (Place("kept"), True, "start-twice"),
    ],
)
async def test_a_start_that_is_none_is_refused_before_it_is_asked_for(
    fake_relay: Any, open_stream: Open, start: Any, snapshot: bool, rule: str
) -> None:
    async with open_stream() as stream:
        with pytest.raises(InvalidArgument) as refused:
            await stream.subscribe(start=start, snapshot=snapshot)
        (violation,) = refused.value.violations
        assert (violation.field, violation.rule) == ("start", rule)
        assert stream.subscriptions == ()
        await stream.subscribe()
        assert [one.subscription_id for one in (await fake_relay.client()).puts] == [1]
