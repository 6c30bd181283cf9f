"""Deribit: options, whose books are told by what became of a level."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from collector.recorded import Books, change, frames

LISTED: Final = 1017


def books(folder: Path) -> Books:
    found: Books = {}
    for frame in frames(folder / "DERIBIT.ws.1.0.gz"):
        params = frame.get("params", {"channel": ""})
        if not params["channel"].startswith("book."):
            continue
        data = params["data"]
        if data["type"] == "snapshot":
            found[data["instrument_name"]] = ({}, {})
        for name, side in zip(("bids", "asks"), found[data["instrument_name"]], strict=True):
            for action, price, amount in data[name]:
                change(side, price, 0 if action == "delete" else amount)
    return found
