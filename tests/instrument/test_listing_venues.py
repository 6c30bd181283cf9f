"""A listing names a venue that exists: asked of a real venue registry."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc as rpc
from alphapulse.api.venue.v1 import venue_pb2, venue_service_pb2, venue_service_pb2_grpc
from alphapulse.client import RegistrationStream, from_rpc_error, open_channel
from alphapulse.domain.errors import ConsistencyNotReached, InvalidArgument, Unavailable
from alphapulse.domain.revisions import RevisionToken
from alphapulse.runtime import ServiceHandle, serve_in_background
from registry_service.app import RegistryApplication
from registry_service.config import InstrumentConfig, VenueConfig

ISIN = "US0378331005"


@dataclass
class Two:
    """The two registries; the venue registry can be stopped."""

    instrument: ServiceHandle
    instruments: rpc.InstrumentServiceStub
    venues: venue_service_pb2_grpc.VenueServiceStub
    venue_life: AsyncExitStack

    async def add_venue(self, code: str, status: int = venue_pb2.VENUE_STATUS_ACTIVE) -> None:
        venue = venue_pb2.Venue(code=code, name=code, type=venue_pb2.VENUE_TYPE_EXCHANGE, status=status)
        await self.venues.RegisterVenue(venue_service_pb2.RegisterVenueRequest(venue=venue))


@pytest.fixture
async def two(database_url: str, fresh_redis_url: str) -> AsyncIterator[Two]:
    urls: dict[str, Any] = {
        "database_url": database_url,
        "redis_url": fresh_redis_url,
        "drain_seconds": 0.5,
        "metrics_port": None,
    }
    async with AsyncExitStack() as stack, AsyncExitStack() as life:
        venue_app = RegistryApplication("venue", VenueConfig(**urls), CollectorRegistry())
        venue = await life.enter_async_context(serve_in_background(venue_app))
        config = InstrumentConfig(**urls, venue_registry_address=venue.address)
        app = RegistryApplication("instrument", config, CollectorRegistry())
        handle = await stack.enter_async_context(serve_in_background(app, config))
        channels = [await stack.enter_async_context(open_channel(one.address)) for one in (handle, venue)]
        venues = venue_service_pb2_grpc.VenueServiceStub(channels[1])
        yield Two(handle, rpc.InstrumentServiceStub(channels[0]), venues, life)


def apple(*venues: str) -> service.RegisterInstrumentRequest:
    instrument = wire.Instrument(
        asset_class=1,
        name="Apple",
        equity=wire.EquityDetails(currency="USD"),
        identifiers=[wire.IdentifierAssertion(scheme=1, value=ISIN)],
    )
    listings = [wire.Listing(venue=code, symbol="AAPL", currency="USD") for code in venues]
    return service.RegisterInstrumentRequest(instrument=instrument, listings=listings)


async def test_a_venue_that_does_not_exist_is_refused_with_all_others_named(two: Two) -> None:
    await two.add_venue("XNAS")
    with pytest.raises(Exception, match="venue") as caught:
        await two.instruments.RegisterInstrument(apple("ZZZZ", "XNAS", "XYYY"))
    error = from_rpc_error(caught.value)
    assert isinstance(error, InvalidArgument)
    assert [(one.field, one.value, one.rule) for one in error.violations] == [
        ("listings[0].venue", "ZZZZ", "venue-exists"),
        ("listings[2].venue", "XYYY", "venue-exists"),
    ]
    found = await two.instruments.LookupISIN(service.LookupISINRequest(isin=ISIN))
    assert not found.result.entries


async def test_a_venue_registered_a_moment_ago_is_known(two: Two) -> None:
    with pytest.raises(Exception, match="venue"):
        await two.instruments.RegisterInstrument(apple("NEWV"))
    await two.add_venue("NEWV")
    answer = await two.instruments.RegisterInstrument(apple("NEWV"))
    assert [one.venue for one in answer.entry.listings] == ["NEWV"]


async def test_an_expired_venue_may_be_named(two: Two) -> None:
    await two.add_venue("OLDV", venue_pb2.VENUE_STATUS_EXPIRED)
    assert (await two.instruments.RegisterInstrument(apple("OLDV"))).entry.listings


async def test_in_a_batch_only_the_entry_with_the_unknown_venue_is_refused(two: Two) -> None:
    await two.add_venue("XNAS")
    entries = [
        service.InstrumentEntry(instrument=wire.Instrument(asset_class=6, name=code, currency=money(code)))
        for code in ("USD", "EUR")
    ]
    request = apple("ZZZZ")
    entries.insert(1, service.InstrumentEntry(instrument=request.instrument, listings=request.listings))
    async with open_channel(two.instrument.address) as channel, RegistrationStream(channel) as stream:
        results = (await stream.submit(entries)).results
    assert [one.outcome for one in results] == [
        service.REGISTRATION_OUTCOME_CREATED,
        service.REGISTRATION_OUTCOME_REFUSED,
        service.REGISTRATION_OUTCOME_CREATED,
    ]
    assert [one.field for one in results[1].error.violations] == ["entries[1].listings[0].venue"]


def money(code: str) -> wire.CurrencyDetails:
    return wire.CurrencyDetails(code=code, kind=wire.CURRENCY_KIND_FIAT)


async def test_what_is_known_needs_no_venue_registry_and_what_is_not_says_so(two: Two) -> None:
    await two.add_venue("XNAS")
    await two.instruments.RegisterInstrument(apple("XNAS"))
    await two.venue_life.aclose()
    assert (await two.instruments.RegisterInstrument(apple("XNAS"))).entry.listings
    with pytest.raises(Exception, match="venue registry does not answer") as caught:
        await two.instruments.RegisterInstrument(apple("XNYS"))
    error = from_rpc_error(caught.value)
    assert isinstance(error, Unavailable)
    assert error.retry_after


def token_of(venue_revision: int) -> str:
    return RevisionToken(venue=venue_revision).encode()


async def test_a_token_of_the_venue_registry_is_waited_for_before_venues_are_checked(two: Two) -> None:
    venue = venue_pb2.Venue(
        code="NEWV", name="New", type=venue_pb2.VENUE_TYPE_EXCHANGE, status=venue_pb2.VENUE_STATUS_ACTIVE
    )
    written = await two.venues.RegisterVenue(venue_service_pb2.RegisterVenueRequest(venue=venue))
    assert RevisionToken.decode(written.revision_token).venue
    request = apple("NEWV")
    request.write.after_token = written.revision_token
    assert (await two.instruments.RegisterInstrument(request)).entry.listings
    # The stream as well, and the token of both registries merged.
    both = RevisionToken.decode(written.revision_token).merge(RevisionToken(instrument=1))
    async with open_channel(two.instrument.address) as channel, RegistrationStream(channel) as stream:
        entry = service.InstrumentEntry(instrument=request.instrument, listings=request.listings)
        answer = await stream.submit([entry], after_token=both.encode())
    assert answer.results[0].outcome == service.REGISTRATION_OUTCOME_UNCHANGED


@pytest.mark.parametrize("seconds", [1.0, 30.0])
async def test_a_venue_revision_that_never_comes_is_named_within_the_deadline(two: Two, seconds: float) -> None:
    await two.add_venue("XNAS")
    request = apple("ZZZZ")
    request.write.after_token = token_of(1_000_000)
    async with grpc.aio.insecure_channel(two.instrument.address) as channel:  # one that does not try again by itself
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rpc.InstrumentServiceStub(channel).RegisterInstrument(request, timeout=seconds)
    error = from_rpc_error(caught.value)
    assert isinstance(error, ConsistencyNotReached)
    assert (error.metadata["registry"], error.metadata["wanted"]) == ("venue", "1000000")
    assert "revision 1000000 of the venue registry" in error.message
    found = await two.instruments.LookupISIN(service.LookupISINRequest(isin=ISIN))
    assert found.result.outcome == common.LOOKUP_OUTCOME_NOT_FOUND


async def test_a_venue_registry_that_is_away_is_named_when_a_token_needs_it(two: Two) -> None:
    await two.add_venue("XNAS")
    await two.instruments.RegisterInstrument(apple("XNAS"))
    await two.venue_life.aclose()
    request = apple("XNAS")
    request.write.after_token = token_of(1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await two.instruments.RegisterInstrument(request, timeout=10)
    error = from_rpc_error(caught.value)
    assert isinstance(error, Unavailable)
    assert error.metadata["registry"] == "venue"
    # What this registry alone wrote needs nobody else.
    request.write.after_token = RevisionToken(instrument=1).encode()
    assert (await two.instruments.RegisterInstrument(request)).entry.listings


async def test_a_list_by_a_venue_that_does_not_exist_is_refused_and_not_empty(two: Two) -> None:
    await two.add_venue("XNAS")
    await two.instruments.RegisterInstrument(apple("XNAS"))
    for call, field in (
        (lambda v: two.instruments.ListListings(service.ListListingsRequest(venues=v)), "venues[1]"),
        (
            lambda v: two.instruments.ListInstruments(
                service.ListInstrumentsRequest(filter=service.InstrumentFilter(venues=v))
            ),
            "filter.venues[1]",
        ),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(["XNAS", "XYYY"])
        error = from_rpc_error(caught.value)
        assert [(one.field, one.value, one.rule) for one in error.violations] == [(field, "XYYY", "venue-exists")]
    # Reads go on while the venue registry is away: the code is then taken as it is.
    await two.venue_life.aclose()
    answer = await two.instruments.ListListings(service.ListListingsRequest(venues=["XNAS", "XYYY"]))
    assert [one.symbol for one in answer.listings] == ["AAPL"]


async def test_a_venue_that_does_not_exist_is_told_with_all_else_that_is_wrong(two: Two) -> None:
    await two.add_venue("XNAS")
    request = apple("XNAS", "XQQQ", "x lon", "XPPP")
    request.instrument.name = " "
    request.instrument.identifiers[0].value = "US0378331006"
    request.listings[3].currency = "usd"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await two.instruments.RegisterInstrument(request)
    error = from_rpc_error(caught.value)
    assert isinstance(error, InvalidArgument)
    assert {(one.field, one.rule) for one in error.violations} == {
        ("instrument.name", "required"),
        ("instrument.identifiers[0].value", "isin-check-digit"),
        ("listings[1].venue", "venue-exists"),
        ("listings[2].venue", "venue-format"),
        ("listings[3].venue", "venue-exists"),
        ("listings[3].currency", "currency-code"),
    }
