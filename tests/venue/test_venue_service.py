"""The venue service as a client sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.venue.v1 import venue_pb2 as wire
from alphapulse.api.venue.v1 import venue_service_pb2 as service
from alphapulse.api.venue.v1 import venue_service_pb2_grpc as rpc
from alphapulse.client.errors import from_rpc_error
from alphapulse.domain import errors

Stub = rpc.VenueServiceStub
LATEST = common.ReadOptions(latest=True)


def nasdaq(**changes: object) -> wire.Venue:
    fields: dict[str, object] = {
        "code": "XNAS",
        "mic": "XNAS",
        "operating_mic": "XNAS",
        "mic_level": wire.MIC_LEVEL_OPERATING,
        "name": "Nasdaq - all markets",
        "type": wire.VENUE_TYPE_EXCHANGE,
        "country": "US",
        "calendar": "XNYS",
    }
    return wire.Venue(**{**fields, **changes})  # type: ignore[arg-type]


def segment(code: str, operator: str = "XNAS", **changes: object) -> wire.Venue:
    fields = {"code": code, "mic": code, "operating_mic": operator, "mic_level": wire.MIC_LEVEL_SEGMENT}
    return nasdaq(**{**fields, "calendar": "", **changes})


async def register(venues: Stub, *all_: wire.Venue, **write: Any) -> service.RegisterVenuesResponse:
    request = service.RegisterVenuesRequest(batch_id=7, venues=all_, write=common.WriteOptions(**write))
    call = venues.RegisterVenues(iter([request]))
    answers = [answer async for answer in call]
    assert len(answers) == 1
    return answers[0]


async def failing(call: Any) -> errors.AlphaPulseError:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def test_a_venue_is_registered_once(venues: Stub) -> None:
    first = await venues.RegisterVenue(service.RegisterVenueRequest(venue=nasdaq()))
    assert first.outcome == service.VENUE_REGISTRATION_OUTCOME_CREATED
    assert first.venue.status == wire.VENUE_STATUS_ACTIVE
    assert first.venue.etag
    again = await venues.RegisterVenue(service.RegisterVenueRequest(venue=nasdaq(source="another")))
    assert again.outcome == service.VENUE_REGISTRATION_OUTCOME_UNCHANGED
    assert again.venue == first.venue
    other = await venues.RegisterVenue(service.RegisterVenueRequest(venue=nasdaq(name="Other")))
    assert other.outcome == service.VENUE_REGISTRATION_OUTCOME_EXISTS
    assert other.venue.name == "Nasdaq - all markets"
    told = [(one.field, one.held, one.sent) for one in other.differences]
    assert told == [("venue.name", "Nasdaq - all markets", "Other")]
    assert not again.differences
    less = await register(venues, nasdaq(calendar="", website="https://example.org"))
    told = [(one.field, one.held, one.sent) for one in less.results[0].differences]
    assert told == [("venues[0].website", "", "https://example.org"), ("venues[0].calendar", "XNYS", "")]
    read = common.ReadOptions(at_least_as_fresh=first.revision_token)
    assert (await venues.GetVenue(service.GetVenueRequest(code="XNAS", read=read))).venue == first.venue


async def test_a_bad_venue_is_refused_with_all_its_faults(venues: Stub) -> None:
    request = service.RegisterVenueRequest(venue=nasdaq(country="XX", time_zone="Nowhere", name=""))
    error = await failing(venues.RegisterVenue(request))
    assert isinstance(error, errors.InvalidArgument)
    assert {violation.field for violation in error.violations} == {"venue.country", "venue.time_zone", "venue.name"}


async def test_one_bad_item_among_many_is_reported_and_the_rest_served(venues: Stub) -> None:
    batch = [segment(f"X{number:03}") for number in range(1000)]
    batch[500].country = "XX"
    answer = await register(venues, *batch)
    assert answer.batch_id == 7
    refused = [at for at, one in enumerate(answer.results) if one.outcome == 4]
    assert refused == [500]
    assert answer.results[500].error.violations[0].field == "venues[500].country"
    listed = await venues.ListVenues(service.ListVenuesRequest(page_size=1, read=LATEST))
    assert listed.total_size == 999


async def test_the_same_code_twice_in_a_batch(venues: Stub) -> None:
    answer = await register(venues, nasdaq(), nasdaq(), nasdaq(name="Other"))
    assert [one.outcome for one in answer.results] == [1, 3, 2]


async def test_a_repeated_request_id_answers_alike_and_another_body_is_refused(venues: Stub) -> None:
    first = await register(venues, nasdaq(), request_id="r1")
    assert (await register(venues, nasdaq(), request_id="r1")) == first
    error = await failing(register(venues, nasdaq(name="Other"), request_id="r1"))
    assert isinstance(error, errors.RequestIdReused)


async def test_validate_only_writes_nothing(venues: Stub) -> None:
    write = common.WriteOptions(validate_only=True)
    answer = await venues.RegisterVenue(service.RegisterVenueRequest(venue=nasdaq(), write=write))
    assert answer.outcome == service.VENUE_REGISTRATION_OUTCOME_CREATED
    assert isinstance(
        await failing(venues.GetVenue(service.GetVenueRequest(code="XNAS", read=LATEST))), errors.NotFound
    )


async def test_an_update_changes_the_named_fields_alone(venues: Stub) -> None:
    created = (await venues.RegisterVenue(service.RegisterVenueRequest(venue=nasdaq()))).venue
    request = service.UpdateVenueRequest(venue=wire.Venue(code="XNAS", city="New York"))
    request.update_mask.paths.append("city")
    request.write.etag = created.etag
    updated = (await venues.UpdateVenue(request)).venue
    assert (updated.city, updated.name) == ("New York", created.name)
    assert updated.revision > created.revision
    assert updated.create_time == created.create_time
    stale = await failing(venues.UpdateVenue(request))
    assert isinstance(stale, errors.StaleEtag)
    assert stale.metadata["current_etag"] == updated.etag
    request.write.etag = ""
    assert (await venues.UpdateVenue(request)).venue == updated


@pytest.mark.parametrize("path", ["code", "mic", "etag", "nothing", "endpoints.url", ""])
async def test_an_update_of_what_cannot_change_is_refused(venues: Stub, path: str) -> None:
    await register(venues, nasdaq())
    request = service.UpdateVenueRequest(venue=nasdaq())
    request.update_mask.paths.append(path)
    error = await failing(venues.UpdateVenue(request))
    assert [violation.rule for violation in error.violations] == ["mask-field"]


async def test_lists_filter_and_pages_are_pinned_to_a_revision(venues: Stub) -> None:
    await register(venues, *(segment(f"X{number:03}", country="US" if number % 2 else "GB") for number in range(25)))
    request = service.ListVenuesRequest(filter=service.VenueFilter(countries=["US"]), page_size=5, read=LATEST)
    page = await venues.ListVenues(request)
    codes = [venue.code for venue in page.venues]
    await register(venues, segment("X000", country="US"), segment("XZZZ", country="US"))
    while page.next_page_token:
        request.page_token = page.next_page_token
        page = await venues.ListVenues(request)
        codes += [venue.code for venue in page.venues]
    assert codes == [f"X{number:03}" for number in range(1, 25, 2)]
    assert page.total_size == 12
    request.filter.countries.append("GB")
    assert isinstance(await failing(venues.ListVenues(request)), errors.PageTokenInvalid)
    request.page_size = 5000
    assert isinstance(await failing(venues.ListVenues(request)), errors.InvalidArgument)


async def test_a_name_with_a_typo_is_found(venues: Stub) -> None:
    await register(venues, nasdaq(), segment("XLON", "XLOP", name="London Stock Exchange"))
    hits = (await venues.SearchVenues(service.SearchVenuesRequest(query="London Stok Exchnge"))).hits
    assert hits[0].venue.code == "XLON"
    assert 0 < hits[0].score <= 1
    assert isinstance(
        await failing(venues.SearchVenues(service.SearchVenuesRequest(query=" "))), errors.InvalidArgument
    )


async def test_a_mic_is_looked_up(venues: Stub) -> None:
    expired = segment("XEXP", status=wire.VENUE_STATUS_EXPIRED)
    code_only = wire.Venue(code="MEXC", name="MEXC", type=wire.VENUE_TYPE_CRYPTO_EXCHANGE)
    await register(venues, nasdaq(), segment("XNGS"), expired, code_only)

    async def look(mic: str) -> service.LookupMICResponse:
        return await venues.LookupMIC(service.LookupMICRequest(mic=mic))

    found = await look(" xnas ")
    assert found.outcome == common.LOOKUP_OUTCOME_RESOLVED
    assert [venue.code for venue in found.segments] == ["XEXP", "XNGS"]
    assert (await look("XEXP")).outcome == common.LOOKUP_OUTCOME_RETIRED
    assert (await look("XXXX")).outcome == common.LOOKUP_OUTCOME_NOT_FOUND
    assert (await look("MEXC")).outcome == common.LOOKUP_OUTCOME_NOT_FOUND
    invalid = await look("X-AS")
    assert invalid.outcome == common.LOOKUP_OUTCOME_INVALID
    assert invalid.violation.rule == "mic-format"


async def test_a_look_up_sees_a_later_segment(venues: Stub) -> None:
    await register(venues, nasdaq())
    request = service.LookupMICRequest(mic="XNAS")
    assert not (await venues.LookupMIC(request)).segments
    token = (await register(venues, segment("XNGS"))).revision_token
    request.read.at_least_as_fresh = token
    assert [venue.code for venue in (await venues.LookupMIC(request)).segments] == ["XNGS"]


async def test_a_batch_answers_in_order(venues: Stub) -> None:
    await register(venues, nasdaq(), segment("XEXP", status=wire.VENUE_STATUS_EXPIRED))
    codes = ["XEXP", "?", "NOBODY", "XNAS", "XNAS"]
    results = (await venues.BatchGetVenues(service.BatchGetVenuesRequest(codes=codes, read=LATEST))).results
    assert [one.outcome for one in results] == [3, 6, 5, 1, 1]
    assert results[3].venue.code == "XNAS"


async def test_a_watch_gives_a_snapshot_then_every_change_and_resumes(venues: Stub) -> None:
    await register(venues, nasdaq())
    call = venues.WatchVenues(service.WatchVenuesRequest())
    events = aiter(call)
    assert [venue.code for venue in (await anext(events)).snapshot.venues] == ["XNAS"]
    bookmark = (await anext(events)).bookmark
    assert bookmark.snapshot_complete
    await register(venues, segment("XNGS"), actor="someone", request_id="r9")
    change = (await anext(events)).changes.changes[0]
    assert (change.kind, change.venue.code) == (common.CHANGE_KIND_CREATED, "XNGS")
    assert (change.actor, change.request_id) == ("someone", "r9")
    call.cancel()
    resumed = venues.WatchVenues(service.WatchVenuesRequest(resume_token=bookmark.resume_token))
    async with asyncio.timeout(10):
        first = await anext(aiter(resumed))
    assert [one.venue.code for one in first.changes.changes] == ["XNGS"]
    resumed.cancel()


async def test_history_is_newest_first_with_what_was_before(venues: Stub) -> None:
    await register(venues, nasdaq())
    for status in (wire.VENUE_STATUS_HALTED, wire.VENUE_STATUS_EXPIRED):
        request = service.UpdateVenueRequest(venue=nasdaq(status=status))
        request.update_mask.paths.append("status")
        await venues.UpdateVenue(request)
    page = await venues.GetVenueHistory(service.GetVenueHistoryRequest(code="XNAS", page_size=2))
    assert [one.kind for one in page.changes] == [common.CHANGE_KIND_RETIRED, common.CHANGE_KIND_UPDATED]
    assert page.changes[0].previous.status == wire.VENUE_STATUS_HALTED
    rest = service.GetVenueHistoryRequest(code="XNAS", page_size=2, page_token=page.next_page_token)
    last = await venues.GetVenueHistory(rest)
    assert [one.kind for one in last.changes] == [common.CHANGE_KIND_CREATED]
    assert not last.next_page_token
    error = await failing(venues.GetVenueHistory(service.GetVenueHistoryRequest(code="NOBODY")))
    assert isinstance(error, errors.NotFound)
