"""Bitfinex: a snapshot opens each channel, then one level a message; a level without orders is gone, whatever its amount."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from collector.recorded import Books, change, frames

LISTED: Final = 293 + 35
NO_QUOTE_SIZES: Final = True
"""Those of its ticker are sums of 25 levels: 76.17 at 60400 in the first ticker of TESTBTC, where its book has 0.69."""


def books(folder: Path) -> Books:
    found: Books = {}
    names: dict[int, str] = {}
    for frame in frames(folder / "BITFINEX.ws.11.0.gz"):
        if isinstance(frame, dict):
            if frame.get("channel") == "book":
                names[frame["chanId"]] = frame["pair"]
        elif frame[0] in names and frame[1] != "hb":
            one = isinstance(frame[1][0], list)
            book = found.setdefault(names[frame[0]], ({}, {}))
            for price, count, amount in frame[1] if one else [frame[1]]:
                change(book[0 if amount > 0 else 1], _exact(price), _exact(abs(amount)) if count else 0)
    return found


def _exact(value: Any) -> Decimal:
    return Decimal(str(value))
