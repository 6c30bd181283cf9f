"""What happened, as numbers that add up: printed for people, written as JSON for tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from alphapulse_cli.demo.account import RelayAccount
from alphapulse_cli.demo.figures import Figures
from alphapulse_cli.demo.observer import Seen
from alphapulse_cli.demo.strategy_feed import StrategyFeed


def summarise(figures: Figures, account: RelayAccount, feed: StrategyFeed, seen: Seen) -> dict[str, Any]:
    """The summary; its keys are the promise of `alphapulse demo --summary`.

    Delivered are the events the strategy received; of the types it does not ask for, those that the demo's own subscription to everything
    received. Gaps are those of both.
    """
    totals = account.totals()
    rejects = dict(totals.rejects)
    for source in figures.sources:
        for reason, count in source.rejects.items():
            rejects[reason] = rejects.get(reason, 0) + count
    return {
        "venues": figures.venues,
        "instruments": figures.instruments,
        "instruments_with_isin": figures.instruments_with_isin,
        "listings": figures.listings,
        "events_in": {source: dict(counts) for source, counts in sorted(totals.events_in.items())},
        "events_delivered": {**seen.events, **feed.events()},
        "gaps_declared": feed.total("gaps_declared") + seen.gaps_declared,
        "gaps_undeclared": feed.total("gaps_undeclared") + seen.gaps_undeclared,
        "rejects": rejects,
        "unknown_listings": totals.unknown_listings,
        "opportunities": totals.opportunities,
        "synthetic_updates": totals.synthetic_updates,
        "signals": feed.signals,
        "latency_us": {**seen.latency_us, **feed.latency_us(), **account.latencies()},
    }


def write(summary: dict[str, Any], target: Path) -> None:
    """As one JSON document."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")


def show(summary: dict[str, Any], console: Console) -> None:
    """For people."""
    table = Table(title="Summary", title_justify="left", show_header=False, box=None, pad_edge=False)
    for key in ("venues", "instruments", "instruments_with_isin", "listings"):
        table.add_row(key.replace("_", " "), f"{summary[key]:,}")
    for source, counts in summary["events_in"].items():
        table.add_row(f"events in, {source}", _counts(counts))
    table.add_row("events delivered", _counts(summary["events_delivered"]))
    for key in (
        "gaps_declared",
        "gaps_undeclared",
        "unknown_listings",
        "opportunities",
        "synthetic_updates",
        "signals",
    ):
        table.add_row(key.replace("_", " "), f"{summary[key]:,}")
    table.add_row("rejects", _counts(summary["rejects"]))
    for hop, figures in summary["latency_us"].items():
        table.add_row(f"latency, {hop}", f"p50 {figures['p50']:,.0f} us, p99 {figures['p99']:,.0f} us")
    console.print(table)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"
