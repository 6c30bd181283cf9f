"""`alphapulse seed`: fills the registries from the reference data of packages."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from alphapulse.client import wait_ready
from alphapulse_cli.context import ANSWER_SECONDS, Locator, data_dir_option, json_option, print_json, print_table, run
from alphapulse_cli.seed import SeedAddresses, SeedReport, seed_all


@click.command()
@json_option
@data_dir_option
@click.option(
    "--venues",
    "venue_folders",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of venue files of your own, one a venue; may be given several times. docs/venues.md has the format.",
)
def command(as_json: bool, data_dir: Path, venue_folders: tuple[Path, ...]) -> None:
    """Register every MIC of ISO 10383, trading venues, currencies, FX pairs, stocks with ISINs. Doing it again changes nothing."""
    locator = Locator(data_dir)
    addresses = SeedAddresses(*(locator.address(name) for name in ("instrument", "venue", "synthetic")))

    async def call() -> SeedReport:
        # Registration streams mend broken connections however long it takes: here somebody waits for an answer.
        for address in (addresses.venue, addresses.instrument, addresses.synthetic):
            await wait_ready(address, timeout=ANSWER_SECONDS)
        return await seed_all(
            addresses, lambda what, sent: click.echo(f"{what}: {sent:,} sent", err=True), venue_folders
        )

    report = run(call, ", ".join((addresses.venue, addresses.instrument, addresses.synthetic)))
    if as_json:
        print_json(asdict(report))
        return
    values = asdict(report)
    print_table(("what", "how many"), [(k, len(v) if isinstance(v, list | tuple) else v) for k, v in values.items()])
    for reason in report.skipped:
        click.echo(f"skipped: {reason}", err=True)
