"""An instrument has one ISIN, one CUSIP, one SEDOL and one kind at a time: a second one is for a person to decide, whatever came first."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.identifiers import Cfi, Isin, Level, Scheme
from alphapulse.domain.identifiers.check_digits import sedol_weighted
from alphapulse.domain.instruments import IdentifierAssertion
from registry_service.instrument.registering.single import several_at_once

from .cases import (
    COLLISION,
    CREATED,
    EXTENDED,
    KEEP_BOTH,
    LATEST,
    MERGE,
    REJECT,
    UNCHANGED,
    case_of,
    cases,
    day,
    get,
    resolve,
)

REFUSED = service.REGISTRATION_OUTCOME_REFUSED
SECOND = wire.COLLISION_KIND_SECOND_IDENTIFIER
ONE, TWO, THREE = (Isin.from_nsin("FR", f"00000FF0{number}").value for number in (1, 2, 3))
BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
SECONDS = [("CUSIP", "037833100", "594918104"), ("SEDOL", "0263494", "B0YBKJ7"), ("CFI", "ESVUFR", "EPVUFR")]
"""Names of which a second one contradicts the first."""


SEDOLS = [
    tuple(f"{body}{sedol_weighted(body)}" for body in (f"B{2 * at:05d}", f"B{2 * at + 1:05d}")) for at in range(20)
]


def share(entries, *names: tuple[str, str], name: str = "Company", **more) -> wire.Instrument:
    made = entries.equity("", name=name)
    del made.identifiers[:]
    made.identifiers.extend(entries.identifier(scheme, value, **more) for scheme, value in names)
    return made


def values(instrument: wire.Instrument) -> list[str]:
    return [one.value for one in instrument.identifiers]


@pytest.mark.parametrize("first", [ONE, TWO, THREE])
async def test_an_entry_of_two_at_once_is_refused_whatever_is_there(registry, entries, first):
    await registry.register(share(entries, ("ISIN", first)))
    for pair in permutations((ONE, TWO, THREE), 2):
        error = await registry.refused(registry.register(share(entries, *[("ISIN", one) for one in pair])))
        broken = [(one.field, one.value, one.rule) for one in error.violations]
        assert broken == [("instrument.identifiers[1].value", pair[1], "one-at-a-time")]
    assert values((await registry.isin(first)).entries[0].instrument) == [first]


@pytest.mark.parametrize(("scheme", "held", "sent"), SECONDS)
@pytest.mark.parametrize("turned", [False, True])
async def test_a_second_one_is_a_case_in_either_order(registry, entries, scheme, held, sent, turned):
    if turned:
        held, sent = sent, held
    one = await registry.register(share(entries, ("ISIN", ONE), (scheme, held)))
    other = share(entries, ("ISIN", ONE), (scheme, sent))
    answer = await registry.register(other)
    assert (one.outcome, answer.outcome) == (CREATED, COLLISION)
    case = await case_of(registry, answer.collision_case_id)
    own = one.entry.instrument.instrument_id
    assert (case.kind, case.identifier.value, list(case.incumbent_ids)) == (SECOND, sent, [own])
    assert f"{scheme} {held}, which {own} bears" in case.explanation
    assert values((await get(registry, own)).instrument) == [ONE, held]
    # The same claim is counted, and what was decided of it holds.
    assert (await registry.register(other)).collision_case_id == case.case_id
    await resolve(registry, case.case_id, REJECT)
    assert (await registry.register(other)).outcome == COLLISION
    assert values((await get(registry, own)).instrument) == [ONE, held]


@pytest.mark.parametrize(("scheme", "held", "sent"), SECONDS)
async def test_kept_both_they_are_borne_and_said_to_be_decided(registry, entries, scheme, held, sent):
    own = (await registry.register(share(entries, ("ISIN", ONE), (scheme, held)))).entry.instrument.instrument_id
    other = share(entries, ("ISIN", ONE), (scheme, sent))
    await resolve(registry, (await registry.register(other)).collision_case_id, KEEP_BOTH)
    after = (await get(registry, own)).instrument
    assert [(one.value, one.beside) for one in after.identifiers] == [(ONE, False), (held, False), (sent, True)]
    assert (await registry.register(other)).outcome == UNCHANGED
    # Of what it holds, nothing hinders a later update or entry.
    after.name = "Company, renamed"
    request = service.UpdateInstrumentRequest(instrument=after)
    request.update_mask.paths.append("name")
    renamed = (await registry.stub.UpdateInstrument(request)).instrument
    assert (renamed.name, values(renamed)) == ("Company, renamed", [ONE, held, sent])


@pytest.mark.parametrize("turned", [False, True])
async def test_a_linked_entry_with_another_isin_is_a_case_in_either_order(registry, entries, turned):
    first, second = (TWO, ONE) if turned else (ONE, TWO)
    figi = ("FIGI", "BBG000B9XRY4")
    await registry.register(share(entries, ("ISIN", first), figi))
    assert (await registry.register(share(entries, ("ISIN", second), figi))).outcome == COLLISION
    assert values((await registry.isin(first)).entries[0].instrument) == [first, figi[1]]
    assert not (await registry.isin(second)).entries


async def test_one_after_the_other_is_no_second_one(registry, entries):
    entry = share(entries)
    entry.identifiers.extend(
        (
            entries.identifier("ISIN", ONE, valid_to=day(2020)),
            entries.identifier("ISIN", TWO, valid_from=day(2020)),
        )
    )
    assert (await registry.register(entry)).outcome == CREATED
    # A third that begins while the second is borne is one.
    third = share(entries)
    third.identifiers.extend(entry.identifiers)
    third.identifiers[1].valid_to.CopyFrom(day(2021))
    third.identifiers.append(entries.identifier("ISIN", THREE, valid_from=day(2021)))
    assert (await registry.register(third)).outcome == COLLISION
    (case,) = await cases(registry, kinds=[SECOND])
    assert case.identifier.value == THREE


async def test_kinds_that_say_less_of_the_same_contradict_nothing(registry, entries):
    await registry.register(share(entries, ("ISIN", ONE), ("CFI", "ESVUFR")))
    assert (await registry.register(share(entries, ("ISIN", ONE), ("CFI", "ESXXXX")))).outcome == EXTENDED


async def test_an_event_begins_the_one_where_it_ends_the_other(registry, entries):
    own = (await registry.register(share(entries, ("ISIN", ONE)))).entry.instrument.instrument_id
    event = wire.LifecycleEvent(instrument_id=own, effective_time=day(2020))
    part = event.identifier_change.replacements.add(scheme=common.IDENTIFIER_SCHEME_ISIN, new_value=TWO)
    error = await registry.refused(registry.stub.RecordLifecycleEvent(service.RecordLifecycleEventRequest(event=event)))
    assert [one.rule for one in error.violations] == ["one-at-a-time"]
    part.old_value = ONE
    await registry.stub.RecordLifecycleEvent(service.RecordLifecycleEventRequest(event=event))
    assert values((await get(registry, own)).instrument) == [ONE, TWO]


async def test_merged_they_are_borne_both_and_an_entry_that_says_so_is_taken_where_none_is_there(registry, entries):
    one = (await registry.register(share(entries, ("ISIN", TWO), name="Company"))).entry.instrument.instrument_id
    figi = ("FIGI", "BBG000B9XRY4")
    await registry.register(share(entries, ("ISIN", ONE), figi, name="Company of old"))
    claim = share(entries, ("ISIN", TWO), figi)
    await resolve(registry, (await registry.register(claim)).collision_case_id, MERGE, winner_id=one)
    after = (await get(registry, one)).instrument
    assert {each.value: each.beside for each in after.identifiers} == {TWO: False, ONE: True, figi[1]: False}
    # What is there already is not overruled by an entry's word: the case is a person's.
    await registry.register(share(entries, ("ISIN", THREE)))
    beside = share(entries, ("ISIN", THREE))
    beside.identifiers.append(entries.identifier("CUSIP", "037833100"))
    beside.identifiers.append(entries.identifier("CUSIP", "594918104", beside=True))
    assert (await registry.register(beside)).outcome == EXTENDED
    beside.identifiers.append(entries.identifier("CUSIP", "17275R102", beside=True))
    assert (await registry.register(beside)).outcome == COLLISION


async def test_an_update_brings_no_second_one(registry, entries):
    held = (await registry.register(share(entries, ("ISIN", ONE)))).entry.instrument
    held.identifiers.append(entries.identifier("ISIN", TWO))
    request = service.UpdateInstrumentRequest(instrument=held)
    request.update_mask.paths.append("identifiers")
    error = await registry.refused(registry.stub.UpdateInstrument(request))
    assert [(one.field, one.rule) for one in error.violations] == [("instrument.identifiers[1].value", "one-at-a-time")]


async def test_of_claims_made_at_once_one_is_borne(start_registry, entries):
    """Through two replicas: whichever comes first, the other one is a case."""
    replicas = [await start_registry(), await start_registry()]
    isins = [entries.isin(number) for number in range(20)]
    await replicas[0].register_all([(share(entries, ("ISIN", isin)), []) for isin in isins])
    answers = await asyncio.gather(
        *[
            replica.register(share(entries, ("ISIN", isin), ("SEDOL", sedol)))
            for isin, sedols in zip(isins, SEDOLS, strict=True)
            for replica, sedol in zip(replicas, sedols, strict=True)
        ]
    )
    assert sorted(one.outcome for one in answers) == sorted([EXTENDED, COLLISION] * len(isins))
    for isin, sedols in zip(isins, SEDOLS, strict=True):
        held = (await replicas[0].isin(isin, read=LATEST)).entries[0].instrument
        assert len(held.identifiers) == 2
        assert held.identifiers[1].value in sedols


SPANS = st.tuples(st.none() | st.integers(0, 6), st.none() | st.integers(0, 6)).filter(
    lambda span: None in span or span[0] < span[1]
)


@given(st.lists(st.tuples(st.sampled_from((ONE, TWO, THREE)), SPANS, st.booleans()), max_size=5))
def test_entries_are_refused_exactly_where_two_hold_on_one_day(sent):
    """Against a calendar of days on which each holds."""

    def at(number):
        return None if number is None else BEGIN + timedelta(days=number)

    claims = [
        IdentifierAssertion(Scheme.ISIN, value, Level.INSTRUMENT, at(start), at(end), beside=beside)
        for value, (start, end), beside in sent
    ]
    days = range(-1, 8)
    held = [
        (value, {one for one in days if (start is None or start <= one) and (end is None or one < end)})
        for value, (start, end), beside in sent
        if not beside
    ]
    clash = any(one != other and first & second for one, first in held for other, second in held)
    assert bool(several_at_once(claims, sound=True)) == clash


@given(st.lists(st.sampled_from(("ESVUFR", "ESXXXX", "EPVUFR", "EXXXXX", "ESVTFR")), min_size=2, max_size=2))
def test_codes_agree_the_same_both_ways(codes):
    one, other = codes
    assert Cfi.agree(one, other) == Cfi.agree(other, one)
    assert Cfi.agree(one, one)
