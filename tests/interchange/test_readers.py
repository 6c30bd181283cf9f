"""Files as they come: compressed, odd, damaged, larger than a block; every record is read or told with its line."""

from __future__ import annotations

import bz2
import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.errors import InvalidArgument
from alphapulse.interchange.csv_reader import FIELD_LIMIT
from alphapulse.interchange.file_bytes import BLOCK_ROWS
from alphapulse.interchange.readers import open_reader


def read(path: Path, skip: int = 0) -> list[tuple[int, int, tuple[Any, ...], list[str]]]:
    """(row, line, cells, rules broken) of each row."""
    found = []
    with open_reader(path) as reader:
        for block in reader.blocks(skip):
            cells = list(zip(*block.columns.values(), strict=True)) or [()] * block.count
            for at in range(block.count):
                rules = [one.rule for one in block.broken.get(at, ())]
                found.append((block.rows[at], block.lines[at], tuple(cells[at]), rules))
        assert reader.fraction() == pytest.approx(1.0)
    return found


def test_a_broken_record_costs_no_other_and_lines_stay_right(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(
        b'\xef\xbb\xbfname,isin\r\n"a ""quoted"" name",1\r\n\r\n"two\nlines",2\r\nonly one\r\nx,y,z\r\n"bad"quote,3\r\n\xff\xfe,4\r\nlast,5'
    )
    found = read(path)
    assert [(line, cells[0], rules) for _, line, cells, rules in found] == [
        (2, 'a "quoted" name', []),
        (4, "two\nlines", []),
        (6, "", ["csv-columns"]),
        (7, "", ["csv-columns"]),
        (8, "", ["csv-format"]),
        (9, "\udcff\udcfe", []),
        (10, "last", []),
    ]


def test_a_quote_never_closed_ends_at_the_bound(tmp_path: Path) -> None:
    path = tmp_path / "open.csv"
    path.write_text("a,b\n1,2\n" + '"' + "x" * (FIELD_LIMIT + 10) + "\n3,4\n")
    found = read(path)
    assert found[0][2] == ("1", "2")
    assert found[1][3] == ["csv-format"]


@pytest.mark.parametrize("suffix", [".gz", ".bz2"])
def test_compressed_files_are_read_as_they_are(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.csv{suffix}"
    raw = b"isin\n" + b"".join(b"%012d\n" % n for n in range(5_000))
    path.write_bytes(gzip.compress(raw) if suffix == ".gz" else bz2.compress(raw))
    assert [cells[0] for _, _, cells, _ in read(path)] == [f"{n:012d}" for n in range(5_000)]


def test_a_damaged_compressed_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    whole = gzip.compress(b"isin\n" + b"".join(b"%012d\n" % n for n in range(50_000)))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidArgument, match=r"a\.csv\.gz"):
        read(path)


@given(count=st.integers(0, 3 * BLOCK_ROWS), skip=st.integers(0, 3 * BLOCK_ROWS), group=st.integers(1, 2_000))
def test_reading_goes_on_after_any_row(
    count: int, skip: int, group: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("skip")
    text, columns = folder / "a.csv", folder / "a.parquet"
    text.write_text("n\n" + "".join(f"{n}\n" for n in range(count)))
    pq.write_table(
        pa.table({"n": [str(n) for n in range(count)]}, pa.schema([("n", pa.string())])), columns, row_group_size=group
    )
    for path in (text, columns):
        found = []
        with open_reader(path) as reader:
            for block in reader.blocks(skip):
                found += list(zip(block.rows, block.columns["n"], strict=True))
        assert found == [(n, str(n)) for n in range(skip, count)]


def test_cells_of_parquet_are_their_exact_texts(tmp_path: Path) -> None:
    path = tmp_path / "types.parquet"
    table = pa.table(
        {
            "text": ["037833100"],
            "few": pa.array(["USD"]).dictionary_encode(),
            "decimal": pa.array([Decimal("0.0100")], pa.decimal128(20, 4)),
            "whole": [9_007_199_254_740_993],
            "truth": [True],
            "day": pa.array([19_000], pa.date32()),
            "moment": pa.array([1_700_000_000_123_456_789], pa.timestamp("ns", "UTC")),
            "local": pa.array([1_700_000_000], pa.timestamp("s")),
            "nested": [[{"scheme": "IDENTIFIER_SCHEME_ISIN"}]],
            "none": pa.array([None], pa.null()),
        }
    )
    pq.write_table(table, path)
    ((_, line, cells, _),) = read(path)
    assert line == 1
    assert cells == (
        *("037833100", "USD", "0.0100", "9007199254740993", "true", "2022-01-08"),
        *("2023-11-14T22:13:20.123456789Z", "2023-11-14T22:13:20", '[{"scheme":"IDENTIFIER_SCHEME_ISIN"}]', None),
    )


def test_lines_of_json_that_are_none_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"instrument": {"name": "x"}}\n\nnot json\n[1]\n{"instrument": {"nam": 1}}\n{"instrument": {"name": "\\ud800"}}\n'
    )
    found = []
    with open_reader(path) as reader:
        for block in reader.blocks():
            assert block.entries is not None
            found += [(block.lines[at], bool(block.entries[at]), at in block.broken) for at in range(block.count)]
    assert found == [(1, True, False), (3, False, True), (4, False, True), (5, False, True), (6, False, True)]


def test_lines_of_json_tell_path_value_and_rule_of_each_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"instrument": {"name": "A", "equity": {"currency": "EUR", "currency": "USD"}, "name": "B"}}\n'
        '{"instrument": {"nam": 1, "identifiers": [{"value": 5}]}}\n'
        "[1]\n"
    )
    with open_reader(path) as reader:
        (block,) = reader.blocks()
    assert {at: [(one.field, one.value, one.rule) for one in found] for at, found in block.broken.items()} == {
        0: [
            ("instrument.name", "B", "json-duplicate-field"),
            ("instrument.equity.currency", "USD", "json-duplicate-field"),
        ],
        1: [
            ("instrument.nam", "1", "json-unknown-field"),
            ("instrument.identifiers[0].value", "5", "json-type"),
        ],
        2: [("record", "[1]\n", "json-format")],
    }


def test_flat_lines_name_a_column_once(tmp_path: Path) -> None:
    path = tmp_path / "flat.jsonl"
    path.write_text('{"a": 1.50, "b": {"c": 2}}\n{"a": 1, "a": 2.50}\n{"b": {"c": 1}, "b.c": 2}\n7\n')
    with open_reader(path, flat=True) as reader:
        (block,) = reader.blocks()
    assert (block.columns["a"][0], block.columns["b.c"][0]) == ("1.50", "2")
    told = {at: [(one.field, one.value, one.rule) for one in found] for at, found in block.broken.items()}
    assert told == {
        1: [("a", "2.50", "json-duplicate-field")],
        2: [("b.c", "2", "json-duplicate-field")],
        3: [("record", "7\n", "json-format")],
    }
