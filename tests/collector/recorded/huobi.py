"""Huobi, of 2021: gzip frames, every message a whole book."""

from __future__ import annotations

import ast
import json
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Final

from collector.recorded import Books, ladder, lines

LISTED: Final = 938


def books(folder: Path) -> Books:
    found: Books = {}
    for line in lines(folder / "HUOBI.ws.44.0.gz"):
        if not line[:1].isdigit():
            continue
        frame = json.loads(zlib.decompress(ast.literal_eval(line.split(": ", 1)[1]), 31), parse_float=Decimal)
        channel: str = frame.get("ch", "")
        if ".depth." in channel:
            found[channel.split(".")[1]] = (ladder(frame["tick"]["bids"]), ladder(frame["tick"]["asks"]))
    return found
