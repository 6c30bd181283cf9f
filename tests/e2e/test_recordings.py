"""Recorded frames of three venues through the whole platform: what was recorded arrives, and what was listed is registered."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from alphapulse.api.collector.v1 import collector_service_pb2 as collector
from alphapulse.api.collector.v1 import collector_service_pb2_grpc as collector_rpc
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc as instrument_rpc
from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.api.relay.v1 import relay_service_pb2_grpc as relay_rpc
from alphapulse.client import open_channel
from alphapulse_cli.commands.up import seed_addresses
from alphapulse_cli.platform import Platform
from alphapulse_cli.seed import seed_all
from strategy_sdk import EventType, connect

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.recordings,
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="module"),
]
VENUES: Final = ("BINANCE", "COINBASE", "KRAKEN")
PATIENCE: Final = 90.0
KINDS: Final = {"trades": EventType.TRADE, "ticker": EventType.QUOTE}


@dataclass(frozen=True)
class Listed:
    """A line of a venue's own list."""

    tick: Decimal | None
    lot: Decimal | None


@dataclass(frozen=True)
class Run:
    """What the platform said when all of it was over."""

    sources: dict[str, collector.Source]
    status: relay.GetRelayStatusResponse
    delivered: Counter[tuple[str, EventType]]
    """What a subscriber to everything received, by venue."""
    undeclared_gaps: int
    listings: dict[str, dict[str, Listed]]
    """By venue and symbol, as the registry holds them."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(module_folder: Path, make_options: Any, recordings_dir: Path) -> AsyncIterator[Run]:
    options = make_options(module_folder, transport="replay", recordings=recordings_dir, replay_speed=0)
    async with Platform(options) as platform:
        await seed_all(seed_addresses(platform.addresses))
        async with connect(platform.addresses.of("relay"), egress_socket="", name="recordings") as stream:
            await stream.subscribe(include_unknown=True)
            received: Counter[tuple[int, int]] = Counter()
            reading = asyncio.create_task(_count(stream, received))
            await platform.start_collector()
            async with asyncio.timeout(PATIENCE):
                sources, status = await _finished(platform)
                while stream.stats().last_sequence < status.last_sequence:  # noqa: ASYNC110 - it counts, it does not signal
                    await asyncio.sleep(0.05)
            stream.stop()
            await reading
            delivered: Counter[tuple[str, EventType]] = Counter()
            for (key, kind), count in received.items():
                definition = stream.definition(key)
                delivered[(definition.listing.venue if definition else "", EventType(kind))] += count
            undeclared = stream.stats().undeclared_gaps
        async with open_channel(platform.addresses.of("instrument")) as channel:
            stub = instrument_rpc.InstrumentServiceStub(channel)
            listings = {venue: await _registered(stub, venue) for venue in VENUES}
        yield Run(sources, status, delivered, undeclared, listings)


async def _count(stream: Any, received: Counter[tuple[int, int]]) -> None:
    async for batch in stream.batches():
        for layout, rows in batch.runs:
            received.update((key, layout.event_type) for key in rows["listing_key"].tolist())


async def _finished(platform: Platform) -> tuple[dict[str, collector.Source], relay.GetRelayStatusResponse]:
    """The sources and the relay once everything was played, and the relay has taken all that was sent."""
    async with (
        open_channel(platform.addresses.of("collector")) as channel,
        open_channel(platform.addresses.of("relay")) as relay_channel,
    ):
        stub, asked = collector_rpc.CollectorServiceStub(channel), relay_rpc.RelayServiceStub(relay_channel)
        while True:
            answer = await stub.ListSources(collector.ListSourcesRequest(page_size=100), timeout=10)
            started = [source for source in answer.sources if source.name in VENUES]
            states = {source.name: source.state for source in started}
            assert collector.SOURCE_STATE_FAILED not in states.values(), answer
            if set(states.values()) == {collector.SOURCE_STATE_FINISHED}:
                status = await asked.GetRelayStatus(relay.GetRelayStatusRequest(), timeout=10)
                sent = {source.name: dict(source.events) for source in started}
                if {source.source: dict(source.events) for source in status.sources} == sent:
                    return {source.name: source for source in started}, status
            await asyncio.sleep(0.1)


async def _registered(stub: Any, venue: str) -> dict[str, Listed]:
    found, token = {}, ""
    while True:
        request = service.ListListingsRequest(venues=[venue], page_size=1000, page_token=token)
        answer = await stub.ListListings(request, timeout=30)
        for listing in answer.listings:
            assert listing.venue == venue
            found[listing.symbol] = Listed(_decimal(listing.rules, "tick_size"), _decimal(listing.rules, "lot_size"))
        token = answer.next_page_token
        if not token:
            return found


def _decimal(rules: Any, name: str) -> Decimal | None:
    if not rules.HasField(name):
        return None
    value = getattr(rules, name)
    return Decimal(value.mantissa).scaleb(value.exponent)


# --- the recorded lists, read by the book
def _body(recordings: Path, name: str, url: str) -> Any:
    for line in gzip.decompress((recordings / name).read_bytes()).decode().splitlines():
        if line.startswith(url):
            return json.loads(line.split(": ", 1)[1])
    raise AssertionError(f"{name} has no answer of {url}")


def _positive(text: str) -> Decimal | None:
    return Decimal(text) or None


def _binance(recordings: Path) -> dict[str, Listed]:
    body = _body(recordings, "BINANCE.0.gz", "https://api.binance.com/api/v3/exchangeInfo")
    found = {}
    for line in body["symbols"]:
        filters = {one["filterType"]: one for one in line["filters"]}
        found[line["symbol"]] = Listed(
            _positive(filters["PRICE_FILTER"]["tickSize"]), _positive(filters["LOT_SIZE"]["stepSize"])
        )
    return found


def _coinbase(recordings: Path) -> dict[str, Listed]:
    body = _body(recordings, "COINBASE.0.gz", "https://api.pro.coinbase.com/products")
    return {one["id"]: Listed(_positive(one["quote_increment"]), _positive(one["base_increment"])) for one in body}


def _kraken(recordings: Path) -> dict[str, Listed]:
    body = _body(recordings, "KRAKEN.0.gz", "https://api.kraken.com/0/public/AssetPairs")
    return {
        one.get("wsname", one["altname"]): Listed(
            Decimal(1).scaleb(-one["pair_decimals"]), Decimal(1).scaleb(-one["lot_decimals"])
        )
        for one in body["result"].values()
    }


READERS: Final = {"BINANCE": _binance, "COINBASE": _coinbase, "KRAKEN": _kraken}


@pytest.mark.parametrize("venue", VENUES)
async def test_trades_and_tickers_equal_the_recordings_own_counts(run: Run, recordings_dir: Path, venue: str) -> None:
    expected = json.loads((recordings_dir / "expected.json").read_text())[venue]
    taken = next(source for source in run.status.sources if source.source == venue)
    for channel, kind in KINDS.items():
        assert run.sources[venue].events[kind] == expected[channel], "sent by the collector"
        assert taken.events[kind] == expected[channel], "taken by the relay"
        assert run.delivered[venue, kind] == expected[channel], "delivered to the subscriber"


@pytest.mark.parametrize("venue", VENUES)
async def test_every_book_level_arrives(run: Run, venue: str) -> None:
    sent = run.sources[venue].events[EventType.BOOK_LEVEL]
    assert sent > 0
    assert run.delivered[venue, EventType.BOOK_LEVEL] == sent


async def test_nothing_is_lost_refused_or_unknown(run: Run) -> None:
    assert run.undeclared_gaps == 0
    assert run.status.gaps_declared == 0
    assert run.status.unknown_listing_events == 0
    assert not run.status.rejects
    for source in run.sources.values():
        assert not source.rejects
        assert not source.error


@pytest.mark.parametrize("venue", VENUES)
async def test_the_listings_of_a_venue_are_those_of_its_recorded_list(
    run: Run, recordings_dir: Path, venue: str
) -> None:
    listed = READERS[venue](recordings_dir)
    assert set(run.listings[venue]) == set(listed)
    for symbol in sorted(listed)[::5]:
        assert run.listings[venue][symbol] == listed[symbol], symbol
