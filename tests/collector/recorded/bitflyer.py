"""bitFlyer: whole books every few seconds, and changes beside them; those before the first whole one say nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from collector.recorded import Books, change, frames, ladder

LISTED: Final = 13


def books(folder: Path) -> Books:
    found: Books = {}
    for frame in frames(folder / "BITFLYER.ws.1.0.gz"):
        channel, message = frame["params"]["channel"], frame["params"]["message"]
        if "lightning_board" not in channel:
            continue
        symbol = channel.split("lightning_board_")[1].removeprefix("snapshot_")
        if "snapshot" in channel:
            bids, asks = ([(level["price"], level["size"]) for level in message[side]] for side in ("bids", "asks"))
            found[symbol] = (ladder(bids), ladder(asks))
        elif symbol in found:
            for book, side in zip(found[symbol], ("bids", "asks"), strict=True):
                for level in message[side]:
                    change(book, level["price"], level["size"])
    return found
