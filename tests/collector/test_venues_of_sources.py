"""Where venues are checked, a listing of every source finds its venue once the registry is seeded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from prometheus_client import CollectorRegistry

from alphapulse.client import RegistrationStream, VenueRegistrationStream, open_channel
from alphapulse.runtime import serve_in_background
from alphapulse_cli.seed import trading_venues
from collector_service.listings import VenueSymbol
from collector_service.runtime import GrpcRegistrar
from collector_service.sources import SOURCES
from registry_service.app import RegistryApplication
from registry_service.config import InstrumentConfig, VenueConfig


@pytest.fixture
async def registries(database_url: str, fresh_redis_url: str) -> AsyncIterator[tuple[str, str]]:
    """The addresses of an instrument registry and of the venue registry that it asks."""
    common = {"database_url": database_url, "redis_url": fresh_redis_url, "drain_seconds": 0.5, "metrics_port": None}
    async with AsyncExitStack() as stack:
        venue_app = RegistryApplication("venue", VenueConfig(**common), CollectorRegistry())  # type: ignore[arg-type]
        venue = await stack.enter_async_context(serve_in_background(venue_app))
        config = InstrumentConfig(**common, venue_registry_address=venue.address)  # type: ignore[arg-type]
        app = RegistryApplication("instrument", config, CollectorRegistry())
        instrument = await stack.enter_async_context(serve_in_background(app, config))
        yield instrument.address, venue.address


async def test_a_listing_of_every_source_finds_its_venue(registries: tuple[str, str]) -> None:
    instrument_address, venue_address = registries
    codes = {source.venue for source in SOURCES.values()}
    line = VenueSymbol("BTC-USD", "BTC", "USD", frozenset({"USD"}))
    async with (
        open_channel(instrument_address) as instruments,
        open_channel(venue_address) as venues,
        RegistrationStream(instruments) as stream,
        VenueRegistrationStream(venues) as seeding,
    ):
        registrar = GrpcRegistrar(stream)
        before = await registrar.register([line], "GATE_FUTURES", "GATEIO_FUTURES")
        assert "venue-exists" in before.refused["BTC-USD"]
        seeded = [venue for venue in trading_venues.everything() if venue.code in codes]
        results = (await seeding.submit(seeded, actor="seed")).results
        assert not [one.error for one in results if one.HasField("error")]
        found = {}
        for name, source in SOURCES.items():
            done = await registrar.register([line], source.venue, name)
            assert not done.refused, name
            found[source.venue] = done.listing_ids["BTC-USD"]
    # One pair at so many venues: a listing each.
    assert found.keys() == codes
    assert len(set(found.values())) == len(codes)
