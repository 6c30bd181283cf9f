"""`alphapulse import FILE...`: instruments from files into the registry, or with --dry-run what would become of them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shlex
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click
import grpc

from alphapulse.client import from_rpc_error, open_channel, wait_ready
from alphapulse.domain.errors import AlphaPulseError
from alphapulse.interchange import EntrySource, FileSource, ImportJob, ImportOptions, Report, read_mapping
from alphapulse.interchange.datasets import DATASETS
from alphapulse_cli.context import ANSWER_SECONDS, Locator, data_dir_option, json_option, print_json
from alphapulse_cli.exits import Exit, ServiceError
from alphapulse_cli.import_view import ImportView, show
from alphapulse_cli.interrupt import INTERRUPTED

_FORMATS = ("csv", "parquet", "jsonl", *DATASETS)


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--mapping",
    type=click.Path(dir_okay=False, path_type=Path),
    help="How foreign columns become ours: YAML, TOML or JSON.",
)
@click.option(
    "--format", "file_format", type=click.Choice(_FORMATS), help="What the files are. By their names, without it."
)
@click.option(
    "--source", default="", help="Where the rows come from, for those that do not say. The file's name, without it."
)
@click.option(
    "--license",
    "licence",
    default="",
    help="Terms the rows may be used under, such as CC0-1.0; kept with their source.",
)
@click.option(
    "--dry-run", is_flag=True, help="Tell what would be created, extended, changed or refused, and write nothing."
)
@click.option(
    "--rows", "shown", type=click.IntRange(0), default=50, show_default=True, help="How many rows to tell one by one."
)
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV of the refused rows. FILE.rejects.csv in this folder, without it.",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of the place reached. In the data folder, without it.",
)
@click.option("--restart", is_flag=True, help="Begin anew, though an import of these files was interrupted.")
@click.option("--batch", type=click.IntRange(1, 10_000), default=500, show_default=True, help="Entries a request.")
@click.option("--in-flight", type=click.IntRange(1, 64), default=8, show_default=True, help="Requests under way.")
@click.option("--actor", default="alphapulse import", show_default=True, help="Who writes, for the change log.")
@json_option
@data_dir_option
def command(
    files: tuple[str, ...],
    mapping: Path | None,
    file_format: str | None,
    source: str,
    licence: str,
    dry_run: bool,
    shown: int,
    rejects: Path | None,
    state: Path | None,
    restart: bool,
    batch: int,
    in_flight: int,
    actor: str,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Register the instruments of FILE...: CSV, Parquet or JSON lines, plain or compressed.

    An import that was interrupted goes on where it stopped when the same command is given again. Rows that contradict what
    is registered open collision cases; rows that break a rule go to the rejects file, each with its line.
    """
    address = Locator(data_dir).address("instrument")
    name = Path(files[0].rstrip("/")).name
    options = ImportOptions(
        state=state or data_dir / "imports" / f"{_digest(files, file_format)}.json",
        rejects=rejects or Path(f"{name}.rejects.csv"),
        batch=batch,
        in_flight=in_flight,
        actor=actor,
        dry_run=dry_run,
        restart=restart,
    )
    try:
        sources = _sources(files, mapping, file_format or "", source, licence)
        report = asyncio.run(_import(address, sources, options, quiet=as_json))
    except AlphaPulseError as error:
        if not error.violations:
            click.echo(_resume_hint(options), err=True)
        raise ServiceError(error, address) from error
    except OSError as error:  # a file that may not be read or written
        click.echo(_resume_hint(options), err=True)
        raise click.UsageError(str(error)) from error
    except KeyboardInterrupt:
        click.echo(_resume_hint(options), err=True)
        sys.exit(INTERRUPTED)
    if as_json:
        print_json(_as_dict(report))
    else:
        show(report, shown)
    sys.exit(_code(report, options))


def _digest(files: tuple[str, ...], file_format: str | None) -> str:
    paths = [str(Path(one).absolute()) for one in files]
    return hashlib.sha256("\0".join([*paths, file_format or ""]).encode()).hexdigest()[:16]


def _sources(
    files: tuple[str, ...], mapping: Path | None, file_format: str, source: str, licence: str
) -> list[EntrySource]:
    if file_format in DATASETS:
        if mapping is not None:
            raise click.UsageError(f"--format {file_format} is a mapping: leave --mapping out")
        return [DATASETS[file_format](one, source, licence) for one in files]
    read = read_mapping(mapping) if mapping is not None else None
    return [FileSource(Path(one), read, file_format, source, licence) for one in files]


async def _import(address: str, sources: list[EntrySource], options: ImportOptions, *, quiet: bool) -> Report:
    # The stream mends broken connections for minutes: whether there is a registry at all is asked before.
    await wait_ready(address, timeout=ANSWER_SECONDS)
    with ImportView(quiet=quiet) as view:
        async with open_channel(address) as channel:
            job = ImportJob(channel, sources, options, view.update)
            with _stopping(job):
                try:
                    return await job.run()
                except grpc.RpcError as error:
                    raise from_rpc_error(error) from error


@contextlib.contextmanager
def _stopping(job: ImportJob) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the import in order, the second at once: nothing is lost by either."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    asked = 0

    def take() -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            click.echo("stopping: waiting for the answers that are under way; again to stop at once", err=True)
            job.stop()
        elif task is not None:
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, take)
    try:
        yield
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _resume_hint(options: ImportOptions) -> str:
    if options.dry_run:
        return "interrupted; nothing was written"
    arguments = [one for one in sys.argv[1:] if one != "--restart"]
    return f"what was answered is kept in {options.state}. To go on where it stopped:\n  alphapulse {shlex.join(arguments)}"


def _as_dict(report: Report) -> dict[str, object]:
    return {**asdict(report), "total": report.counts.total}


def _code(report: Report, options: ImportOptions) -> int:
    if not report.complete:
        click.echo(_resume_hint(options), err=True)
        return INTERRUPTED
    if report.counts.refused:
        return int(Exit.USAGE)
    return int(Exit.UNDECIDED if report.counts.conflicts else Exit.OK)
