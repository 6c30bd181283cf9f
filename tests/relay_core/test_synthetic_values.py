"""Synthetics: values, states and their causes, dependencies, and what is handed on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from alphapulse.api.synthetic.v1.synthetic_pb2 import PriceField, Synthetic
from alphapulse.records import SYNTHETIC_UPDATE, TRADE
from relay_service.core import RelayCore

SECOND = 1_000_000_000
FRESH, STALE, MISSING, OUT_OF_RANGE, OUTLIER, UNDEFINED = range(1, 7)


def synthetic(key: int, name: str, formula: str, build: Any, **targets: Any) -> Synthetic:
    """A synthetic over listings (int), instruments (("i", key)) or synthetics (str)."""
    made = Synthetic(listing_key=key, name=name, formula=formula, formula_version=4, max_age_ms=1_000)
    for variable, target in targets.items():
        component = made.components.add(variable=variable)
        if isinstance(target, int):
            component.listing_id = build.hex_id(target)
        elif isinstance(target, tuple):
            component.instrument_id = build.hex_id(target[1])
        else:
            component.synthetic = target
    return made


def updates(result: Any) -> list[dict[str, Any]]:
    return [
        {name: row[name].item() for name in SYNTHETIC_UPDATE.fields}
        for group in result.groups
        if group.event_type == SYNTHETIC_UPDATE.event_type
        for row in group.rows
    ]


def test_a_value_follows_its_components_with_bid_and_ask_by_sign(core: RelayCore, feeder: Any, build: Any) -> None:
    core.replica.apply_synthetic(synthetic(99, "SPREAD", "a - b", build, a=1, b=2))
    (missing,) = updates(feeder.quotes(SECOND, build.quote(1, 10000, 10200)))
    assert (missing["state"], missing["cause_listing_key"], math.isnan(missing["value"])) == (MISSING, 2, True)
    result = feeder.quotes(SECOND + 5, build.quote(2, 4000, 4100))
    (row,) = updates(result)
    assert row["value"] == pytest.approx(101.0 - 40.5)
    assert (row["bid"], row["ask"]) == (pytest.approx(100.0 - 41.0), pytest.approx(102.0 - 40.0))
    assert (row["state"], row["formula_version"], row["listing_key"]) == (FRESH, 4, 99)
    assert row["trigger_sequence"] == result.groups[0].first_sequence
    assert row["oldest_input_time_ns"] == SECOND
    assert row["flags"] & 3 == 1
    assert updates(feeder.quotes(SECOND + 6, build.quote(2, 4000, 4100))) == []


def test_it_is_evaluated_once_a_frame(core: RelayCore, feeder: Any, build: Any) -> None:
    core.replica.apply_synthetic(synthetic(99, "M", "a + b", build, a=1, b=2))
    found = updates(feeder.quotes(SECOND, *[build.quote(k % 2 + 1, 100 * k, 100 * k + 2) for k in range(1, 9)]))
    assert [row["value"] for row in found] == [pytest.approx(8.01 + 7.01)]


def test_it_becomes_stale_as_time_passes_and_fresh_again(core: RelayCore, feeder: Any, build: Any) -> None:
    core.replica.apply_synthetic(synthetic(99, "M", "a", build, a=1))
    feeder.quotes(SECOND, build.quote(1, 100, 102))
    assert updates(core.tick(2 * SECOND)) == []
    (row,) = updates(core.tick(2 * SECOND + 1))
    assert (row["state"], row["cause_listing_key"], math.isnan(row["value"])) == (STALE, 1, True)
    assert updates(core.tick(3 * SECOND)) == []
    assert updates(feeder.quotes(4 * SECOND, build.quote(1, 100, 102)))[0]["state"] == FRESH


def test_an_instrument_stands_for_its_freshest_listing(core: RelayCore, feeder: Any, build: Any) -> None:
    core.replica.apply_listing(build.listing(1, 9, "A"))
    core.replica.apply_synthetic(synthetic(99, "M", "x", build, x=("i", 9)))
    core.replica.apply_listing(build.listing(2, 9, "B"))
    feeder.quotes(SECOND, build.quote(1, 100, 102))
    assert updates(feeder.quotes(SECOND + 1, build.quote(2, 110, 112)))[0]["value"] == pytest.approx(1.11)
    assert updates(feeder.quotes(SECOND + 2, build.quote(1, 100, 102)))[0]["value"] == pytest.approx(1.01)


def test_synthetics_of_synthetics_are_computed_in_order(core: RelayCore, feeder: Any, build: Any) -> None:
    core.replica.apply_synthetic(synthetic(97, "TOP", "m * 2 + n", build, m="MID", n="LEAF"))
    core.replica.apply_synthetic(synthetic(98, "MID", "l + 1", build, l="LEAF"))
    core.replica.apply_synthetic(synthetic(99, "LEAF", "a", build, a=1))
    found = updates(feeder.quotes(SECOND, build.quote(1, 100, 102)))
    assert [(row["listing_key"], row["value"]) for row in found] == [
        (99, pytest.approx(1.01)),
        (98, pytest.approx(2.01)),
        (97, pytest.approx(5.03)),
    ]
    late = updates(core.tick(3 * SECOND))
    assert [(row["listing_key"], row["state"], row["cause_listing_key"]) for row in late] == [
        (99, STALE, 1),
        (98, STALE, 1),
        (97, STALE, 1),
    ]


def test_bounds_and_undefined_values(core: RelayCore, feeder: Any, build: Any) -> None:
    bounded = synthetic(98, "B", "a", build, a=1)
    bounded.max_value = 5.0
    core.replica.apply_synthetic(bounded)
    core.replica.apply_synthetic(synthetic(99, "D", "1 / (a - 1)", build, a=1))
    found = {row["listing_key"]: row for row in updates(feeder.quotes(SECOND, build.quote(1, 100, 100)))}
    assert (found[98]["state"], found[99]["state"]) == (FRESH, UNDEFINED)
    assert math.isnan(found[99]["value"])
    found = {row["listing_key"]: row for row in updates(feeder.quotes(SECOND, build.quote(1, 900, 900)))}
    assert (found[98]["state"], found[98]["value"], found[99]["state"]) == (OUT_OF_RANGE, 9.0, FRESH)


def test_an_outlier_is_marked_after_twenty_values(core: RelayCore, feeder: Any, build: Any) -> None:
    watched = synthetic(99, "O", "a", build, a=1)
    watched.outlier_sigma = 6.0
    core.replica.apply_synthetic(watched)
    seen = []
    for k in range(40):
        price = 1_000 + k % 3 if k != 30 else 5_000
        seen += [row["state"] for row in updates(feeder.quotes(SECOND + k, build.quote(1, price, price)))]
    assert seen.count(OUTLIER) == 1
    assert seen.index(OUTLIER) == 30


def test_the_last_trade_as_a_price(core: RelayCore, feeder: Any, build: Any) -> None:
    made = synthetic(99, "L", "a", build, a=1)
    made.components[0].price_field = PriceField.PRICE_FIELD_LAST
    core.replica.apply_synthetic(made)
    rows = build.rows(TRADE, [{"listing_key": 1, "price": 777, "size": 1, "price_exponent": -2}])
    (row,) = updates(feeder.send(TRADE, rows, SECOND))
    assert (row["value"], math.isnan(row["bid"])) == (pytest.approx(7.77), True)


def test_a_paused_or_removed_one_is_not_computed(core: RelayCore, feeder: Any, build: Any) -> None:
    made = synthetic(99, "M", "a", build, a=1)
    core.replica.apply_synthetic(made)
    made.status = 2
    core.replica.apply_synthetic(made)
    assert updates(feeder.quotes(SECOND, build.quote(1, 1, 2))) == []
    made.status = 1
    core.replica.apply_synthetic(made)
    assert updates(core.tick(SECOND))[0]["value"] == pytest.approx(0.015)
    core.replica.remove_synthetic("M")
    assert updates(feeder.quotes(SECOND, build.quote(1, 3, 4))) == []


@pytest.mark.parametrize("how", ["paused", "retired"])
def test_what_is_no_longer_computed_is_gone_for_those_made_of_it(
    core: RelayCore, feeder: Any, build: Any, how: str
) -> None:
    made = synthetic(99, "M", "a", build, a=1)
    core.replica.apply_synthetic(made)
    core.replica.apply_synthetic(synthetic(98, "TOP", "m", build, m="M"))
    core.replica.apply_synthetic(synthetic(97, "TIP", "t + a", build, t="TOP", a=1))
    found = updates(feeder.quotes(SECOND, build.quote(1, 100, 102)))
    assert [(row["listing_key"], row["state"]) for row in found] == [(99, FRESH), (98, FRESH), (97, FRESH)]
    slot = core.slots.slot_of(99)
    assert core.slots.table["known"][slot] == 1
    if how == "paused":
        made.status = 2
        core.replica.apply_synthetic(made)
    else:
        core.replica.remove_synthetic("M")
    assert core.slots.table["known"][slot] == 0
    slots = core.slots.slots_of(np.array([97, 98, 99], np.uint64))
    assert sorted(core.snapshot(SYNTHETIC_UPDATE.event_type, slots)["listing_key"].tolist()) == [97, 98]
    found = updates(core.tick(SECOND + 1))
    assert [(row["listing_key"], row["state"], math.isnan(row["value"])) for row in found] == [
        (98, MISSING, True),
        (97, MISSING, True),
    ]


def test_a_formula_that_cannot_be_computed_is_left_out(core: RelayCore, feeder: Any, build: Any) -> None:
    core.replica.apply_synthetic(synthetic(99, "BAD", "a +", build, a=1))
    assert updates(feeder.quotes(SECOND, build.quote(1, 1, 2))) == []


def test_at_least_once_an_interval(core: RelayCore, feeder: Any, build: Any) -> None:
    made = synthetic(99, "M", "a", build, a=1)
    made.interval_ms = 100
    core.replica.apply_synthetic(made)
    feeder.quotes(SECOND, build.quote(1, 1, 2))
    assert updates(core.tick(SECOND + 99_999_999)) == []
    assert len(updates(core.tick(SECOND + 100_000_000))) == 1
    assert len(updates(core.tick(SECOND // 2))) == 1, "the clock was set back: it is not waited for"
    assert updates(core.tick(SECOND // 2 + 99_999_999)) == []
    assert len(updates(core.tick(SECOND // 2 + 100_000_000))) == 1


def test_a_snapshot_holds_the_last_update(core: RelayCore, feeder: Any, build: Any) -> None:
    core.replica.apply_synthetic(synthetic(99, "M", "a", build, a=1))
    result = feeder.quotes(SECOND, build.quote(1, 100, 102))
    slots = core.slots.slots_of(result.groups[1].rows["listing_key"])
    rows = core.snapshot(SYNTHETIC_UPDATE.event_type, slots)
    assert rows.tobytes() == result.groups[1].rows.tobytes()
