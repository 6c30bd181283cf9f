"""Deterministic replay: what a relay relayed comes out of a second one byte for byte; what does not is told where it begins."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import relay_replaying as replaying

from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import (
    BOOK_LEVEL,
    LAYOUTS,
    OPPORTUNITY,
    QUOTE,
    STRATEGY_SIGNAL,
    SYNTHETIC_UPDATE,
    TRADE,
    TRADING_STATUS,
)
from relay_service.evidence.replaying import NotReplayableError
from relay_service.log.entries import pieces
from relay_service.log.records import LoggedGap, LoggedHole, LoggedInput, LoggedRows

KEYS, SECOND, START_NS, VENUES = replaying.KEYS, replaying.SECOND, replaying.START_NS, replaying.VENUES
Life, changed, prepared, replayed = replaying.Life, replaying.changed, replaying.prepared, replaying.replayed

keys = st.sampled_from([*KEYS, *KEYS, 99, 0])
marks = st.sampled_from(
    [0, 0, 0, 0, 0, RecordFlag.BID_ABSENT, RecordFlag.CROSSED, RecordFlag.OFF_TICK, RecordFlag.STALE]
)
rows = st.builds(
    lambda key, base, spread, late, mark, state, provenance: {
        "listing_key": key,
        "bid_price": base,
        "ask_price": base + spread,
        "price": base,
        "bid_size": 3,
        "ask_size": 2,
        "size": 1,
        "price_exponent": -2,
        "venue_time_ns": START_NS + late,
        "flags": provenance | int(mark),
        "state": state,
    },
    keys,
    st.sampled_from([10_000, 10_003, 10_010, 10_020, 10_040, 9_990, 20_000]),
    st.sampled_from([1, 2, 5, 5, 0, -3]),
    st.sampled_from([0, SECOND, 3 * SECOND, 7 * SECOND, -60 * SECOND]),
    marks,
    st.sampled_from([1, 1, 1, 2]),
    st.sampled_from([1, 1, 1, 1, 1, 3]),
)
kinds = st.sampled_from([QUOTE, QUOTE, QUOTE, TRADE, BOOK_LEVEL, TRADING_STATUS]).map(lambda layout: layout.event_type)
names = st.sampled_from(["A", "B"])
frames = st.tuples(
    st.just("send"), names, kinds, st.lists(rows, min_size=1, max_size=6), st.sampled_from([0, 0, 0, 0, 2, -1, -3])
)
signals = st.tuples(
    st.just("send"),
    st.just("S"),
    st.just(STRATEGY_SIGNAL.event_type),
    st.lists(rows, min_size=1, max_size=3),
    st.sampled_from([0, 0, 2]),
)
"""Of another domain: they meet listings first, and are no part of what is replayed."""
definitions = st.tuples(
    st.just("define"),
    st.sampled_from(KEYS),
    st.sampled_from(VENUES),
    st.sampled_from([1, 1, 5]),
    st.sampled_from([None, None, 0, 2, -3]),
    st.integers(1, 9),
    st.sampled_from([50, 50, 50, 51]),
)
schedules = st.lists(st.tuples(st.integers(-3, 8), st.sampled_from([0, 1, 5])), max_size=2)
others = st.one_of(
    st.tuples(st.just("venue"), st.sampled_from(VENUES), schedules, st.sampled_from([1, 1, 1, 2])),
    st.tuples(
        st.just("synthetic"),
        st.integers(0, 3),
        st.sampled_from(["a + b - c", "b * 2 + a / c", "1 / (a - b) + c"]),
        st.sampled_from([0, 0, 200]),
        st.sampled_from([None, 2.0]),
    ),
    st.tuples(st.just("undefine"), st.sampled_from(KEYS)),
    st.tuples(st.just("unvenue"), st.sampled_from(VENUES)),
    st.tuples(st.just("unsynthetic"), st.integers(0, 3)),
    st.tuples(st.just("lose"), names, st.sampled_from([0, 0, 3, 99]), st.integers(0, 4)),
    st.tuples(st.just("restart"), names),
)
elapses = st.sampled_from([1_000, 50_000_000, 300_000_000, SECOND, 3 * SECOND])
steps = st.tuples(elapses, st.one_of(frames, frames, frames, signals, st.tuples(st.just("tick")), definitions, others))
beginnings = st.lists(st.tuples(st.just(0), st.one_of(definitions, others)), max_size=12)


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(st.booleans(), beginnings, st.lists(steps, min_size=1, max_size=40), st.integers(150, 1000), st.data())
def test_whatever_happened_comes_out_the_same_again(
    ready: bool, beginning: list[Any], script: list[Any], cut: int, data: Any
) -> None:
    life = Life(registry_enabled=data.draw(st.sampled_from([True, True, True, False])))
    if ready:
        prepared(life)
    life.play([*beginning, *script])
    records = life.journal.tail.records()
    cut_up = [piece for one in records for piece in (pieces(one, cut) if isinstance(one, LoggedRows) else (one,))]
    found = replayed(cut_up)
    assert found.divergence is None
    assert not found.stopped
    assert found.rows == life.core.last_sequence
    assert found.gaps == sum(isinstance(one, LoggedGap) for one in records)


tied = st.lists(
    st.builds(
        lambda key, bid: (
            {
                "listing_key": key,
                "bid_price": bid,
                "ask_price": bid + 1,
                "bid_size": 1,
                "ask_size": 1,
                "flags": 1,
                "price": bid,
            }
            | {"price_exponent": -2}
        ),
        st.sampled_from(KEYS),
        st.sampled_from([10_000, 10_050]),
    ),
    min_size=2,
    max_size=6,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(st.permutations(range(7)), st.lists(tied, min_size=2, max_size=10))
def test_the_order_in_which_definitions_came_changes_nothing(order: list[int], given_frames: list[Any]) -> None:
    given_definitions = [
        *(("define", key, VENUES[place % 2], 1, 1, 1) for place, key in enumerate(KEYS)),
        ("synthetic", 0, "a + b - c", 0, None),
        ("synthetic", 10, "a * b + c", 0, None),
    ]
    lives = []
    for places in (range(7), order):
        life = Life()
        life.play([(0, given_definitions[place]) for place in places])
        for kind in (TRADE, QUOTE):
            life.play([(1_000, ("send", "A", kind.event_type, frame, 0)) for frame in given_frames])
        lives.append([one for one in life.journal.tail.records() if isinstance(one, LoggedRows)])
    assert lives[0] == lives[1]


def eventful() -> Any:
    """A life in which everything happens once: opportunities, synthetics of each other, every flag that the relay judges, losses."""
    life = Life()
    prepared(life)
    quote = {"bid_size": 3, "ask_size": 2, "price_exponent": -2, "flags": 1}

    def quoted(key: int, bid: int, ask: int, **more: int) -> dict[str, int]:
        return quote | {"listing_key": key, "bid_price": bid, "ask_price": ask, "venue_time_ns": life.now_ns} | more

    life.fanout.deliver(life.core.tick(life.now_ns))
    for key in KEYS:
        life.send("A", TRADE.event_type, [{"listing_key": key, "price": 100, "size": 1, "flags": 1}], 0)
        life.send("A", QUOTE.event_type, [quoted(key, 10_000, 10_002)], 0)
    life.send("B", QUOTE.event_type, [quoted(1, 10_050, 10_052), quoted(0, 1, 2), quoted(2, 10_051, 10_053)], 3)
    life.now_ns += SECOND
    life.define(1, "XV", 5, 3, 2)
    life.send("B", QUOTE.event_type, [quoted(1, 10_061, 10_052), quoted(2, 30_000, 30_002)], 0)
    life.send("A", QUOTE.event_type, [quoted(3, 10_000, 10_003, venue_time_ns=life.now_ns - 9 * SECOND)], 0)
    life.send("A", QUOTE.event_type, [quoted(99, 10_000, 10_003)], 0)
    life.now_ns += 3 * SECOND
    life.fanout.deliver(life.core.tick(life.now_ns))  # opportunities and synthetics end
    life.now_ns += 2 * SECOND
    life.fanout.deliver(life.core.tick(life.now_ns))  # fees change, and nothing comes of it yet
    life.send("A", QUOTE.event_type, [quoted(3, 10_000, 10_002), quoted(7, 10_050, 10_052)], 0)
    return life


def flags_in(records: list[Any]) -> int:
    found = 0
    for one in records:
        if isinstance(one, LoggedRows):
            for flags in LAYOUTS[one.event_type].from_bytes(one.data)["flags"].tolist():
                found |= flags
    return found


def test_the_eventful_life_holds_what_it_is_for_and_is_replayed() -> None:
    records = eventful().journal.tail.records()
    types = {one.event_type for one in records if isinstance(one, LoggedRows)}
    assert types == {TRADE.event_type, QUOTE.event_type, OPPORTUNITY.event_type, SYNTHETIC_UPDATE.event_type}
    judged = ("CROSSED", "STALE", "OFF_TICK", "PRICE_BAND", "OUT_OF_ORDER", "GAP_BEFORE", "UNKNOWN_LISTING")
    assert all(flags_in(records) & RecordFlag[name] for name in judged)
    noted = {one.what for one in records if isinstance(one, LoggedInput)}
    assert noted == {"settings", "listing", "venue", "synthetic", "tick"}
    assert replayed(records).divergence is None


@pytest.mark.parametrize(
    ("layout", "field"),
    [
        *((QUOTE, field) for field in ("sequence", "relay_in_ns", "definition_version", "flags", "source_id")),
        *((OPPORTUNITY, field) for field in ("size", "net_bps", "confidence", "opportunity_id", "discovered_time_ns")),
        *((SYNTHETIC_UPDATE, field) for field in ("value", "oldest_input_time_ns", "state")),
    ],
    ids=lambda one: one if isinstance(one, str) else one.name,
)
def test_a_row_that_the_log_has_otherwise_is_found(layout: Any, field: str) -> None:
    records = eventful().journal.tail.records()
    place = next(
        place
        for place, one in enumerate(records)
        if isinstance(one, LoggedRows)
        and one.event_type == layout.event_type
        and one.first > 20
        and not np.isnan(LAYOUTS[one.event_type].from_bytes(one.data)[field][-1])
    )
    by = int(RecordFlag.OFF_TICK) if field == "flags" else 1
    records[place] = changed(records[place], field, by)
    divergence = replayed(records).divergence
    assert divergence is not None
    assert divergence.sequence == records[place].last
    assert field in [name for name, _, _ in divergence.differences]


def test_what_is_missing_or_changed_among_the_inputs_is_found() -> None:
    records = eventful().journal.tail.records()
    last = next(k for k, one in enumerate(records) if isinstance(one, LoggedInput) and one.first > 20)
    assert records[last].what == "listing"
    without = replayed(records[:last] + records[last + 1 :]).divergence
    assert without is not None
    assert (without.sequence, without.differences[0][0]) == (records[last].first, "definition_version")
    gap = next(k for k, one in enumerate(records) if isinstance(one, LoggedGap))
    undeclared = replayed(records[:gap] + records[gap + 1 :]).divergence
    assert undeclared is not None
    assert "declared that is not in the log" in undeclared.what
    derived = next(
        k for k, one in enumerate(records) if isinstance(one, LoggedRows) and one.event_type == OPPORTUNITY.event_type
    )
    lost = replayed(records[:derived] + records[derived + 1 :]).divergence
    assert lost is not None
    assert lost.sequence == records[derived].first
    told = json.loads(records[0].data)
    other = records[0]._replace(data=json.dumps(told | {"stale_ns": 10**15}).encode())
    judged = replayed([other, *records[1:]]).divergence
    assert judged is not None
    assert [name for name, _, _ in judged.differences] == ["flags"]


@pytest.mark.parametrize("what", ["listing", "venue", "synthetic", "tick"])
def test_each_kind_of_input_has_its_part_in_what_comes_out(what: str) -> None:
    records = eventful().journal.tail.records()
    without = [one for one in records if not (isinstance(one, LoggedInput) and one.what == what)]
    assert len(without) < len(records)
    assert replayed(without).divergence is not None


def test_what_cannot_be_replayed_says_why() -> None:
    records = eventful().journal.tail.records()
    with pytest.raises(NotReplayableError, match="by which settings"):
        replayed(records[1:])
    with pytest.raises(NotReplayableError, match="another version"):
        replayed([records[0]._replace(data=b'{"colour": 1}'), *records[1:]])
    frameless = [one._replace(frame=None) if isinstance(one, LoggedRows) else one for one in records]
    with pytest.raises(NotReplayableError, match="what frame"):
        replayed(frameless)
    middle = next(k for k, one in enumerate(records) if isinstance(one, LoggedRows) and one.first > 10)
    holed = replayed(
        [*records[:middle], LoggedHole(records[middle].first, records[middle].last, 0), *records[middle + 1 :]]
    )
    assert "hole" in holed.stopped
    assert holed.divergence is None
    assert holed.rows == records[middle].first - 1
