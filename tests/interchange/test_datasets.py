"""Public data sets by path: cross-listings, ticker histories, token lists, the CUSIP table."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.errors import InvalidArgument
from alphapulse.interchange.datasets import DATASETS
from alphapulse.interchange.datasets.cross_listings import _EXCHANGES
from alphapulse.interchange.datasets.ticker_history import spans_of


async def test_every_listing_of_every_isin_is_there(registry: Any, reference_dir: Path) -> None:
    path = reference_dir / "cross_listings.csv.gz"
    report = await registry.load(DATASETS["cross-listings"](str(path), "", ""))
    expected: dict[str, set[tuple[str, str]]] = defaultdict(set)
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            expected[row["isin"]].add((_EXCHANGES[row["exchange"]][0], row["ticker"]))
    counts = report.counts
    assert counts.refused == 0, report.rows[:3]
    assert counts.created + counts.conflicts == len(expected) == 7_301
    isins = list(expected)
    kept, wrong = 0, []
    for at in range(0, len(isins), 500):
        request = service.BatchLookupRequest(scheme=common.IDENTIFIER_SCHEME_ISIN, values=isins[at : at + 500])
        for isin, result in zip(request.values, (await registry.stub.BatchLookup(request)).results, strict=True):
            found = {(one.venue, one.symbol) for entry in result.entries for one in entry.listings}
            if result.outcome != common.LOOKUP_OUTCOME_RESOLVED or found != expected[isin]:
                wrong.append((isin, expected[isin] - found))
            kept += len(found)
    # A symbol of an exchange that two ISINs claim is one's listing and the other's collision case.
    assert len(wrong) <= counts.conflicts
    assert sum(len(one) for _, one in wrong) + kept == sum(len(one) for one in expected.values())


async def test_ticker_histories_resolve_on_every_day(registry: Any, reference_dir: Path) -> None:
    folder = reference_dir / "ticker_history"
    report = await registry.load(DATASETS["ticker-history"](str(folder), "", ""))
    files = sorted(folder.glob("*.csv"))
    assert report.counts.refused == 0, report.rows
    assert report.counts.created == len(files)
    items: dict[datetime, list[tuple[str, str, str]]] = defaultdict(list)
    for path in files:
        for span in spans_of(path):
            days = [span.valid_from, (span.valid_to or datetime.now(UTC)) - timedelta(days=1)]
            for day in days:
                items[day].append((span.ticker, span.venue, path.stem.upper()))
    for day, asked in items.items():
        request = service.BatchLookupRequest(
            items=[
                service.LookupItem(scheme=common.IDENTIFIER_SCHEME_TICKER, value=ticker, venue=venue)
                for ticker, venue, _ in asked
            ]
        )
        request.options.as_of.FromDatetime(day + timedelta(hours=12))
        answer = await registry.stub.BatchLookup(request)
        for (ticker, venue, name), result in zip(asked, answer.results, strict=True):
            assert [one.instrument.name for one in result.entries] == [name], (day, ticker, venue)


def test_days_of_a_ticker_history_begin_and_end_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "googl.csv"
    path.write_text("20040819,goog,Q\n20140402,goog,Q\n20501231,googl,Q\n")
    day = datetime(2014, 4, 3, tzinfo=UTC)
    assert [tuple(one) for one in spans_of(path)] == [
        ("XNAS", "GOOG", datetime(2004, 8, 19, tzinfo=UTC), day),
        ("XNAS", "GOOGL", day, None),
    ]
    path.write_text("20040819,goog,Q\n2014,x,Q\n20130101,a,ZZ\n")
    with pytest.raises(InvalidArgument) as caught:
        spans_of(path)
    assert [(one.field, one.rule) for one in caught.value.violations] == [
        ("googl.csv:2", "history-format"),
        ("googl.csv:3", "exchange-unknown"),
    ]


async def test_a_token_list_becomes_tokens_without_decimals(registry: Any, tmp_path: Path) -> None:
    usdc = {
        "chainId": 1,
        "address": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
        "name": "USDC",
        "symbol": "USDC",
        "decimals": 6,
    }
    tokens = [
        usdc,
        {**usdc, "chainId": 0},
        {**usdc, "address": "0xA0b8"},
        "no token",
        {**usdc, "chainId": 10, "name": 5},
    ]
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"name": "A list", "version": {"major": 1, "minor": 2, "patch": 3}, "tokens": tokens}))
    report = await registry.load(DATASETS["token-list"](str(path), "", "GPL-3.0"))
    assert (report.counts.created, report.counts.refused) == (1, 4)
    assert [row.line for row in report.rows] == [2, 3, 4, 5]
    (held,) = (await registry.everything()).values()
    assert held.instrument.token.chain == "eip155:1"
    assert not held.instrument.token.HasField("decimals")
    assert held.instrument.source == "A list 1.2.3 [GPL-3.0]"
    path.write_text('{"tokens": 5}')
    with pytest.raises(InvalidArgument, match="token list"):
        await registry.load(DATASETS["token-list"](str(path), "", ""))


async def test_the_cusip_table_names_what_is_registered_and_nothing_else(registry: Any, tmp_path: Path) -> None:
    shares = tmp_path / "shares.csv"
    shares.write_text("asset_class,name,isin,cusip,currency\nEQUITY,Apple,US0378331005,037833100,USD\n")
    await registry.load(shares)
    table = tmp_path / "ct.pq"
    pq.write_table(pa.table({"Cusip": ["037833100", "594918104", "bad"], "Ticker": ["AAPL", "MSFT", "X"]}), table)
    report = await registry.load(DATASETS["cusips"](str(table), "", ""))
    assert (report.counts.extended, report.counts.total) == (1, 1)
    assert report.notes == [f"{table}: 2 CUSIPs are not registered: passed over"]
    (held,) = (await registry.everything()).values()
    assert {one.value for one in held.instrument.identifiers} == {"US0378331005", "037833100", "AAPL"}
    again = await registry.load(DATASETS["cusips"](str(table), "", ""))
    assert (again.counts.unchanged, again.counts.total) == (1, 1)


def test_without_edgartools_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InvalidArgument, match="pip install edgartools"):
        DATASETS["cusips"]("installed", "", "")
