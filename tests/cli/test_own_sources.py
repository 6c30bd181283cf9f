"""Sources of the user's own: begun, checked, installed, listed, run; what is broken is told and costs no other."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from prometheus_client import CollectorRegistry
from support.collectors import collector, sources_when

from alphapulse.api.collector.v1 import collector_service_pb2 as pb
from alphapulse.domain.errors import ConfigurationError
from alphapulse.runtime import load
from alphapulse_cli.main import cli
from collector_service.app import CollectorApplication
from collector_service.config import CollectorConfig
from collector_service.conformance import CHECKS, Verdict, run_check
from collector_service.own import read_source
from collector_service.skeleton import skeleton
from collector_service.sources import SOURCES

_QUICK = ("C01", "C03", "C06", "C11")


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, words, env={"SOURCES_PATH": str(folder)})


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(text)
    return path


def test_a_source_that_is_begun_is_a_source(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    begun = run(folder, "sources", "add", "our_venue", "--json")
    path = folder / "our_venue.py"
    assert json.loads(begun.stdout) == {"name": "OUR_VENUE", "file": str(path)}
    listed = run(folder, "sources", "list", "--json")
    names = [line["name"] for line in json.loads(listed.stdout)]
    assert names == sorted({*SOURCES, "OUR_VENUE"})
    told = json.loads(run(folder, "sources", "show", "our-venue", "--json").stdout)
    assert (told["name"], told["channels"], told["hook lines"]) == ("OUR_VENUE", ["trades", "books"], 0)
    assert told["lines"] > 40
    source = read_source(path)
    found = {check.id: run_check(check, source).verdict for check in CHECKS if check.id.startswith(_QUICK)}
    assert set(found.values()) == {Verdict.PASSED}
    assert os.listdir(folder) == ["our_venue.py"], "nothing but the file is left there"


def test_its_recordings_are_decoded(tmp_path: Path) -> None:
    written(tmp_path, "mine", skeleton("MINE"))
    market = {
        "market": "BTC-EUR",
        "base": "BTC",
        "quote": "EUR",
        "status": "trading",
        "tickSize": "1",
        "quantityDecimals": 8,
    }
    trade = {
        "event": "trade",
        "market": "BTC-EUR",
        "price": "9.50",
        "amount": "1",
        "side": "buy",
        "id": 7,
        "timestamp": 1,
    }
    lists, frames = tmp_path / "MINE.0.gz", tmp_path / "MINE.ws.0.0.gz"
    lists.write_bytes(
        gzip.compress(f"https://api.example.com/v1/markets -> 1767225600.5: {json.dumps([market])}\n".encode())
    )
    frames.write_bytes(gzip.compress(f"1767225601.5: {json.dumps(trade)}\n".encode()))
    found = json.loads(
        run(tmp_path, "collector", "decode", str(lists), str(frames), "--source", "mine", "--json").stdout
    )
    assert (found["instruments"], found["events"], found["rejects"]) == (1, {"trade": 1}, {})


def test_a_file_is_installed_where_it_is_a_source_of_that_name(tmp_path: Path) -> None:
    folder, file = tmp_path / "own", written(tmp_path, "draft", skeleton("MINE"))
    assert run(folder, "sources", "add", "mine", "--from", str(file)).exit_code == 0
    assert (folder / "mine.py").read_text() == file.read_text()
    again = run(folder, "sources", "add", "mine", "--from", str(file))
    assert again.exit_code != 0
    assert "MINE is taken: MINE stands in mine.py" in again.output
    file.write_text(file.read_text().replace('title="MINE"', 'title="Ours"'))
    assert run(folder, "sources", "add", "mine", "--from", str(file), "--replace").exit_code == 0
    assert 'title="Ours"' in (folder / "mine.py").read_text()
    assert os.listdir(folder) == ["mine.py"]


_TWO = skeleton("TWO").replace("SPEC = ", "ONE = ")
BROKEN: list[tuple[str, str, str]] = [
    ("raises", 'x = 1\nraise ValueError("not today")\n', "line 2: ValueError: not today"),
    ("ends", "import sys\nsys.exit(3)\n", "line 2: SystemExit: 3"),
    ("half", "SPEC = SourceSpec(\n", "line 1: SyntaxError: '(' was never closed"),
    ("empty", "", "nothing in it is a SourceSpec"),
    ("bytes", "x = '\udcff'\n", "SyntaxError"),
    (
        "path",
        skeleton("PATH").replace('price="price"', 'price="a..b"'),
        "PATH.dialects[0].routes['trade'].price: 'a..b': a path is names",
    ),
    ("lower", skeleton("LOWER").replace('name="LOWER"', 'name="lower"'), "'lower': capitals, digits and underscores"),
    ("taken", skeleton("KRAKEN"), "KRAKEN is taken: KRAKEN is built in"),
    (
        "two",
        f"{_TWO}from dataclasses import replace\nOTHER = replace(ONE, name='OTHER')\n",
        "ONE, OTHER in it is a SourceSpec",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "said"), BROKEN, ids=[name for name, *_ in BROKEN])
def test_what_is_broken_is_named_and_not_installed(tmp_path: Path, name: str, text: str, said: str) -> None:
    file = tmp_path / f"{name}.py"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    folder = tmp_path / "own"
    refused = run(folder, "sources", "add", "KRAKEN" if name == "taken" else name, "--from", str(file))
    assert refused.exit_code != 0
    assert said in refused.output
    assert not folder.exists()


def test_broken_files_cost_no_other_source(tmp_path: Path) -> None:
    for name, text, _ in BROKEN:
        (tmp_path / f"{name}.py").write_bytes(text.encode("utf-8", "surrogateescape"))
    written(tmp_path, "mine", skeleton("MINE"))
    written(tmp_path, "mine_too", skeleton("MINE"))
    written(tmp_path, "_helper", "raise ValueError")
    listed = run(tmp_path, "sources", "list", "--json")
    assert {line["name"] for line in json.loads(listed.stdout)} == {*SOURCES, "MINE"}
    for name, _, said in BROKEN:
        assert f"{name}.py is broken" in listed.stderr
        assert said in listed.stderr
    assert "mine_too.py is broken: MINE is taken: MINE stands in mine.py" in listed.stderr
    assert "_helper" not in listed.stderr
    unknown = run(tmp_path, "sources", "show", "path")
    assert unknown.exit_code == 1
    assert "path.py is broken" in unknown.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sources", "add", "a b"), "capitals, digits and underscores"),
        (("sources", "add", "../up"), "capitals, digits and underscores"),
        (("sources", "add", "mine", "--check"), "--from"),
        (("sources", "add", "kraken"), "KRAKEN is built in"),
    ],
)
def test_what_cannot_be_added_is_refused(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    refused = run(tmp_path, *words)
    assert refused.exit_code != 0
    assert said in refused.output
    assert not list(tmp_path.iterdir())


def test_a_folder_is_needed() -> None:
    refused = CliRunner().invoke(cli, ["sources", "add", "mine"], env={"SOURCES_PATH": ""})
    assert refused.exit_code == 2
    assert "SOURCES_PATH" in refused.output
    missing = CliRunner().invoke(cli, ["sources", "list"], env={"SOURCES_PATH": "/nowhere"})
    assert missing.exit_code != 0
    assert "SOURCES_PATH: /nowhere is no folder" in missing.output


async def test_a_collector_knows_them(tmp_path: Path) -> None:
    written(tmp_path, "mine", skeleton("MINE"))
    written(tmp_path, "raises", "raise ValueError")
    dead = "MINE.ws=ws://127.0.0.1:1,MINE.rest=http://127.0.0.1:1"
    variables = {"SOURCES_PATH": str(tmp_path), "SOURCES": "MINE", "TRANSPORT": "live", "SOURCE_URLS": dead}
    async with collector(**variables) as (stub, _):
        found = await sources_when(stub, lambda all_: all_["MINE"].state == pb.SOURCE_STATE_BACKING_OFF)
        assert (found["MINE"].venue, found["MINE"].book_machine) == ("MINE", "range_sequence")
        assert (await stub.StopSource(pb.StopSourceRequest(name="mine"))).source.state == pb.SOURCE_STATE_STOPPED


@pytest.mark.parametrize(
    ("variables", "variable", "said"),
    [
        ({"SOURCES": "RAISES"}, "SOURCES", "raises.py of SOURCES_PATH is broken: line 1: ValueError"),
        ({"RECORD_SOURCES": "NOBODY"}, "RECORD_SOURCES", "each must be one of"),
        ({"SOURCES_PATH": os.devnull}, "SOURCES_PATH", "must be a folder"),
        ({"RECORD_DIR": f"{os.devnull}/under"}, "RECORD_DIR", "must be a folder that can be written to"),
    ],
)
def test_a_bad_setting_is_named(tmp_path: Path, variables: dict[str, str], variable: str, said: str) -> None:
    written(tmp_path, "raises", "raise ValueError")
    with pytest.raises(ConfigurationError) as caught:
        CollectorApplication(load(CollectorConfig, {"SOURCES_PATH": str(tmp_path), **variables}), CollectorRegistry())
    assert caught.value.metadata["variable"] == variable
    assert said in str(caught.value)


def test_a_terminal_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `collector run` starts, not what it does: a process of its own is held to that elsewhere."""
    seen: list[dict[str, str]] = []

    def launch(_: Any, __: Any, environ: dict[str, str]) -> int:
        seen.append(environ)
        return 0

    monkeypatch.setattr("alphapulse_cli.commands.collector.launch", launch)
    assert CliRunner().invoke(cli, ["collector", "run", "kraken", "--record", str(tmp_path)]).exit_code == 0
    assert (seen[0]["RECORD_DIR"], seen[0]["SOURCES"], seen[0]["TRANSPORT"]) == (str(tmp_path), "KRAKEN", "live")
