"""Bitget, version 1: snapshots and updates on two connections, the market in each message."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from collector.recorded import Books, change, frames, ladder

LISTED: Final = 304
NO_QUOTE_SIZES: Final = True
"""Version 1's ticker had none."""


def books(folder: Path) -> Books:
    found: Books = {}
    for part in (1, 2):
        for frame in frames(folder / f"BITGET.ws.{part}.0.gz"):
            if frame["arg"]["channel"] != "books" or "data" not in frame:
                continue
            symbol = f"{frame['arg']['instType']}:{frame['arg']['instId']}"
            (data,) = frame["data"]
            if frame["action"] == "snapshot":
                found[symbol] = (ladder(data["bids"]), ladder(data["asks"]))
                continue
            for name, side in zip(("bids", "asks"), found[symbol], strict=True):
                for price, size in data[name]:
                    change(side, price, size)
    return found
