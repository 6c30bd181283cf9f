"""`alphapulse collector` and `alphapulse sources` where no platform runs."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from alphapulse_cli.main import cli
from collector_service.sources import SOURCES

LISTED = (
    'https://api.exchange.coinbase.com/products -> 1700000000.0: [{"id":"BTC-USD","base_currency":"BTC","quote_currency":"USD",'
    '"quote_increment":"0.01","base_increment":"0.00000001","status":"online"}]\n'
)
FRAMES = [
    "wss://ws-feed.exchange.coinbase.com <-> 1700000000.5\n",
    'wss://ws-feed.exchange.coinbase.com <- 1700000000.6: {"type":"subscribe"}\n',
    '1700000001.0: {"type":"snapshot","product_id":"BTC-USD","bids":[["99.10","1.50"]],"asks":[["100","2"]]}\n',
    '1700000002.0: {"type":"match","product_id":"BTC-USD","trade_id":7,"price":"100","size":"0.10","side":"sell","time":"2023-11-14T22:13:22Z"}\n',
    '1700000003.0: {"type":"match","product_id":"BTC-USD","trade_id":8,"price":"none","size":"1","side":"sell","time":"2023-11-14T22:13:22Z"}\n',
    '1700000004.0: {"type":"fireworks"}\n',
]


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def decoded(*words: str) -> Any:
    result = run("collector", "decode", *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@pytest.mark.parametrize("packed", [True, False])
def test_what_a_recording_holds_is_told_exactly(tmp_path: Path, packed: bool) -> None:
    files = []
    for name, text in (("COINBASE.0", LISTED), ("COINBASE.ws.1.0", "".join(FRAMES))):
        path = tmp_path / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
        files.append(str(path))
    found = decoded(*files, "--source", "coinbase")
    assert (found["frames"], found["instruments"], found["events"]) == (4, 1, {"trade": 1, "book_level": 2})
    assert found["rejects"] == {"AMOUNT_FORMAT": 1} or found["rejects"] == {"DECIMAL_FORMAT": 1}
    assert found["unknown_messages"] == {"fireworks": 1}
    assert found["unknown_symbols"] == []
    book = found["books"]["BTC-USD"]
    assert (book["synced"], book["bid"], book["ask"]) == (
        True,
        {"price": "99.10", "size": "1.50"},
        {"price": "100", "size": "2"},
    )


def test_a_source_nobody_knows_is_told_with_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "X.ws.1.0.gz"
    path.write_bytes(gzip.compress(b""))
    result = run("collector", "decode", str(path), "--source", "mtgox")
    assert result.exit_code != 0
    assert "'mtgox'" in result.output
    assert "KRAKEN" in result.output


def test_names_are_found_in_any_spelling(tmp_path: Path) -> None:
    path = tmp_path / "BIT.COM.ws.1.0.gz"
    path.write_bytes(gzip.compress(b""))
    assert decoded(str(path), "--source", "bit.com")["source"] == "BITCOM"


def test_the_catalogue_has_every_source() -> None:
    result = run("sources", "list", "--json")
    assert [line["name"] for line in json.loads(result.output)] == sorted(SOURCES)
    for name in SOURCES:
        told = json.loads(run("sources", "show", name, "--json").output)
        assert told["name"] == name
        assert told["documentation"].startswith("http")
    assert "def emit(m, out):" in run("sources", "show", "kraken", "--code").output
