"""Bybit, version 2: levels that are inserted, updated and deleted, of linear contracts on one connection and inverse ones on another."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from collector.recorded import Books, change, frames, ladder

LISTED: Final = 15


def books(folder: Path) -> Books:
    found: Books = {}
    for part in (25, 26):
        for frame in frames(folder / f"BYBIT.ws.{part}.0.gz"):
            name, _, symbol = frame.get("topic", "").partition(".")
            if name != "orderBookL2_25":
                continue
            if frame["type"] == "snapshot":
                data = frame["data"]
                levels = data if isinstance(data, list) else data["order_book"]
                bids, asks = (
                    ladder((level["price"], level["size"]) for level in levels if level["side"] == side)
                    for side in ("Buy", "Sell")
                )
                found[symbol] = (bids, asks)
                continue
            for action in ("delete", "update", "insert"):
                for level in frame["data"][action]:
                    change(found[symbol][level["side"] == "Sell"], level["price"], level.get("size", 0))
    return found
