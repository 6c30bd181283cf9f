"""`alphapulse subscribe`: market events as lines, as a strategy would receive them."""

from __future__ import annotations

from pathlib import Path

import click

from alphapulse.domain.asset_class import AssetClass
from alphapulse_cli import market_lines
from alphapulse_cli.context import ANSWER_SECONDS, Locator, data_dir_option, follow, print_json_line
from strategy_sdk import Event, EventFilter, EventType, Gap, MarketStream, connect


async def _print(stream: MarketStream, wanted: EventFilter, count: int | None, as_json: bool) -> None:
    async with stream:
        await stream.subscribe(wanted)
        left = count
        async for item in stream:
            if isinstance(item, Gap):
                _print_gap(item, as_json)
                continue
            _print_event(item, stream, as_json)
            left = None if left is None else left - 1
            if left == 0:
                return


def _print_event(event: Event, stream: MarketStream, as_json: bool) -> None:
    definition = stream.definition(event.listing_key)
    if as_json:
        print_json_line(market_lines.record(event, definition))
    else:
        click.echo(market_lines.line(event, definition))


def _print_gap(gap: Gap, as_json: bool) -> None:
    if as_json:
        print_json_line(market_lines.gap_record(gap), err=True)
    else:
        click.echo(market_lines.gap_line(gap), err=True)


@click.command()
@click.option(
    "--type",
    "types",
    type=click.Choice([kind.name.lower() for kind in EventType], case_sensitive=False),
    multiple=True,
    help="Only events of this type; can be given again.",
)
@click.option(
    "--venue", "venues", multiple=True, help="Only events of this venue, such as BINANCE; can be given again."
)
@click.option(
    "--symbol", "symbols", multiple=True, help="Only this symbol, as the venue spells it; can be given again."
)
@click.option(
    "--class",
    "classes",
    type=click.Choice([kind.name.lower() for kind in AssetClass], case_sensitive=False),
    multiple=True,
    help="Only instruments of this asset class; can be given again.",
)
@click.option("--unknown", is_flag=True, help="Events of listings that the registries do not know, too.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many events.")
@click.option("--grpc", "over_grpc", is_flag=True, help="Over gRPC, even where the relay's Unix socket is at hand.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line instead of text.")
@data_dir_option
def command(
    types: tuple[str, ...],
    venues: tuple[str, ...],
    symbols: tuple[str, ...],
    classes: tuple[str, ...],
    unknown: bool,
    count: int | None,
    over_grpc: bool,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Follow market events from now on. Gaps are told on standard error, each with its reason. Ctrl-C ends it."""
    locator = Locator(data_dir)
    address = locator.address("relay")
    socket = "" if over_grpc else locator.egress_socket()
    wanted = EventFilter(
        event_types=[EventType[name.upper()] for name in types],
        venues=venues,
        symbols=symbols,
        asset_classes=[AssetClass[name.upper()] for name in classes],
        include_unknown=unknown,
    )
    stream = connect(address, egress_socket=socket, name="alphapulse subscribe", connect_timeout=ANSWER_SECONDS)
    follow(lambda: _print(stream, wanted, count, as_json), socket or address)
