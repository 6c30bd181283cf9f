"""Gemini: the first message of a symbol has its whole book, the further ones what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from collector.recorded import Books, change, frames

LISTED: Final = 71


def books(folder: Path) -> Books:
    found: Books = {}
    for frame in frames(folder / "GEMINI.ws.1.0.gz"):
        if frame["type"] == "l2_updates":
            for side, price, size in frame["changes"]:
                change(found.setdefault(frame["symbol"], ({}, {}))[side == "sell"], price, size)
    return found
