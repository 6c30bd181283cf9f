"""Prices and sizes of a recording are exact decimals for whoever reads them: polars, DuckDB and Arrow add up to what exact arithmetic gives."""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alphapulse.domain.decimal import ExactDecimal
from alphapulse.recording import AMOUNTS, Recorder
from alphapulse.recording.amounts import decimal_column
from alphapulse.recording.columns import table_of
from alphapulse.records import LAYOUTS, QUOTE, TRADE, RecordLayout
from strategy_sdk import EventBatch

INT64 = st.integers(-(2**63), 2**63 - 1)
ROUND = st.builds(lambda digit, zeros: digit * 10**zeros, st.integers(-9, 9), st.integers(0, 18))
EXACT = Context(prec=100)
AMOUNTS_OF_A_QUOTE = ("bid_price", "ask_price", "bid_size", "ask_size")


def column(pairs: list[tuple[int, int]]) -> list[Decimal | None]:
    mantissas = np.array([one for one, _ in pairs], np.int64)
    exponents = np.array([one for _, one in pairs], np.int32)
    found = decimal_column(mantissas, exponents, np.zeros(len(pairs), bool))
    found.validate(full=True)
    values: list[Decimal | None] = found.to_pylist()
    return values


@given(st.lists(st.tuples(INT64 | ROUND, st.integers(-60, 60)), max_size=30))
@example(
    [(-(2**63), -18), (-(2**63), 1), (2**63 - 1, 1), (2**63 - 1, 2), (1, -19), (10, -19), (9 * 10**18, 1), (0, 60)]
)
def test_a_decimal_is_the_number_or_null_where_it_has_none(pairs: list[tuple[int, int]]) -> None:
    for (mantissa, exponent), value in zip(pairs, column(pairs), strict=True):
        number = mantissa * Fraction(10) ** exponent
        scaled = number * 10**18
        fits = scaled.denominator == 1 and abs(scaled) < 10**38
        assert (None if value is None else Fraction(value)) == (number if fits else None)


@given(INT64, st.integers(-(2**31), 2**31 - 1).filter(lambda one: abs(one) > 60))
def test_an_exponent_far_outside_costs_nothing_and_is_null(mantissa: int, exponent: int) -> None:
    assert column([(mantissa, exponent)]) == [Decimal(0) if mantissa == 0 else None]


def test_every_exponent_from_minus_18_to_1_has_a_decimal_for_every_mantissa() -> None:
    extremes = (-(2**63), -(2**63) + 1, -1, 0, 1, 2**63 - 1)
    pairs = [(mantissa, exponent) for mantissa in extremes for exponent in range(-18, 2)]
    assert column(pairs) == [ExactDecimal(*pair).to_decimal() for pair in pairs]


@pytest.mark.parametrize(
    "layout", [one for one in LAYOUTS.values() if one.event_type in AMOUNTS], ids=lambda one: one.name
)
def test_an_amount_is_null_exactly_where_the_event_of_the_sdk_has_none(build: Any, layout: RecordLayout) -> None:
    names = {"bid_price": "bid", "ask_price": "ask"} if layout is QUOTE else {}
    rows = build.any_rows(layout, 400, 11)
    for one in AMOUNTS[layout.event_type]:
        rows[one.exponent] = -2
    table = table_of(layout, rows, {})
    rows["sequence"] = np.arange(len(rows))
    events = EventBatch(1, 1, len(rows), 0, 0, ((layout, rows),)).events()
    oversize = rows["flags"] & 1 << 7 != 0
    for one in AMOUNTS[layout.event_type]:
        found = table.column(one.name).to_pylist()
        for event, value, mantissa, lost in zip(events, found, rows[one.name].tolist(), oversize.tolist(), strict=True):
            told = getattr(event, names.get(one.name, one.name))
            # Of prices that venues always give the SDK does not ask whether one did not fit; a recording does.
            expected = None if told is None or (lost and not mantissa) else told.to_decimal()
            assert value == expected


def recorded(build: Any, folder: Path) -> dict[str, Decimal]:
    """Records quotes in several files; the exact sums of what is there."""
    rows = build.quotes(5_000)
    with Recorder(folder) as recorder:
        recorder.follow("relay.1")
        recorder.sources(["KRAKEN"])
        for first in range(0, 5_000, 1_250):
            recorder.rows(QUOTE, rows[first : first + 1_250], 1)
            recorder.rotate()
        recorder.rows(TRADE, build.trades(10, first_sequence=5_001), 1)
    sums = dict.fromkeys(AMOUNTS_OF_A_QUOTE, Decimal(0))
    for name in sums:
        exponent = "price_exponent" if name.endswith("price") else "size_exponent"
        for mantissa, power in zip(rows[name].tolist(), rows[exponent].tolist(), strict=True):
            sums[name] = EXACT.add(sums[name], ExactDecimal(mantissa, power).to_decimal())
    return sums


def test_arrow_adds_up_exactly(build: Any, tmp_path: Path) -> None:
    sums = recorded(build, tmp_path)
    table = ds.dataset(tmp_path / "quote", partitioning="hive").to_table()
    assert {name: pc.sum(table.column(name)).as_py() for name in sums} == sums
    assert table.column("bid_price").null_count == 500
    assert set(table.column("source").to_pylist()) == {"KRAKEN"}
    assert set(table.column("provenance").to_pylist()) == {"LIVE"}
    trade = ds.dataset(tmp_path / "trade", partitioning="hive").to_table()
    assert set(trade.column("source").to_pylist()) == {None}
    assert set(trade.column("provenance").to_pylist()) == {"SIMULATED"}


def test_duckdb_adds_up_exactly(build: Any, tmp_path: Path) -> None:
    sums = recorded(build, tmp_path)
    shown = ", ".join(f"sum({name})" for name in sums)
    query = f"SELECT {shown}, count(*), min(date)::TEXT FROM read_parquet('{tmp_path}/quote/*/*.parquet', hive_partitioning = true)"
    with duckdb.connect() as connection:
        assert connection.execute(query).fetchone() == (*sums.values(), 5_000, "2026-05-04")


def test_polars_adds_up_exactly(build: Any, tmp_path: Path) -> None:
    sums = recorded(build, tmp_path)
    frame = polars.scan_parquet(tmp_path / "quote/**/*.parquet", hive_partitioning=True)
    assert frame.select(polars.col(*sums).sum()).collect().row(0, named=True) == sums
    assert frame.select(polars.len(), polars.col("source").n_unique()).collect().row(0) == (5_000, 1)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda one: one.name)
def test_other_readers_see_the_same_integers_and_texts(build: Any, tmp_path: Path, layout: RecordLayout) -> None:
    rows = build.any_rows(layout, 500, 5)
    rows["relay_in_ns"] = build.noon_ns
    rows["sequence"] = np.arange(1, 501)
    with Recorder(tmp_path) as recorder:
        recorder.follow("relay.1")
        recorder.rows(layout, rows, 1)
    (path,) = tmp_path.rglob("*.parquet")
    frame = polars.read_parquet(path)
    with duckdb.connect() as connection:
        arrays = connection.execute(f"SELECT * FROM read_parquet('{path}')").fetchnumpy()
    mantissas = {one.name for one in AMOUNTS.get(layout.event_type, ())}
    for name in layout.fields:
        stored = f"{name}_mantissa" if name in mantissas else name
        expected = [text.decode() for text in rows[name]] if name in layout.texts else rows[name]
        np.testing.assert_array_equal(frame[stored].to_numpy(), expected)
        np.testing.assert_array_equal(np.asarray(arrays[stored]), expected)
