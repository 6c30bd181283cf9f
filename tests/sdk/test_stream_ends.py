"""How streams and subscriptions end: stopped, closed, given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from alphapulse.domain.errors import FailedPrecondition
from alphapulse.records import TRADE
from strategy_sdk import EventType, MarketStream, Quote

Open = Callable[..., MarketStream]


async def test_stop_ends_a_stream_that_waits_for_a_relay_that_is_away(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        await stream.subscribe()
        client = await fake_relay.client()
        await fake_relay.hellos.get()
        fake_relay.greets = False
        await client.cut()
        reading = asyncio.create_task(stream.next_batch())
        await fake_relay.hellos.get()  # it is connecting again, and is not welcomed
        stream.stop()
        async with asyncio.timeout(4):
            assert await reading is None


async def test_reading_a_closed_stream_is_its_end(fake_relay: Any, open_stream: Open) -> None:
    async with open_stream() as stream:
        await stream.subscribe()
    assert await stream.next_batch() is None
    with pytest.raises(FailedPrecondition, match="closed"):
        await stream.subscribe()


async def test_a_subscription_given_up_is_taken_back_and_its_events_are_not_handed_over(
    fake_relay: Any, open_stream: Open
) -> None:
    async with open_stream() as stream:
        kept = await stream.subscribe()
        client = await fake_relay.client()
        fake_relay.answers = False
        given_up = asyncio.create_task(stream.subscribe(event_types=[EventType.TRADE]))
        while len(client.puts) < 2:
            await fake_relay.asked.get()
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        assert stream.subscriptions == (kept,)
        while not client.removed:
            await fake_relay.asked.get()
        assert client.removed == [2]
        rows = TRADE.new(1)
        rows["sequence"] = 1
        await client.rows(1, (TRADE, rows), subscription=2)
        await client.quotes(1, 1)
        assert isinstance(await anext(stream), Quote)
