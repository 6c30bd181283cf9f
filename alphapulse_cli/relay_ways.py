"""What reaches the relay, or the relay of each partition where they divide the market: of `--relay`, or as the variables or the platform say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from alphapulse.domain.partitions import MAX_PARTITIONS
from alphapulse_cli.context import ANSWER_SECONDS, Locator
from strategy_sdk import Addresses, MarketStream, PartitionedStream, connect, connect_partitions


def _checked(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if "/" in value or Path(value).is_socket():
            if not Path(value).is_socket():
                raise click.BadParameter(f"there is no Unix socket at {value}")
            continue
        for one in value.split(","):
            host, _, port = one.strip().rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise click.BadParameter(f"{one!r} is neither host:port nor the path of a Unix socket")
    if len(values) > MAX_PARTITIONS:
        raise click.BadParameter(f"a market has at most {MAX_PARTITIONS} partitions, got {len(values)}")
    twice = next((value for at, value in enumerate(values) if value in values[:at]), None)
    if twice is not None:
        raise click.BadParameter(f"{twice} is given twice; give the relay of each partition, in their order")
    return tuple(str(Path(value).absolute()) if Path(value).is_socket() else value for value in values)


relay_option = click.option(
    "--relay",
    "relays",
    multiple=True,
    callback=_checked,
    help="The relay: host:port (several with commas are relays of one log), or the path of its Unix socket. Where relays divide the market, once for "
    "each partition, from 0/n on.",
)


def ways_of(given: tuple[str, ...], locator: Locator, *, over_grpc: bool = False) -> list[str]:
    """An address or path a partition; one where a relay has the whole market."""
    if given:
        return list(given)
    told = Addresses.from_environment()
    partitions = (replace(told, egress_socket="") if over_grpc else told).partitions
    if partitions:
        return partitions
    return [("" if over_grpc else locator.egress_socket()) or locator.address("relay")]


def stream_of(ways: list[str], name: str) -> MarketStream | PartitionedStream:
    """The whole market."""
    if len(ways) > 1:
        return connect_partitions(ways, name=name, connect_timeout=ANSWER_SECONDS)
    return part_of(ways, 0, name)


def part_of(ways: list[str], index: int, name: str) -> MarketStream:
    """One partition of the market: all of it where there is one way."""
    way = ways[index]
    socket, address = (way, "") if "/" in way else ("", way)
    part = f"{index}/{len(ways)}"
    return connect(address, egress_socket=socket, partition=part, name=name, connect_timeout=ANSWER_SECONDS)
