"""OKX, version 5 of 2022: a snapshot of 400 levels a side opens the stream; those that fall out are taken out by the venue."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from collector.recorded import Books, change, frames, ladder

LISTED: Final = 1479


def books(folder: Path) -> Books:
    found: Books = {}
    for frame in frames(folder / "OKX.ws.1.0.gz"):
        if frame["arg"]["channel"] != "books" or "data" not in frame:
            continue
        symbol, (data,) = frame["arg"]["instId"], frame["data"]
        if frame["action"] == "snapshot":
            found[symbol] = (ladder(level[:2] for level in data["bids"]), ladder(level[:2] for level in data["asks"]))
        else:
            for name, side in zip(("bids", "asks"), found[symbol], strict=True):
                for level in data[name]:
                    change(side, level[0], level[1])
    return found
