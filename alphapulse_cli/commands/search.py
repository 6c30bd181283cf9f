"""`alphapulse search`: instruments by name, with typos."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_service_pb2 as pb
from alphapulse.client import READ_DEADLINE
from alphapulse_cli.context import as_dict, data_dir_option, json_option, print_json, print_table
from alphapulse_cli.exits import Exit
from alphapulse_cli.moment import Moment
from alphapulse_cli.registry_calls import asked, choices, number_of, short, stamp

_CLASSES = (common_pb2.AssetClass, "ASSET_CLASS_")


@click.command()
@click.argument("query")
@click.option("--class", "classes", type=choices(*_CLASSES), multiple=True, help="Only of this class; can be repeated.")
@click.option("--venue", multiple=True, help="Only listed there; can be repeated.")
@click.option("--as-of", type=Moment(), help="Names as they were then (UTC).")
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="How many, the best first.")
@json_option
@data_dir_option
def command(
    query: str,
    classes: tuple[str, ...],
    venue: tuple[str, ...],
    as_of: datetime | None,
    limit: int,
    as_json: bool,
    data_dir: Path,
) -> None:
    """Find instruments by words of their name, a ticker, or the start of an identifier; the best first."""
    request = pb.SearchInstrumentsRequest(query=query, limit=limit, as_of=stamp(as_of))
    request.filter.asset_classes.extend(number_of(*_CLASSES, one) for one in classes)
    request.filter.venues.extend(venue)

    async def call(stub: Any) -> Any:
        return await stub.SearchInstruments(request, timeout=READ_DEADLINE)

    hits = asked(data_dir, call).hits
    if as_json:
        print_json([as_dict(hit) for hit in hits])
    else:
        print_table(
            ("score", "name", "class", "listings", "why", "instrument"),
            [
                (
                    f"{hit.score:.2f}",
                    hit.entry.instrument.name,
                    short(*_CLASSES, hit.entry.instrument.asset_class),
                    " ".join(f"{one.venue}:{one.symbol}" for one in hit.entry.listings),
                    hit.why,
                    hit.entry.instrument.instrument_id,
                )
                for hit in hits
            ],
        )
    sys.exit(Exit.OK if hits else Exit.NOT_FOUND)
