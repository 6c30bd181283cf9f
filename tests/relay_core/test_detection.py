"""Cross-venue opportunities: against every pair tried, and case by case."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import OPPORTUNITY, QUOTE, TRADING_STATUS
from relay_service.core import RelayCore
from relay_service.kernel import state
from relay_service.kernel.engine import KernelEngine, KernelSettings
from relay_service.kernel.reference import ReferenceGroup, ReferenceKernel

SECOND = 1_000_000_000
KEYS = [1, 2, 3, 4]

moves = st.lists(
    st.tuples(
        st.sampled_from(KEYS),
        st.integers(990, 1010),  # bid
        st.integers(-3, 8),  # spread
        st.integers(0, 3),  # bid size
        st.integers(0, 3),  # ask size
        st.sampled_from([1] * 9 + [3]),  # provenance
        st.integers(0, 25),  # elapsed
        st.booleans(),  # tick
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(moves, st.lists(st.sampled_from([0.0, 2.5, 10.0, 60.0, -20.0, -60.0, math.nan]), min_size=4, max_size=4))
def test_opportunities_equal_those_of_trying_every_pair(run: Any, fees: list[float]) -> None:
    given_settings = KernelSettings(max_quote_age_ns=60, confidence_decay_ns=30, threshold_bps=1.0)
    engine, twin, group = KernelEngine(given_settings), ReferenceKernel(given_settings), ReferenceGroup(9, 1.0)
    for key, fee in zip(KEYS, fees, strict=True):
        slot = engine.slots.add(key)
        engine.slots.table["known"][slot], engine.slots.table["taker_fee_bps"][slot] = 1, fee
        engine.groups.place(slot, f"{9:016x}{'0' * 16}", "USD", 1.0)
        one = twin.listing(key)
        one.known, one.fee, one.group = True, fee, group
        group.members.append(one)
    now = 1_000
    for key, bid, spread, bid_size, ask_size, provenance, elapsed, tick in run:
        now += elapsed
        rows = QUOTE.new(1)
        for name, value in {
            "listing_key": key, "bid_price": bid, "ask_price": bid + spread, "price_exponent": -2,
            "bid_size": bid_size, "ask_size": ask_size, "flags": provenance,
        }.items():  # fmt: skip
            rows[name] = value
        whole = [{name: rows[name][0].item() for name in QUOTE.fields}]
        found = engine.intake(QUOTE.event_type, rows, 1, False, now).opportunities
        assert_same(found, twin.intake(QUOTE.event_type, whole, 1, False, now)[1])
        if tick:
            assert_same(engine.pass_time(now).opportunities, twin.pass_time(now))
    assert {k: int(v) for k, v in enumerate(engine.counters) if v} == twin.counters


def assert_same(found: Any, expected: list[dict[str, Any]]) -> None:
    rows = [] if found is None else [{name: row[name].item() for name in OPPORTUNITY.fields} for row in found]
    assert len(rows) == len(expected)
    for row, wanted in zip(rows, expected, strict=True):
        assert {name: row[name] for name in wanted if name != "confidence"} == {
            name: value for name, value in wanted.items() if name != "confidence"
        }
        assert row["confidence"] == pytest.approx(wanted["confidence"], rel=1e-12)


@pytest.fixture
def pair(core: RelayCore, build: Any) -> RelayCore:
    """Instrument 9 on venues A and B, with taker fees of 10 bps."""
    core.replica.apply_instrument(build.instrument(9))
    core.replica.apply_listing(build.listing(1, 9, "A"))
    core.replica.apply_listing(build.listing(2, 9, "B"))
    return core


def states(result: Any) -> list[int]:
    return [s for g in result.groups if g.event_type == OPPORTUNITY.event_type for s in g.rows["state"].tolist()]


def test_an_opportunity_opens_is_updated_and_closes(pair: RelayCore, feeder: Any, build: Any) -> None:
    assert states(feeder.quotes(SECOND, build.quote(1, 9990, 10000), build.quote(2, 9991, 10001))) == []
    opened = feeder.quotes(2 * SECOND, build.quote(2, 10100, 10110, bid_size=7, size_exponent=-1))
    row = opened.groups[1].rows[0]
    assert row["state"] == 1
    assert (row["listing_key"], row["sell_listing_key"]) == (1, 2)
    assert row["sequence"] == opened.groups[0].first_sequence + 1
    assert row["trigger_sequence"] == opened.groups[0].first_sequence
    assert row["gross_bps"] == pytest.approx(100.0)
    assert row["net_bps"] == pytest.approx(100.0 - 10.0 - 10.0 * 1.01)
    assert (row["size"], row["size_exponent"]) == (7, -1)
    assert row["capital"] == pytest.approx(0.7 * 100.00)
    assert row["confidence"] == pytest.approx(math.exp(-1.0))
    assert row["expires_time_ns"] == 3 * SECOND
    assert opened.groups[1].slots.tolist() == [pair.slots.slot_of(1)]
    assert opened.groups[1].other_slots.tolist() == [pair.slots.slot_of(2)]
    same = feeder.quotes(2 * SECOND + 1, build.quote(2, 10100, 10200, bid_size=7, size_exponent=-1))
    assert states(same) == []
    updated = feeder.quotes(2 * SECOND + 2, build.quote(2, 10090, 10110))
    assert states(updated) == [2]
    assert updated.groups[1].rows["opportunity_id"][0] == row["opportunity_id"]
    closed = feeder.quotes(2 * SECOND + 3, build.quote(2, 10000, 10010))
    assert states(closed) == [3]
    assert closed.groups[1].rows["opportunity_id"][0] == row["opportunity_id"]
    again = feeder.quotes(2 * SECOND + 4, build.quote(2, 10100, 10110))
    assert states(again) == [1]
    assert again.groups[1].rows["opportunity_id"][0] != row["opportunity_id"]


def test_an_opportunity_ends_when_its_quotes_are_too_old(pair: RelayCore, feeder: Any, build: Any) -> None:
    feeder.quotes(SECOND, build.quote(1, 9990, 10000), build.quote(2, 10100, 10110))
    assert states(pair.tick(3 * SECOND)) == []
    closed = pair.tick(3 * SECOND + 1)
    assert states(closed) == [3]
    assert closed.groups[0].rows["trigger_sequence"][0] == 0
    assert closed.groups[0].first_sequence == pair.last_sequence
    assert pair.tick(4 * SECOND).groups == ()


def test_a_status_that_is_not_trading_ends_it(pair: RelayCore, feeder: Any, build: Any) -> None:
    feeder.quotes(SECOND, build.quote(1, 9990, 10000), build.quote(2, 10100, 10110))
    halt = build.rows(TRADING_STATUS, [{"listing_key": 2, "state": 2}])
    assert states(feeder.send(TRADING_STATUS, halt, SECOND)) == [3]
    assert pair.counters().rejected_candidates["NOT_TRADING"] == 1


def test_listings_in_other_currencies_are_not_compared(pair: RelayCore, feeder: Any, build: Any) -> None:
    pair.replica.apply_listing(build.listing(3, 9, "C", currency="EUR"))
    assert states(feeder.quotes(SECOND, build.quote(1, 9990, 10000), build.quote(3, 10100, 10110))) == []


def test_without_a_known_fee_there_is_no_net_figure(pair: RelayCore, feeder: Any, build: Any) -> None:
    pair.replica.apply_listing(build.listing(2, 9, "B", fee=None))
    assert states(feeder.quotes(SECOND, build.quote(1, 9990, 10000), build.quote(2, 10100, 10110))) == []
    assert pair.counters().rejected_candidates == {"FEES_UNKNOWN": 1}


def test_a_removed_listing_takes_its_opportunity_with_it(pair: RelayCore, feeder: Any, build: Any) -> None:
    feeder.quotes(SECOND, build.quote(1, 9990, 10000), build.quote(2, 10100, 10110))
    pair.replica.remove_listing(2)
    assert states(pair.tick(SECOND + 1)) == [3]
    result = feeder.quotes(SECOND + 2, build.quote(2, 10100, 10110))
    assert result.groups[0].rows["flags"][0] & 4
    assert len(result.groups) == 1


def test_a_late_quote_is_handed_on_marked_and_changes_nothing(pair: RelayCore, feeder: Any, build: Any) -> None:
    feeder.quotes(SECOND, build.quote(1, 9990, 10000), build.quote(2, 9991, 10001, venue_time_ns=1_000))
    late = feeder.quotes(SECOND + 1, build.quote(2, 10100, 10110, venue_time_ns=500))
    assert states(late) == []
    assert late.groups[0].rows["flags"][0] & RecordFlag.OUT_OF_ORDER
    slots = pair.slots.slots_of(late.groups[0].rows["listing_key"])
    assert pair.snapshot(QUOTE.event_type, slots)["bid_price"].tolist() == [9991]
    assert states(feeder.quotes(SECOND + 2, build.quote(2, 10100, 10110, venue_time_ns=1_001))) == [1]


def test_a_clock_set_back_does_not_silence_a_listing_for_good(pair: RelayCore, feeder: Any, build: Any) -> None:
    feeder.quotes(SECOND, build.quote(2, 9991, 10001, venue_time_ns=1 << 62))
    later = 12 * SECOND
    back = feeder.quotes(later, build.quote(1, 9990, 10000), build.quote(2, 10100, 10110, venue_time_ns=later))
    assert states(back) == [1]
    assert back.groups[0].rows["flags"][1] & RecordFlag.OUT_OF_ORDER
    again = feeder.quotes(later + 2, build.quote(2, 10100, 10110, venue_time_ns=later + 1))
    assert not again.groups[0].rows["flags"][0] & RecordFlag.OUT_OF_ORDER


def test_counters_of_the_kernel_are_named() -> None:
    assert len(set(state.CANDIDATES.values())) == len(state.CANDIDATES)
