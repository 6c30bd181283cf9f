"""An ISIN that nobody bears names whoever bears the CUSIP or SEDOL inside it, and no ISIN."""

from __future__ import annotations

import pytest

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.identifiers import Cusip, Isin
from registry_service.instrument.convert import stamp

RESOLVED, NOT_FOUND = common.LOOKUP_OUTCOME_RESOLVED, common.LOOKUP_OUTCOME_NOT_FOUND
RETIRED, AMBIGUOUS = common.LOOKUP_OUTCOME_RETIRED, common.LOOKUP_OUTCOME_AMBIGUOUS
LATEST = common.ReadOptions(latest=True)
APPLE, CINS = "037833100", "G0177J108"


def known_by(entries, scheme: str, value: str, name: str = "Apple", **fields) -> wire.Instrument:
    """A share without an ISIN."""
    share = entries.equity("", name=name, details={"currency": "USD"})
    del share.identifiers[:]
    share.identifiers.append(entries.identifier(scheme, value, **fields))
    return share


def around(number: str, country: str) -> str:
    return Isin.from_nsin(country, number).value


async def change(registry, held: wire.Instrument, *identifiers: wire.IdentifierAssertion) -> None:
    """Its identifiers are these from now on."""
    changed = wire.Instrument(instrument_id=held.instrument_id, identifiers=identifiers)
    request = service.UpdateInstrumentRequest(instrument=changed)
    request.update_mask.paths.append("identifiers")
    await registry.stub.UpdateInstrument(request)


@pytest.mark.parametrize(
    ("scheme", "number", "isin", "name"),
    [
        ("CUSIP", APPLE, around(APPLE, "US"), "CUSIP 037833100"),
        ("CUSIP", APPLE, around(APPLE, "CA"), "CUSIP 037833100"),
        ("CUSIP", CINS, around(CINS, "BM"), "CUSIP G0177J108"),
        ("SEDOL", "0263494", "GB0002634946", "SEDOL 0263494"),
    ],
)
async def test_the_bearer_of_the_number_inside_is_found_and_the_answer_says_how(
    registry, entries, scheme, number, isin, name
):
    assert (await registry.isin(isin)).outcome == NOT_FOUND  # cached from here on
    registered = await registry.register(known_by(entries, scheme, number))
    found = await registry.isin(isin)
    assert (found.outcome, found.explanation) == (RESOLVED, f"nobody bears this ISIN; by the {name} inside it")
    assert found.entries[0] == registered.entry
    batch = service.BatchLookupRequest(scheme=common.IDENTIFIER_SCHEME_ISIN, values=[isin, entries.isin(1)])
    results = (await registry.stub.BatchLookup(batch)).results
    assert [one.outcome for one in results] == [RESOLVED, NOT_FOUND]


async def test_the_answer_follows_whoever_bears_the_number(registry, entries):
    isin = around(APPLE, "US")
    one = (await registry.register(known_by(entries, "CUSIP", APPLE))).entry.instrument
    assert (await registry.isin(isin)).outcome == RESOLVED
    other = entries.identifier("CUSIP", Cusip("594918104").value)
    await change(registry, one, other)
    assert (await registry.isin(isin)).outcome == NOT_FOUND
    assert (await registry.isin(around("594918104", "US"))).outcome == RESOLVED
    await change(registry, one, entries.identifier("CUSIP", APPLE))
    assert (await registry.isin(isin)).outcome == RESOLVED
    # Known by an ISIN it is not the bearer of another one.
    canadian = around(APPLE, "CA")
    await change(registry, one, entries.identifier("CUSIP", APPLE), entries.identifier("ISIN", canadian))
    assert (await registry.isin(isin)).outcome == NOT_FOUND
    assert (await registry.isin(canadian)).explanation == ""


async def test_a_number_that_passed_on_is_answered_by_date(registry, entries):
    isin, turn = (
        around(APPLE, "US"),
        stamp((await registry.register(entries.coin("BTC"))).entry.instrument.create_time.ToDatetime()),
    )
    await registry.register(known_by(entries, "CUSIP", APPLE, valid_to=turn))
    gone = await registry.isin(isin)
    assert gone.outcome == RETIRED
    assert gone.explanation.startswith("nobody bears this ISIN; by the CUSIP 037833100 inside it; borne until ")
    before = await registry.isin(isin, as_of=stamp(turn.ToDatetime().replace(year=2020)))
    assert before.outcome == RESOLVED


async def test_an_open_case_of_the_number_is_told(registry, entries):
    await registry.register(known_by(entries, "CUSIP", APPLE))
    isin = around(APPLE, "US")
    assert "case" not in (await registry.isin(isin)).explanation
    claim = known_by(entries, "FIGI", "BBG000B9XRY4", "Pear")
    claim.identifiers.append(entries.identifier("CUSIP", APPLE))
    opened = await registry.register(claim)
    assert f"collision case {opened.collision_case_id} is open" in (await registry.isin(isin)).explanation
