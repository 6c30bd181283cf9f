"""Market streams against a relay over real sockets: numbering, gaps, reconnections, the three faces."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_pb2
from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import DataLoss, DeadlineExceeded, FailedPrecondition, TooManySubscriptions
from alphapulse.domain.ids import InstrumentId, ListingId
from alphapulse.records import QUOTE, TRADE
from strategy_sdk import (
    RECONNECTED,
    UNDECLARED,
    Event,
    EventFilter,
    EventType,
    Gap,
    GapPolicy,
    MarketStream,
    Quote,
    Trade,
    Window,
    connect,
)

Open = Callable[..., MarketStream]


def trades(sequences: list[int]) -> Any:
    rows = TRADE.new(len(sequences))
    rows["sequence"] = sequences
    rows["listing_key"] = 7
    rows["price"], rows["price_exponent"] = 31415, -4
    return rows


async def take(stream: MarketStream, count: int) -> list[Event | Gap]:
    return [await anext(stream) for _ in range(count)]


async def test_events_are_numbered_typed_and_exact(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream(name="mine") as stream:
        subscription = await stream.subscribe(event_types=[EventType.QUOTE], venues=["BINANCE"])
        client = await fake_relay.client()
        assert client.hello.name == "mine"
        assert client.puts[0].filter.venues == ["BINANCE"]
        assert (subscription.active, subscription.matching_listings, subscription.from_sequence) == (True, 3, 5)
        await client.quotes(1, 3)
        first, _, third = await take(stream, 3)
        assert isinstance(first, Quote)
        assert (first.bid, first.ask, first.number) == (ExactDecimal(10_001, -2), ExactDecimal(10_003, -2), 1)
        assert first.mid == pytest.approx(100.02)
        assert isinstance(third, Quote)
        assert (third.number, third.sequence, third.subscription_id) == (3, 3, 1)
        assert third.received_ns > 1_700_000_000_000_000_000


async def test_types_in_one_delivery_come_in_the_order_of_their_sequence(fake_relay: Any) -> None:
    async with connect(fake_relay.address) as stream:
        await stream.subscribe()
        client = await fake_relay.client()
        rows = QUOTE.new(2)
        rows["sequence"] = [11, 13]
        await client.rows(1, (TRADE, trades([10, 12])), (QUOTE, rows))
        found = await take(stream, 4)
        assert [(type(one), one.sequence, one.number) for one in found if isinstance(one, Event)] == [
            (Trade, 10, 1),
            (Quote, 11, 2),
            (Trade, 12, 3),
            (Quote, 13, 4),
        ]


async def test_batches_are_the_received_bytes_and_equal_the_events(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as arrays, open_stream() as objects:
        for stream in (arrays, objects):
            await stream.subscribe()
            client = await fake_relay.client()
            await client.quotes(1, 100)
        batch = await anext(arrays.batches())
        rows = batch.rows[EventType.QUOTE]
        assert not rows.flags.owndata
        assert not rows.flags.writeable
        events = await take(objects, 100)
        for name in QUOTE.fields:
            assert rows[name].tolist() == [event.values[name] for event in events if isinstance(event, Event)]
        assert (batch.first_number, batch.count, batch.gaps) == (1, 100, ())
        assert [one[:-1] for one in batch.events()] == [tuple(one)[:-1] for one in events]  # type: ignore[arg-type]


async def test_a_hole_nobody_declared_is_counted_and_handed_over(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        await stream.subscribe()
        client = await fake_relay.client()
        await client.quotes(1, 2)
        await client.quotes(6, 1)
        found = await take(stream, 4)
        assert found[2] == Gap(1, UNDECLARED, 3, 3, 5)
        assert (stream.stats().undeclared_gaps, stream.stats().undeclared_events) == (1, 3)


async def test_a_heartbeat_proves_a_loss_at_the_end(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        await stream.subscribe()
        client = await fake_relay.client()
        await client.quotes(1, 2)
        await client.heartbeat(s1=4)
        found = await take(stream, 3)
        assert found[2] == Gap(1, UNDECLARED, 2, 3, 4)
        assert stream.last_heartbeat is not None
        assert stream.last_heartbeat.sources[0].source == "BINANCE"
        assert not stream.is_silent


async def test_a_declared_gap_is_no_hole(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        await stream.subscribe()
        client = await fake_relay.client()
        await client.quotes(1, 2)
        await client.gap(from_number=3, to_number=5, count=3, reason="QUEUE_FULL")
        await client.gap(count=9, reason="SOURCE_GAP", source="KRAKEN")
        await client.quotes(6, 1)
        found = await take(stream, 5)
        assert found[2:4] == [Gap(1, "QUEUE_FULL", 3, 3, 5), Gap(1, "SOURCE_GAP", 9, source="KRAKEN")]
        stats = stream.stats()
        assert (stats.gaps_declared, stats.gap_events, stats.undeclared_gaps) == (2, 12, 0)


async def test_what_comes_twice_is_dropped(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        await stream.subscribe()
        client = await fake_relay.client()
        await client.quotes(1, 3)
        await client.quotes(1, 3)
        await client.quotes(2, 4)
        found = await take(stream, 5)
        assert [one.number for one in found if isinstance(one, Event)] == [1, 2, 3, 4, 5]
        assert (stream.stats().duplicates, stream.stats().undeclared_gaps) == (5, 0)
        assert stream.stats().events == {EventType.QUOTE: 5}


async def test_a_lost_connection_is_mended_subscribed_again_and_declared(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        await stream.subscribe(venues=["KRAKEN"])
        client = await fake_relay.client()
        await client.quotes(1, 2)
        await take(stream, 2)
        await client.cut()
        reading = asyncio.create_task(take(stream, 2))
        client = await fake_relay.client()
        assert client.puts[0].filter.venues == ["KRAKEN"]
        await client.quotes(1, 1)
        gap, event = await reading
        assert isinstance(gap, Gap)
        assert gap.reason == RECONNECTED
        assert isinstance(event, Quote)
        assert (stream.stats().reconnects, stream.stats().undeclared_gaps) == (1, 0)


async def test_a_silent_relay_is_given_up(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream(heartbeat_seconds=0.01) as stream:
        await stream.subscribe()
        await fake_relay.client()
        gap = await anext(stream)
        assert isinstance(gap, Gap)
        assert gap.reason == RECONNECTED


async def test_a_line_over_which_events_take_longer_than_heartbeats_is_waited_for_longer_each_time(
    fake_relay: Any, open_stream: Open
) -> None:
    async def answer_late() -> None:
        while True:
            client = await fake_relay.client()
            await asyncio.sleep(0.15)
            with contextlib.suppress(Exception):  # whatever a transport says of a client that has left
                await client.quotes(1, 1)

    async with open_stream(heartbeat_seconds=0.01) as stream, asyncio.timeout(20):
        await stream.subscribe()
        answering = asyncio.create_task(answer_late())
        async for found in stream:
            if isinstance(found, Quote):
                break
        assert stream.stats().reconnects >= 1
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)


async def test_cancelled_reads_lose_nothing(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        await stream.subscribe()
        client = await fake_relay.client()
        for _ in range(3):
            waiting = asyncio.create_task(take(stream, 1))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await client.quotes(1, 1)
        (event,) = await take(stream, 1)
        assert isinstance(event, Quote)
        assert stream.stats().reconnects == 0


async def test_policy_halt_hands_the_gap_over_and_ends(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream(GapPolicy.HALT) as stream:
        await stream.subscribe()
        client = await fake_relay.client()
        await client.quotes(1, 1)
        await client.gap(count=4, reason="SOURCE_GAP")
        await client.quotes(2, 1)
        _, gap = await take(stream, 2)
        assert isinstance(gap, Gap)
        for _ in range(2):
            with pytest.raises(DataLoss, match="SOURCE_GAP"):
                await anext(stream)


async def test_policy_resync_holds_listings_stale_until_their_next_quote(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream(GapPolicy.RESYNC) as stream:
        await stream.subscribe()
        client = await fake_relay.client()
        await client.quotes(1, 1)
        await take(stream, 1)
        assert not stream.is_stale(7)
        await client.gap(count=4, reason="SOURCE_GAP")
        await take(stream, 1)
        assert stream.is_stale(7)
        assert stream.is_stale(8)
        await client.quotes(2, 1)
        await take(stream, 1)
        assert not stream.is_stale(7)
        assert stream.is_stale(8)
        await client.gap(reason="BOOK_RESYNC", listing_key=7)
        await take(stream, 1)
        assert stream.is_stale(7)


async def test_callbacks_are_called_in_order_and_may_wait(fake_relay: Any, open_stream: Open) -> None:
    seen: list[Any] = []
    async with open_stream() as stream:
        stream.on_gap(seen.append)
        stream.on_trade(lambda trade: seen.append(trade.price))

        @stream.on_quote
        async def noted(quote: Quote) -> None:
            await asyncio.sleep(0)
            seen.append(quote.number)
            if quote.number == 3:
                stream.stop()

        await stream.subscribe()
        client = await fake_relay.client()
        await client.quotes(1, 2)
        await client.gap(count=1, reason="SOURCE_GAP")
        await client.quotes(3, 1)
        await stream.run()
    assert seen == [1, 2, Gap(1, "SOURCE_GAP", 1), 3]


async def test_refusals_are_domain_errors_and_the_stream_goes_on(fake_relay: Any, open_stream: Open) -> None:
    error = common_pb2.ItemError(reason="TOO_MANY_SUBSCRIPTIONS", message="no more", metadata={"limit": "1"})
    async with open_stream() as stream:
        fake_relay.refuses = relay.SubscriptionRefused(error=error)
        with pytest.raises(TooManySubscriptions, match="no more") as caught:
            await stream.subscribe()
        assert caught.value.metadata == {"limit": "1"}
        fake_relay.refuses = None
        kept = await stream.subscribe(EventFilter(asset_classes=[AssetClass.SPOT_PAIR]), contract=Window(250))
        assert stream.subscriptions == (kept,)
        await stream.unsubscribe(kept)
        assert stream.subscriptions == ()
        assert not kept.active


async def test_two_subscriptions_are_numbered_apart(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        await stream.subscribe()
        client = await fake_relay.client()
        second = await stream.subscribe(symbols=["BTCUSDT"])
        assert second.id == 2
        await client.quotes(1, 2)
        await client.rows(1, (TRADE, trades([3])), subscription=2)
        await client.quotes(3, 1)
        found = await take(stream, 4)
        assert [(one.subscription_id, one.number) for one in found if isinstance(one, Event)] == [
            (1, 1),
            (1, 2),
            (2, 1),
            (1, 3),
        ]
        assert stream.stats().undeclared_gaps == 0


async def test_definitions_are_known_by_listing_key(fake_relay: Any, open_stream: Open) -> None:
    instrument = InstrumentId.of("a test's instrument")
    listing = ListingId.of("a test's listing")
    message = relay.ListingDefinition(
        listing=instrument_pb2.Listing(
            listing_id=listing.hex,
            listing_key=listing.key,
            instrument_id=instrument.hex,
            venue="BINANCE",
            symbol="BTCUSDT",
            currency="USDT",
            rules=instrument_pb2.TradingRules(tick_size=common_pb2.Decimal(mantissa=1, exponent=-2)),
        ),
        instrument=instrument_pb2.Instrument(instrument_id=instrument.hex, name="BTC/USDT", asset_class=8),
    )
    stored: list[bytes] = []
    async with open_stream() as stream:
        stream.on_definition(stored.append)
        await stream.subscribe()
        assert stream.relay_id == "test"
        client = await fake_relay.client()
        await client.send(relay.SubscribeResponse(definitions=relay.Definitions(definitions=[message])))
        await client.quotes(1, 1)
        await take(stream, 1)
        assert [relay.ListingDefinition.FromString(one) for one in stored] == [message]
        found = stream.definition(listing.key)
        assert found is not None
        assert (found.listing.id, found.listing.rules.tick_size) == (listing, ExactDecimal(1, -2))
        assert found.instrument.asset_class is AssetClass.SPOT_PAIR
        assert stream.definition(1) is None


async def test_latencies_are_measured_a_hop(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        await stream.subscribe()
        client = await fake_relay.client()
        await client.quotes(1, 5)
        await take(stream, 5)
        latency = stream.stats().latency
        assert latency["collector_to_relay"].p50_us == 1000
        assert latency["relay"].p99_us == 1000
        assert "venue_to_collector" not in latency
        assert latency["relay_to_client"].count == 1


async def test_a_second_reader_is_refused(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        await stream.subscribe()
        first = asyncio.create_task(take(stream, 1))
        await asyncio.sleep(0)
        with pytest.raises(FailedPrecondition, match="another task"):
            await stream.next_batch()
        stream.stop()
        with pytest.raises(StopAsyncIteration):
            await first


async def test_a_relay_of_another_layout_is_refused(fake_relay: Any, open_stream: Open) -> None:
    fake_relay.row_sizes = {2: 17}
    with pytest.raises(FailedPrecondition, match="17 bytes there"):
        async with open_stream():
            pass


async def test_no_relay_is_said_in_time(open_stream: Open, fake_relay: Any, way: str) -> None:
    fake_relay.greets = False
    with pytest.raises(DeadlineExceeded, match="no connection to the relay"):
        async with open_stream(connect_timeout=0.05):
            pass


async def test_large_batches_pass_the_bound_of_the_inbox(fake_relay: Any, open_stream: Open) -> None:
    count, batches = 10_000, 30
    async with open_stream() as stream:
        await stream.subscribe()
        client = await fake_relay.client()

        async def feed() -> None:
            for k in range(batches):
                await client.quotes(1 + k * count, count)

        feeding = asyncio.create_task(feed())
        total = 0
        async for batch in stream.batches():
            total += batch.count
            if total == count * batches:
                break
        await feeding
        assert stream.stats().undeclared_gaps == 0
        assert stream.stats().events == {EventType.QUOTE: count * batches}
        assert np.isfinite(stream.stats().latency["relay"].p50_us)
