"""Recorded venues, a module each: what an independent reading of the same frames gives, and what has to be explained.

A module has `books(folder)`, the book of each symbol at the end by json and Decimal alone; `LISTED`, how many instruments the recorded list has;
and, where the book updates are not as many as the recordings' own project counted, `BOOK_UPDATES` with the reason.
"""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

Ladder = dict[Decimal, Decimal]
Books = dict[str, tuple[Ladder, Ladder]]


def lines(path: Path) -> list[str]:
    """The lines of a recording."""
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def frames(path: Path) -> list[Any]:
    """What the venue sent, as JSON; numbers keep their digits."""
    return [json.loads(line.split(": ", 1)[1], parse_float=Decimal) for line in lines(path) if line[:1].isdigit()]


def change(side: Ladder, price: Any, size: Any) -> None:
    """A level's size now; 0 takes it out."""
    if Decimal(size):
        side[Decimal(price)] = Decimal(size)
    else:
        side.pop(Decimal(price), None)


def ladder(levels: Any) -> Ladder:
    """Pairs of price and size."""
    return {Decimal(price): Decimal(size) for price, size in levels if Decimal(size)}
