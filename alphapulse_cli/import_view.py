"""How an import is shown: a bar with rate and time left on a terminal, a line now and then elsewhere; then what became of the rows."""

from __future__ import annotations

import sys
import time
from typing import Final, Self

import click
from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from alphapulse.interchange import Progress, Report
from alphapulse_cli.context import print_table

_LINE_EVERY: Final = 5.0
_BAR_EVERY: Final = 0.1
_STEPS: Final = 1_000
_ORDER: Final = ("created", "extended", "changed", "differing", "unchanged", "conflicts", "refused")
_MEANS: Final = {
    "created": "new",
    "extended": "registered before; something is added",
    "changed": "a value of a listing becomes another one",
    "differing": "the registry holds another value and keeps it; update changes it",
    "unchanged": "all of it was there",
    "conflicts": "a collision case is open; nothing is overwritten",
    "refused": "breaks a rule",
}


class ImportView:
    """Shows progress on standard error. A context manager."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True)
        self._quiet = quiet
        self._started = time.monotonic()
        self._shown = self._started
        self._first: float | None = None
        self._bar: Bar | None = None
        if not quiet and self._console.is_terminal:
            self._bar = Bar(
                BarColumn(None),
                TextColumn("{task.percentage:>3.0f}%"),
                TextColumn("{task.description}"),
                console=self._console,
            )
            self._task = self._bar.add_task("", total=_STEPS)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, progress: Progress) -> None:
        """After each batch."""
        now = time.monotonic()
        if self._first is None:
            self._first = progress.fraction if progress.resumed_at else 0.0
            if progress.resumed_at and not self._quiet:
                self._console.print(f"going on after {progress.resumed_at:,} entries")
        if self._quiet or now - self._shown < (_BAR_EVERY if self._bar is not None else _LINE_EVERY):
            return
        self._shown = now
        text = self._words(progress, now - self._started)
        if self._bar is not None:
            self._bar.update(self._task, completed=progress.fraction * _STEPS, description=text)
        else:
            self._console.print(f"{progress.fraction:.0%} {text}", soft_wrap=True)

    def _words(self, progress: Progress, seconds: float) -> str:
        rate = (progress.decided - progress.resumed_at) / max(seconds, 1e-9)
        done = progress.fraction - (self._first or 0.0)
        left = f", {_clock(seconds / done * (1 - progress.fraction))} left" if done > 0 and not progress.put_off else ""
        counts = progress.counts
        bad = f", {counts.conflicts:,} conflicts" if counts.conflicts else ""
        bad += f", {counts.refused:,} refused" if counts.refused else ""
        again = " (rows put off)" if progress.put_off else ""
        return f"{progress.decided:,} entries{again}, {rate:,.0f}/s{left}{bad}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def show(report: Report, rows: int) -> None:
    """What became of the rows: counts, then at most `rows` of them."""
    for note in report.notes:
        click.echo(f"note: {note}", err=True)
    counts = [
        (name, f"{getattr(report.counts, name):,}", _MEANS[name]) for name in _ORDER if getattr(report.counts, name)
    ]
    title = "would be" if report.dry_run else ("imported" if report.complete else "imported so far")
    print_table(("outcome", "entries", ""), counts or [("nothing", "0", "no rows")], title=title)
    if report.passed_over:
        click.echo(f"rows passed over, as the mapping's `where` says: {report.passed_over:,}")
    told = report.rows[:rows]
    if told:
        print_table(
            ("line", "outcome", "name", "instrument", "case", "what"),
            [
                (
                    _place(one.file, one.line),
                    one.outcome,
                    one.name,
                    one.instrument_id,
                    one.case_id,
                    "; ".join(one.details),
                )
                for one in told
            ],
        )
    unchanged = (
        report.counts.unchanged
        if report.dry_run
        else report.counts.total - report.counts.conflicts - report.counts.refused
    )
    worth = report.counts.total - unchanged
    if worth > len(told):
        click.echo(f"{worth - len(told):,} more rows are not shown")
    if report.rejects:
        click.echo(f"refused rows: {report.rejects}", err=True)
    sys.stdout.flush()


def _place(file: str, line: int) -> str:
    return f"{file}:{line}"
