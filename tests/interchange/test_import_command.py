"""`alphapulse import` and `alphapulse export` as a user runs them: what they print, with which code they end."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from alphapulse.interchange import ExportOptions, export
from alphapulse_cli.exits import Exit
from alphapulse_cli.main import cli

HEAD = "asset_class,name,isin,currency,listing_venue,listing_symbol,listing_currency\n"


async def alphapulse(address: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    environment = {**os.environ, "INSTRUMENT_REGISTRY_ADDRESS": address, "ALPHAPULSE_HOME": str(folder / "home")}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "alphapulse_cli", *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


async def test_the_codes_and_words_of_an_import_and_an_export(registry: Any, tmp_path: Path) -> None:
    path = tmp_path / "shares.csv"
    path.write_text(f"{HEAD}EQUITY,SAP,DE0007164600,EUR,XETR,SAP,EUR\nEQUITY,Siemens,DE0007236101,EUR,XETR,SIE,EUR\n")
    done = await alphapulse(registry.address, tmp_path, "import", "shares.csv", "--json")
    assert done.returncode == Exit.OK, done.stderr
    assert json.loads(done.stdout)["counts"]["created"] == 2
    path.write_text(f"{HEAD}EQUITY,Other,DE000BASF111,EUR,XETR,SAP,EUR\n")
    conflict = await alphapulse(registry.address, tmp_path, "import", "shares.csv")
    assert conflict.returncode == Exit.UNDECIDED, conflict.stderr
    assert "shares.csv:2  conflicts  Other" in conflict.stdout
    path.write_text(f"{HEAD}EQUITY,Bad,DE000BASF112,EUR,,,\n")
    refused = await alphapulse(registry.address, tmp_path, "import", "shares.csv", "--source", "a", "--license", "MIT")
    assert refused.returncode == Exit.USAGE, refused.stderr
    assert "isin-check-digit" in refused.stdout
    assert "refused rows: shares.csv.rejects.csv" in refused.stderr
    assert (
        (tmp_path / "shares.csv.rejects.csv").read_text().splitlines()[1].startswith("shares.csv,2,isin,DE000BASF112")
    )
    (tmp_path / "m.toml").write_text(
        'source = "a"\nwhere.own = "1"\n[columns]\nname = "name"\nasset_class = "asset_class"\n'
    )
    (tmp_path / "some.csv").write_text("asset_class,name,own\nEQUITY,Left out,2\n")
    some = ("import", "some.csv", "--mapping", "m.toml")
    assert (
        "rows passed over, as the mapping's `where` says: 1\n"
        in (await alphapulse(registry.address, tmp_path, *some)).stdout
    )
    assert json.loads((await alphapulse(registry.address, tmp_path, *some, "--json")).stdout)["passed_over"] == 1
    export = await alphapulse(registry.address, tmp_path, "export", "all.parquet", "--class", "equity")
    assert export.returncode == Exit.OK, export.stderr
    assert export.stdout == f"{len(await registry.everything())} instruments with 2 listings in all.parquet\n"
    left = sorted(one.name for one in (tmp_path / "home" / "imports").iterdir())
    assert left == []


def test_what_cannot_be_done_is_told_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_ADDRESS", "127.0.0.1:1")
    (tmp_path / "m.toml").write_text('[columns]\nnam = "x"\n')
    (tmp_path / "a.csv").write_text("x\n1\n")
    mapping = CliRunner().invoke(cli, ["import", "a.csv", "--mapping", "m.toml"])
    assert mapping.exit_code == Exit.USAGE
    assert "columns.nam='nam': m.toml: not a column of the native layout; name is one" in mapping.output
    both = CliRunner().invoke(cli, ["import", "a.csv", "--mapping", "m.toml", "--format", "cross-listings"])
    assert both.exit_code == Exit.USAGE
    time = CliRunner().invoke(cli, ["export", "a.csv", "--as-of", "2024-12-31T10:00+1"])
    assert time.exit_code == Exit.USAGE
    assert "is not of the form" in time.output
    silent = CliRunner().invoke(cli, ["import", "a.csv"])
    assert silent.exit_code == Exit.UNAVAILABLE
    assert (tmp_path / "a.csv").read_text() == "x\n1\n"


async def test_an_export_as_of_a_time_holds_what_was_valid_then(registry: Any, tmp_path: Path) -> None:
    path = tmp_path / "shares.csv"
    head = HEAD.strip() + ",listing_valid_from,listing_valid_to\n"
    path.write_text(
        f"{head}EQUITY,SAP,DE0007164600,EUR,XETR,SAP,EUR,2010-01-01,\nEQUITY,SAP,DE0007164600,EUR,XNYS,SAPX,EUR,2005-01-01,2015-01-01\n"
    )
    await registry.load(path)
    symbols = {}
    for day in ("2006-01-01", "2012-01-01", "2020-01-01"):
        out = tmp_path / f"{day}.jsonl"
        await export(registry.channel, out, ExportOptions(as_of=datetime.fromisoformat(day).replace(tzinfo=UTC)))
        (line,) = out.read_text().splitlines()
        symbols[day] = sorted(one["symbol"] for one in json.loads(line).get("listings", []))
    assert symbols == {"2006-01-01": ["SAPX"], "2012-01-01": ["SAP", "SAPX"], "2020-01-01": ["SAP"]}
    before = ExportOptions(known_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert (await export(registry.channel, tmp_path / "before.jsonl", before)).entries == 0
