"""`alphapulse record`: market events into Parquet files."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from alphapulse.domain.errors import FailedPrecondition
from alphapulse.recording import Bounds, Missing, Recorder, Totals, recording_folders
from alphapulse_cli.context import Locator, data_dir_option, json_option, print_json, run
from alphapulse_cli.event_filter import filter_of, filter_options
from alphapulse_cli.exits import Exit
from alphapulse_cli.interrupt import Interrupt
from alphapulse_cli.recording_session import RecordingSession
from alphapulse_cli.relay_ways import part_of, relay_option, ways_of
from strategy_sdk import EventFilter, MarketStream

T = TypeVar("T")


class DiskError(click.ClickException):
    """The folder cannot be written to any more."""

    exit_code = int(Exit.FAILED)


async def _record(ways: list[str], wanted: EventFilter, folder: Path, bounds: Bounds) -> Totals:
    """All partitions, each a recording of its own; where one cannot go on, none does. Nothing is written before all relays have answered."""
    folders = recording_folders(folder, len(ways))
    streams = [part_of(ways, index, "alphapulse record") for index in range(len(ways))]
    interrupt = Interrupt()
    interrupt.ready()
    ending = asyncio.create_task(_end_when(interrupt.asked, streams))
    try:
        async with AsyncExitStack() as stack:
            await _all(streams, [stack.enter_async_context(stream) for stream in streams])
            if interrupt.asked.is_set():  # before all had answered
                return Totals()
            recordings = [
                _record_part(stream, wanted, one, bounds, interrupt.asked)
                for stream, one in zip(streams, folders, strict=True)
            ]
            return sum(await _all(streams, recordings), Totals())
    finally:
        ending.cancel()


async def _all(streams: list[MarketStream], doing: list[Coroutine[Any, Any, T]]) -> list[T]:
    """What comes of all of it. Where one fails the streams are stopped, and that is raised when the others have come to their ends."""
    tasks = [asyncio.create_task(one) for one in doing]
    ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    error = next((failed for one in ended if (failed := one.exception()) is not None), None)
    if error is None:
        return [task.result() for task in tasks]
    _stop(streams)
    await asyncio.gather(*tasks, return_exceptions=True)
    raise error


async def _record_part(
    stream: MarketStream, wanted: EventFilter, folder: Path, bounds: Bounds, asked: asyncio.Event
) -> Totals:
    with Recorder(folder, bounds) as recorder:
        _say(f"recording into {folder} from {stream.transport}")
        try:
            await RecordingSession(stream, recorder, partial(_tell, folder.name)).run(wanted)
        except FailedPrecondition:
            if not asked.is_set():  # else it was stopped before the relay had taken the subscription
                raise
    return recorder.totals


async def _end_when(asked: asyncio.Event, streams: list[MarketStream]) -> None:
    await asked.wait()
    _say("writing what is left ...")
    _stop(streams)


def _stop(streams: list[MarketStream]) -> None:
    for stream in streams:
        stream.stop()


def _say(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody reads it: no reason to end a recording
        click.echo(text, err=True)


def _tell(folder: str, missing: Missing) -> None:
    many = f"{missing.count:,} events" if missing.count else "events, nobody knows how many,"
    where = f" of {missing.source}" if missing.source else ""
    part = f"{folder}: " if folder.startswith("partition=") else ""
    _say(f"gap: {part}{many}{where} are missing ({missing.reason})")


@click.command()
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the recording; made where it is missing, gone on with where it is one.",
)
@relay_option
@filter_options
@click.option(
    "--part-seconds",
    type=click.FloatRange(min=1),
    default=Bounds().seconds,
    show_default=True,
    help="Seconds of events that a file holds, at most.",
)
@click.option(
    "--part-mib",
    type=click.IntRange(min=1),
    default=Bounds().journal_bytes >> 20,
    show_default=True,
    help="MiB of events, as they are received, that go into one set of files, at most.",
)
@json_option
@data_dir_option
def command(
    out: Path,
    relays: tuple[str, ...],
    part_seconds: float,
    part_mib: int,
    as_json: bool,
    data_dir: Path,
    **wanted: Any,
) -> None:
    """Record market events from now on as Parquet, by event type and day, with the definitions of their listings and every gap. Where relays divide
    the market, each partition becomes a recording of its own below the folder.

    Ctrl-C or SIGTERM ends it in order. What a recorder that was killed had received is recorded by the next one, which goes on from there where the
    relay's log has what came between; else that is a gap.
    """
    ways = ways_of(relays, Locator(data_dir))
    bounds = Bounds(seconds=part_seconds, journal_bytes=part_mib << 20)
    try:
        totals = run(lambda: _record(ways, filter_of(**wanted), out, bounds), "; ".join(ways))
    except OSError as error:
        raise DiskError(f"{out}: {error.strerror or error}; what was received until then is kept") from error
    _summarise(totals, as_json)


def _summarise(totals: Totals, as_json: bool) -> None:
    counts = {
        "events": totals.rows,
        "gaps": totals.gaps,
        "definitions": totals.definitions,
        "files": totals.files,
    }
    if as_json:
        print_json(counts)
    else:
        events, *rest = (f"{number:,} {name}" for name, number in counts.items())
        click.echo(f"recorded {events}: {', '.join(rest)}")
