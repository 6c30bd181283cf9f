"""`alphapulse demo`: everything, for a while, with a live view and a summary."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.live import Live

from alphapulse.domain.errors import AlphaPulseError
from alphapulse_cli.commands.up import seed_addresses
from alphapulse_cli.demo import summary as summaries
from alphapulse_cli.demo import view
from alphapulse_cli.demo.account import RelayAccount
from alphapulse_cli.demo.figures import FigureReader, Figures
from alphapulse_cli.demo.observer import Observer
from alphapulse_cli.demo.rates import Rates
from alphapulse_cli.demo.strategy_feed import StrategyFeed
from alphapulse_cli.interrupt import INTERRUPTED, Interrupt
from alphapulse_cli.platform import Platform, PlatformError, PlatformOptions
from alphapulse_cli.platform.plan import Transport
from alphapulse_cli.seed import seed_all
from alphapulse_cli.source_flags import source_options

_EXAMPLE: Final = Path(__file__).resolve().parents[2] / "examples" / "momentum.py"
STRATEGY: Final = f"{_EXAMPLE}:Momentum"
_STREAMS_EVERY: Final = 0.5
_REGISTRIES_EVERY: Final = 2.0
_LINE_EVERY: Final = 5.0


class Demo:
    """A platform, what is known of it, and how it is shown."""

    def __init__(self, platform: Platform, observer: Observer, console: Console, seconds: float | None) -> None:
        self._platform = platform
        self._observer = observer
        self._console = console
        self._seconds = seconds
        self._shown = view.Shown(Figures(), RelayAccount(), StrategyFeed(platform.stats_file), Rates(), observer.seen())

    async def run(self, stop: asyncio.Event) -> dict[str, Any]:
        """Until the seconds are over or `stop` is set; the summary."""
        started = time.monotonic()
        lines_at = registries_at = 0.0
        async with FigureReader(self._platform.addresses) as reader:
            with self._live() as live:
                while not stop.is_set():
                    now = time.monotonic()
                    left = None if self._seconds is None else self._seconds - (now - started)
                    if left is not None and left <= 0:
                        break
                    if now >= registries_at:
                        registries_at = now + _REGISTRIES_EVERY
                        await reader.read_registries()
                    await self._read(reader)
                    if live is not None:
                        live.update(self._picture(left))
                    elif now >= lines_at:
                        lines_at = now + _LINE_EVERY
                        self._console.print(view.line(self._shown), soft_wrap=True)
                        for trouble in view.troubles(self._shown.figures):
                            self._console.print(f"  {trouble}", highlight=False, soft_wrap=True)
                    pause = _STREAMS_EVERY if left is None else min(_STREAMS_EVERY, max(left, 0.01))
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), pause)
            await self._settle(reader)
        shown = self._shown
        for trouble in view.troubles(shown.figures):
            self._console.print(trouble, style="red", highlight=False, soft_wrap=True)
        return summaries.summarise(shown.figures, shown.account, shown.feed, shown.seen)

    async def _read(self, reader: FigureReader) -> None:
        shown = self._shown
        shown.figures = await reader.read_streams()
        shown.account.take(shown.figures.relay)
        shown.rates.take({source: sum(c.values()) for source, c in shown.account.totals().events_in.items()})
        shown.seen = self._observer.seen()
        shown.feed.read()

    async def _settle(self, reader: FigureReader) -> None:
        """The last figures, with the sources and then the strategy stopped, so that what went in can be compared with what came out."""
        await reader.read_registries()
        await reader.read_streams()
        await self._platform.processes["collector"].stop()
        await self._read(reader)
        await self._observer.settle(self._shown.figures.relay.last_sequence)
        await self._platform.processes["strategy"].stop()
        await self._read(reader)

    @contextlib.contextmanager
    def _live(self) -> Iterator[Live | None]:
        if not self._console.is_terminal:
            yield None
            return
        with Live(console=self._console, refresh_per_second=4, screen=False) as live:
            yield live

    def _picture(self, left: float | None) -> Any:
        heading = f"{self._platform.options.transport} sources" + ("" if left is None else f", {left:.0f} s left")
        note = f"logs: {self._platform.options.data_dir / 'logs'}"
        return view.draw(self._shown, heading, note)


async def _demo(options: PlatformOptions, seconds: float | None, console: Console) -> dict[str, Any]:
    interrupt = Interrupt()

    def progress(line: str) -> None:
        console.print(line, highlight=False)

    async with Platform(options, progress) as platform:
        progress("seeding the registries ...")
        report = await seed_all(seed_addresses(platform.addresses))
        progress(f"seeded {report.venues:,} venues, {report.instruments:,} instruments, {report.listings:,} listings")
        for reason in report.skipped:
            progress(f"  left out: {reason}")
        # The strategy and the observer listen before the sources begin, so that they miss none of a short recording.
        await platform.start_strategy()
        await _until_listening(platform)
        async with Observer(platform.addresses) as observer:
            await platform.start_collector()
            platform.mark_ready()
            interrupt.ready()
            return await Demo(platform, observer, console, seconds).run(interrupt.asked)


async def _until_listening(platform: Platform, seconds: float = 30.0) -> None:
    """Returns when the strategy has said that its subscription holds."""
    deadline = time.monotonic() + seconds
    feed = StrategyFeed(platform.stats_file)
    process = platform.processes["strategy"]
    while time.monotonic() < deadline:
        feed.read()
        if feed.started:
            return
        if process.quit_early():
            raise PlatformError(f"the strategy does not start:\n{process.tail()}")
        await asyncio.sleep(0.1)
    raise PlatformError(f"the strategy does not listen after {seconds:.0f} s:\n{process.tail()}")


@click.command()
@click.option(
    "--seconds", type=click.FloatRange(min=1), help="End by itself after so long; without it, Ctrl-C ends it."
)
@click.option(
    "--summary", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write the summary here, as JSON."
)
@source_options
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the data here; without it, it is removed at the end.",
)
@click.option("--strategy", default=STRATEGY, help="module:Class or file.py:Class; the momentum example by default.")
def command(
    seconds: float | None,
    target: Path | None,
    source: Transport,
    recordings: Path | None,
    speed: float,
    data_dir: Path | None,
    seed_number: int,
    strategy: str,
) -> None:
    """Run the whole platform: stores, registries, relay, three sources, a momentum strategy; show it live, then sum it up."""
    _check_strategy(strategy)
    if target is not None:
        _check_target(target)
    console = Console()
    with _folder(data_dir) as folder:
        options = PlatformOptions(
            data_dir=folder,
            free_ports=True,
            transport="replay" if recordings else source,
            recordings=recordings.absolute() if recordings else None,
            replay_speed=speed,
            seed=seed_number,
            strategy=strategy,
        )
        try:
            result = asyncio.run(_demo(options, seconds, console))
        except asyncio.CancelledError:
            click.echo("stopped before it was ready", err=True)
            sys.exit(INTERRUPTED)
        except AlphaPulseError as error:
            raise PlatformError(f"{error}; logs are in {folder / 'logs'}") from error
    summaries.show(result, console)
    if target is not None:
        summaries.write(result, target)
    if not result["events_in"]:
        raise PlatformError("no source sent a single event")


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """The folder that was named, or one that is gone afterwards."""
    if given is not None:
        yield given.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="alphapulse-demo-"))
    folder.chmod(0o711)  # root runs Postgres as another user, who has to pass through
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_strategy(place: str) -> None:
    where, _, name = place.rpartition(":")
    if not where or not name:
        raise click.BadParameter(f"{place!r} is not module:Class or file.py:Class", param_hint="--strategy")
    if where.endswith(".py") and not Path(where).is_file():
        raise click.BadParameter(f"there is no file {where}", param_hint="--strategy")


def _check_target(target: Path) -> None:
    """A summary that cannot be written is told before the demo, not after it."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.open("ab").close()
    except OSError as error:
        raise click.BadParameter(f"{target} cannot be written: {error.strerror}", param_hint="--summary") from error
