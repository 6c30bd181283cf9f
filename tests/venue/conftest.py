"""A venue registry of each test's own: real Postgres, real Redis, a real gRPC server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as listing_wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as listing_service
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc as instrument_rpc
from alphapulse.api.venue.v1 import venue_service_pb2_grpc as rpc
from alphapulse.client.channel import open_channel
from alphapulse.domain.identity import currency_text
from alphapulse.domain.ids import InstrumentId
from alphapulse.runtime import serve_in_background
from registry_service.app import RegistryApplication
from registry_service.config import RegistryConfig, VenueConfig
from registry_service.storage.database import make_engine
from registry_service.storage.migrations.run import migrate


@pytest.fixture(scope="session")
def venue_template(database_maker: Any) -> Iterator[str]:
    """A database with the schema of the venue registry, to copy."""
    url = database_maker.create()

    async def prepare() -> None:
        engine = make_engine(url, "venue", pool_size=1)
        await migrate(engine, "venue")
        await engine.dispose()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, prepare()).result()
    yield url
    database_maker.drop(url)


@pytest.fixture
def venue_database(database_maker: Any, venue_template: str) -> Iterator[str]:
    """A database of the test's own, with the schema of the venue registry."""
    url = database_maker.create(template=venue_template)
    yield url
    database_maker.drop(url)


@pytest.fixture
async def venue_address(venue_database: str, fresh_redis_url: str) -> AsyncIterator[str]:
    """Where the registry listens."""
    config = RegistryConfig(database_url=venue_database, redis_url=fresh_redis_url)
    async with serve_in_background(RegistryApplication("venue", config, CollectorRegistry())) as handle:
        yield handle.address


@pytest.fixture
async def venues(venue_address: str) -> AsyncIterator[rpc.VenueServiceStub]:
    """A stub of the registry."""
    async with open_channel(venue_address) as channel:
        yield rpc.VenueServiceStub(channel)


@dataclass(frozen=True)
class Both:
    """A venue registry and the instrument registry it asks."""

    venues: rpc.VenueServiceStub
    instruments: instrument_rpc.InstrumentServiceStub
    stop_instruments: Callable[[], Awaitable[None]]

    async def pair(self, venues: dict[str, dict[str, Any]], base: str = "BTC") -> tuple[str, dict[str, str]]:
        """Registers a spot pair listed on venues: (its id, the id of the listing on each). The values are fields of each listing."""
        coins = {code: InstrumentId.of(currency_text("crypto", code)).hex for code in (base, "USD")}
        entries = [
            listing_service.InstrumentEntry(
                instrument=listing_wire.Instrument(
                    asset_class=common.ASSET_CLASS_CURRENCY,
                    name=code,
                    source="test",
                    currency=listing_wire.CurrencyDetails(code=code, kind=listing_wire.CURRENCY_KIND_CRYPTO),
                )
            )
            for code in coins
        ]
        pair = listing_wire.Instrument(
            asset_class=common.ASSET_CLASS_SPOT_PAIR,
            name=f"{base}/USD",
            source="test",
            spot_pair=listing_wire.PairDetails(base_id=coins[base], quote_id=coins["USD"]),
        )
        listings = [
            listing_wire.Listing(venue=venue, symbol=f"{base}-USD", currency="USD", **fields)
            for venue, fields in venues.items()
        ]
        entries.append(listing_service.InstrumentEntry(instrument=pair, listings=listings))
        request = listing_service.RegisterInstrumentsRequest(entries=entries)
        answers = [answer async for answer in self.instruments.RegisterInstruments(iter([request]))]
        result = answers[0].results[-1]
        assert result.listing_ids, answers
        return result.instrument_id, dict(zip(venues, result.listing_ids, strict=True))


@pytest.fixture
async def both(database_url: str, fresh_redis_url: str) -> AsyncIterator[Both]:
    """Both registries in one database, each a server of its own."""
    async with AsyncExitStack() as stack:
        inner = await stack.enter_async_context(AsyncExitStack())
        plain = RegistryConfig(database_url=database_url, redis_url=fresh_redis_url, drain_seconds=0.1)
        instruments = await inner.enter_async_context(
            serve_in_background(RegistryApplication("instrument", plain, CollectorRegistry()), plain)
        )
        config = VenueConfig(
            database_url=database_url, redis_url=fresh_redis_url, instrument_registry_address=instruments.address
        )
        venues = await stack.enter_async_context(
            serve_in_background(RegistryApplication("venue", config, CollectorRegistry()))
        )
        to_venues = await stack.enter_async_context(open_channel(venues.address))
        to_instruments = await stack.enter_async_context(open_channel(instruments.address))
        yield Both(rpc.VenueServiceStub(to_venues), instrument_rpc.InstrumentServiceStub(to_instruments), inner.aclose)
