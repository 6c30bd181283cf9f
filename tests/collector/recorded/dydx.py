"""dYdX, version 3: each level has a number, and one that is older changes nothing."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from collector.recorded import Books, frames

LISTED: Final = 27


def books(folder: Path) -> Books:
    found: dict[str, tuple[dict[Decimal, tuple[int, Decimal]], ...]] = {}
    for frame in frames(folder / "DYDX.ws.1.0.gz"):
        if frame.get("channel") != "v3_orderbook":
            continue
        contents = frame["contents"]
        for name, side in zip(("bids", "asks"), found.setdefault(frame["id"], ({}, {})), strict=True):
            for level in contents[name]:
                price, size, offset = _level(level, contents)
                if offset >= side.get(price, (0, 0))[0]:
                    side[price] = (offset, size)
    return {symbol: (_left(bids, asks, -1), _left(asks, bids, 1)) for symbol, (bids, asks) in found.items()}


def _level(level: Any, contents: Any) -> tuple[Decimal, Decimal, int]:
    if isinstance(level, list):
        return Decimal(level[0]), Decimal(level[1]), int(contents["offset"])
    return Decimal(level["price"]), Decimal(level["size"]), int(level["offset"])


def _left(side: Any, other: Any, sign: int) -> dict[Decimal, Decimal]:
    """Levels with a size, without those that cross a level of the other side whose number is higher."""
    return {
        price: size
        for price, (offset, size) in side.items()
        if size
        and not any(
            size_there and (there - price) * sign >= 0 and number > offset
            for there, (number, size_there) in other.items()
        )
    }
