"""Collision cases: each kind raised, listed, decided in each way that fits it, and what look-ups answer before and after."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client import CollectorRegistry

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service

CREATED = service.REGISTRATION_OUTCOME_CREATED
EXTENDED = service.REGISTRATION_OUTCOME_EXTENDED
UNCHANGED = service.REGISTRATION_OUTCOME_UNCHANGED
COLLISION = service.REGISTRATION_OUTCOME_COLLISION
RESOLVED = common.LOOKUP_OUTCOME_RESOLVED
AMBIGUOUS = common.LOOKUP_OUTCOME_AMBIGUOUS
RETIRED = common.LOOKUP_OUTCOME_RETIRED
REUSED = common.LOOKUP_OUTCOME_REUSED
MERGE = wire.COLLISION_RESOLUTION_MERGE
SPLIT = wire.COLLISION_RESOLUTION_SPLIT
KEEP_BOTH = wire.COLLISION_RESOLUTION_KEEP_BOTH
REJECT = wire.COLLISION_RESOLUTION_REJECT
ROOT = Path(__file__).resolve().parents[2]
LATEST = common.ReadOptions(latest=True)


def stamp(moment):
    message = Timestamp()
    message.FromDatetime(moment.replace(tzinfo=None))
    return message


def day(year, month=1, number=1):
    return stamp(datetime(year, month, number, tzinfo=UTC))


async def cases(registry, **wanted):
    return (await registry.stub.ListCollisionCases(service.ListCollisionCasesRequest(**wanted))).cases


async def case_of(registry, case_id):
    return (await registry.stub.GetCollisionCase(service.GetCollisionCaseRequest(case_id=case_id))).collision_case


async def resolve(registry, case_id, resolution, write=None, **fields):
    fields.setdefault("reason", "the prospectus says so")
    request = service.ResolveCollisionCaseRequest(
        case_id=case_id, resolution=resolution, write=common.WriteOptions(**{"actor": "ann", **(write or {})}), **fields
    )
    return await registry.stub.ResolveCollisionCase(request)


async def get(registry, instrument_id, **fields):
    request = service.GetInstrumentRequest(instrument_id=instrument_id, read=LATEST, **fields)
    return (await registry.stub.GetInstrument(request)).entry


def ids(found):
    return {one.instrument.instrument_id for one in found.entries}


def etf(entries, isin, name="Some company", **fields):
    message = entries.equity(isin, name=name, **fields)
    message.asset_class = common.ASSET_CLASS_ETF
    message.etf.currency = "EUR"
    return message


async def two_of_one_isin(registry, entries, isin, **fields):
    """A share, and a fund that claims its ISIN and is kept in a case."""
    share = await registry.register(entries.equity(isin, name="Alpha Works"), entries.listing("XETR", "ALP"))
    fund = await registry.register(etf(entries, isin, "Beta Fund", **fields), entries.listing("XPAR", "BET"))
    assert fund.outcome == COLLISION
    return share.entry.instrument.instrument_id, fund.collision_case_id


# --- kinds ----------------------------------------------------------------------------------------------------------------


async def test_same_id_two_entities_tells_who_holds_it_since_when_and_by_whom(registry, entries):
    isin = entries.isin(1)
    holder, case_id = await two_of_one_isin(registry, entries, isin)
    case = await case_of(registry, case_id)
    assert case.kind == wire.COLLISION_KIND_SAME_ID_TWO_ENTITIES
    (evidence,) = case.evidence
    assert (evidence.instrument_id, evidence.name, evidence.source) == (holder, "Alpha Works", "test")
    assert evidence.asset_class == common.ASSET_CLASS_EQUITY
    assert evidence.recorded_revision > 0
    assert case.challenger.name == "Beta Fund"
    assert [one.symbol for one in case.challenger_listings] == ["BET"]
    assert case.challenger_id not in ("", holder)
    assert isin in case.explanation


async def test_an_alias_of_another_is_shadowing(registry, entries):
    own, shared = entries.isin(2), entries.isin(3)
    other = (await registry.register(entries.equity(shared, name="Other Works"))).entry.instrument
    alias = entries.identifier("ISIN", shared)
    answer = await registry.register(entries.equity(own, name="Own Works", identifiers=[alias]))
    assert answer.outcome == COLLISION
    (case,) = await cases(registry, kinds=[wire.COLLISION_KIND_ALIAS_SHADOWING])
    assert case.case_id == answer.collision_case_id
    assert case.incumbent_ids == [other.instrument_id]
    assert case.identifier.value == shared


async def test_another_level_is_level_confusion(registry, entries):
    figi = "BBG000B9XRY4"
    held = entries.equity(entries.isin(4), name="Own Works")
    held.identifiers.append(entries.identifier("FIGI", figi, level=common.IDENTIFIER_LEVEL_COMPOSITE))
    await registry.register(held)
    other = etf(entries, entries.isin(5), "Beta Fund")
    other.identifiers.append(entries.identifier("FIGI", figi, level=common.IDENTIFIER_LEVEL_INSTRUMENT))
    assert (await registry.register(other)).outcome == COLLISION
    (case,) = await cases(registry, kinds=[wire.COLLISION_KIND_LEVEL_CONFUSION])
    assert case.evidence[0].level == common.IDENTIFIER_LEVEL_COMPOSITE


async def test_a_ticker_of_another_is_reuse(registry, entries):
    ticker = entries.identifier("TICKER", "ABC", venue="XNYS")
    await registry.register(entries.equity(entries.isin(6), identifiers=[ticker]))
    answer = await registry.register(entries.equity(entries.isin(7), identifiers=[ticker]))
    assert (answer.outcome, answer.entry.instrument.name) == (COLLISION, "Some company")
    (case,) = await cases(registry, kinds=[wire.COLLISION_KIND_TICKER_REUSE])
    assert case.challenger_id == answer.entry.instrument.instrument_id


async def test_a_clearly_different_name_is_kept_and_overwrites_nothing(registry, entries):
    isin = entries.isin(8)
    held = await registry.register(entries.equity(isin, name="Alpha Works AG"), entries.listing("XETR", "ALP"))
    answer = await registry.register(
        entries.equity(isin, name="Zeta Bakery plc", details={"country": "GB", "currency": "GBP"}),
        entries.listing("XETR", "ALP"),
        entries.listing("XLON", "ZET", currency="GBX"),
    )
    assert answer.outcome == COLLISION
    assert answer.entry == held.entry
    told = {(one.field, one.held, one.sent) for one in answer.differences}
    assert ("instrument.name", "Alpha Works AG", "Zeta Bakery plc") in told
    assert ("instrument.equity.currency", "EUR", "GBP") in told
    (case,) = await cases(registry, kinds=[wire.COLLISION_KIND_CHECKSUM_OK_NAME_MISMATCH])
    assert case.case_id == answer.collision_case_id
    assert {(one.field, one.held, one.sent) for one in case.differences} == told
    assert (await registry.isin(isin, read=LATEST)).explanation.endswith(f"collision case {case.case_id} is open")


async def corrected(registry, entries, wrong, right):
    """A share that was registered under another's ISIN, and given its own by a correction."""
    held = await registry.register(entries.equity(wrong, name="Alpine Works AG"), entries.listing("XETR", "ALW"))
    update = service.UpdateInstrumentRequest(
        instrument=wire.Instrument(
            instrument_id=held.entry.instrument.instrument_id, identifiers=[entries.identifier("ISIN", right)]
        )
    )
    update.update_mask.paths.append("identifiers")
    await registry.stub.UpdateInstrument(update)
    return held.entry.instrument.instrument_id


def preference(entries, isin):
    return entries.equity(isin, name="Alpine Works AG Pref"), entries.listing("XETR", "ALW3")


async def isins_of(registry, instrument_id):
    return [one.value for one in (await get(registry, instrument_id)).instrument.identifiers]


async def test_what_was_corrected_is_neither_undone_nor_taken_for_whoever_bears_it(registry, entries):
    wrong, right = entries.isin(40), entries.isin(41)
    held = await corrected(registry, entries, wrong, right)
    again = await registry.register(entries.equity(wrong, name="Alpine Works AG"), entries.listing("XETR", "ALW"))
    other = await registry.register(*preference(entries, wrong))
    assert (again.outcome, other.outcome) == (COLLISION, COLLISION)
    assert await isins_of(registry, held) == [right]
    assert [one.symbol for one in (await get(registry, held)).listings] == ["ALW"]
    assert (await registry.isin(wrong, read=LATEST)).outcome == common.LOOKUP_OUTCOME_NOT_FOUND
    case = await case_of(registry, other.collision_case_id)
    assert "was corrected since" in case.explanation

    decided = await resolve(registry, case.case_id, SPLIT, winner_id="challenger")
    (found,) = (await registry.isin(wrong, read=LATEST)).entries
    assert found.instrument.instrument_id != held
    assert [one.symbol for one in found.listings] == ["ALW3"]
    assert decided.collision_case.winner_id == found.instrument.instrument_id
    assert await isins_of(registry, held) == [right]
    sent_again = await registry.register(*preference(entries, wrong))
    assert sent_again.outcome == UNCHANGED
    assert sent_again.entry.instrument.instrument_id == found.instrument.instrument_id


@pytest.mark.parametrize(("resolution", "outcome", "borne"), [(MERGE, UNCHANGED, 2), (REJECT, COLLISION, 1)])
async def test_what_was_corrected_is_as_it_was_decided(registry, entries, resolution, outcome, borne):
    wrong, right = entries.isin(42), entries.isin(43)
    held = await corrected(registry, entries, wrong, right)
    old = entries.equity(wrong, name="Alpine Works AG")
    await resolve(registry, (await registry.register(old)).collision_case_id, resolution)
    assert (await registry.register(old)).outcome == outcome
    assert len(await isins_of(registry, held)) == borne


@pytest.mark.parametrize(
    "name", ["ALPHA WORKS AG", "Alpha Works", "Alphaworks SE", "ALP", "Alpha Wrks Holding", "ア株式会社"]
)
async def test_another_spelling_is_no_other_name(registry, entries, name):
    isin = entries.isin(9)
    await registry.register(entries.equity(isin, name="Alpha Works AG"), entries.listing("XETR", "ALP"))
    answer = await registry.register(entries.equity(isin, name=name), entries.listing("XETR", "ALP"))
    assert answer.outcome == UNCHANGED
    assert [(one.field, one.held, one.sent) for one in answer.differences] == [
        ("instrument.name", "Alpha Works AG", name)
    ]


async def test_two_coins_of_one_code_are_not_taken_for_one(registry, entries):
    uniswap, unicorn = entries.coin("UNI"), entries.coin("UNI")
    uniswap.name, unicorn.name = "Uniswap", "Unicorn Token"
    await registry.register(uniswap)
    assert (await registry.register(entries.coin("UNI"))).outcome == UNCHANGED  # the code alone says no other name
    assert (await registry.register(unicorn)).outcome == COLLISION
    (case,) = await cases(registry)
    assert case.kind == wire.COLLISION_KIND_CHECKSUM_OK_NAME_MISMATCH


async def test_the_same_security_known_by_another_identifier_is_extended(registry, entries):
    figi = entries.identifier("FIGI", "BBG000B9XRY4")
    first = entries.equity(entries.isin(10), name="Alpha Works AG", identifiers=[figi])
    held = (await registry.register(first)).entry.instrument
    second = entries.equity(entries.isin(10), name="Alpha Works Inc")
    del second.identifiers[:]
    second.identifiers.extend([figi, entries.identifier("CUSIP", "037833100")])
    answer = await registry.register(second, entries.listing("XPAR", "AWK"))
    assert answer.outcome == EXTENDED
    assert answer.entry.instrument.instrument_id == held.instrument_id
    assert not await cases(registry)
    third = entries.equity(entries.isin(11), name="Alpha Works Inc", identifiers=[figi])  # another ISIN: not the same
    assert (await registry.register(third)).outcome == COLLISION


# --- lists, counts --------------------------------------------------------------------------------------------------------


async def test_the_same_claim_is_counted_and_leaves_the_etag(registry, entries):
    isin = entries.isin(20)
    _, case_id = await two_of_one_isin(registry, entries, isin)
    before = await case_of(registry, case_id)
    for _ in range(3):
        again = await registry.register(etf(entries, isin, "Beta Fund"), entries.listing("XPAR", "BET"))
        assert (again.outcome, again.collision_case_id) == (COLLISION, case_id)
    after = await case_of(registry, case_id)
    assert (before.sightings, after.sightings) == (1, 4)
    assert after.etag == before.etag
    assert after.last_seen_time.ToNanoseconds() > before.last_seen_time.ToNanoseconds()
    await resolve(registry, case_id, REJECT, write={"etag": before.etag})
    await registry.register(etf(entries, isin, "Beta Fund"), entries.listing("XPAR", "BET"))
    assert (await case_of(registry, case_id)).sightings == 4  # what is decided is not counted on


async def test_cases_are_listed_by_state_and_kind_in_pages(registry, entries):
    for number in range(5):
        isin = entries.isin(30 + number)
        await registry.register(entries.equity(isin, name="Alpha Works"))
        await registry.register(etf(entries, isin, "Beta Fund"))
    every = await cases(registry)
    await resolve(registry, every[2].case_id, REJECT)
    open_cases = await cases(registry, states=[wire.COLLISION_STATE_OPEN])
    assert len(open_cases) == 4
    assert [one.case_id for one in await cases(registry, states=[wire.COLLISION_STATE_RESOLVED])] == [every[2].case_id]
    assert not await cases(registry, kinds=[wire.COLLISION_KIND_TICKER_REUSE])
    found, token = [], ""
    while True:
        request = service.ListCollisionCasesRequest(states=[wire.COLLISION_STATE_OPEN], page_size=3, page_token=token)
        page = await registry.stub.ListCollisionCases(request)
        found += page.cases
        if not (token := page.next_page_token):
            break
    assert [one.case_id for one in found] == [one.case_id for one in open_cases]


# --- decisions ------------------------------------------------------------------------------------------------------------


async def test_reject_enters_nothing_and_the_claim_stays_refused(registry, entries):
    isin = entries.isin(40)
    holder, case_id = await two_of_one_isin(registry, entries, isin)
    answer = await resolve(registry, case_id, REJECT, reason="a typing error of the source")
    case = answer.collision_case
    assert (case.state, case.resolution) == (wire.COLLISION_STATE_RESOLVED, REJECT)
    assert (case.resolved_by, case.resolution_reason) == ("ann", "a typing error of the source")
    assert case.HasField("resolve_time")
    found = await registry.isin(isin, read=LATEST)
    assert (found.outcome, ids(found), found.explanation) == (RESOLVED, {holder}, "")
    again = await registry.register(etf(entries, isin, "Beta Fund"), entries.listing("XPAR", "BET"))
    assert (again.outcome, again.collision_case_id) == (COLLISION, case_id)
    assert not again.HasField("entry")
    assert len(await cases(registry)) == 1


async def test_keep_both_makes_the_identifier_ambiguous_and_history_stays(registry, entries):
    isin = entries.isin(41)
    holder, case_id = await two_of_one_isin(registry, entries, isin)
    before = datetime.now(UTC)
    answer = await resolve(registry, case_id, KEEP_BOTH)
    newcomer = answer.collision_case.challenger_id
    assert {one.instrument.instrument_id for one in answer.entries} == {holder, newcomer}
    found = await registry.isin(isin, read=LATEST)
    assert (found.outcome, ids(found)) == (AMBIGUOUS, {holder, newcomer})
    then = await registry.isin(isin, known_at=stamp(before))
    assert (then.outcome, ids(then)) == (RESOLVED, {holder})
    assert ids(await registry.symbol("BET", "XPAR", read=LATEST)) == {newcomer}
    again = await registry.register(etf(entries, isin, "Beta Fund"), entries.listing("XPAR", "BET"))
    assert (again.outcome, again.entry.instrument.instrument_id) == (UNCHANGED, newcomer)
    share = await registry.register(entries.equity(isin, name="Alpha Works"), entries.listing("XETR", "ALP"))
    assert (share.outcome, share.entry.instrument.instrument_id) == (UNCHANGED, holder)
    third = entries.equity(isin, name="Gamma Bonds")
    third.asset_class = common.ASSET_CLASS_FUND
    third.fund.currency = "EUR"
    assert (await registry.register(third)).outcome == COLLISION  # two were let in, not everybody


async def test_merge_adds_what_was_kept_to_the_winner(registry, entries):
    isin = entries.isin(42)
    more = entries.identifier("OWN", "desk-7")
    holder, case_id = await two_of_one_isin(registry, entries, isin, identifiers=[more])
    answer = await resolve(registry, case_id, MERGE)
    assert answer.collision_case.winner_id == holder
    (entry,) = answer.entries
    assert {one.symbol for one in entry.listings} == {"ALP", "BET"}
    assert {one.value for one in entry.instrument.identifiers} == {isin, "desk-7"}
    assert entry.instrument.name == "Alpha Works"
    again = await registry.register(etf(entries, isin, "Beta Fund"), entries.listing("XPAR", "BET"))
    assert (again.outcome, again.entry.instrument.instrument_id) == (UNCHANGED, holder)
    assert len(await cases(registry)) == 1


async def test_merge_of_two_registered_ones_retires_one_and_tells_the_successor(registry, entries):
    ticker = entries.identifier("TICKER", "ABC", venue="XNYS")
    isins = [entries.isin(43), entries.isin(44)]
    winner = await registry.register(
        entries.equity(isins[0], name="Alpha Works", identifiers=[ticker]), entries.listing("XETR", "ALP")
    )
    loser = await registry.register(
        entries.equity(isins[1], name="Alpha Works N", identifiers=[ticker]),
        entries.listing("XPAR", "ALP", primary=True),
    )
    one, two = winner.entry.instrument.instrument_id, loser.entry.instrument.instrument_id
    before = datetime.now(UTC)
    answer = await resolve(registry, loser.collision_case_id, MERGE, winner_id=one)
    assert {entry.instrument.instrument_id for entry in answer.entries} == {one, two}
    gone = (await get(registry, two)).instrument
    assert (gone.status, gone.merged_into) == (wire.INSTRUMENT_STATUS_RETIRED, one)
    assert gone.successor_ids == [one]
    held = await get(registry, one)
    assert {listing.venue for listing in held.listings} == {"XETR", "XPAR"}
    moved = next(listing for listing in held.listings if listing.venue == "XPAR")
    assert (moved.listing_id, moved.instrument_id) == (loser.entry.listings[0].listing_id, one)
    assert moved.definition_version == 2
    for isin in isins:
        found = await registry.isin(isin, read=LATEST)
        assert (found.outcome, ids(found)) == (RESOLVED, {one})
        then = await registry.isin(isin, known_at=stamp(before))
        assert ids(then) == {one if isin == isins[0] else two}
        assert ids(await registry.isin(isin, as_of=day(2020), read=LATEST)) == {one}
    assert ids(await registry.symbol("ALP", "XPAR", read=LATEST)) == {one}
    again = await registry.register(
        entries.equity(isins[1], name="Alpha Works N", identifiers=[ticker]), entries.listing("XPAR", "ALP")
    )
    assert (again.outcome, again.entry.instrument.instrument_id) == (UNCHANGED, one)
    assert len((await get(registry, one)).listings) == 2
    assert not await cases(registry, states=[wire.COLLISION_STATE_OPEN])


async def test_merge_into_the_newcomer(registry, entries):
    isin = entries.isin(45)
    holder, case_id = await two_of_one_isin(registry, entries, isin)
    newcomer = (await case_of(registry, case_id)).challenger_id
    await resolve(registry, case_id, MERGE, winner_id=newcomer)
    found = await registry.isin(isin, read=LATEST)
    assert (found.outcome, ids(found)) == (RESOLVED, {newcomer})
    assert {one.symbol for one in found.entries[0].listings} == {"ALP", "BET"}
    assert (await get(registry, holder)).instrument.merged_into == newcomer


async def test_split_gives_the_newcomer_a_name_of_its_own(registry, entries):
    isin, own = entries.isin(46), entries.isin(47)
    holder, case_id = await two_of_one_isin(registry, entries, isin)
    error = await registry.refused(resolve(registry, case_id, SPLIT, winner_id=holder))
    assert [(one.field, one.rule) for one in error.violations] == [("challenger_identifiers", "required")]
    answer = await resolve(
        registry, case_id, SPLIT, winner_id=holder, challenger_identifiers=[entries.identifier("ISIN", own)]
    )
    newcomer = answer.collision_case.challenger_id
    assert ids(await registry.isin(isin, read=LATEST)) == {holder}
    assert ids(await registry.isin(own, read=LATEST)) == {newcomer}
    assert ids(await registry.symbol("BET", "XPAR", read=LATEST)) == {newcomer}
    again = await registry.register(etf(entries, own, "Beta Fund"))
    assert (again.outcome, again.entry.instrument.instrument_id) == (UNCHANGED, newcomer)


async def test_split_passes_a_ticker_on_at_a_time(registry, entries):
    ticker = entries.identifier("TICKER", "ABC", venue="XNYS")
    old = await registry.register(entries.equity(entries.isin(48), name="Old Works", identifiers=[ticker]))
    new = await registry.register(entries.equity(entries.isin(49), name="New Bakery", identifiers=[ticker]))
    one, two = old.entry.instrument.instrument_id, new.entry.instrument.instrument_id
    before = datetime.now(UTC)
    await resolve(registry, new.collision_case_id, SPLIT, winner_id=two, effective_time=day(2022))

    async def ticker_at(**options):
        item = service.LookupItem(scheme=common.IDENTIFIER_SCHEME_TICKER, value="ABC", venue="XNYS")
        request = service.BatchLookupRequest(items=[item], options=service.LookupOptions(**options))
        return (await registry.stub.BatchLookup(request)).results[0]

    assert ids(await ticker_at(as_of=day(2021), read=LATEST)) == {one}
    assert ids(await ticker_at(as_of=day(2022), read=LATEST)) == {two}
    found = await ticker_at(read=LATEST)
    assert (found.outcome, ids(found)) == (REUSED, {one, two})
    assert [(span.instrument_id, span.HasField("valid_to")) for span in found.spans] == [(one, True), (two, False)]
    assert ids(await ticker_at(as_of=day(2022), known_at=stamp(before))) == {one}
    held = (await get(registry, one)).instrument.identifiers
    assert [row.valid_to for row in held if row.value == "ABC"] == [day(2022)]


async def test_split_passes_a_symbol_on_and_ends_the_listing(registry, entries):
    old = await registry.register(entries.equity(entries.isin(50), name="Old Works"), entries.listing("XETR", "ABC"))
    new = await registry.register(entries.equity(entries.isin(51), name="New Bakery"), entries.listing("XETR", "ABC"))
    two = new.entry.instrument.instrument_id
    assert not new.entry.listings
    error = await registry.refused(resolve(registry, new.collision_case_id, SPLIT, winner_id=two, retroactive=True))
    assert error.violations[0].rule == "after-the-listing-began"
    answer = await resolve(registry, new.collision_case_id, SPLIT, winner_id=two, effective_time=day(2023))
    assert len(answer.entries) == 2
    ended = (await get(registry, old.entry.instrument.instrument_id)).listings[0]
    assert (ended.status, ended.valid_to) == (wire.LISTING_STATUS_DELISTED, day(2023))
    assert ended.events[0].HasField("delisting")
    assert ended.events[0].reason == "the prospectus says so"
    assert ids(await registry.symbol("ABC", "XETR", as_of=day(2022), read=LATEST)) != {two}
    found = await registry.symbol("ABC", "XETR", as_of=day(2023), read=LATEST)
    assert (found.outcome, ids(found)) == (RESOLVED, {two})


async def test_split_takes_back_what_the_holder_never_bore(registry, entries):
    isin, extra = entries.isin(52), entries.identifier("CUSIP", "037833100")
    held = await registry.register(entries.equity(isin, name="Alpha Works", identifiers=[extra]))
    rival = await registry.register(etf(entries, entries.isin(53), "Beta Fund", identifiers=[extra]))
    one = held.entry.instrument.instrument_id
    before = datetime.now(UTC)
    answer = await resolve(registry, rival.collision_case_id, SPLIT, winner_id="challenger", retroactive=True)
    two = answer.collision_case.winner_id
    request = service.LookupCUSIPRequest(cusip="037833100", options=service.LookupOptions(as_of=day(2020), read=LATEST))
    assert ids((await registry.stub.LookupCUSIP(request)).result) == {two}
    request.options.known_at.CopyFrom(stamp(before))
    assert ids((await registry.stub.LookupCUSIP(request)).result) == {one}
    assert [row.value for row in (await get(registry, one)).instrument.identifiers] == [isin]


async def test_the_only_identifier_is_not_taken_away(registry, entries):
    _, case_id = await two_of_one_isin(registry, entries, entries.isin(54))
    error = await registry.refused(resolve(registry, case_id, SPLIT, winner_id="challenger", retroactive=True))
    assert error.reason == "FAILED_PRECONDITION"
    assert (await case_of(registry, case_id)).state == wire.COLLISION_STATE_OPEN


@pytest.mark.parametrize("resolution", [MERGE, KEEP_BOTH, SPLIT, REJECT])
async def test_a_name_that_was_doubted_is_decided(registry, entries, resolution):
    isin, own = entries.isin(55), entries.isin(56)
    held = await registry.register(
        entries.equity(isin, name="Facebook Inc"), entries.listing("XNAS", "FB", currency="USD")
    )
    sent = entries.equity(isin, name="Meta Platforms"), entries.listing("XNAS", "META", currency="USD")
    doubted = await registry.register(*sent)
    one = held.entry.instrument.instrument_id
    more = {}
    if resolution == SPLIT:
        more = {"winner_id": one, "challenger_identifiers": [entries.identifier("ISIN", own)]}
    answer = await resolve(registry, doubted.collision_case_id, resolution, **more)
    again = await registry.register(*sent)
    found = await registry.isin(isin, read=LATEST)
    if resolution == MERGE:
        assert (again.outcome, again.entry.instrument.instrument_id) == (UNCHANGED, one)
        assert [(d.field, d.sent) for d in again.differences] == [("instrument.name", "Meta Platforms")]
        assert {listing.symbol for listing in again.entry.listings} == {"FB", "META"}
    elif resolution == KEEP_BOTH:
        two = answer.collision_case.challenger_id
        assert two != one
        assert (again.outcome, again.entry.instrument.instrument_id) == (UNCHANGED, two)
        assert (found.outcome, ids(found)) == (AMBIGUOUS, {one, two})
    else:
        assert (again.outcome, again.HasField("entry")) == (COLLISION, False)
        assert ids(found) == {one}
        if resolution == SPLIT:
            assert ids(await registry.isin(own, read=LATEST)) == {answer.collision_case.challenger_id}
    assert len(await cases(registry)) == 1
    same = await registry.register(entries.equity(isin, name="Facebook Inc"))
    assert (same.outcome, same.entry.instrument.instrument_id) == (UNCHANGED, one)


async def test_a_listing_in_another_currency_is_kept_beside_the_other(registry, entries):
    isin = entries.isin(57)
    await registry.register(entries.equity(isin), entries.listing("XETR", "AAA"))
    other = await registry.register(entries.equity(isin), entries.listing("XETR", "AAA", currency="USD"))
    error = await registry.refused(resolve(registry, other.collision_case_id, MERGE))
    assert error.reason == "FAILED_PRECONDITION"
    answer = await resolve(registry, other.collision_case_id, KEEP_BOTH)
    assert {one.currency for one in answer.entries[0].listings} == {"EUR", "USD"}
    again = await registry.register(entries.equity(isin), entries.listing("XETR", "AAA", currency="USD"))
    assert again.outcome == UNCHANGED
    found = await registry.symbol("AAA", "XETR", read=LATEST)
    assert (found.outcome, len(found.listing_ids)) == (RESOLVED, 2)


@pytest.mark.parametrize("resolution", [KEEP_BOTH, REJECT])
async def test_a_cusip_that_contradicts_the_isin_is_decided(registry, entries, resolution):
    share = entries.equity("US0378331005", name="Apple")
    held = (await registry.register(share)).entry.instrument
    cusip = entries.identifier("CUSIP", "594918104")
    sent = entries.equity("US0378331005", name="Apple")
    sent.identifiers[0].valid_to.CopyFrom(day(2019))
    sent.identifiers.append(cusip)
    sent.identifiers[1].valid_from.CopyFrom(day(2020))
    answer = await registry.register(sent)
    assert answer.outcome == COLLISION
    case = await case_of(registry, answer.collision_case_id)
    assert case.kind == wire.COLLISION_KIND_DERIVED_ID_MISMATCH
    await resolve(registry, case.case_id, resolution)
    request = service.LookupCUSIPRequest(cusip="594918104", options=service.LookupOptions(read=LATEST))
    found = (await registry.stub.LookupCUSIP(request)).result
    assert ids(found) == ({held.instrument_id} if resolution == KEEP_BOTH else set())


# --- refusals -------------------------------------------------------------------------------------------------------------


async def test_everything_wrong_with_a_decision_is_told_at_once(registry, entries):
    error = await registry.refused(resolve(registry, "", 0, reason=" ", retroactive=True, effective_time=day(2100)))
    assert {(one.field, one.rule) for one in error.violations} == {
        ("case_id", "required"),
        ("resolution", "required"),
        ("reason", "required"),
        ("retroactive", "not-for-this-resolution"),
        ("effective_time", "not-for-this-resolution"),
        ("retroactive", "one-of"),
        ("effective_time", "not-yet"),
    }
    assert (await registry.refused(resolve(registry, "nope", REJECT))).reason == "NOT_FOUND"
    holder, case_id = await two_of_one_isin(registry, entries, entries.isin(60))
    error = await registry.refused(resolve(registry, case_id, SPLIT))
    assert holder in error.violations[0].description
    error = await registry.refused(resolve(registry, case_id, MERGE, winner_id="1" * 32))
    assert error.violations[0].rule == "winner-of-the-case"


async def test_a_decision_is_made_once(registry, entries):
    _, case_id = await two_of_one_isin(registry, entries, entries.isin(61))
    etag = (await case_of(registry, case_id)).etag
    error = await registry.refused(resolve(registry, case_id, REJECT, write={"etag": "999"}))
    assert error.reason == "STALE_ETAG"
    dry = await resolve(registry, case_id, KEEP_BOTH, write={"validate_only": True})
    assert dry.collision_case.state == wire.COLLISION_STATE_RESOLVED
    assert (await case_of(registry, case_id)).state == wire.COLLISION_STATE_OPEN
    answers = await asyncio.gather(
        *[resolve(registry, case_id, how, write={"etag": etag}) for how in (REJECT, KEEP_BOTH, MERGE, REJECT)],
        return_exceptions=True,
    )
    assert sum(not isinstance(one, BaseException) for one in answers) == 1
    error = await registry.refused(resolve(registry, case_id, REJECT))
    assert error.reason == "FAILED_PRECONDITION"
    assert "ann" in error.message


async def test_a_decision_is_replayed_by_its_request_id(registry, entries):
    _, case_id = await two_of_one_isin(registry, entries, entries.isin(62))
    first = await resolve(registry, case_id, KEEP_BOTH, write={"request_id": "d1"})
    assert await resolve(registry, case_id, KEEP_BOTH, write={"request_id": "d1"}) == first
    history = await registry.stub.GetInstrumentHistory(
        service.GetInstrumentHistoryRequest(instrument_id=first.collision_case.challenger_id, read=LATEST)
    )
    assert {one.actor for one in history.changes} == {"ann"}
    assert datetime.now(UTC) - history.changes[0].commit_time.ToDatetime(tzinfo=UTC) < timedelta(minutes=5)


async def test_salted_ids_are_decided_by_split_or_merge(start_registry, entries):
    from alphapulse.domain.ids import sha256

    registry = await start_registry(digest=lambda data: b"\x01" + bytes(6) + sha256(data)[:1] + bytes(8))
    batch = [entries.equity(entries.isin(n), name="Alpha Works") for n in range(60)]
    answers = [await registry.register(one) for one in batch]
    salted = [one for one in answers if one.outcome == COLLISION]
    assert len(salted) >= 2
    error = await registry.refused(resolve(registry, salted[0].collision_case_id, REJECT))
    assert error.reason == "FAILED_PRECONDITION"
    await resolve(registry, salted[0].collision_case_id, SPLIT)
    case = await case_of(registry, salted[1].collision_case_id)
    (first,) = case.incumbent_ids
    await resolve(registry, case.case_id, MERGE, winner_id=first)
    value = salted[1].entry.instrument.identifiers[0].value
    assert ids(await registry.isin(value, read=LATEST)) == {first}


async def test_cases_are_counted_by_kind_and_an_alert_asks_for_that(start_registry, entries):
    metrics = CollectorRegistry()
    registry = await start_registry()
    _, first = await two_of_one_isin(registry, entries, entries.isin(70))
    other = await start_registry(metrics=metrics)  # counts what is open when it starts, and hears of the rest

    def figure(name, **labels):
        return metrics.get_sample_value(name, {"kind": "SAME_ID_TWO_ENTITIES", **labels})

    assert figure("registry_collision_cases_open") == 1
    await two_of_one_isin(registry, entries, entries.isin(71))
    await registry.register(etf(entries, entries.isin(71), "Beta Fund"))
    answer = await resolve(registry, first, REJECT)
    read = common.ReadOptions(at_least_as_fresh=answer.revision_token)
    await other.isin(entries.isin(70), read=read)
    assert figure("registry_collision_cases_open") == 1
    assert figure("registry_collision_cases_opened_total") == 1
    assert figure("registry_collision_claims_total") == 2
    assert figure("registry_collision_cases_decided_total", resolution="REJECT") == 1
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules/alphapulse.yml").read_text())["groups"][0]["rules"]
    asked = " ".join(rule["expr"] for rule in rules if "Collision" in rule["alert"])
    exported = {sample.name for family in metrics.collect() for sample in family.samples}
    named = set(re.findall(r"registry_collision_\w+", asked))
    assert named
    assert named <= exported


@pytest.mark.parametrize("resolution", [MERGE, SPLIT, KEEP_BOTH, REJECT])
async def test_a_symbol_two_instruments_are_said_to_have_is_decided(registry, entries, resolution):
    old = await registry.register(entries.equity(entries.isin(80), name="Alpha Works"), entries.listing("XETR", "SYM"))
    sent = entries.equity(entries.isin(81), name="Beta Bakery"), entries.listing("XETR", "SYM")
    new = await registry.register(*sent)
    one, two = old.entry.instrument.instrument_id, new.entry.instrument.instrument_id
    more = {"winner_id": one} if resolution in (MERGE, SPLIT) else {}
    await resolve(registry, new.collision_case_id, resolution, **more)
    found = await registry.symbol("SYM", "XETR", read=LATEST)
    again = await registry.register(*sent)
    if resolution == KEEP_BOTH:
        assert (found.outcome, ids(found), len(found.listing_ids)) == (AMBIGUOUS, {one, two}, 2)
        assert (again.outcome, len(again.entry.listings)) == (UNCHANGED, 1)
        halted = entries.listing("XETR", "SYM", status=wire.LISTING_STATUS_DELISTED)
        gone = await registry.register(sent[0], halted)  # one of two bearers leaves
        assert gone.outcome == EXTENDED
        assert ids(await registry.symbol("SYM", "XETR", as_of=stamp(datetime.now(UTC)), read=LATEST)) == {one}
    else:
        assert (found.outcome, ids(found)) == (RESOLVED, {one})
    if resolution == MERGE:
        assert (again.outcome, again.entry.instrument.instrument_id) == (UNCHANGED, one)
        assert ids(await registry.isin(entries.isin(81), read=LATEST)) == {one}
    if resolution in (SPLIT, REJECT):
        assert (again.outcome, again.collision_case_id) == (COLLISION, new.collision_case_id)
        assert ids(await registry.isin(entries.isin(81), read=LATEST)) == {two}
    assert len(await cases(registry)) == 1


@pytest.mark.parametrize("resolution", [MERGE, SPLIT, KEEP_BOTH, REJECT])
async def test_a_level_that_was_confused_is_decided(registry, entries, resolution):
    def figi(level):
        return entries.identifier("FIGI", "BBG000B9XRY4", level=getattr(common, f"IDENTIFIER_LEVEL_{level}"))

    held = entries.equity(entries.isin(82), name="Alpha Works", identifiers=[figi("COMPOSITE")])
    one = (await registry.register(held)).entry.instrument.instrument_id
    sent = etf(entries, entries.isin(83), "Beta Fund", identifiers=[figi("INSTRUMENT")])
    doubted = await registry.register(sent)
    more = {"winner_id": one} if resolution in (MERGE, SPLIT) else {}
    answer = await resolve(registry, doubted.collision_case_id, resolution, **more)
    request = service.LookupFIGIRequest(figi="BBG000B9XRY4", options=service.LookupOptions(read=LATEST))
    found = (await registry.stub.LookupFIGI(request)).result
    other = ids(await registry.isin(entries.isin(83), read=LATEST))
    expected = {
        MERGE: ({one}, {one}),
        SPLIT: ({one}, {answer.collision_case.challenger_id}),
        KEEP_BOTH: ({one, answer.collision_case.challenger_id}, {answer.collision_case.challenger_id}),
        REJECT: ({one}, set()),
    }
    assert (ids(found), other) == expected[resolution]
