"""Poloniex, of 2022: a snapshot of twenty levels a side opens the stream; those that fall out are taken out by the venue."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from collector.recorded import Books, change, frames

LISTED: Final = 524


def books(folder: Path) -> Books:
    found: Books = {}
    for frame in frames(folder / "POLONIEX.ws.1.0.gz"):
        if frame["channel"] == "book_lv2" and "data" in frame:
            for data in frame["data"]:
                if frame["action"] == "snapshot":
                    found[data["symbol"]] = ({}, {})
                for name, side in zip(("bids", "asks"), found[data["symbol"]], strict=True):
                    for price, size in data[name]:
                        change(side, price, size)
    return found
