"""`alphapulse watch`: follows the changes of a registry, as lines of JSON or of text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from alphapulse.api.common.v1 import common_pb2
from alphapulse.client import Reset, WatchStart, wait_ready, watch_instruments, watch_synthetics, watch_venues
from alphapulse_cli.context import (
    ANSWER_SECONDS,
    Locator,
    as_dict,
    data_dir_option,
    follow,
    json_option,
    print_json_line,
)

_WATCHES: dict[str, Any] = {
    "instruments": ("instrument", watch_instruments),
    "venues": ("venue", watch_venues),
    "synthetics": ("synthetic", watch_synthetics),
}


def _line(change: Any) -> str:
    kind = common_pb2.ChangeKind.Name(change.kind).removeprefix("CHANGE_KIND_")
    entity = next(
        getattr(change, name)
        for name in ("instrument", "listing", "collision_case", "venue", "synthetic")
        if name in change.DESCRIPTOR.fields_by_name and change.HasField(name)
    )
    name = getattr(entity, "name", "") or getattr(entity, "symbol", "") or getattr(entity, "case_id", "")
    return f"{change.revision} {kind} {entity.DESCRIPTOR.name} {name} by {change.actor or 'nobody named'}"


def _show_reset(event: Reset, as_json: bool) -> None:
    """On standard error: what was shown so far may lack changes that nobody will tell any more."""
    text = f"{event.cause.message} [{event.cause.reason}]"
    if as_json:
        print_json_line({"type": "RESET", "reason": event.cause.reason, "message": event.cause.message}, err=True)
    else:
        click.echo(f"RESET: changes were missed, what follows begins anew: {text}", err=True)


@click.command()
@click.argument("registry", type=click.Choice(list(_WATCHES)), default="instruments")
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many changes.")
@json_option
@data_dir_option
def command(registry: str, count: int | None, as_json: bool, data_dir: Path) -> None:
    """Follow the changes of a registry from now on: every revision once, in order, across reconnects. Ctrl-C ends it."""
    service, changes_of = _WATCHES[registry]
    address = Locator(data_dir).address(service)

    async def call() -> None:
        await wait_ready(address, timeout=ANSWER_SECONDS)  # later losses are mended, however long it takes
        left = count
        async for event in changes_of(address, start=WatchStart(skip_snapshot=True)):
            if isinstance(event, Reset):
                _show_reset(event, as_json)
                continue
            if event.WhichOneof("event") != "changes":
                continue
            for change in event.changes.changes:
                if as_json:
                    print_json_line(as_dict(change))
                else:
                    click.echo(_line(change))
                left = None if left is None else left - 1
                if left == 0:
                    return

    follow(call, address)
