"""Kraken, version 1: 1,000 levels a side, those that fall out are forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from collector.recorded import Books, change, frames, ladder

LISTED: Final = 304


def books(folder: Path) -> Books:
    found: Books = {}
    for frame in frames(folder / "KRAKEN.ws.50.0.gz"):
        if not isinstance(frame, list):
            continue
        for part in frame[1:-2]:
            if "as" in part:
                found[frame[-1]] = (
                    ladder(level[:2] for level in part["bs"]),
                    ladder(level[:2] for level in part["as"]),
                )
                continue
            for name, side in zip("ba", found[frame[-1]], strict=True):
                for level in part.get(name, ()):
                    change(side, level[0], level[1])
        bids, asks = found[frame[-1]]
        for price in sorted(bids, reverse=True)[1000:]:
            del bids[price]
        for price in sorted(asks)[1000:]:
            del asks[price]
    return found
