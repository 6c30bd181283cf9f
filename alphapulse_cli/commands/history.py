"""`alphapulse history`: every revision of an instrument, its listings and its collision cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_service_pb2 as pb
from alphapulse.client import READ_DEADLINE
from alphapulse_cli.context import as_dict, data_dir_option, json_option, print_json, print_table
from alphapulse_cli.registry_calls import asked, entry_id, short, shown_time

_FILLED = frozenset(("etag", "revision", "create_time", "update_time", "definition_version", "events"))


@click.command()
@click.argument("instrument")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many, the newest first.")
@json_option
@data_dir_option
def command(instrument: str, limit: int, as_json: bool, data_dir: Path) -> None:
    """Show every change of an instrument and its listings, the newest first. INSTRUMENT: its id, isin:..., or VENUE:SYMBOL."""

    async def call(stub: Any) -> list[pb.InstrumentChange]:
        request = pb.GetInstrumentHistoryRequest(instrument_id=await entry_id(stub, instrument))
        changes: list[pb.InstrumentChange] = []
        while len(changes) < limit:
            request.page_size = min(1000, limit - len(changes))
            page = await stub.GetInstrumentHistory(request, timeout=READ_DEADLINE)
            changes += page.changes
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        return changes

    changes = asked(data_dir, call)
    if as_json:
        print_json([as_dict(change) for change in changes])
        return
    print_table(
        ("revision", "time", "kind", "what", "changed", "by"),
        [
            (
                change.revision,
                shown_time(change.commit_time),
                short(common_pb2.ChangeKind, "CHANGE_KIND_", change.kind),
                _what(change),
                _changed(change),
                change.actor,
            )
            for change in changes
        ],
    )


def _what(change: pb.InstrumentChange) -> str:
    match change.WhichOneof("entity"):
        case "instrument":
            return f"instrument {change.instrument.name}"
        case "listing":
            return f"listing {change.listing.venue}:{change.listing.symbol}"
        case _:
            return f"case {change.collision_case.case_id}"


def _changed(change: pb.InstrumentChange) -> str:
    """The fields that differ; a field of one value with both of them."""
    entity, previous = change.WhichOneof("entity"), change.WhichOneof("previous")
    if entity is None or previous is None:
        return ""
    now, before = as_dict(getattr(change, entity)), as_dict(getattr(change, previous))
    found = []
    for name in sorted({*now, *before} - _FILLED):
        old, new = before.get(name), now.get(name)
        if old != new:
            plain = all(one is None or isinstance(one, str | int | bool) for one in (old, new))
            found.append(f"{name}: {_short(old)} -> {_short(new)}" if plain else name)
    return "; ".join(found)


def _short(value: Any) -> str:
    return "none" if value is None else str(value)
