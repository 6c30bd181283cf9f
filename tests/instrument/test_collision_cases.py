"""Collision cases: each kind raised, told with its evidence, counted, listed."""

from __future__ import annotations

import pytest
from instrument.cases import (
    COLLISION,
    EXTENDED,
    LATEST,
    MERGE,
    REJECT,
    SPLIT,
    UNCHANGED,
    case_of,
    cases,
    etf,
    get,
    resolve,
    two_of_one_isin,
)

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service


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
    shared = "BBG000B9XRY4"
    alias = entries.identifier("FIGI", shared)
    other = await registry.register(entries.equity(entries.isin(3), name="Other Works", identifiers=[alias]))
    other = other.entry.instrument
    answer = await registry.register(entries.equity(entries.isin(2), name="Own Works", identifiers=[alias]))
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
