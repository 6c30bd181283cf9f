"""Kraken Futures, version 1: a numbered message for each level."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from collector.recorded import Books, change, frames

LISTED: Final = 17
NO_QUOTE_SIZES: Final = True
"""The recording has ticker_lite, whose quotes are prices alone."""


def books(folder: Path) -> Books:
    found: Books = {}
    for frame in frames(folder / "KRAKEN_FUTURES.ws.1.0.gz"):
        if frame.get("feed") == "book_snapshot":
            found[frame["product_id"]] = ({}, {})
            for name, side in zip(("bids", "asks"), found[frame["product_id"]], strict=True):
                for level in frame[name]:
                    change(side, level["price"], level["qty"])
        elif frame.get("feed") == "book" and "price" in frame:
            change(found[frame["product_id"]][frame["side"] == "sell"], frame["price"], frame["qty"])
    return found
