"""The compiled kernel against its twin in plain Python: same rows, same opportunities, same counters, for random runs of events."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.records import BAR, BOOK_LEVEL, LAYOUTS, OPPORTUNITY, QUOTE, TRADE, TRADING_STATUS, RecordLayout
from relay_service.kernel import histogram, state
from relay_service.kernel.engine import KernelEngine, KernelSettings
from relay_service.kernel.reference import ReferenceGroup, ReferenceKernel

KEYS = [1, 2, 3, 4, 2**63 + 5, 2**64 - 1]
prices = st.one_of(st.integers(95, 105), st.sampled_from([0, -3, 10_000, 2**62]))
exponents = st.sampled_from([-2, -2, -2, -2, -1, -1, -3, -3, 0, 0, 128, -129, 2**31 - 1])
flags = st.builds(
    lambda provenance, *bits: provenance | sum(bits),
    st.sampled_from([1, 1, 1, 1, 3, 0]),
    *[st.sampled_from([0, 0, 0, 0, 0, 1 << bit]) for bit in (2, 3, 4, 7, 8, 12, 13, 16, 17)],
)


def common() -> dict[str, st.SearchStrategy[Any]]:
    return {
        "listing_key": st.sampled_from([*KEYS, 0]),
        "venue_time_ns": st.integers(0, 5),
        "collector_time_ns": st.integers(0, 5),
        "flags": flags,
        "sequence": st.integers(0, 2**64 - 1),
        "source_id": st.integers(0, 2**32 - 1),
    }


sizes = st.sampled_from([1, 1, 5, 10, 0, 2**63 - 1])
quote_rows = st.fixed_dictionaries(
    common()
    | {"bid_price": prices, "ask_price": prices, "bid_size": sizes, "ask_size": sizes, "price_exponent": exponents}
    | {"size_exponent": st.sampled_from([0, 0, -1, 1, -128, 127])}
)
price_rows = st.fixed_dictionaries(common() | {"price": prices, "size": sizes, "price_exponent": exponents})
status_rows = st.fixed_dictionaries(common() | {"state": st.sampled_from([1, 1, 1, 2, 3, 4000])})
bar_rows = st.fixed_dictionaries(common())
frames = st.one_of(
    st.tuples(st.just(QUOTE.event_type), st.lists(quote_rows, min_size=1, max_size=12)),
    st.tuples(st.just(QUOTE.event_type), st.lists(quote_rows, min_size=1, max_size=12)),
    st.tuples(st.just(TRADE.event_type), st.lists(price_rows, min_size=1, max_size=4)),
    st.tuples(st.just(BOOK_LEVEL.event_type), st.lists(price_rows, min_size=1, max_size=4)),
    st.tuples(st.just(TRADING_STATUS.event_type), st.lists(status_rows, min_size=1, max_size=2)),
    st.tuples(st.just(BAR.event_type), st.lists(bar_rows, min_size=1, max_size=2)),
)
elapses = st.one_of(st.integers(0, 40), st.integers(0, 40), st.sampled_from([9_999_999_999, 10_000_000_001]))
runs = st.lists(st.tuples(frames, st.booleans(), elapses, st.booleans()), min_size=1, max_size=12)
definitions = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0, 30.0, -40.0, math.nan]),  # fee
        st.sampled_from([None, (1, -2), (5, -2), (1, 0), (10**17, 3)]),  # tick
        st.sampled_from([0, 1, 1, 2]),  # listing status
        st.integers(0, 1),  # group
    ),
    min_size=5,
    max_size=5,
)


def define(engine: KernelEngine, twin: ReferenceKernel, given_definitions: list[Any]) -> None:
    groups = [ReferenceGroup(7, 2.0), ReferenceGroup(8, 1.0)]
    for key, (fee, tick, status, group) in zip(KEYS, given_definitions, strict=False):
        slot = engine.slots.add(key)
        row = engine.slots.table[slot]
        row["known"], row["definition_version"], row["taker_fee_bps"], row["listing_status"] = (
            1,
            key % 100 + 1,
            fee,
            status,
        )
        if tick is not None:
            row["tick"], row["tick_exponent"] = tick
        engine.groups.place(slot, f"{7 + group:016x}{'0' * 16}", "USD", 2.0 - group)
        one = twin.listing(key)
        one.known, one.version, one.fee, one.tick, one.listing_status = True, key % 100 + 1, fee, tick, status
        one.group = groups[group]
        groups[group].members.append(one)


def assert_opportunities(found: Any, expected: list[dict[str, Any]], *, ordered: bool = True) -> None:
    rows = [] if found is None else [{name: row[name].item() for name in OPPORTUNITY.fields} for row in found]
    assert len(rows) == len(expected)
    if not ordered:
        rows.sort(key=lambda one: (one["instrument_key"], -one["state"]))
        expected = sorted(expected, key=lambda one: (one["instrument_key"], -one["state"]))
    for row, wanted in zip(rows, expected, strict=True):
        for name, value in wanted.items():
            assert row[name] == (pytest.approx(value, rel=1e-12) if name == "confidence" else value), name


def take_in(
    engine: KernelEngine,
    twin: ReferenceKernel,
    layout: RecordLayout,
    array: Any,
    gap: bool,
    now: int,
    provenance: int = 0,
) -> None:
    """One frame through both, which have to agree."""
    whole = [{name: one[name].item() for name in layout.fields} for one in array]
    output = engine.intake(layout.event_type, array, 77, gap, now, provenance)
    kept, expected = twin.intake(layout.event_type, whole, 77, gap, now, provenance)
    assert [{name: one[name].item() for name in layout.fields} for one in array[: output.written]] == kept
    assert layout.is_rows(array.tobytes())
    for slot, row in zip(output.slots.tolist(), kept, strict=True):
        assert slot == engine.slots.slot_of(row["listing_key"])
    assert_opportunities(output.opportunities, expected)


@settings(max_examples=300, deadline=None)
@given(
    runs,
    definitions,
    st.booleans(),
    st.sampled_from([0, 1, 200_000]),
    st.sampled_from([0, 0, 1, 3]),
    st.sampled_from([(0, 0.0, 1), (1030, 0.001, 100), (10**12, 0.5, 20), (10**12, 0.02, 1000), (1, 0.02, 50)]),
)
def test_kernel_equals_its_twin(
    run: Any, given_definitions: Any, registry: bool, provisional: int, provenance: int, gates: tuple[int, float, int]
) -> None:
    stale, band, age = gates
    given_settings = KernelSettings(
        max_quote_age_ns=50,
        confidence_decay_ns=30,
        stale_ns=stale,
        price_band=band,
        price_band_age_ns=age,
        registry_enabled=registry,
        max_provisional=provisional,
        capacity=4,
    )
    engine, twin = KernelEngine(given_settings), ReferenceKernel(given_settings)
    define(engine, twin, given_definitions)
    now = 1_000
    for (kind, rows), gap, elapsed, tick in run:
        now += elapsed
        layout = LAYOUTS[kind]
        array = layout.new(len(rows))
        for k, row in enumerate(rows):
            for name, value in row.items():
                array[name][k] = value
        take_in(engine, twin, layout, array, gap, now, provenance)
        if tick:
            assert_opportunities(engine.pass_time(now).opportunities, twin.pass_time(now), ordered=False)
        assert engine.next_sequence == twin.next_sequence
    assert {k: int(v) for k, v in enumerate(engine.counters) if v} == twin.counters
    for key, one in twin.listings.items():
        slot = engine.slots.slot_of(key)
        if one.quote is not None:
            held = engine.slots.quotes_of(np.array([slot]))
            assert {name: held[name].item() for name in QUOTE.fields} == one.quote


@pytest.mark.parametrize("seed", range(6))
def test_long_frames_of_listings_defined_unknown_and_refused_equal_the_twin(seed: int) -> None:
    """Longer than the kernel looks ahead: what was found for a row then has to be that row's."""
    random = np.random.default_rng(seed)
    settings = KernelSettings(max_quote_age_ns=50, capacity=4, max_provisional=20)
    engine, twin = KernelEngine(settings), ReferenceKernel(settings)
    define(engine, twin, [(1.0, (1, -2), 1, group % 2) for group in range(5)])
    for now in range(1_000, 1_200, 50):
        rows = QUOTE.new(int(random.integers(30, 90)))
        rows["listing_key"] = random.choice(np.array([*KEYS, 0, *range(100, 140)], np.uint64), len(rows))
        rows["bid_price"], rows["ask_price"] = random.integers(95, 105, (2, len(rows)))
        rows["bid_size"] = rows["ask_size"] = 1
        rows["price_exponent"], rows["flags"] = -2, 1
        take_in(engine, twin, QUOTE, rows, False, now)
        assert engine.next_sequence == twin.next_sequence
    assert {k: int(v) for k, v in enumerate(engine.counters) if v} == twin.counters


@pytest.mark.parametrize("seed", range(8))
def test_listings_that_change_their_group_between_frames_equal_the_twin(seed: int) -> None:
    """Groups of one to seven members, of which few are named in the slots: what is named has to follow, with an opportunity open and without."""
    random = np.random.default_rng(seed)
    settings = KernelSettings(max_quote_age_ns=500, capacity=4)
    engine, twin = KernelEngine(settings), ReferenceKernel(settings)
    groups = [ReferenceGroup(7, 2.0), ReferenceGroup(8, 1.0)]
    keys = list(range(1, 9))
    for key in keys:
        one = twin.listing(key)
        one.known, one.version, one.fee = True, key + 1, 0.0
        slot = engine.slots.add(key)
        row = engine.slots.table[slot]
        row["known"], row["definition_version"], row["taker_fee_bps"] = 1, key + 1, 0.0
    opened = 0
    for now in range(1_000, 4_000, 100):
        for key in random.choice(keys, 3).tolist() if now > 1_000 else keys:
            # One stays in each, so that the twin, which knows groups by their listings, sees both.
            wanted = groups[key % 2] if key < 3 else [None, *groups][int(random.integers(3))]
            move(engine, twin, key, wanted)
        rows = QUOTE.new(int(random.integers(1, 40)))
        rows["listing_key"] = random.choice(np.array(keys, np.uint64), len(rows))
        middle = random.integers(98, 103, len(rows))
        rows["bid_price"], rows["ask_price"] = middle - 1, middle + 1
        rows["bid_size"] = rows["ask_size"] = 1
        rows["price_exponent"], rows["flags"] = -2, 1
        take_in(engine, twin, QUOTE, rows, False, now)
        opened += any(group.opening is not None for group in groups)
        assert_opportunities(engine.pass_time(now + 50).opportunities, twin.pass_time(now + 50), ordered=False)
    assert opened > 10
    assert {k: int(v) for k, v in enumerate(engine.counters) if v} == twin.counters


def move(engine: KernelEngine, twin: ReferenceKernel, key: int, wanted: ReferenceGroup | None) -> None:
    """Put a listing into a group, or in none, in both; the opportunity of a group it leaves is looked at again at the next tick."""
    one, slot = twin.listing(key), engine.slots.slot_of(key)
    if one.group is wanted:
        return
    if one.group is not None:
        one.group.members.remove(one)
        if one.group.opening is not None:
            one.group.opening.row["expires_time_ns"] = 0
    one.group = wanted
    if wanted is None:
        engine.groups.remove(slot)
        return
    wanted.members.append(one)
    wanted.members.sort(key=lambda member: member.key)
    engine.groups.place(slot, f"{wanted.instrument_key:016x}{'0' * 16}", "USD", wanted.multiplier)


def test_a_row_with_wrong_tags_is_refused_and_the_rest_kept() -> None:
    engine = KernelEngine(KernelSettings(capacity=4))
    for place in range(QUOTE.row_size):
        rows = QUOTE.new(3)
        rows["listing_key"], rows["flags"] = [1, 2, 3], 1
        raw = rows.view(np.uint8).reshape(3, -1)
        constant = bool((QUOTE.new(1).view(np.uint8)[place] == raw[1, place]) and place in constant_places())
        raw[1, place] ^= 0xFF
        before = int(engine.counters[state.REJECT_MALFORMED])
        output = engine.intake(QUOTE.event_type, rows, 1, False, 1)
        refused = int(engine.counters[state.REJECT_MALFORMED]) - before
        assert refused == (1 if constant else 0)
        if constant:
            assert output.written == 2
            assert rows["listing_key"][:2].tolist() == [1, 3]


def constant_places() -> set[int]:
    fields = QUOTE.dtype.fields
    assert fields is not None
    return {fields[name][1] for name in fields if name.startswith("_")}


def test_many_listings_are_found_again_while_the_table_grows() -> None:
    engine = KernelEngine(KernelSettings(max_provisional=1_000_000))
    keys = np.random.default_rng(5).permutation(np.arange(1, 120_001, dtype=np.uint64) * np.uint64(1_000_003))
    for start in range(0, len(keys), 10_000):
        rows = TRADE.new(10_000)
        rows["listing_key"], rows["flags"] = keys[start : start + 10_000], 1
        engine.intake(TRADE.event_type, rows, 1, False, 1)
    assert engine.slots.count == len(keys)
    assert [engine.slots.slot_of(int(key)) for key in keys[::997]] == list(range(0, len(keys), 997))


def test_more_opportunities_than_fit_one_call_are_all_handed_out() -> None:
    engine = KernelEngine(KernelSettings(capacity=4))
    for key in (1, 2):
        slot = engine.slots.add(key)
        engine.slots.table["known"][slot], engine.slots.table["taker_fee_bps"][slot] = 1, 0.0
        engine.groups.place(slot, f"{9:032x}", "USD", 1.0)
    rows = QUOTE.new(5_001)
    rows["flags"], rows["bid_size"], rows["ask_size"] = 1, 1, 1
    rows["listing_key"] = 2
    rows["listing_key"][0] = 1
    rows["bid_price"], rows["ask_price"] = 99, 100
    rows["bid_price"][1:], rows["ask_price"][1:] = np.arange(200, 5_200), 9_000
    output = engine.intake(QUOTE.event_type, rows, 1, False, 1)
    assert output.written == 5_001
    assert output.opportunities is not None
    assert output.opportunities["sell_price"].tolist() == list(range(200, 5_200))
    assert output.opportunities["state"].tolist() == [1] + [2] * 4_999
    assert len(set(output.opportunities["opportunity_id"].tolist())) == 1


@settings(deadline=None)
@given(st.integers(-10, 2**63 - 1))
def test_a_span_is_counted_in_the_same_bucket_by_python_and_by_compiled_code(nanoseconds: int) -> None:
    assert histogram.bucket(nanoseconds) == histogram.bucket_of(nanoseconds)
