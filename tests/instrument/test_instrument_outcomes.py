"""Outcomes of look-ups against naive models: the pure decision by brute force, the service by a dictionary."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.outcomes import LookupOutcome
from registry_service.instrument.lookups.outcomes import changes_by_itself, decide
from registry_service.storage.model import EntityKind, IdentifierRow

ZERO = datetime(2024, 1, 1, tzinfo=UTC)
days = st.integers(0, 8)


def at(day):
    return ZERO + timedelta(days=day)


def row(who, start, end):
    return IdentifierRow(1, "X", "", 2, EntityKind.INSTRUMENT, who, who, start, end, "test", 1)


@st.composite
def rows(draw):
    found = []
    for _ in range(draw(st.integers(0, 5))):
        start, end = draw(st.none() | days), draw(st.none() | days)
        if start is not None and end is not None and start >= end:
            continue
        who = draw(st.sampled_from("abc"))
        found.append(row(who, at(start) if start is not None else None, at(end) if end is not None else None))
    return found


@given(rows(), st.none() | days, days, st.sets(st.sampled_from("abc")))
def test_the_decision_is_that_of_brute_force(found, as_of, now, gone):
    moment = at(as_of if as_of is not None else now)
    decision = decide(found, at(as_of) if as_of is not None else None, at(now), lambda who, _: who in gone)
    held = {one.instrument_id for one in found if (one.valid_from or at(-1)) <= moment < (one.valid_to or at(99))}
    ended = {one.instrument_id for one in found if one.valid_to is not None and one.valid_to <= moment}
    if len(held) > 1:
        expected = LookupOutcome.AMBIGUOUS
    elif held and as_of is None and ended - held:
        expected = LookupOutcome.REUSED
    elif held:
        expected = LookupOutcome.RETIRED if held & gone else LookupOutcome.RESOLVED
    elif not ended:
        expected = LookupOutcome.NOT_FOUND
    else:
        expected = LookupOutcome.REUSED if as_of is None and len(ended) > 1 else LookupOutcome.RETIRED
    assert decision.outcome is expected
    if held:
        assert held <= set(decision.holders)
    if decision.outcome in (LookupOutcome.AMBIGUOUS, LookupOutcome.REUSED):
        assert len(decision.holders) > 1
        assert decision.explanation


@given(rows(), days, days)
def test_an_answer_that_is_kept_stays_right(found, now, later):
    if later < now or changes_by_itself(found, at(now)):
        return
    first, second = (decide(found, None, at(day), lambda *_: False) for day in (now, later))
    assert (first.outcome, first.holders) == (second.outcome, second.holders)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_service_agrees_with_a_dictionary(registry, entries, seed):
    """Symbols are given, contested, given up and given again; after each write every symbol is looked up."""
    dice = random.Random(seed)
    symbols = ["A", "B", "C"]
    bearer: dict[str, tuple[int, str]] = {}
    past: dict[str, set[int]] = {symbol: set() for symbol in symbols}
    listings: dict[tuple[int, str], str] = {}
    for _ in range(40):
        symbol, who = dice.choice(symbols), dice.randrange(4)
        if symbol in bearer and dice.random() < 0.4:
            owner, listing_id = bearer.pop(symbol)
            gone = wire.Listing(listing_id=listing_id, status=wire.LISTING_STATUS_DELISTED)
            request = service.UpdateListingRequest(listing=gone, update_mask={"paths": ["status"]})
            token = (await registry.stub.UpdateListing(request)).revision_token
            past[symbol].add(owner)
        else:
            status = wire.LISTING_STATUS_TRADING
            listing = entries.listing("XETR", symbol, status=status)
            answer = await registry.register(entries.equity(entries.isin(who)), listing)
            token = answer.revision_token
            if symbol not in bearer:
                (held,) = [one for one in answer.entry.listings if one.symbol == symbol]
                listings[who, symbol] = bearer.setdefault(symbol, (who, held.listing_id))[1]
            elif bearer[symbol][0] != who:
                assert answer.outcome == service.REGISTRATION_OUTCOME_COLLISION
        read = common.ReadOptions(at_least_as_fresh=token)
        for one in symbols:
            found = await registry.symbol(one, "XETR", read=read)
            names = {entry.instrument.identifiers[0].value for entry in found.entries}
            now = {bearer[one][0]} if one in bearer else set()
            expected = now | past[one]
            if not expected:
                assert found.outcome == common.LOOKUP_OUTCOME_NOT_FOUND
            elif len(expected) > 1:
                assert found.outcome == common.LOOKUP_OUTCOME_REUSED
                assert names == {entries.isin(n) for n in expected}
            else:
                outcome = common.LOOKUP_OUTCOME_RESOLVED if now else common.LOOKUP_OUTCOME_RETIRED
                assert (found.outcome, names) == (outcome, {entries.isin(n) for n in expected})
