"""From an instrument to its venues: the listings are the instrument registry's, the venues are ours, and both have to agree."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from alphapulse.domain.errors import InvalidArgument
from registry_service.calls import violation_message
from registry_service.venue.convert import common, listing_wire, service, wire
from registry_service.venue.listings import Listings

ReadVenues = Callable[[Sequence[str]], Awaitable[dict[str, wire.Venue]]]
"""The venues of codes that exist, by code."""


async def instrument_venues(
    listings: Listings, request: service.LookupInstrumentVenuesRequest, read: ReadVenues
) -> service.LookupInstrumentVenuesResponse:
    """The venues of every listing of an instrument; one whose code we do not know is told, not left out.

    Raises InvalidArgument without an instrument, NotFound for an id nobody has, Unavailable, FailedPrecondition.
    """
    which = request.WhichOneof("instrument")
    if which == "isin":
        result = await listings.by_isin(request.isin, request.read)
        response = service.LookupInstrumentVenuesResponse(outcome=result.outcome)
        if result.HasField("violation"):
            response.violation.CopyFrom(result.violation)
        entries = list(result.entries)
    elif which == "instrument_id":
        response = service.LookupInstrumentVenuesResponse(outcome=common.LOOKUP_OUTCOME_RESOLVED)
        try:
            entries = [await listings.of_instrument(request.instrument_id, request.read)]
        except InvalidArgument as error:
            response.outcome = common.LOOKUP_OUTCOME_INVALID
            response.violation.CopyFrom(violation_message(error.violations[0]))
            return response
    else:
        raise InvalidArgument.field("instrument", "", "required", "an ISIN or the id of an instrument")
    response.instrument_ids.extend(entry.instrument.instrument_id for entry in entries)
    await _fill(response, entries, read, with_delisted=request.with_delisted)
    return response


async def _fill(
    response: service.LookupInstrumentVenuesResponse, entries: Sequence[Any], read: ReadVenues, *, with_delisted: bool
) -> None:
    by_code: dict[str, list[listing_wire.Listing]] = {}
    for entry in entries:
        for listing in entry.listings:
            if with_delisted or listing.status != listing_wire.LISTING_STATUS_DELISTED:
                by_code.setdefault(listing.venue, []).append(listing)
    venues = await read(sorted(by_code)) if by_code else {}
    for code in sorted(by_code):
        held = sorted(by_code[code], key=lambda one: one.listing_id)
        venue = venues.get(code)
        response.venues.add(venue=venue or wire.Venue(code=code), listings=held, registered=venue is not None)
