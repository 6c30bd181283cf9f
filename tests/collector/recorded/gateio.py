"""Gate.io: a snapshot of 100 levels by REST, then ranges of updates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from collector.recorded import Books, Ladder, change, frames, ladder, lines

LISTED: Final = 1458
NO_QUOTE_SIZES: Final = True
"""In 2021 quotes were those of its tickers."""


def books(folder: Path) -> Books:
    found: dict[str, tuple[int, Ladder, Ladder]] = {}
    for line in lines(folder / "GATEIO.http.0.0.gz"):
        if "currency_pair=" in line:
            url, body = line.split(" -> ", 1)
            data = json.loads(body.split(": ", 1)[1])
            symbol = url.split("currency_pair=")[1].split("&")[0]
            found[symbol] = (data["id"], ladder(data["bids"]), ladder(data["asks"]))
    for frame in frames(folder / "GATEIO.ws.1.0.gz"):
        data = frame["result"]
        if data.get("e") == "depthUpdate" and data["u"] > found[data["s"]][0]:
            for name, side in zip("ba", found[data["s"]][1:], strict=True):
                for price, size in data[name]:
                    change(side, price, size)
    return {symbol: (bids, asks) for symbol, (_, bids, asks) in found.items()}
