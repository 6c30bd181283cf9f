"""Rows that were recorded come back as the same bytes, in the order of their sequence, whatever they hold and however they were cut into files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.domain.errors import InvalidArgument
from alphapulse.recording import FOLDERS, SCHEMAS, Recorder, read_rows
from alphapulse.recording.columns import rows_of, table_of
from alphapulse.records import LAYOUTS, QUOTE, RecordLayout

LAST = 2**64 - 1
MOMENTS = (-(2**63), -1, 0, 1_777_852_800_000_000_000, 2**63 - 1)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda one: one.name)
@given(count=st.integers(0, 40), seed=st.integers(0, 2**32))
@settings(max_examples=10)
def test_columns_of_any_rows_are_the_rows_again(build: Any, layout: RecordLayout, count: int, seed: int) -> None:
    rows = build.any_rows(layout, count, seed)
    table = table_of(layout, rows, {})
    table.validate(full=True)
    assert rows_of(layout, table).tobytes() == rows.tobytes()


@given(data=st.data())
@settings(max_examples=15)
def test_what_was_recorded_comes_back_byte_for_byte_in_order(build: Any, data: st.DataObject) -> None:
    runs = []
    sequence = data.draw(st.sampled_from((1, 2**63 - 5, LAST - 400)))
    for event_type in data.draw(st.lists(st.sampled_from(sorted(LAYOUTS)), max_size=12)):
        rows = build.any_rows(LAYOUTS[event_type], data.draw(st.integers(1, 8)), data.draw(st.integers(0, 2**32)))
        rows["relay_in_ns"] = data.draw(st.lists(st.sampled_from(MOMENTS), min_size=len(rows), max_size=len(rows)))
        for k in range(len(rows)):
            sequence += data.draw(st.integers(1, 3))
            rows["sequence"][k] = sequence
        runs.append((LAYOUTS[event_type], rows))
    shuffled = data.draw(st.permutations(runs))  # types may come in any order; rows of a type rise by file
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Recorder(folder) as recorder:
            recorder.follow("relay.1")
            for layout, rows in shuffled:
                recorder.rows(layout, rows, 1)
                if data.draw(st.booleans()):
                    recorder.rotate()
                    recorder.write_closed()
        assert b"".join(rows.tobytes() for _, rows in read_rows(folder)) == b"".join(rows.tobytes() for _, rows in runs)
        assert recorder.totals.rows == sum(len(rows) for _, rows in runs)
        wanted = data.draw(st.sampled_from(sorted(LAYOUTS)))
        mine = b"".join(rows.tobytes() for layout, rows in runs if layout.event_type == wanted)
        assert b"".join(rows.tobytes() for _, rows in read_rows(folder, [wanted])) == mine


def test_types_are_interleaved_by_sequence_and_each_run_is_of_one(build: Any, tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        recorder.follow("relay.1")
        quotes = build.quotes(200_000)  # more than a row group, and than a batch of the reader
        trades = build.trades(1000)
        trades["sequence"] = np.sort(np.random.default_rng(3).choice(np.arange(200_001, 10**6), 1000, replace=False))
        quotes["sequence"] = np.setdiff1d(np.arange(200_001, 10**6), trades["sequence"])[:200_000]
        for first in range(0, 200_000, 10_000):
            recorder.rows(LAYOUTS[2], quotes[first : first + 10_000], 1)
        recorder.rows(LAYOUTS[1], trades, 1)
    found = list(read_rows(tmp_path))
    merged = np.concatenate([rows["sequence"] for _, rows in found])
    assert (merged[1:] > merged[:-1]).all()
    assert len(merged) == 201_000
    assert max(len(rows) for _, rows in found) <= 1 << 16
    (part,) = (tmp_path / "quote").rglob("*.parquet")
    groups = pq.ParquetFile(part).metadata
    assert [groups.row_group(k).num_rows <= 1 << 16 for k in range(groups.num_row_groups)] == [True] * 4


def test_rows_lie_by_the_day_of_the_relays_time_and_are_read_by_it(build: Any, tmp_path: Path) -> None:
    midnight = build.noon_ns + build.day_ns // 2
    trades = build.trades(10, relay_in_ns=midnight - 5_000)
    with Recorder(tmp_path) as recorder:
        recorder.follow("relay.1b")
        recorder.rows(LAYOUTS[1], trades, 1)
    names = sorted(str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*.parquet"))
    assert names == [
        "trade/date=2026-05-04/part-relay.1b-00000000000000000001.parquet",
        "trade/date=2026-05-05/part-relay.1b-00000000000000000006.parquet",
    ]
    ((_, early),) = read_rows(tmp_path, end_ns=midnight)
    assert early.tobytes() == trades[:5].tobytes()
    ((_, late),) = read_rows(tmp_path, start_ns=midnight + 2_000)
    assert late.tobytes() == trades[7:].tobytes()


def test_lives_of_a_relay_follow_each_other_by_their_start(build: Any, tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        recorder.follow("relay.ff")
        recorder.rows(QUOTE, build.quotes(3, first_sequence=10), 1)
        recorder.follow("relay.100")
        recorder.rows(QUOTE, build.quotes(3, first_sequence=1), 1)
    assert [rows["sequence"].tolist() for _, rows in read_rows(tmp_path)] == [[10, 11, 12], [1, 2, 3]]


def test_every_type_has_a_folder_and_columns_that_say_what_they_are() -> None:
    assert set(FOLDERS) == set(SCHEMAS) == set(LAYOUTS)
    assert SCHEMAS[QUOTE.event_type].names == [
        *("listing_key", "sequence", "venue_time_ns", "collector_time_ns", "relay_in_ns", "relay_out_ns"),
        *("source_id", "definition_version", "flags"),
        *("bid_price_mantissa", "bid_size_mantissa", "ask_price_mantissa", "ask_size_mantissa"),
        *("price_exponent", "size_exponent", "bid_price", "bid_size", "ask_price", "ask_size", "provenance", "source"),
    ]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="there is no such folder"):
        list(read_rows(tmp_path / "nowhere"))
    with pytest.raises(InvalidArgument, match="99") as refused:
        list(read_rows(tmp_path, [99]))
    assert refused.value.violations[0].rule == "event-type"
    broken = tmp_path / "quote/date=2026-05-04/part-relay.1-00000000000000000001.parquet"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"PAR1")
    with pytest.raises(InvalidArgument, match=r"part-relay\.1") as refused:
        list(read_rows(tmp_path))
    assert refused.value.violations[0].rule == "parquet-format"
