"""Seeding three real registries over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from prometheus_client import CollectorRegistry

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_service_pb2 as instruments
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc as instrument_rpc
from alphapulse.api.synthetic.v1 import synthetic_service_pb2 as synthetics
from alphapulse.api.synthetic.v1 import synthetic_service_pb2_grpc as synthetic_rpc
from alphapulse.api.venue.v1 import venue_service_pb2 as venues
from alphapulse.api.venue.v1 import venue_service_pb2_grpc as venue_rpc
from alphapulse.client.channel import open_channel
from alphapulse.runtime import serve_in_background
from alphapulse_cli.seed import SeedAddresses, seed_all
from registry_service.app import RegistryApplication
from registry_service.config import RegistryConfig

LATEST = common.ReadOptions(latest=True)


@pytest.fixture
async def addresses(database_url: str, fresh_redis_url: str) -> AsyncIterator[SeedAddresses]:
    """The three registries on one database."""
    config = RegistryConfig(database_url=database_url, redis_url=fresh_redis_url)
    async with AsyncExitStack() as stack:
        found = {}
        for service in ("instrument", "venue", "synthetic"):
            app = RegistryApplication(service, config, CollectorRegistry())
            found[service] = (await stack.enter_async_context(serve_in_background(app))).address
        yield SeedAddresses(**found)


async def test_seeding_twice_changes_nothing(addresses: SeedAddresses) -> None:
    told: list[tuple[str, int]] = []
    first = await seed_all(addresses, lambda what, sent: told.append((what, sent)))
    assert first.venues >= 2_700
    assert first.instruments_with_isin >= 1_311
    assert first.instruments >= first.instruments_with_isin + 230
    assert first.listings > 700
    assert first.synthetics >= 4
    assert first.unchanged == 0
    assert len(first.skipped) == 2, first.skipped
    assert ("venues", first.venues) in told

    second = await seed_all(addresses)
    assert second.created == 0
    assert second.unchanged == first.created
    counts = ("venues", "instruments", "instruments_with_isin", "listings", "synthetics", "skipped")
    assert [getattr(second, name) for name in counts] == [getattr(first, name) for name in counts]

    async with open_channel(addresses.venue) as channel:
        listed = await venue_rpc.VenueServiceStub(channel).ListVenues(venues.ListVenuesRequest(read=LATEST))
        assert listed.total_size == first.venues
    async with open_channel(addresses.instrument) as channel:
        stub = instrument_rpc.InstrumentServiceStub(channel)
        apple = (await stub.LookupISIN(instruments.LookupISINRequest(isin="US0378331005"))).result
        assert apple.outcome == common.LOOKUP_OUTCOME_RESOLVED
        assert apple.entries[0].instrument.name.startswith("Apple")
        by_cusip = (await stub.LookupCUSIP(instruments.LookupCUSIPRequest(cusip="037833100"))).result
        assert by_cusip.entries[0].instrument == apple.entries[0].instrument
    async with open_channel(addresses.synthetic) as channel:
        kept = await synthetic_rpc.SyntheticServiceStub(channel).ListSynthetics(
            synthetics.ListSyntheticsRequest(read=LATEST)
        )
        assert kept.total_size == first.synthetics
