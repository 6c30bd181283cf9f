"""`alphapulse subscribe`: market events as lines, as a strategy would receive them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from alphapulse_cli import market_lines
from alphapulse_cli.context import ANSWER_SECONDS, Locator, data_dir_option, follow, print_json_line
from alphapulse_cli.event_filter import filter_of, filter_options
from strategy_sdk import Event, EventFilter, Gap, MarketStream, connect


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
@filter_options
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many events.")
@click.option("--grpc", "over_grpc", is_flag=True, help="Over gRPC, even where the relay's Unix socket is at hand.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line instead of text.")
@data_dir_option
def command(count: int | None, over_grpc: bool, as_json: bool, data_dir: Path, **wanted: Any) -> None:
    """Follow market events from now on. Gaps are told on standard error, each with its reason. Ctrl-C ends it."""
    locator = Locator(data_dir)
    address = locator.address("relay")
    socket = "" if over_grpc else locator.egress_socket()
    stream = connect(address, egress_socket=socket, name="alphapulse subscribe", connect_timeout=ANSWER_SECONDS)
    follow(lambda: _print(stream, filter_of(**wanted), count, as_json), socket or address)
