"""Status changes that name the listings affected, and the ways between venues and instruments."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as listing_wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as listing_service
from alphapulse.api.venue.v1 import venue_pb2 as wire
from alphapulse.api.venue.v1 import venue_service_pb2 as service
from alphapulse.api.venue.v1 import venue_service_pb2_grpc as rpc
from alphapulse.client.errors import from_rpc_error
from alphapulse.domain import errors
from alphapulse.domain.identifiers import Isin
from alphapulse.domain.revisions import RevisionToken

LATEST = common.ReadOptions(latest=True)


async def failing(call: Any) -> errors.AlphaPulseError:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def add(venues: rpc.VenueServiceStub, *codes: str, **fields: Any) -> None:
    for code in codes:
        venue = wire.Venue(code=code, name=code, type=wire.VENUE_TYPE_CRYPTO_EXCHANGE, **fields)
        await venues.RegisterVenue(service.RegisterVenueRequest(venue=venue))


def halt(code: str = "ALPHA", **fields: Any) -> service.SetVenueStatusRequest:
    fields = {"status": wire.VENUE_STATUS_HALTED, "reason": "the matching engine stopped", **fields}
    return service.SetVenueStatusRequest(code=code, **fields)


async def test_a_halt_names_every_listing_and_is_one_change_in_the_watch(both: Any) -> None:
    await add(both.venues, "ALPHA", "BETA")
    _, first = await both.pair({"ALPHA": {}, "BETA": {}})
    _, second = await both.pair({"ALPHA": {}}, "ETH")
    delisted = {"status": listing_wire.LISTING_STATUS_DELISTED}
    await both.pair({"ALPHA": delisted}, "DOGE")
    watch = both.venues.WatchVenues(service.WatchVenuesRequest(skip_snapshot=True))
    assert (await watch.read()).bookmark.snapshot_complete
    answer = await both.venues.SetVenueStatus(halt())
    assert list(answer.affected_listing_ids) == sorted([first["ALPHA"], second["ALPHA"]])
    assert (answer.affected_count, answer.affected_complete) == (2, True)
    assert RevisionToken.decode(answer.listings_token, "token").instrument > 0
    assert answer.venue.status == wire.VENUE_STATUS_HALTED
    assert answer.venue.status_reason == "the matching engine stopped"
    change = (await watch.read()).changes.changes[0]
    assert change.venue == answer.venue
    assert change.previous.status == wire.VENUE_STATUS_ACTIVE
    assert change.venue.status_time.ToNanoseconds() > change.previous.status_time.ToNanoseconds()
    watch.cancel()
    # The same again changes nothing; an update of the status takes the reason away, which was that of the status before.
    again = await both.venues.SetVenueStatus(halt())
    assert again.venue == answer.venue
    update = service.UpdateVenueRequest(venue=wire.Venue(code="ALPHA", status=wire.VENUE_STATUS_ACTIVE))
    update.update_mask.paths.append("status")
    assert (await both.venues.UpdateVenue(update)).venue.status_reason == ""


async def test_write_options_of_a_status_change(both: Any) -> None:
    await add(both.venues, "ALPHA")
    _, ids = await both.pair({"ALPHA": {}})
    dry = await both.venues.SetVenueStatus(halt(write=common.WriteOptions(validate_only=True)))
    assert list(dry.affected_listing_ids) == [ids["ALPHA"]]
    venue = (await both.venues.GetVenue(service.GetVenueRequest(code="ALPHA", read=LATEST))).venue
    assert venue.status == wire.VENUE_STATUS_ACTIVE
    stale = await failing(both.venues.SetVenueStatus(halt(write=common.WriteOptions(etag="0"))))
    assert isinstance(stale, errors.StaleEtag)
    write = common.WriteOptions(request_id="halt-1", actor="ops", etag=venue.etag)
    first = await both.venues.SetVenueStatus(halt(write=write))
    await both.pair({"ALPHA": {}}, "ETH")
    assert await both.venues.SetVenueStatus(halt(write=write)) == first
    history = await both.venues.GetVenueHistory(service.GetVenueHistoryRequest(code="ALPHA"))
    assert (history.changes[0].actor, history.changes[0].request_id) == ("ops", "halt-1")
    assert isinstance(await failing(both.venues.SetVenueStatus(halt("NOBODY"))), errors.NotFound)


async def test_without_the_instrument_registry_a_status_changes_only_when_told_to(both: Any) -> None:
    await add(both.venues, "ALPHA")
    await both.stop_instruments()
    error = await failing(both.venues.SetVenueStatus(halt()))
    assert isinstance(error, errors.Unavailable)
    assert "allow_unknown_listings" in (error.hint or "")
    read = service.GetVenueRequest(code="ALPHA", read=LATEST)
    assert (await both.venues.GetVenue(read)).venue.status == wire.VENUE_STATUS_ACTIVE
    answer = await both.venues.SetVenueStatus(halt(allow_unknown_listings=True))
    assert (answer.affected_complete, answer.listings_token) == (False, "")
    assert (await both.venues.GetVenue(read)).venue.status == wire.VENUE_STATUS_HALTED


async def test_a_registry_that_knows_no_other_says_so(venues: rpc.VenueServiceStub) -> None:
    await add(venues, "ALPHA")
    calls = [
        venues.SetVenueStatus(halt()),
        venues.RankVenues(service.RankVenuesRequest(instrument_id="0" * 32)),
        venues.ListVenueListings(service.ListVenueListingsRequest(code="ALPHA")),
        venues.LookupInstrumentVenues(service.LookupInstrumentVenuesRequest(isin="US0378331005")),
    ]
    for call in calls:
        error = await failing(call)
        assert isinstance(error, errors.FailedPrecondition)
        assert "INSTRUMENT_REGISTRY_ADDRESS" in (error.hint or "") or "allow_unknown" in (error.hint or "")


async def test_every_fault_of_a_status_change_comes_at_once(venues: rpc.VenueServiceStub) -> None:
    error = await failing(venues.SetVenueStatus(service.SetVenueStatusRequest(code="?", status=99)))
    assert [(one.field, one.rule) for one in error.violations] == [
        ("code", "venue-code"),
        ("status", "enum-unknown"),
        ("reason", "required"),
    ]


async def test_from_a_venue_to_its_listings_in_pages(both: Any) -> None:
    await add(both.venues, "ALPHA", "BETA")
    wanted = sorted([(await both.pair({"ALPHA": {}, "BETA": {}}, base))[1]["ALPHA"] for base in ("BTC", "ETH", "SOL")])
    request = service.ListVenueListingsRequest(code="ALPHA", page_size=2, read=LATEST)
    page = await both.venues.ListVenueListings(request)
    assert page.total_size == 3
    found = [one.listing_id for one in page.listings]
    request.page_token = page.next_page_token
    found += [one.listing_id for one in (await both.venues.ListVenueListings(request)).listings]
    assert found == wanted
    assert isinstance(
        await failing(both.venues.ListVenueListings(service.ListVenueListingsRequest(code="NOBODY"))), errors.NotFound
    )


async def test_from_an_isin_to_its_venues_and_one_that_is_not_registered_is_told(both: Any) -> None:
    await add(both.venues, "ALPHA")
    isin = Isin.from_nsin("DE", "000000001").value
    share = listing_wire.Instrument(
        asset_class=common.ASSET_CLASS_EQUITY,
        name="Some company",
        source="test",
        equity=listing_wire.EquityDetails(currency="EUR"),
        identifiers=[listing_wire.IdentifierAssertion(scheme=common.IDENTIFIER_SCHEME_ISIN, value=isin)],
    )
    listings = [
        listing_wire.Listing(venue="ALPHA", symbol="SOME", currency="EUR"),
        listing_wire.Listing(venue="GONE", symbol="SOME", currency="EUR"),
        listing_wire.Listing(venue="OLD", symbol="SOME", currency="EUR", status=listing_wire.LISTING_STATUS_DELISTED),
    ]
    request = listing_service.RegisterInstrumentRequest(instrument=share, listings=listings)
    registered = await both.instruments.RegisterInstrument(request)
    by_isin = await both.venues.LookupInstrumentVenues(service.LookupInstrumentVenuesRequest(isin=isin, read=LATEST))
    assert by_isin.outcome == common.LOOKUP_OUTCOME_RESOLVED
    assert [(one.venue.code, one.registered) for one in by_isin.venues] == [("ALPHA", True), ("GONE", False)]
    assert by_isin.venues[0].venue.name == "ALPHA"
    assert list(by_isin.instrument_ids) == [registered.entry.instrument.instrument_id]
    by_id = await both.venues.LookupInstrumentVenues(
        service.LookupInstrumentVenuesRequest(instrument_id=by_isin.instrument_ids[0], with_delisted=True)
    )
    assert [one.venue.code for one in by_id.venues] == ["ALPHA", "GONE", "OLD"]
    invalid = await both.venues.LookupInstrumentVenues(service.LookupInstrumentVenuesRequest(isin="US0378331006"))
    assert invalid.outcome == common.LOOKUP_OUTCOME_INVALID
    assert invalid.violation.rule
    nobody = await both.venues.LookupInstrumentVenues(
        service.LookupInstrumentVenuesRequest(isin="US0378331005", read=LATEST)
    )
    assert nobody.outcome == common.LOOKUP_OUTCOME_NOT_FOUND
    assert isinstance(
        await failing(both.venues.LookupInstrumentVenues(service.LookupInstrumentVenuesRequest())),
        errors.InvalidArgument,
    )
