"""What an import does with rows: created, extended, unchanged, conflicts, refused, put off; and what its dry run foretells."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from alphapulse.domain.errors import InvalidArgument
from alphapulse.interchange import Counts


def counts(**expected: int) -> dict[str, int]:
    """All counts, those that are not given 0."""
    return asdict(Counts(**expected))


def rejected(path: str | Path) -> list[dict[str, str]]:
    """The lines of a rejects file."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


async def test_an_import_creates_and_a_second_finds_all_of_it_unchanged(
    registry: Any, shares: Callable[..., Path]
) -> None:
    path = shares(2_345)
    first = await registry.load(path)
    assert asdict(first.counts) == counts(created=2_345)
    assert first.complete
    assert not first.rejects
    again = await registry.load(path)
    assert asdict(again.counts) == counts(unchanged=2_345)
    assert len(await registry.everything()) == 2_345


async def test_a_refused_row_is_named_with_its_line_column_value_and_rule(registry: Any, tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    path.write_text(
        "asset_class,name,isin,currency,strike,listing_venue,listing_symbol,listing_currency,tick_size\n"
        "EQUITY,Sound,US0378331005,USD,,XNAS,AAPL,USD,0.01\n"
        "EQUITY,Wrong digit,US0378331006,USD,,,,,\n"
        "SHARE,No such class,US5949181045,USD,,,,,\n"
        'EQUITY,"Two lines\nin a name",DE0007164600,EUR,5,,,,\n'
        "EQUITY,Too few\n"
        "EQUITY,Bad numbers,GB0002634946,GBP,,XLON,BA.,GBX,1/8\n"
        "EQUITY,Worse,DE0007236101,XYZ,,XETR,SIE,EUR,-1\n"
    )
    report = await registry.load(path)
    assert asdict(report.counts) == counts(created=1, refused=6)
    found = [(int(r["line"]), r["column"], r["value"], r["rule"]) for r in rejected(report.rejects)]
    assert (3, "isin", "US0378331006", "isin-check-digit") in found
    assert (4, "asset_class", "SHARE", "enum-unknown") in found
    assert (5, "strike", "5", "column-class") in found
    assert (7, "record", "EQUITY,Too few", "csv-columns") in found
    assert (8, "tick_size", "1/8", "decimal-format") in found
    assert (9, "currency", "XYZ", "currency-unknown") in found
    assert (9, "tick_size", "-1", "positive") in found
    assert len(found) == 7
    assert [row.line for row in report.rows] == [3, 4, 5, 7, 8, 9]


async def test_a_conflict_becomes_a_case_and_the_rest_goes_on(registry: Any, tmp_path: Path) -> None:
    path = tmp_path / "conflict.csv"
    head = "asset_class,name,isin,currency,cusip,listing_venue,listing_symbol,listing_currency\n"
    path.write_text(f"{head}EQUITY,One,DE0007164600,EUR,,XETR,SAP,EUR\n")
    await registry.load(path)
    path.write_text(
        f"{head}EQUITY,Another company of that symbol,DE0007236101,EUR,,XETR,SAP,EUR\n"
        "EQUITY,Third,DE000BASF111,EUR,,XETR,BAS,EUR\n"
    )
    report = await registry.load(path)
    assert asdict(report.counts) == counts(conflicts=1, created=1)
    (row,) = report.rows
    assert (row.line, row.outcome, row.name) == (2, "conflicts", "Another company of that symbol")
    case = await registry.stub.GetCollisionCase(_case_request(row.case_id))
    assert case.collision_case.challenger.name == "Another company of that symbol"
    assert not report.rejects


def _case_request(case_id: str) -> Any:
    from alphapulse.api.instrument.v1 import instrument_service_pb2 as service

    return service.GetCollisionCaseRequest(case_id=case_id)


async def test_rows_may_refer_to_rows_that_come_later(registry: Any, tmp_path: Path) -> None:
    """Pairs before their coins, and options on futures on them: put off until what they name is there."""
    mapping = tmp_path / "pairs.toml"
    mapping.write_text(
        'constants = {asset_class = "SPOT_PAIR"}\n[columns]\nname = "pair"\n'
        'base_id = {currency_id = "base", kind = "crypto"}\nquote_id = {currency_id = "quote", kind = "crypto"}\n'
    )
    from alphapulse.interchange import FileSource, read_mapping

    pairs = tmp_path / "pairs.csv"
    pairs.write_text("pair,base,quote\n" + "".join(f"C{n}/USDT,C{n},USDT\n" for n in range(40)) + "NO/USDT,NO,USDT\n")
    coins = tmp_path / "coins.csv"
    coins.write_text(
        "asset_class,name,code,kind\n"
        + "".join(f"CURRENCY,C{n},C{n},CRYPTO\n" for n in range(40))
        + "CURRENCY,USDT,USDT,CRYPTO\n"
    )
    sources = (FileSource(pairs, read_mapping(mapping)), FileSource(coins))
    dry = await registry.load(*sources, batch=7, dry_run=True)
    assert asdict(dry.counts) == counts(created=81, refused=1)
    report = await registry.load(*sources, batch=7)
    assert asdict(report.counts) == counts(created=81, refused=1)
    (refused,) = rejected(report.rejects)
    assert (refused["line"], refused["column"], refused["rule"]) == ("42", "base", "reference-unknown")
    assert not list(tmp_path.glob("*.later*"))  # noqa: ASYNC240 - a few names


async def test_rows_of_one_key_are_one_entry_wherever_a_batch_or_a_block_ends(registry: Any, tmp_path: Path) -> None:
    path = tmp_path / "grouped.csv"
    lines = ["entry,asset_class,name,currency,listing_venue,listing_symbol,listing_currency,ticker,isin"]
    isins = ["DE0007164600", "DE0007236101"]
    for at, one in enumerate(isins):
        lines += [
            f"{at},EQUITY,Share {at},EUR,X{n:03d},S{at}_{n},EUR,{f'T{at}_{n}' if n % 7 == 0 else ''},{one if n == 0 else ''}"
            for n in range(700)
        ]
    path.write_text("\n".join(lines) + "\n")
    report = await registry.load(path)
    assert asdict(report.counts) == counts(created=2)
    held = sorted((await registry.everything()).values(), key=lambda one: one.instrument.name)
    assert [len(one.listings) for one in held] == [700, 700]


async def test_rows_of_one_key_that_disagree_are_refused_together(registry: Any, tmp_path: Path) -> None:
    path = tmp_path / "grouped.csv"
    path.write_text(
        "entry,asset_class,name,currency,isin\n1,EQUITY,One,EUR,DE0007164600\n1,EQUITY,Other,EUR,DE0007164600\n"
    )
    report = await registry.load(path)
    assert asdict(report.counts) == counts(refused=1)
    (refused,) = rejected(report.rejects)
    assert (refused["line"], refused["rule"]) == ("2", "entry-differs")


async def test_a_dry_run_tells_what_would_change_and_changes_nothing(registry: Any, tmp_path: Path) -> None:
    head = (
        "asset_class,name,isin,cusip,currency,sector,listing_venue,listing_symbol,listing_currency,tick_size,source\n"
    )
    path = tmp_path / "before.csv"
    path.write_text(
        f"{head}EQUITY,Apple,US0378331005,,USD,,XNAS,AAPL,USD,0.01,a\nEQUITY,Microsoft,US5949181045,,USD,,XNAS,MSFT,USD,0.01,a\n"
        "EQUITY,SAP,DE0007164600,,EUR,,XETR,SAP,EUR,0.01,a\nEQUITY,Siemens,DE0007236101,,EUR,,XETR,SIE,EUR,0.01,a\n"
    )
    await registry.load(path)
    before = await registry.everything()
    path.write_text(
        f"{head}EQUITY,Apple,US0378331005,037833100,USD,Technology,XNYS,AAPL,USD,0.01,a\n"
        "EQUITY,Microsoft,US5949181045,,USD,,XNAS,MSFT,USD,0.05,a\n"
        "EQUITY,SAP SE,DE0007164600,,EUR,,XETR,SAP,EUR,0.01,a\n"
        "EQUITY,Siemens,DE0007236101,,EUR,,XETR,SIE,EUR,0.01,a\n"
        "EQUITY,BASF,DE000BASF111,,EUR,,XETR,BAS,EUR,0.01,a\n"
        "EQUITY,Bad,DE000BASF112,,EUR,,XETR,BAD,EUR,0.01,a\n"
        "EQUITY,Claims it,GB0002634946,,GBP,,XETR,SAP,EUR,0.01,a\n"
    )
    report = await registry.load(path, dry_run=True)
    assert report.dry_run
    assert asdict(report.counts) == counts(
        created=1, extended=1, changed=1, differing=1, unchanged=1, refused=1, conflicts=1
    )
    told = {row.name: (row.outcome, list(row.details)) for row in report.rows}
    assert told["Apple"][0] == "extended"
    assert set(told["Apple"][1]) == {"identifier CUSIP 037833100", "listing XNYS:AAPL", "equity sector: Technology"}
    assert told["Microsoft"] == ("changed", ["change: listing XNAS:MSFT rules tick_size: 0.01 -> 0.05"])
    assert told["SAP SE"] == ("differing", ["kept: name: SAP -> SAP SE"])
    assert told["BASF"][0] == "created"
    assert told["Claims it"][0] == "conflicts"
    assert json.dumps([asdict(row) for row in report.rows])
    assert await registry.everything() == before
    real = await registry.load(path)
    assert asdict(real.counts) == counts(created=1, extended=2, differing=1, unchanged=1, refused=1, conflicts=1)


async def test_where_rows_come_from_and_under_which_terms_stays_with_them(registry: Any, tmp_path: Path) -> None:
    from alphapulse.interchange import FileSource

    path = tmp_path / "plain.csv"
    path.write_text("asset_class,name,isin,currency\nEQUITY,SAP,DE0007164600,EUR\n")
    await registry.load(FileSource(path, source="acme 2026-11", licence="CC-BY-4.0"))
    (held,) = (await registry.everything()).values()
    assert held.instrument.source == "acme 2026-11 [CC-BY-4.0]"
    assert {one.source for one in held.instrument.identifiers} == {"acme 2026-11 [CC-BY-4.0]"}


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("a.csv", "", "required"),
        ("a.csv", "isin,isin\n1,2\n", "column-twice"),
        ("a.csv", "asset_clas,name\nEQUITY,x\n", "column-unknown"),
        ("a.parquet", "no parquet", "parquet-format"),
        ("a.xlsx", "x", "file-format"),
    ],
)
async def test_a_file_that_cannot_be_read_is_named(
    registry: Any, tmp_path: Path, name: str, content: str, rule: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InvalidArgument) as caught:
        await registry.load(path)
    assert [one.rule for one in caught.value.violations] == [rule]
    assert str(path) in str(caught.value)
