"""How much of an answer is given: all of it, or ids."""

from __future__ import annotations

from typing import Any, Final

from alphapulse.domain.outcomes import LookupView
from registry_service.instrument.convert import service, wire

IDS_ALONE: Final = service.LookupOptions(view=service.LOOKUP_VIEW_IDS)
"""The options of a look-up that asks for ids and for nothing else."""
_ALONE: Final = {
    b"": LookupView.FULL,
    service.LookupOptions(view=service.LOOKUP_VIEW_FULL).SerializeToString(): LookupView.FULL,
    IDS_ALONE.SerializeToString(): LookupView.IDS,
}


def view_alone(request: Any) -> LookupView | None:
    """The view of a request whose options say nothing else; None for all other options."""
    return _ALONE.get(request.options.SerializeToString())


def brief(body: bytes) -> bytes:
    """An answer as LookupView.IDS has it, of one as FULL has it; each is `tag, length, LookupResult` of field 1."""
    response = service.BatchLookupResponse.FromString(body)
    entries = [entry for result in response.results for entry in result.entries]
    if not entries:
        return body
    for entry in entries:
        held = entry.instrument
        named = wire.Instrument(instrument_id=held.instrument_id, asset_class=held.asset_class, status=held.status)
        entry.CopyFrom(service.InstrumentEntry(instrument=named, listings=[_named(one) for one in entry.listings]))
    return response.SerializeToString()


def _named(one: wire.Listing) -> wire.Listing:
    return wire.Listing(listing_id=one.listing_id, listing_key=one.listing_key, venue=one.venue, symbol=one.symbol)
