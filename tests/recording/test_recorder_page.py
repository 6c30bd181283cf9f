"""The examples of docs/recorder.md, run on a recording."""

from __future__ import annotations

import re
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from alphapulse.api.instrument.v1.instrument_pb2 import Listing
from alphapulse.api.relay.v1.relay_service_pb2 import ListingDefinition
from alphapulse.domain.provenance import RecordFlag
from alphapulse.recording import Missing, Recorder
from alphapulse.records import QUOTE, TRADE, WIDE_AMOUNT
from strategy_sdk import AmountKind

PAGE = (Path(__file__).resolve().parents[2] / "docs/recorder.md").read_text(encoding="utf-8")


def examples(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(found) >= 2
    return found


@pytest.fixture
def beside(build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a recording in it."""
    with Recorder(tmp_path / "recording") as recorder:
        recorder.follow("relay.1", from_sequence=1)
        recorder.definitions(
            ListingDefinition(listing=Listing(listing_key=key, venue="KRAKEN", symbol=f"S{key}")).SerializeToString()
            for key in (1, 2, 3)
        )
        recorder.sources(["KRAKEN", "NOBODY TOLD"])
        recorder.rows(QUOTE, build.quotes(100), 1)
        recorder.rows(TRADE, build.trades(30, first_sequence=101), 1)
        wide, large = WIDE_AMOUNT.new(1), build.trades(1, first_sequence=132)
        wide["sequence"], wide["listing_key"], wide["relay_in_ns"] = 131, large["listing_key"], large["relay_in_ns"]
        wide["trade_id"] = large["trade_id"] = 9
        wide["word_1"], wide["exponent"], wide["kind"] = 3, -18, AmountKind.SIZE
        large["flags"] |= int(RecordFlag.OVERSIZE)
        large["size"] = 0
        recorder.rows(WIDE_AMOUNT, wide, 1)
        recorder.rows(TRADE, large, 1)
        recorder.missing(Missing("QUEUE_FULL", 2, 133, 134))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_queries_of_the_page_answer(beside: Path) -> None:
    with duckdb.connect() as connection:
        sizes, averages, turnovers, spreads, gaps = (connection.execute(query).fetchall() for query in examples("sql"))
    assert [Decimal(size) for number, size in sizes if number == 9] == [
        Decimal(3 * 2**64).scaleb(-18, Context(prec=40))
    ]
    assert [Decimal(size) for number, size in sizes if number != 9] == [7] * 30
    ((day, *average),) = averages
    assert (str(day), *average) == ("2026-05-04", "NOBODY TOLD", 31, 210, 5.0)
    assert turnovers == [(0, 0, 5 * 7 * 30)]
    assert sorted(name for name, _ in spreads) == ["KRAKEN:S1", "KRAKEN:S2", "KRAKEN:S3"]
    assert all(np.isfinite(spread) for _, spread in spreads)
    assert [row[1:] for row in gaps] == [("QUEUE_FULL", 2, "", 132, 0)]


def test_the_programs_of_the_page_run(beside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for program in examples("python"):
        exec(compile(program, "docs/recorder.md", "exec"), {})
    told = capsys.readouterr().out
    assert "Quote 100 1\nTrade 30 101\n" in told
    assert "QUEUE_FULL" in told
