"""`alphapulse record`: market events into Parquet files."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import click

from alphapulse.domain.errors import FailedPrecondition
from alphapulse.recording import Bounds, Missing, Recorder, Totals
from alphapulse_cli.context import ANSWER_SECONDS, Locator, data_dir_option, json_option, print_json, run
from alphapulse_cli.event_filter import filter_of, filter_options
from alphapulse_cli.exits import Exit
from alphapulse_cli.interrupt import Interrupt
from alphapulse_cli.recording_session import RecordingSession
from strategy_sdk import EventFilter, MarketStream, connect


class DiskError(click.ClickException):
    """The folder cannot be written to any more."""

    exit_code = int(Exit.FAILED)


async def _record(stream: MarketStream, wanted: EventFilter, folder: Path, bounds: Bounds) -> Totals:
    interrupt = Interrupt()
    interrupt.ready()
    with Recorder(folder, bounds) as recorder:
        ending = asyncio.create_task(_end_when(interrupt.asked, stream))
        try:
            async with stream:
                _say(f"recording into {folder} from {stream.transport}")
                session = RecordingSession(stream, recorder, _tell)
                await session.run(wanted)
        except FailedPrecondition:
            if not interrupt.asked.is_set():  # else it was stopped before the relay had answered
                raise
        finally:
            ending.cancel()
    return recorder.totals


async def _end_when(asked: asyncio.Event, stream: MarketStream) -> None:
    await asked.wait()
    _say("writing what is left ...")
    stream.stop()


def _say(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody reads it: no reason to end a recording
        click.echo(text, err=True)


def _tell(missing: Missing) -> None:
    many = f"{missing.count:,} events" if missing.count else "events, nobody knows how many,"
    where = f" of {missing.source}" if missing.source else ""
    _say(f"gap: {many}{where} are missing ({missing.reason})")


def _relay(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, str] | None:
    """(address, socket) of what was given."""
    if value is None:
        return None
    if "/" in value or Path(value).is_socket():
        if not Path(value).is_socket():
            raise click.BadParameter(f"there is no Unix socket at {value}")
        return "", value
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise click.BadParameter(f"{value!r} is neither host:port nor the path of a Unix socket")
    return value, ""


@click.command()
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the recording; made where it is missing, gone on with where it is one.",
)
@click.option("--relay", callback=_relay, help="The relay: host:port, or the path of its Unix socket.")
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
    relay: tuple[str, str] | None,
    part_seconds: float,
    part_mib: int,
    as_json: bool,
    data_dir: Path,
    **wanted: Any,
) -> None:
    """Record market events from now on as Parquet, by event type and day, with the definitions of their listings and every gap.

    Ctrl-C or SIGTERM ends it in order. What a recorder that was killed had received is recorded by the next one, which goes on from there where the
    relay's log has what came between; else that is a gap.
    """
    locator = Locator(data_dir)
    address, socket = relay if relay is not None else (locator.address("relay"), locator.egress_socket())
    stream = connect(address, egress_socket=socket, name="alphapulse record", connect_timeout=ANSWER_SECONDS)
    bounds = Bounds(seconds=part_seconds, journal_bytes=part_mib << 20)
    try:
        totals = run(lambda: _record(stream, filter_of(**wanted), out, bounds), socket or address)
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
