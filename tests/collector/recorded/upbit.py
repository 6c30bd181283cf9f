"""Upbit: every message a whole book, both sides of a level in one object."""

from __future__ import annotations

import ast
import json
from decimal import Decimal
from pathlib import Path
from typing import Final

from collector.recorded import Books, ladder, lines

LISTED: Final = 294


def books(folder: Path) -> Books:
    found: Books = {}
    for line in lines(folder / "UPBIT.ws.62.0.gz"):
        if line[:1].isdigit():
            frame = json.loads(ast.literal_eval(line.split(": ", 1)[1]), parse_float=Decimal)
            if frame["ty"] == "orderbook":
                units = frame["obu"]
                found[frame["cd"]] = (
                    ladder((unit["bp"], unit["bs"]) for unit in units),
                    ladder((unit["ap"], unit["as"]) for unit in units),
                )
    return found
