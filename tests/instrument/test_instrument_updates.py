"""Updates of instruments and listings, and registrations that contradict what is registered."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service


async def change(registry, instrument_id, **fields):
    """Updates the named fields of an instrument."""
    request = service.UpdateInstrumentRequest(
        instrument=wire.Instrument(instrument_id=instrument_id, **fields), update_mask=FieldMask(paths=list(fields))
    )
    return (await registry.stub.UpdateInstrument(request)).instrument


async def change_listing(registry, listing_id, **fields):
    """Updates the named fields of a listing."""
    request = service.UpdateListingRequest(
        listing=wire.Listing(listing_id=listing_id, **fields), update_mask=FieldMask(paths=list(fields))
    )
    return (await registry.stub.UpdateListing(request)).listing


def time(year):
    """The start of a year."""
    stamp = Timestamp()
    stamp.FromDatetime(datetime(year, 1, 1, tzinfo=UTC))
    return stamp


def rules_of(error):
    """(field, rule) of each violation."""
    return [(one.field, one.rule) for one in error.violations]


async def test_a_mask_with_the_status_needs_a_status(registry, entries):
    held = (await registry.register(entries.equity(entries.isin(1)))).entry.instrument
    await change(registry, held.instrument_id, status=wire.INSTRUMENT_STATUS_RETIRED)
    error = await registry.refused(change(registry, held.instrument_id, status=0))
    assert rules_of(error) == [("instrument.status", "required")]
    assert (await registry.isin(entries.isin(1))).outcome == common.LOOKUP_OUTCOME_RETIRED
