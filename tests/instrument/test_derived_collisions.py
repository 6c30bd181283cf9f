"""An ISIN and the CUSIP or SEDOL inside it are one claim: whoever comes with the one meets whoever bears the other."""

from __future__ import annotations

import pytest

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.identifiers import Isin

CREATED, EXTENDED = service.REGISTRATION_OUTCOME_CREATED, service.REGISTRATION_OUTCOME_EXTENDED
UNCHANGED, COLLISION = service.REGISTRATION_OUTCOME_UNCHANGED, service.REGISTRATION_OUTCOME_COLLISION
NUMBERS = [
    ("CUSIP", "037833100", "US"),
    ("CUSIP", "037833100", "CA"),
    ("CUSIP", "G0177J108", "BM"),
    ("SEDOL", "0263494", "GB"),
]


def share(entries, name: str, *identifiers: tuple[str, str], **fields) -> wire.Instrument:
    made = entries.equity("", name=name, **fields)
    del made.identifiers[:]
    made.identifiers.extend(entries.identifier(scheme, value) for scheme, value in identifiers)
    return made


def around(scheme: str, number: str, country: str) -> str:
    return Isin.from_nsin(country, number if scheme == "CUSIP" else f"00{number}").value


async def resolve(registry, case_id: str, decision: int, **fields):
    request = service.ResolveCollisionCaseRequest(
        case_id=case_id, resolution=decision, reason="why", write=common.WriteOptions(actor="ann"), **fields
    )
    return await registry.stub.ResolveCollisionCase(request)


async def case_of(registry, case_id: str) -> wire.CollisionCase:
    return (await registry.stub.GetCollisionCase(service.GetCollisionCaseRequest(case_id=case_id))).collision_case


@pytest.mark.parametrize(("scheme", "number", "country"), NUMBERS)
async def test_the_same_security_under_the_other_name_is_linked(registry, entries, scheme, number, country):
    isin = around(scheme, number, country)
    one = await registry.register(share(entries, "Company", (scheme, number)))
    again = await registry.register(share(entries, "Company", ("ISIN", isin)))
    assert (one.outcome, again.outcome) == (CREATED, EXTENDED)
    assert again.entry.instrument.instrument_id == one.entry.instrument.instrument_id
    assert [each.value for each in again.entry.instrument.identifiers] == [number, isin]
    found = await registry.isin(isin)
    assert (len(found.entries), found.explanation) == (1, "")


@pytest.mark.parametrize(("scheme", "number", "country"), NUMBERS)
async def test_the_number_of_an_isin_that_is_there_is_linked(registry, entries, scheme, number, country):
    one = await registry.register(share(entries, "Company", ("ISIN", around(scheme, number, country))))
    again = await registry.register(share(entries, "Company", (scheme, number)))
    assert again.outcome == EXTENDED
    assert again.entry.instrument.instrument_id == one.entry.instrument.instrument_id


@pytest.mark.parametrize("isin_first", [False, True])
async def test_another_name_opens_a_case_and_nothing_is_overwritten(registry, entries, isin_first):
    names = [("CUSIP", "037833100"), ("ISIN", "US0378331005")]
    first, second = reversed(names) if isin_first else names
    apple = await registry.register(share(entries, "Apple", first))
    pear = await registry.register(share(entries, "Pear", second))
    assert pear.outcome == COLLISION
    case = await case_of(registry, pear.collision_case_id)
    assert list(case.incumbent_ids) == [apple.entry.instrument.instrument_id]
    assert f"{second[0]} {second[1]} is the same claim as {first[0]} {first[1]}, which is borne by" in case.explanation
    assert case.identifier.value == second[1]
    assert case.evidence[0].name == "Apple"
    got = service.GetInstrumentRequest(instrument_id=apple.entry.instrument.instrument_id)
    assert (await registry.stub.GetInstrument(got)).entry == apple.entry
    # Sent again it is the same case.
    assert (await registry.register(share(entries, "Pear", second))).collision_case_id == case.case_id


async def contested(registry, entries):
    """(the holder of the CUSIP, the entry that claims the ISIN, its case)"""
    apple = (await registry.register(share(entries, "Apple", ("CUSIP", "037833100"), ("OWN", "a")))).entry.instrument
    claim = share(entries, "Pear", ("ISIN", "US0378331005"), ("FIGI", "BBG000B9XRY4"))
    return apple, claim, (await registry.register(claim)).collision_case_id


async def test_merged_they_are_one_with_both_names(registry, entries):
    apple, claim, case_id = await contested(registry, entries)
    await resolve(registry, case_id, wire.COLLISION_RESOLUTION_MERGE, winner_id=apple.instrument_id)
    found = await registry.isin("US0378331005")
    assert [one.instrument.instrument_id for one in found.entries] == [apple.instrument_id]
    assert len(found.entries[0].instrument.identifiers) == 4
    assert (await registry.register(claim)).outcome == UNCHANGED


async def test_kept_both_the_claim_stays_decided(registry, entries):
    _, claim, case_id = await contested(registry, entries)
    await resolve(registry, case_id, wire.COLLISION_RESOLUTION_KEEP_BOTH)
    found = await registry.isin("US0378331005")
    assert [one.instrument.name for one in found.entries] == ["Pear"]
    assert (await registry.register(claim)).outcome == UNCHANGED


async def test_split_whoever_wins_bears_it_alone(registry, entries):
    apple, claim, case_id = await contested(registry, entries)
    case = await case_of(registry, case_id)
    await resolve(registry, case_id, wire.COLLISION_RESOLUTION_SPLIT, winner_id=case.challenger_id, retroactive=True)
    found = await registry.isin("US0378331005")
    assert [one.instrument.name for one in found.entries] == ["Pear"]
    request = service.LookupCUSIPRequest(cusip="037833100")
    assert (await registry.stub.LookupCUSIP(request)).result.outcome == common.LOOKUP_OUTCOME_NOT_FOUND
    assert (await registry.register(claim)).outcome == UNCHANGED
    got = service.GetInstrumentRequest(instrument_id=apple.instrument_id, read=common.ReadOptions(latest=True))
    assert [one.value for one in (await registry.stub.GetInstrument(got)).entry.instrument.identifiers] == ["a"]


async def test_split_the_holder_keeps_it(registry, entries):
    apple, _, case_id = await contested(registry, entries)
    await resolve(registry, case_id, wire.COLLISION_RESOLUTION_SPLIT, winner_id=apple.instrument_id)
    found = await registry.isin("US0378331005")
    assert [one.instrument.name for one in found.entries] == ["Apple"]


async def test_two_of_one_batch_meet_too(registry, entries):
    sent = [
        (share(entries, "Apple", ("CUSIP", "037833100")), []),
        (share(entries, "Pear", ("ISIN", "US0378331005")), []),
    ]
    results = await registry.register_all(sent)
    assert [one.outcome for one in results] == [CREATED, COLLISION]


async def test_an_update_takes_nothing_that_another_bears(registry, entries):
    await registry.register(share(entries, "Apple", ("CUSIP", "037833100")))
    pear = (await registry.register(share(entries, "Pear", ("FIGI", "BBG000B9XRY4")))).entry.instrument
    pear.identifiers.append(entries.identifier("ISIN", "US0378331005"))
    request = service.UpdateInstrumentRequest(instrument=pear)
    request.update_mask.paths.append("identifiers")
    assert (await registry.refused(registry.stub.UpdateInstrument(request))).reason == "COLLISION"
