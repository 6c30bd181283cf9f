"""The live view of the demo, drawn from the last figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from alphapulse.api.collector.v1 import collector_service_pb2
from alphapulse_cli.demo.account import RelayAccount
from alphapulse_cli.demo.figures import Figures
from alphapulse_cli.demo.observer import Seen
from alphapulse_cli.demo.rates import Rates
from alphapulse_cli.demo.strategy_feed import StrategyFeed


@dataclass(slots=True)
class Shown:
    """All that is shown."""

    figures: Figures
    account: RelayAccount
    feed: StrategyFeed
    rates: Rates
    seen: Seen


def _registries(figures: Figures) -> Panel:
    table = Table.grid(padding=(0, 2))
    table.add_row("venues", f"{figures.venues:,}")
    table.add_row("instruments", f"{figures.instruments:,}")
    table.add_row("with ISIN", f"{figures.instruments_with_isin:,}")
    table.add_row("listings", f"{figures.listings:,}")
    table.add_row("synthetics", f"{len(figures.synthetics):,}")
    return Panel(table, title="registries", title_align="left")


def _sources(figures: Figures, account: RelayAccount, rates: Rates) -> Panel:
    table = Table("source", "state", "events/s", "trades", "quotes", "book levels", "lost", box=None, pad_edge=False)
    counts = account.totals().events_in
    states = {s.name: s.state for s in figures.sources}
    for name in sorted({*counts, *states}):
        number = states.get(name, collector_service_pb2.SOURCE_STATE_UNSPECIFIED)
        state = collector_service_pb2.SourceState.Name(number).removeprefix("SOURCE_STATE_").lower()
        own: Any = counts.get(name, {})
        lost = next((s.gap_events for s in figures.relay.sources if s.source == name), 0)
        rate = f"{rates.per_second.get(name, 0.0):,.0f}"
        levels = f"{own.get('book_level', 0):,}"
        table.add_row(name, state, rate, f"{own.get('trade', 0):,}", f"{own.get('quote', 0):,}", levels, str(lost))
    return Panel(table, title="sources", title_align="left")


def _opportunities(seen: Seen, account: RelayAccount) -> Panel:
    table = Table("instrument", "buy", "sell", "gross bps", "net bps", box=None, pad_edge=False)
    for one in reversed(seen.opportunities):
        table.add_row(one.instrument, one.buy, one.sell, f"{one.gross_bps:.1f}", f"{one.net_bps:.1f}")
    return Panel(table, title=f"opportunities ({account.totals().opportunities:,})", title_align="left")


def _synthetics(figures: Figures, seen: Seen, account: RelayAccount) -> Panel:
    table = Table("synthetic", "value", "state", box=None, pad_edge=False)
    for key, name in sorted(figures.synthetics.items(), key=lambda item: item[1])[:8]:
        one = seen.synthetics.get(key)
        value = "-" if one is None or one.value is None else f"{one.value:,.6g}"
        table.add_row(name, value, "no value yet" if one is None else one.state)
    return Panel(table, title=f"synthetics ({account.totals().synthetic_updates:,})", title_align="left")


def _signals(feed: StrategyFeed) -> Panel:
    table = Table("strategy", "listing", "signal", "strength", "reason", box=None, pad_edge=False)
    for line in reversed(feed.recent):
        table.add_row(
            str(line.get("strategy", "")),
            str(line.get("symbol") or line.get("listing_key", "")),
            str(line.get("direction", "")),
            f"{line.get('strength', 0):.2f}",
            str(line.get("reason", "")),
        )
    return Panel(table, title=f"signals ({feed.signals:,})", title_align="left")


def _latencies(feed: StrategyFeed, seen: Seen, account: RelayAccount) -> Panel:
    table = Table("hop", "p50 us", "p99 us", box=None, pad_edge=False)
    for hop, figures in {**seen.latency_us, **feed.latency_us(), **account.latencies()}.items():
        table.add_row(hop.replace("_", " "), f"{figures['p50']:,.0f}", f"{figures['p99']:,.0f}")
    return Panel(table, title="latency", title_align="left")


def draw(shown: Shown, heading: str, note: str) -> RenderableType:
    """One picture."""
    figures, account, feed, seen = shown.figures, shown.account, shown.feed, shown.seen
    top = Text.assemble((" AlphaPulse Registry ", "bold reverse"), "  ", heading)
    silent = f"  not answering: {', '.join(sorted(figures.silent))}" if figures.silent else ""
    lost = feed.total("gaps_undeclared") + seen.gaps_undeclared
    declared = feed.total("gaps_declared") + seen.gaps_declared
    style = "red" if lost else "dim"
    foot = Text(f"gaps declared {declared:,}, undeclared {lost:,}  {note}{silent}  {seen.error}", style=style)
    return Group(
        top,
        Columns([_registries(figures), _sources(figures, account, shown.rates)]),
        Columns([_opportunities(seen, account), _synthetics(figures, seen, account)]),
        Columns([_signals(feed), _latencies(feed, seen, account)]),
        *(Text(trouble, style="red") for trouble in troubles(figures)),
        foot,
    )


def troubles(figures: Figures) -> list[str]:
    """What is wrong with the sources, one line each: why it failed or waits, or that it never said anything."""
    found = []
    for source in figures.sources:
        state = _state_name(source.state)
        if source.error:
            found.append(f"{source.name} is {state}: {source.error}")
        elif source.state == collector_service_pb2.SOURCE_STATE_FINISHED and not source.events:
            found.append(f"{source.name} is {state} and sent nothing: is there a recording of it?")
    return found


def _state_name(number: collector_service_pb2.SourceState.ValueType) -> str:
    return collector_service_pb2.SourceState.Name(number).removeprefix("SOURCE_STATE_").lower().replace("_", " ")


def line(shown: Shown) -> str:
    """The same in one line, for a log."""
    figures, totals = shown.figures, shown.account.totals()
    rates = shown.rates.per_second
    per_source = " ".join(
        f"{s.name} {rates[s.name]:,.0f}/s" if rates.get(s.name) else f"{s.name} {_state_name(s.state)}"
        for s in figures.sources
    )
    lost = shown.feed.total("gaps_undeclared") + shown.seen.gaps_undeclared
    return (
        f"{figures.venues:,} venues, {figures.instruments:,} instruments, {figures.listings:,} listings | {per_source} | "
        f"{totals.opportunities:,} opportunities, {totals.synthetic_updates:,} synthetic values, "
        f"{shown.feed.signals:,} signals, {lost} undeclared gaps"
    )
