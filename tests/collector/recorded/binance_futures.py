"""Binance's futures: a snapshot by REST, then updates, the first of them the one whose range holds the snapshot's number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from collector.recorded import Books, Ladder, change, frames, ladder, lines

LISTED: Final = 122


def books(folder: Path) -> Books:
    found: dict[str, tuple[int, Ladder, Ladder]] = {}
    for line in lines(folder / "BINANCE_FUTURES.http.0.0.gz"):
        if "/depth?symbol=" in line:
            body = json.loads(line.split(": ", 1)[1])
            symbol = line.split("symbol=")[1].split("&")[0]
            found[symbol] = (body["lastUpdateId"], ladder(body["bids"]), ladder(body["asks"]))
    for frame in frames(folder / "BINANCE_FUTURES.ws.1.0.gz"):
        data = frame["data"]
        if data["e"] == "depthUpdate" and data["u"] >= found[data["s"]][0]:
            for name, side in zip("ba", found[data["s"]][1:], strict=True):
                for price, size in data[name]:
                    change(side, price, size)
    return {symbol: (bids, asks) for symbol, (_, bids, asks) in found.items()}
