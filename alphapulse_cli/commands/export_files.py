"""`alphapulse export FILE`: what is registered, or was at a time, into a file."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.client import open_channel, wait_ready
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.identifiers import Scheme
from alphapulse.interchange import Exported, ExportOptions, export
from alphapulse.interchange.writing import FORMATS, require_folder
from alphapulse_cli.context import ANSWER_SECONDS, Locator, data_dir_option, json_option, print_json, run
from alphapulse_cli.interrupt import INTERRUPTED
from alphapulse_cli.moment import Moment

_CLASSES = [one.name.lower() for one in AssetClass]
_SCHEMES = [one.name.lower() for one in Scheme]
_TOLD = 20


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@click.option(
    "--format",
    "file_format",
    type=click.Choice(FORMATS),
    help="By the file's name, without it; ccxt and nautilus are JSON.",
)
@click.option(
    "--class", "classes", type=click.Choice(_CLASSES), multiple=True, help="Only this class; can be repeated."
)
@click.option("--venue", "venues", multiple=True, help="Only instruments listed on this venue; can be repeated.")
@click.option("--source", "sources", multiple=True, help="Only what this source registered; can be repeated.")
@click.option(
    "--with-scheme",
    "schemes",
    type=click.Choice(_SCHEMES),
    multiple=True,
    help="Only what bears such an identifier; can be repeated.",
)
@click.option("--as-of", type=Moment(), help="What was valid then, instead of now.")
@click.option("--known-at", type=Moment(), help="What was known then, instead of now.")
@json_option
@data_dir_option
def command(
    file: Path,
    file_format: str | None,
    classes: tuple[str, ...],
    venues: tuple[str, ...],
    sources: tuple[str, ...],
    schemes: tuple[str, ...],
    as_of: datetime | None,
    known_at: datetime | None,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Write the instruments and their listings to FILE: CSV, Parquet or JSON lines that `import` takes again, or a shape for ccxt or Nautilus.

    All of it is of one revision. The file appears when it is complete.
    """
    address = Locator(data_dir).address("instrument")
    wanted = service.InstrumentFilter(
        asset_classes=[common.AssetClass.Value(f"ASSET_CLASS_{one.upper()}") for one in classes],
        venues=venues,
        sources=sources,
        with_schemes=[common.IdentifierScheme.Value(f"IDENTIFIER_SCHEME_{one.upper()}") for one in schemes],
    )
    options = ExportOptions(file_format or "", wanted, as_of, known_at)
    try:
        done = run(lambda: _export(address, file, options, quiet=as_json), address)
    except OSError as error:  # a folder that is not there, or may not be written to
        raise click.UsageError(str(error)) from error
    except KeyboardInterrupt:
        click.echo(f"interrupted: {file} is as it was before", err=True)
        sys.exit(INTERRUPTED)
    if as_json:
        print_json({**asdict(done), "file": str(file)})
        return
    click.echo(f"{done.entries:,} instruments with {done.listings:,} listings in {file}")
    for reason in done.left_out[:_TOLD]:
        click.echo(f"left out: {reason}", err=True)
    if done.left_out_count > _TOLD:
        click.echo(f"left out: {done.left_out_count - _TOLD:,} more", err=True)


async def _export(address: str, file: Path, options: ExportOptions, *, quiet: bool) -> Exported:
    require_folder(file)  # before a registry is asked
    await wait_ready(address, timeout=ANSWER_SECONDS)
    console = Console(stderr=True)
    with Progress(console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("instruments", total=None)
        async with open_channel(address) as channel:
            return await export(
                channel, file, options, lambda entries, total: bar.update(task, completed=entries, total=total)
            )
