"""Look-ups: every outcome with its evidence, two time axes, preferences, freshness."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc as rpc
from alphapulse.domain import errors
from alphapulse.domain.revisions import RevisionToken

RESOLVED = common.LOOKUP_OUTCOME_RESOLVED
AMBIGUOUS = common.LOOKUP_OUTCOME_AMBIGUOUS
RETIRED = common.LOOKUP_OUTCOME_RETIRED
REUSED = common.LOOKUP_OUTCOME_REUSED
NOT_FOUND = common.LOOKUP_OUTCOME_NOT_FOUND
INVALID = common.LOOKUP_OUTCOME_INVALID


def stamp(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment.astimezone(UTC).replace(tzinfo=None))
    return message


def day(number: int) -> datetime:
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number)


async def update(registry, instrument, *paths, **write):
    request = service.UpdateInstrumentRequest(
        instrument=instrument, update_mask={"paths": list(paths)}, write=common.WriteOptions(**write)
    )
    return await registry.stub.UpdateInstrument(request)


async def update_listing(registry, listing, *paths, **write):
    request = service.UpdateListingRequest(
        listing=listing, update_mask={"paths": list(paths)}, write=common.WriteOptions(**write)
    )
    return await registry.stub.UpdateListing(request)


async def test_by_every_scheme(registry, entries):
    share = entries.equity(
        "GB0002634946",
        identifiers=[entries.identifier("SEDOL", "0263494"), entries.identifier("FIGI", "BBG000C8BZL5")],
    )
    apple = entries.equity("US0378331005", identifiers=[entries.identifier("CUSIP", "037833100")])
    await registry.register(share, entries.listing("XLON", "BA."))
    await registry.register(apple)
    stub = registry.stub
    found = [
        await stub.LookupISIN(service.LookupISINRequest(isin="GB0002634946")),
        await stub.LookupSEDOL(service.LookupSEDOLRequest(sedol="0263494")),
        await stub.LookupFIGI(service.LookupFIGIRequest(figi="BBG000C8BZL5")),
        await stub.LookupSymbol(service.LookupSymbolRequest(symbol="BA.", venue="XLON")),
        await stub.LookupSymbol(service.LookupSymbolRequest(symbol="BA.")),
    ]
    assert {one.result.outcome for one in found} == {RESOLVED}
    assert len({one.result.entries[0].instrument.instrument_id for one in found}) == 1
    by_cusip = await stub.LookupCUSIP(service.LookupCUSIPRequest(cusip="037833100"))
    assert by_cusip.result.entries[0].instrument.identifiers[0].value == "US0378331005"
    assert (await registry.isin(" us0378331005 ")).entries == by_cusip.result.entries


@pytest.mark.parametrize(
    ("isin", "rule"),
    [
        ("US0378331006", "isin-check-digit"),
        ("", "isin-length"),
        ("x" * 1_000_000, "isin-length"),
        ("QQ", "isin-length"),
    ],
)
async def test_invalid_is_an_answer_with_its_rule(registry, isin, rule):
    found = await registry.isin(isin)
    assert found.outcome == INVALID
    assert (found.violation.field, found.violation.rule) == ("isin", rule)
    assert len(found.violation.value) <= 200


@pytest.mark.parametrize("venue", ["nasdaq", "X NAS", "-XNAS", "X" * 33, "X/Y", "Ｘ"])
async def test_a_venue_that_cannot_be_is_told(registry, entries, venue):
    await registry.register(entries.equity(entries.isin(1)), entries.listing("XETR", "ONE"))
    request = service.LookupSymbolRequest(symbol="ONE", venue=venue)
    item = service.LookupItem(scheme=common.IDENTIFIER_SCHEME_EXCHANGE_SYMBOL, value="ONE", venue=venue)
    sound = service.LookupItem(scheme=common.IDENTIFIER_SCHEME_EXCHANGE_SYMBOL, value="ONE", venue="XETR")
    for _ in range(2):  # the second time with a warm cache
        found = (await registry.stub.LookupSymbol(request)).result
        assert (found.outcome, found.violation.field, found.violation.rule) == (INVALID, "venue", "venue-format")
        first, second = (await registry.stub.BatchLookup(service.BatchLookupRequest(items=[sound, item]))).results
        assert first.outcome == RESOLVED
        assert (second.outcome, second.violation.field) == (INVALID, "items[1].venue")
        assert second.violation.rule == "venue-format"


async def test_a_batch_of_mixed_schemes_in_order(registry, entries):
    isin = entries.isin(1)
    await registry.register(entries.equity(isin), entries.listing("XETR", "ONE"))
    item = service.LookupItem
    request = service.BatchLookupRequest(
        items=[
            item(scheme=common.IDENTIFIER_SCHEME_EXCHANGE_SYMBOL, value="ONE", venue="XETR"),
            item(scheme=common.IDENTIFIER_SCHEME_ISIN, value="DE0000000000"),
            item(scheme=99, value="x"),
            item(scheme=common.IDENTIFIER_SCHEME_EXCHANGE_SYMBOL, value="ONE", venue="XPAR"),
        ],
        scheme=common.IDENTIFIER_SCHEME_ISIN,
        values=[isin, entries.isin(2), isin],
    )
    first = await registry.stub.BatchLookup(request)
    assert [one.outcome for one in first.results] == [
        *(RESOLVED, INVALID, INVALID, NOT_FOUND),
        *(RESOLVED, NOT_FOUND, RESOLVED),
    ]
    assert first.results[1].violation.field == "items[1].value"
    assert first.results[2].violation.field == "items[2].scheme"
    assert await registry.stub.BatchLookup(request) == first
    fast = service.BatchLookupRequest(scheme=common.IDENTIFIER_SCHEME_ISIN, values=[isin, entries.isin(2), isin])
    assert list((await registry.stub.BatchLookup(fast)).results) == list(first.results[4:])


async def test_too_large_a_batch_and_values_without_scheme(registry):
    large = service.BatchLookupRequest(scheme=1, values=["x"] * 10_001)
    assert isinstance(await registry.refused(registry.stub.BatchLookup(large)), errors.InvalidArgument)
    unnamed = await registry.refused(registry.stub.BatchLookup(service.BatchLookupRequest(values=["x"])))
    assert unnamed.violations[0].field == "scheme"


async def test_a_reused_symbol_is_answered_by_date(registry, entries):
    old, new = entries.equity(entries.isin(3)), entries.equity(entries.isin(4))
    await registry.register(old, entries.listing("XETR", "R", valid_from=stamp(day(0)), valid_to=stamp(day(10))))
    gone = await registry.symbol("R", "XETR")
    assert gone.outcome == RETIRED
    assert gone.entries[0].instrument.name == old.name
    answer = await registry.register(new, entries.listing("XETR", "R"))
    assert answer.outcome == service.REGISTRATION_OUTCOME_CREATED
    found = await registry.symbol("R", "XETR")
    assert found.outcome == REUSED
    assert len(found.entries) == 2
    assert [(one.valid_from.seconds, one.valid_to.seconds) for one in found.spans] == [
        (int(day(0).timestamp()), int(day(10).timestamp())),
        (int(day(10).timestamp()), 0),
    ]
    then = await registry.symbol("R", "XETR", as_of=stamp(day(5)))
    now = await registry.symbol("R", "XETR", as_of=stamp(day(20)))
    before = await registry.symbol("R", "XETR", as_of=stamp(day(-5)))
    assert (then.outcome, now.outcome, before.outcome) == (RESOLVED, RESOLVED, NOT_FOUND)
    assert then.entries[0].instrument.identifiers[0].value == entries.isin(3)
    assert now.entries[0].instrument.identifiers[0].value == entries.isin(4)
    assert "known from" in before.explanation


async def test_known_at_does_not_change_with_a_later_correction(registry, entries):
    first = await registry.register(entries.equity(entries.isin(5)))
    known = first.entry.instrument.update_time
    corrected = wire.Instrument(
        instrument_id=first.entry.instrument.instrument_id,
        name="Corrected",
        identifiers=[entries.identifier("ISIN", entries.isin(6))],
    )
    answer = await update(registry, corrected, "name", "identifiers")
    assert answer.instrument.update_time.ToNanoseconds() > known.ToNanoseconds()
    assert (await registry.isin(entries.isin(5))).outcome == NOT_FOUND
    assert (await registry.isin(entries.isin(6))).outcome == RESOLVED
    earlier = await registry.isin(entries.isin(5), known_at=known)
    assert earlier.outcome == RESOLVED
    assert earlier.entries[0].instrument.name == "Some company"
    assert (await registry.isin(entries.isin(6), known_at=known)).outcome == NOT_FOUND
    read = service.GetInstrumentRequest(instrument_id=corrected.instrument_id, known_at=known)
    assert (await registry.stub.GetInstrument(read)).entry.instrument == first.entry.instrument
    assert (await registry.isin(entries.isin(5), known_at=stamp(day(0)))).outcome == NOT_FOUND


async def test_a_retired_instrument_names_its_successor(registry, entries):
    old = await registry.register(entries.equity(entries.isin(7)))
    new = await registry.register(entries.equity(entries.isin(8)))
    successor = new.entry.instrument.instrument_id
    retired = wire.Instrument(
        instrument_id=old.entry.instrument.instrument_id,
        status=wire.INSTRUMENT_STATUS_RETIRED,
        successor_ids=[successor],
    )
    await update(registry, retired, "status", "successor_ids")
    found = await registry.isin(entries.isin(7))
    assert (found.outcome, list(found.successor_ids)) == (RETIRED, [successor])
    then = await registry.isin(entries.isin(7), as_of=stamp(day(0)))
    assert then.outcome == RESOLVED


async def test_an_answer_that_time_changes_is_not_kept(registry, entries):
    end = datetime.now(UTC) + timedelta(seconds=1)
    await registry.register(entries.equity(entries.isin(9)), entries.listing("XETR", "T", valid_to=stamp(end)))
    assert (await registry.symbol("T", "XETR")).outcome == RESOLVED
    async with asyncio.timeout(20):
        while (await registry.symbol("T", "XETR")).outcome == RESOLVED:
            assert datetime.now(UTC) < end + timedelta(seconds=5)
    assert datetime.now(UTC) >= end
    assert (await registry.symbol("T", "XETR")).outcome == RETIRED


async def test_preferences_between_listings_say_which_rule_decided(registry, entries):
    await registry.register(
        entries.equity(entries.isin(10)), entries.listing("XETR", "P", primary=True), entries.listing("XPAR", "P")
    )
    await registry.register(entries.equity(entries.isin(11)), entries.listing("XLON", "P"))
    assert (await registry.symbol("P")).outcome == AMBIGUOUS
    chosen = await registry.symbol("P", preferred_venues=["XMIL", "XLON", "XPAR"])
    assert chosen.outcome == RESOLVED
    assert chosen.entries[0].instrument.identifiers[0].value == entries.isin(11)
    assert "preferred_venues[1] XLON" in chosen.explanation
    primary = await registry.isin(entries.isin(10), primary_only=True)
    assert [one.venue for one in primary.entries[0].listings] == ["XETR"]
    assert "primary_only: 1 of 2" in primary.explanation


async def test_a_reader_with_the_token_of_a_write_sees_it(registry, entries):
    created = await registry.register(entries.equity(entries.isin(12)), entries.listing("XETR", "V"))
    held = created.entry.listings[0]
    assert (await registry.isin(entries.isin(12))).entries[0].listings[0].status == wire.LISTING_STATUS_TRADING
    for round_number in range(20):
        status = (wire.LISTING_STATUS_HALTED, wire.LISTING_STATUS_TRADING)[round_number % 2]
        changed = wire.Listing(listing_id=held.listing_id, status=status)
        answer = await update_listing(registry, changed, "status")
        read = common.ReadOptions(at_least_as_fresh=answer.revision_token)
        found = await registry.isin(entries.isin(12), read=read)
        assert found.entries[0].listings[0].status == status
        assert found.entries[0].listings[0].definition_version == 2 + round_number
        got = await registry.stub.GetInstrument(
            service.GetInstrumentRequest(instrument_id=held.instrument_id, read=read)
        )
        assert got.entry == found.entries[0]
        latest = await registry.symbol("V", "XETR", read=common.ReadOptions(latest=True))
        assert latest.entries[0] == found.entries[0]


async def test_a_token_from_the_future_is_not_answered(registry, entries):
    read = common.ReadOptions(at_least_as_fresh=RevisionToken(instrument=1_000_000).encode())
    request = service.LookupISINRequest(isin=entries.isin(1), options=service.LookupOptions(read=read))
    async with grpc.aio.insecure_channel(registry.address) as channel:  # one that does not try again by itself
        error = await registry.refused(rpc.InstrumentServiceStub(channel).LookupISIN(request))
    assert isinstance(error, errors.ConsistencyNotReached)
    assert error.metadata == {"wanted": "1000000", "reached": "0"}
    retried = await registry.refused(registry.isin(entries.isin(1), read=read))  # within its deadline, tries and all
    assert isinstance(retried, errors.ConsistencyNotReached)
    written = await registry.refused(
        registry.register(entries.equity(entries.isin(1)), after_token=read.at_least_as_fresh)
    )
    assert isinstance(written, errors.ConsistencyNotReached)
    damaged = await registry.refused(registry.isin(entries.isin(1), read=common.ReadOptions(at_least_as_fresh="x")))
    assert isinstance(damaged, errors.ResumeTokenInvalid)


async def test_updates_keep_identity_etag_and_rules(registry, entries):
    created = await registry.register(entries.equity(entries.isin(13)), entries.listing("XETR", "U"))
    held, listing = created.entry.instrument, created.entry.listings[0]
    named = wire.Instrument(instrument_id=held.instrument_id, name="New name")
    changed = await update(registry, named, "name", etag=held.etag)
    assert changed.instrument.name == "New name"
    assert changed.instrument.etag != held.etag
    assert isinstance(await registry.refused(update(registry, named, "name", etag=held.etag)), errors.StaleEtag)
    assert (await update(registry, named, "name")).instrument == changed.instrument
    for paths in ((), ("identity_text",), ("equity.nothing",), ("source",)):
        error = await registry.refused(update(registry, named, *paths))
        assert error.violations[0].field == "update_mask"
    rules = wire.Listing(
        listing_id=listing.listing_id, rules=wire.TradingRules(tick_size=common.Decimal(mantissa=-1, exponent=-2))
    )
    error = await registry.refused(update_listing(registry, rules, "rules"))
    assert error.violations[0].field == "listing.rules.tick_size"
    unknown = wire.Listing(listing_id="0" * 15 + "1" * 17, status=1)
    assert isinstance(await registry.refused(update_listing(registry, unknown, "status")), errors.NotFound)


async def test_an_identity_field_is_not_updated(registry, entries):
    for code in ("BTC", "ETH", "USDT"):
        await registry.register(entries.coin(code))
    pair = await registry.register(entries.pair("BTC", "USDT"))
    changed = wire.Instrument(instrument_id=pair.entry.instrument.instrument_id)
    changed.spot_pair.base_id = entries.coin_id("ETH").hex
    error = await registry.refused(update(registry, changed, "spot_pair.base_id"))
    assert error.violations[0].rule == "identity-field"


async def test_an_identifier_of_another_is_not_taken_by_an_update(registry, entries):
    await registry.register(entries.equity(entries.isin(14)))
    own = await registry.register(entries.equity(entries.isin(15)))
    greedy = wire.Instrument(
        instrument_id=own.entry.instrument.instrument_id,
        identifiers=[entries.identifier("ISIN", entries.isin(14))],
    )
    assert isinstance(await registry.refused(update(registry, greedy, "identifiers")), errors.Collision)
    assert (await registry.isin(entries.isin(14))).outcome == RESOLVED


async def test_a_delisted_symbol_is_free_for_another(registry, entries):
    first = await registry.register(entries.equity(entries.isin(16)), entries.listing("XETR", "D"))
    listing = first.entry.listings[0]
    gone = wire.Listing(listing_id=listing.listing_id, status=wire.LISTING_STATUS_DELISTED)
    answer = await update_listing(registry, gone, "status")
    assert answer.listing.HasField("valid_to")
    assert (await registry.symbol("D", "XETR")).outcome == RETIRED
    second = await registry.register(entries.equity(entries.isin(17)), entries.listing("XETR", "D"))
    assert second.outcome == service.REGISTRATION_OUTCOME_CREATED
    assert (await registry.symbol("D", "XETR")).outcome == REUSED
    back = wire.Listing(listing_id=listing.listing_id, status=wire.LISTING_STATUS_TRADING)
    assert isinstance(await registry.refused(update_listing(registry, back, "status")), errors.Collision)
    await update_listing(registry, wire.Listing(listing_id=second.entry.listings[0].listing_id, status=4), "status")
    returned = await update_listing(registry, back, "status")
    assert not returned.listing.HasField("valid_to")
    assert (await registry.symbol("D", "XETR", as_of=stamp(datetime.now(UTC)))).outcome == RESOLVED


async def test_a_venue_with_a_slash_is_invalid_whatever_is_cached(registry, entries):
    await registry.register(entries.equity(entries.isin(1)), entries.listing("KRKN", "XBT/USD"))
    for _ in range(2):
        assert (await registry.symbol("USD", "KRKN/XBT")).outcome == common.LOOKUP_OUTCOME_INVALID
        assert (await registry.symbol("XBT/USD", "KRKN")).outcome == common.LOOKUP_OUTCOME_RESOLVED


async def test_preferences_pass_over_listings_that_ended(registry, entries):
    isin = entries.isin(1)
    held = await registry.register(
        entries.equity(isin), entries.listing("XETR", "AAA", primary=True), entries.listing("XPAR", "AAA")
    )
    ended = next(one for one in held.entry.listings if one.venue == "XETR")
    before = stamp(datetime.now(UTC))
    gone = wire.Listing(listing_id=ended.listing_id, status=wire.LISTING_STATUS_DELISTED)
    await update_listing(registry, gone, "status")
    found = await registry.isin(isin, preferred_venues=["XETR", "XPAR"])
    assert [one.venue for one in found.entries[0].listings] == ["XPAR"]
    found = await registry.isin(isin, primary_only=True)
    assert "no listing in force" in found.explanation
    found = await registry.isin(isin, primary_only=True, as_of=before)
    assert [one.venue for one in found.entries[0].listings] == ["XETR"]


async def test_as_of_holds_for_what_an_answer_shows(registry, entries):
    isin, start = entries.isin(1), stamp(datetime(2024, 1, 1, tzinfo=UTC))
    tag = entries.identifier("OWN", "tag", valid_from=start)
    await registry.register(entries.equity(isin, identifiers=[tag]), entries.listing("XETR", "AAA", valid_from=start))
    for year in (2019, 2025):
        as_of = stamp(datetime(year, 1, 1, tzinfo=UTC))
        (entry,) = (await registry.isin(isin, as_of=as_of)).entries
        wanted = service.GetInstrumentRequest(instrument_id=entry.instrument.instrument_id, as_of=as_of)
        assert (await registry.stub.GetInstrument(wanted)).entry == entry
        assert len(entry.listings) == (year == 2025)


async def test_a_later_change_does_not_move_the_retirement(registry, entries):
    isin = entries.isin(1)
    held = (await registry.register(entries.equity(isin))).entry.instrument
    before = stamp(datetime.now(UTC))
    retired = wire.Instrument(instrument_id=held.instrument_id, status=wire.INSTRUMENT_STATUS_RETIRED)
    then = (await update(registry, retired, "status")).instrument.update_time
    await update(registry, wire.Instrument(instrument_id=held.instrument_id, name="Renamed"), "name")
    assert (await registry.isin(isin, as_of=then)).outcome == RETIRED
    assert (await registry.isin(isin, as_of=before)).outcome == RESOLVED
