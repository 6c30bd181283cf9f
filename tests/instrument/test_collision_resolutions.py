"""Collision cases decided: what each resolution does to entries and history, and what look-ups answer before and after."""

from __future__ import annotations

from datetime import UTC, datetime

from instrument.cases import (
    AMBIGUOUS,
    COLLISION,
    KEEP_BOTH,
    LATEST,
    MERGE,
    REJECT,
    RESOLVED,
    REUSED,
    SPLIT,
    UNCHANGED,
    case_of,
    cases,
    day,
    etf,
    get,
    ids,
    resolve,
    stamp,
    two_of_one_isin,
)

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service


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
