"""Each kind of collision decided in each way that fits it; wrong, repeated and replayed decisions; cases as figures."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from instrument.cases import (
    AMBIGUOUS,
    COLLISION,
    EXTENDED,
    KEEP_BOTH,
    LATEST,
    MERGE,
    REJECT,
    RESOLVED,
    SPLIT,
    UNCHANGED,
    case_of,
    cases,
    day,
    etf,
    ids,
    resolve,
    stamp,
    two_of_one_isin,
)
from prometheus_client import CollectorRegistry

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service

ROOT = Path(__file__).resolve().parents[2]


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
