"""`alphapulse collector`: decode recordings, run sources in this terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from alphapulse.domain.errors import AlphaPulseError
from alphapulse.records import LAYOUTS
from alphapulse.runtime import launch
from alphapulse_cli.commands.sources import type_name
from alphapulse_cli.context import json_option, print_json, print_table
from alphapulse_cli.exits import ServiceError
from alphapulse_cli.own_sources import source_here
from collector_service.amounts import Amount
from collector_service.app import CollectorApplication
from collector_service.config import CollectorConfig
from collector_service.decode import DecodeReport, decode_files


@click.group()
def command() -> None:
    """What a collector does, without a platform: decode recordings, run sources in this terminal."""


@command.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", required=True, help="Whose recording it is: see `alphapulse sources catalogue`.")
@json_option
def decode(files: tuple[Path, ...], source: str, as_json: bool) -> None:
    """Decode recorded FILES of one source: counts of each event type, what was refused and why, what nobody knows, the books at the end.

    Files are told apart by their names: SOURCE.0.gz lists the instruments, SOURCE.http.N.gz and SOURCE.ws.N.gz are what was recorded. Of a
    recording of several days, give the files of all days in a row: those of one alone begin in the middle of a conversation.
    """
    try:
        found = as_dict(decode_files(files, source_here(source)))
    except AlphaPulseError as error:
        raise ServiceError(error, "the recording") from error
    if as_json:
        print_json(found)
    else:
        _show(found)


@command.command("run")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--record",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write what they send to this folder, as it came: `decode` reads it.",
)
def run_(names: tuple[str, ...], folder: Path | None) -> None:
    """Run the sources of these NAMES live in this terminal until Ctrl-C. Where they connect to is in the environment: see docs/configuration.md."""
    chosen = [source_here(name).name for name in names]
    environ = {"TRANSPORT": "live", "GRPC_PORT": "0", "METRICS_PORT": "0", **os.environ, "SOURCES": ",".join(chosen)}
    if folder is not None:
        environ["RECORD_DIR"] = str(folder)
    sys.exit(launch(CollectorConfig, CollectorApplication, environ))


def as_dict(report: DecodeReport) -> dict[str, Any]:
    """A report as the command prints it: numbers of prices and sizes as exact texts."""
    return {
        "source": report.source,
        "frames": report.frames,
        "instruments": len(report.listings),
        "refused_lines": list(report.refused_lines),
        "events": {type_name(kind): report.count(kind) for kind in sorted(LAYOUTS) if report.count(kind)},
        "book_updates": sum(report.book_updates.values()),
        "resyncs": report.resyncs,
        "rejects": dict(report.rejects),
        "unknown_messages": dict(report.unknown_messages),
        "unknown_symbols": list(report.unknown_symbols),
        "unknown_values": dict(report.unknown_values),
        "venue_errors": dict(report.venue_errors),
        "books": {symbol: _book(report, symbol) for symbol in sorted(report.books)},
    }


def _book(report: DecodeReport, symbol: str) -> dict[str, Any]:
    machine = report.books[symbol]
    bid, ask = report.top_of_book(symbol)
    return {
        "synced": machine.synced,
        "crossed": machine.book.crossed,
        "updates": report.book_updates.get(symbol, 0),
        "levels": {"bids": len(machine.book.bids), "asks": len(machine.book.asks)},
        "bid": None if bid is None else {"price": _text(bid[0]), "size": _text(bid[1])},
        "ask": None if ask is None else {"price": _text(ask[0]), "size": _text(ask[1])},
    }


def _text(amount: Amount) -> str:
    mantissa, exponent = amount
    if exponent >= 0:
        return str(mantissa * 10**exponent)
    digits = str(mantissa).rjust(1 - exponent, "0")
    return f"{digits[:exponent]}.{digits[exponent:]}"


def _show(found: dict[str, Any]) -> None:
    click.echo(f"{found['source']}: {found['frames']} frames, {found['instruments']} instruments listed")
    for name in ("events", "rejects", "unknown_messages", "unknown_values", "venue_errors"):
        if found[name]:
            click.echo(
                f"{name.replace('_', ' ')}: {', '.join(f'{what} {count}' for what, count in found[name].items())}"
            )
    click.echo(f"book updates: {found['book_updates']}, resyncs: {found['resyncs']}")
    for name in ("unknown_symbols", "refused_lines"):
        if found[name]:
            click.echo(f"{name.replace('_', ' ')}: {len(found[name])}, first {found[name][0]}")
    if found["books"]:
        print_table(
            ("symbol", "in step", "updates", "bid", "ask"),
            [
                (symbol, "yes" if one["synced"] else "no", one["updates"], _level(one["bid"]), _level(one["ask"]))
                for symbol, one in found["books"].items()
            ],
        )


def _level(level: dict[str, str] | None) -> str:
    return "" if level is None else f"{level['price']} x {level['size']}"
