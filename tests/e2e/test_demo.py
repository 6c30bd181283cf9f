"""`alphapulse demo`: everything runs, the numbers add up, and nothing is left behind."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
KEYS = {
    *("venues", "instruments", "instruments_with_isin", "listings", "events_in", "events_delivered"),
    *("gaps_declared", "gaps_undeclared", "rejects", "unknown_listings", "opportunities", "synthetic_updates"),
    *("signals", "latency_us"),
}


@pytest.fixture
def target(open_folder: Path) -> Path:
    return open_folder / "kept" / "summary.json"


def _until(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if word in line:
            return seen
    raise AssertionError(f"ended without saying {word!r}:\n{seen}")


def _finish(process: subprocess.Popen[str], seconds: float = 60) -> str:
    output, _ = process.communicate(timeout=seconds)
    return output


def _check_sums(summary: dict[str, Any]) -> None:
    taken: Counter[str] = Counter()
    for counts in summary["events_in"].values():
        taken.update(counts)
    for kind in ("trade", "quote", "book_level"):
        assert taken[kind] > 0
        assert taken[kind] == summary["events_delivered"][kind], kind
    assert summary["gaps_undeclared"] == 0
    assert summary["unknown_listings"] == 0


def test_the_simulated_demo_shows_everything_and_adds_up(alphapulse: Any, target: Path) -> None:
    process = alphapulse.start("demo", "--seconds", "8", "--summary", str(target))
    output = _finish(process, 200)
    assert process.returncode == 0, output
    summary = json.loads(target.read_text())
    assert set(summary) == KEYS
    assert summary["venues"] >= 2_700
    assert summary["instruments"] >= summary["instruments_with_isin"] >= 1_300
    assert summary["listings"] > 0
    assert set(summary["events_in"]) == {"BINANCE", "COINBASE", "KRAKEN"}
    for source, counts in summary["events_in"].items():
        assert all(counts.get(kind, 0) > 0 for kind in ("trade", "quote", "book_level")), source
    _check_sums(summary)
    assert summary["opportunities"] > 0
    assert summary["synthetic_updates"] > 0
    assert summary["signals"] > 0
    assert summary["gaps_declared"] == 0
    assert summary["rejects"] == {}
    for hop in ("collector_to_relay", "relay", "relay_to_client"):
        assert 0 < summary["latency_us"][hop]["p50"] <= summary["latency_us"][hop]["p99"]
    assert "Summary" in output
    assert alphapulse.processes() == []
    assert alphapulse.left_behind() == []


def test_an_interrupted_demo_ends_with_its_summary(alphapulse: Any, target: Path) -> None:
    process = alphapulse.start("demo", "--summary", str(target))
    seen = _until(process, "undeclared gaps")  # the first line of the view: it runs
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)  # an impatient second one cuts nothing short
    output = seen + _finish(process)
    assert process.returncode == 0, output
    assert "Summary" in output
    assert set(json.loads(target.read_text())) == KEYS
    assert alphapulse.processes() == []
    assert alphapulse.left_behind() == []


@pytest.mark.parametrize("moment", ["starting Postgres", "starting the registries", "seeding"])
def test_interrupted_while_it_starts_it_leaves_nothing(alphapulse: Any, moment: str) -> None:
    process = alphapulse.start("demo", "--seconds", "5")
    _until(process, moment)
    process.send_signal(signal.SIGINT)
    output = _finish(process)
    assert process.returncode == 130, output
    assert "stopped before it was ready" in output
    assert "Traceback" not in output
    assert alphapulse.processes() == []
    assert alphapulse.left_behind() == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--strategy", "nowhere.py:Momentum"), "there is no file nowhere.py"),
        (("--strategy", "momentum"), "module:Class or file.py:Class"),
        (("--summary", "/proc/nowhere/summary.json"), "cannot be written"),
        (("--recordings", "/nowhere"), "does not exist"),
        (("--seconds", "0"), "--seconds"),
    ],
)
def test_wrong_options_are_told_before_anything_starts(alphapulse: Any, arguments: tuple[str, ...], told: str) -> None:
    process = alphapulse.start("demo", *arguments)
    output = _finish(process)
    assert process.returncode == 2, output
    assert told in output
    assert alphapulse.left_behind() == []


def test_a_strategy_that_does_not_load_ends_the_demo_with_its_own_words(alphapulse: Any, open_folder: Path) -> None:
    file = open_folder / "broken.py"
    file.write_text("raise RuntimeError('no such luck')\n")
    process = alphapulse.start("demo", "--seconds", "5", "--strategy", f"{file}:Broken")
    output = _finish(process, 100)
    assert process.returncode == 4, output
    assert "the strategy does not start" in output
    assert "no such luck" in output
    assert alphapulse.processes() == []
