"""Coinbase: a snapshot opens the stream."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from collector.recorded import Books, change, frames, ladder

LISTED: Final = 162
NO_QUOTE_SIZES: Final = True
"""In 2021 its ticker had none."""


def books(folder: Path) -> Books:
    found: Books = {}
    for frame in frames(folder / "COINBASE.ws.28.0.gz"):
        if frame["type"] == "snapshot":
            found[frame["product_id"]] = (ladder(frame["bids"]), ladder(frame["asks"]))
        elif frame["type"] == "l2update":
            for side, price, size in frame["changes"]:
                change(found[frame["product_id"]][0 if side == "buy" else 1], price, size)
    return found
