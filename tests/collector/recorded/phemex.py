"""Phemex, of 2021: whole numbers of a scale; a snapshot opens the stream and comes again each minute."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Final

from collector.recorded import Books, change, frames

LISTED: Final = 67


def books(folder: Path) -> Books:
    found: Books = {}
    for frame in frames(folder / "PHEMEX.ws.1.0.gz"):
        if "book" not in frame:
            continue
        # Spot has eight decimals in prices and sizes; contracts have four in prices, and sizes count them.
        spot = frame["symbol"].startswith("s")
        if frame["type"] == "snapshot":
            found[frame["symbol"]] = ({}, {})
        for name, side in zip(("bids", "asks"), found[frame["symbol"]], strict=True):
            for price, size in frame["book"][name]:
                change(side, Decimal(price).scaleb(-8 if spot else -4), Decimal(size).scaleb(-8 if spot else 0))
    return found
