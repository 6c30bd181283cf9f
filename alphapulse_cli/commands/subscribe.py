"""`alphapulse subscribe`: market events as lines, as a strategy would receive them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from alphapulse_cli import market_lines
from alphapulse_cli.context import Locator, data_dir_option, follow, print_json_line
from alphapulse_cli.event_filter import filter_of, filter_options
from alphapulse_cli.relay_ways import relay_option, stream_of, ways_of
from strategy_sdk import Event, EventFilter, Gap, MarketStream, PartitionedStream


async def _print(
    stream: MarketStream | PartitionedStream, wanted: EventFilter, count: int | None, as_json: bool
) -> None:
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


def _print_event(event: Event, stream: MarketStream | PartitionedStream, as_json: bool) -> None:
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
@relay_option
@filter_options
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many events.")
@click.option("--grpc", "over_grpc", is_flag=True, help="Over gRPC, even where the relay's Unix socket is at hand.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line instead of text.")
@data_dir_option
def command(
    relays: tuple[str, ...], count: int | None, over_grpc: bool, as_json: bool, data_dir: Path, **wanted: Any
) -> None:
    """Follow market events from now on, of all partitions where relays divide the market. Gaps are told on standard error, each with its reason.
    Ctrl-C ends it."""
    ways = ways_of(relays, Locator(data_dir), over_grpc=over_grpc)

    async def call() -> None:
        await _print(stream_of(ways, "alphapulse subscribe"), filter_of(**wanted), count, as_json)

    follow(call, "; ".join(ways))
