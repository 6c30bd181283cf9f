"""Every benchmark runs, briefly, and prints the line that `alphapulse bench` reads. What it measured is not looked at."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(240)
PROJECT = Path(__file__).resolve().parents[2]
PROGRAMS = sorted((PROJECT / "benchmarks").glob("bench_*.py"))
PROMISED = {
    "decode",
    "formula",
    "watch",
    "lookup_replica",
    "lookup_unary",
    "lookup_batch",
    "lookup_cold",
    "lookup_scale",
    "register_stream",
    "relay_throughput",
    "relay_latency",
    "relay_fanout",
    "relay_kernel",
    "relay_log",
    "relay_many",
    "relay_slow_client",
}
FIELDS = {"metric", "value", "unit", "floor", "ratio", "peers", "timed"}


def name_of(program: Path) -> str:
    """As `alphapulse bench` calls it."""
    return program.stem.removeprefix("bench_")


def test_the_promised_benchmarks_are_there() -> None:
    assert {name_of(program) for program in PROGRAMS} >= PROMISED


@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_a_benchmark_prints_one_line_of_the_promised_shape(program: Path) -> None:
    done = subprocess.run([sys.executable, str(program), "--quick"], capture_output=True, text=True, timeout=220)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 1
    result = json.loads(lines[0])
    assert set(result) == {"bench", "machine", "metrics"}
    assert result["bench"] == name_of(program)
    assert {"cpus", "cpu", "load", "python"} <= set(result["machine"])
    assert result["metrics"]
    for metric in result["metrics"]:
        check_metric(metric)
    assert any(metric["floor"] is not None for metric in result["metrics"])


def check_metric(metric: dict[str, Any]) -> None:
    """A finite figure with its unit and its words; a ratio where there is a floor."""
    assert set(metric) == FIELDS
    assert math.isfinite(metric["value"])
    assert metric["value"] > 0 or metric["metric"].endswith("_cpu")  # the clock of processor time is coarse
    assert metric["unit"]
    assert len(metric["timed"]) > 20
    assert metric["floor"] is None or math.isfinite(metric["floor"])
    assert metric["ratio"] is None or metric["floor"] is not None
    assert all(math.isfinite(value) for value in metric["peers"].values())


def test_nothing_is_left_running_or_lying_about(tmp_path: Path) -> None:
    """Stores and services end with the benchmark, and its folders go with it."""
    program = PROJECT / "benchmarks" / "bench_lookup_unary.py"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    tmp_path.chmod(0o711)
    done = subprocess.run(
        [sys.executable, str(program), "--quick"], capture_output=True, text=True, timeout=220, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("alphapulse-")] == []
