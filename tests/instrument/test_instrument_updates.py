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


async def test_a_symbol_gets_no_second_holder_by_a_longer_span(registry, entries):
    ended = await registry.register(entries.equity(entries.isin(1)), entries.listing("XETR", "AAA"))
    listing_id = ended.entry.listings[0].listing_id
    await change_listing(registry, listing_id, status=wire.LISTING_STATUS_DELISTED)
    taker = await registry.register(entries.equity(entries.isin(2)), entries.listing("XETR", "AAA"))
    error = await registry.refused(change_listing(registry, listing_id, valid_to=time(2040)))
    assert error.reason == "COLLISION"
    assert error.metadata["field"] == "listing.valid_to"
    again = await registry.register(
        entries.equity(entries.isin(1)), entries.listing("XETR", "AAA", valid_to=time(2040))
    )
    assert again.outcome == service.REGISTRATION_OUTCOME_COLLISION
    assert again.collision_case_id
    back = wire.LISTING_STATUS_TRADING
    error = await registry.refused(change_listing(registry, listing_id, status=back))
    assert error.metadata["holder"] == taker.entry.instrument.instrument_id
    earlier = change_listing(registry, taker.entry.listings[0].listing_id, valid_from=time(2019))
    assert (await registry.refused(earlier)).metadata["field"] == "listing.valid_from"
    found = await registry.symbol("AAA", "XETR", as_of=time(2030))
    assert found.outcome == common.LOOKUP_OUTCOME_RESOLVED
    assert found.entries[0].instrument.instrument_id == taker.entry.instrument.instrument_id


async def test_a_delisted_listing_keeps_its_end(registry, entries):
    held = await registry.register(entries.equity(entries.isin(1)), entries.listing("XETR", "AAA"))
    listing_id = held.entry.listings[0].listing_id
    await change_listing(registry, listing_id, status=wire.LISTING_STATUS_DELISTED)
    error = await registry.refused(change_listing(registry, listing_id, valid_to=None))
    assert rules_of(error) == [("listing.valid_to", "required")]
    gone = entries.listing("XPAR", "AAA", status=wire.LISTING_STATUS_DELISTED)
    new = await registry.register(entries.equity(entries.isin(2)), gone)
    assert new.entry.listings[0].HasField("valid_to")
    assert (await registry.symbol("AAA", "XPAR")).outcome == common.LOOKUP_OUTCOME_RETIRED


async def test_identifiers_that_are_the_same_write_nothing(registry, entries):
    held = (await registry.register(entries.equity(entries.isin(1)))).entry.instrument
    same = await change(registry, held.instrument_id, identifiers=held.identifiers)
    assert same == held


async def test_a_registration_takes_no_etag(registry, entries):
    equity = entries.equity(entries.isin(1))
    held = (await registry.register(equity)).entry.instrument
    error = await registry.refused(registry.register(equity, etag=held.etag))
    assert rules_of(error) == [("write.etag", "not-for-registrations")]
    batch = service.RegisterInstrumentsRequest(
        entries=[service.InstrumentEntry(instrument=equity)], write=common.WriteOptions(etag=held.etag)
    )
    error = await registry.refused(registry.stub.RegisterInstruments(iter([batch])).read())
    assert rules_of(error) == [("write.etag", "not-for-registrations")]


async def test_ids_that_were_not_minted_here_are_refused(registry, entries):
    equity, listing = entries.equity(entries.isin(1)), entries.listing("XETR", "AAA")
    equity.instrument_id, listing.listing_id = "11" * 16, "22" * 8
    error = await registry.refused(registry.register(equity, listing))
    assert rules_of(error) == [
        ("instrument.instrument_id", "minted-by-the-registry"),
        ("listings[0].listing_id", "minted-by-the-registry"),
    ]
    held = await registry.register(entries.equity(entries.isin(1)), entries.listing("XETR", "AAA"))
    again = await registry.register(held.entry.instrument, *held.entry.listings)
    assert again.outcome == service.REGISTRATION_OUTCOME_UNCHANGED


async def test_a_listing_in_another_currency_is_kept_in_a_case(registry, entries):
    isin = entries.isin(1)
    await registry.register(entries.equity(isin), entries.listing("XETR", "AAA"))
    other = await registry.register(entries.equity(isin), entries.listing("XETR", "AAA", currency="USD"))
    assert other.outcome == service.REGISTRATION_OUTCOME_COLLISION
    assert [one.currency for one in other.entry.listings] == ["EUR"]
    cases = await registry.stub.ListCollisionCases(service.ListCollisionCasesRequest())
    (case,) = cases.cases
    assert case.case_id == other.collision_case_id
    assert case.kind == wire.COLLISION_KIND_SAME_ID_TWO_ENTITIES
    assert [one.currency for one in case.challenger_listings] == ["USD"]
    again = await registry.register(entries.equity(isin, name="Some Company Inc"), entries.listing("XETR", "AAA"))
    assert again.outcome == service.REGISTRATION_OUTCOME_UNCHANGED
