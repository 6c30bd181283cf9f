"""The table of `collector_service.lane.offsets` as Python sees it: it grows here, and takes what machines lend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from collector_service.amounts import FINEST
from collector_service.lane import codes

_FIRST: Final = 1 << 6
_NEXT: Final = 1 << 13
"""Rows at first, and as soon as there is a number: most sources have none."""
_LARGEST: Final = 2**62


class NumberTable:
    """Rows of numbers of levels: half of them free, at least."""

    def __init__(self) -> None:
        self.rows = _empty(_FIRST)

    def make_room(self, more: int, tags: Iterable[int]) -> None:
        """Room for so many more. What is not of a book with one of these tags is forgotten."""
        body, head = self.rows[:-1], self.rows[-1].copy()
        kept = body[np.isin(body[:, codes.G_TAG] >> 1, np.fromiter((tag for tag in tags if tag), np.int64))]
        room = _NEXT
        while room < 3 * (len(kept) + more):
            room *= 2
        self.rows = _empty(room)
        self.rows[-1] = head
        self.rows[-1, codes.G_COUNT] = 0
        self._put(kept)

    def lend(self, numbers: Mapping[tuple[int, int], int], tags: Iterable[int]) -> int:
        """Takes a machine's numbers; their tag, 0 where they do not fit."""
        if any(not 0 < _stripped(key)[0] <= _LARGEST for _, key in numbers):
            return 0
        tag = int(self.rows[-1, codes.G_LAST_TAG]) + 1
        if 2 * (int(self.rows[-1, codes.G_COUNT]) + len(numbers)) > len(self.rows) - 1:
            self.make_room(len(numbers), tags)
        self.rows[-1, codes.G_LAST_TAG] = tag
        rows = [(2 * tag + side - 1, *_stripped(key), number) for (side, key), number in numbers.items()]
        self._put(np.array(rows, np.int64).reshape(-1, codes.NUMBER_WIDTH))
        return tag

    def of(self, tag: int) -> dict[tuple[int, int], int]:
        """The numbers of a book's levels, by side and by the price on the grid that all prices share."""
        body = self.rows[:-1]
        found = body[body[:, codes.G_TAG] >> 1 == tag].tolist()
        return {((of & 1) + 1, price * 10 ** (exponent - FINEST)): number for of, price, exponent, number in found}

    def _put(self, rows: Any) -> None:
        """Each to the first free row behind where it belongs: all at once, again and again with those whose row was taken."""
        mask = len(self.rows) - 2
        self.rows[-1, codes.G_COUNT] += len(rows)
        factor = np.int64(codes.HASH_FACTOR)
        mixed = rows[:, codes.G_TAG] * factor ^ rows[:, codes.G_PRICE]
        mixed = (mixed * factor ^ rows[:, codes.G_EXPONENT]) * factor
        at = (mixed ^ (mixed >> 29)) & mask
        while len(rows):
            first = np.zeros(len(rows), np.bool_)
            first[np.unique(at, return_index=True)[1]] = True
            first &= self.rows[at, codes.G_TAG] == 0
            self.rows[at[first]] = rows[first]
            rows, at = rows[~first], (at[~first] + 1) & mask


def _empty(room: int) -> Any:
    return np.zeros((room + 1, codes.NUMBER_WIDTH), np.int64)


def _stripped(key: int) -> tuple[int, int]:
    """A price of the shared grid without zeros at its end."""
    text = str(key)
    digits = text.rstrip("0")
    return int(digits or 0), len(text) - len(digits) + FINEST
