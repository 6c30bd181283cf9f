"""`alphapulse bench`: the figures of `benchmarks/`, each beside its floor and its peers, measured in the same run."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from alphapulse_cli.context import json_option, print_json, print_table
from alphapulse_cli.exits import Exit

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def names() -> list[str]:
    """The benchmarks there are."""
    return sorted(p.stem.removeprefix("bench_") for p in FOLDER.glob("bench_*.py"))


def _measure(name: str) -> dict[str, Any] | None:
    """Each in a process of its own, so that none inherits another's loops and caches."""
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"bench_{name}.py")], stdout=subprocess.PIPE, cwd=FOLDER.parent, check=False
    )
    if done.returncode:
        click.echo(f"{name}: ended with code {done.returncode}", err=True)
        return None
    result: dict[str, Any] = msgspec.json.decode(done.stdout.splitlines()[-1])
    return result


def _show(result: dict[str, Any]) -> None:
    rows = []
    for m in result["metrics"]:
        peers = " ".join(f"{peer}={value:,.4g}" for peer, value in m["peers"].items())
        ratio = "" if m["ratio"] is None else f"{m['ratio']:.2f}"
        floor = "" if m["floor"] is None else f"{m['floor']:,.4g}"
        rows.append((m["metric"], f"{m['value']:,.4g}", m["unit"], floor, ratio, peers, m["timed"]))
    print_table(("metric", "value", "unit", "floor", "ratio", "peers", "timed"), rows, title=result["bench"])


@click.command()
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="All of them, one after the other.")
@json_option
def command(name: str | None, every: bool, as_json: bool) -> None:
    """Measure NAME, or --all. Ratios count: machines differ, the floor is measured in the same run."""
    known = names()
    if not known or importlib.util.find_spec("numpy") is None:
        raise click.UsageError("benchmarks/ is not here: run this in a checkout of the project")
    if not every and name not in known:
        raise click.UsageError(f"NAME is one of {', '.join(known)}; or say --all")
    results, failed = [], False
    for each in known if every else [str(name)]:
        if every:
            click.echo(f"measuring {each} ...", err=True)
        result = _measure(each)
        if result is None:
            failed = True
            continue
        results.append(result)
        if not as_json:
            _show(result)
    if as_json and results:
        print_json(results if every else results[0])
    sys.exit(Exit.FAILED if failed else Exit.OK)
