"""KuCoin, of 2021: a snapshot by REST, then numbered changes, some of them without a price."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from collector.recorded import Books, Ladder, change, frames, ladder, lines

LISTED: Final = 634
BOOK_UPDATES: Final = 3814
"""Nine fewer than counted: for each of nine books, that project gives the change again whose number the snapshot has."""


def books(folder: Path) -> Books:
    found: dict[str, tuple[int, Ladder, Ladder]] = {}
    for line in lines(folder / "KUCOIN.http.0.0.gz"):
        if "/level2?symbol=" in line:
            data = json.loads(line.split(": ", 1)[1])["data"]
            symbol = line.split("symbol=")[1].split(" ")[0]
            found[symbol] = (int(data["sequence"]), ladder(data["bids"]), ladder(data["asks"]))
    for frame in frames(folder / "KUCOIN.ws.1.0.gz"):
        if frame.get("subject") == "trade.l2update":
            number, *sides = found[frame["data"]["symbol"]]
            for name, side in zip(("bids", "asks"), sides, strict=True):
                for price, size, at in frame["data"]["changes"][name]:
                    if int(at) > number and price != "0":
                        change(side, price, size)
    return {symbol: (bids, asks) for symbol, (_, bids, asks) in found.items()}
