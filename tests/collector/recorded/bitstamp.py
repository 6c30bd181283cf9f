"""Bitstamp: a snapshot by REST, then changes by their time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from collector.recorded import Books, Ladder, change, frames, ladder, lines

LISTED: Final = 140
BOOK_UPDATES: Final = 625
"""Ten snapshots and the 615 changes that are newer. Of XRP/EUR and ETH/USD one change has the very microsecond of the snapshot, which holds it
already; the recordings' own project compares seconds, and counts these two as well."""


def books(folder: Path) -> Books:
    found: dict[str, tuple[int, Ladder, Ladder]] = {}
    for line in lines(folder / "BITSTAMP.http.0.0.gz"):
        if "/order_book/" in line:
            url, body = line.split(" -> ", 1)
            data = json.loads(body.split(": ", 1)[1])
            found[url.rsplit("/", 1)[1]] = (int(data["microtimestamp"]), ladder(data["bids"]), ladder(data["asks"]))
    for frame in frames(folder / "BITSTAMP.ws.1.0.gz"):
        if frame["event"] != "data":
            continue
        time, *sides = found[frame["channel"].rsplit("_", 1)[1]]
        if int(frame["data"]["microtimestamp"]) > time:
            for name, side in zip(("bids", "asks"), sides, strict=True):
                for price, size in frame["data"][name]:
                    change(side, price, size)
    return {symbol: (bids, asks) for symbol, (_, bids, asks) in found.items()}
