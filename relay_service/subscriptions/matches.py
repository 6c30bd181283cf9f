"""Which filters each slot matches: a row of bits for each slot, and beside it the same as numbers, where they are few."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from relay_service.kernel.compiled import kernels
from relay_service.kernel.selection import MANY, NEAR_BITS
from relay_service.kernel.tables import table_of
from relay_service.results import Slots

BITS: Final = 64
"""Of a word."""
_ONE: Final = np.uint64(1)
MANY_NEAR: Final = int(MANY)
"""The word beside the bits of a row that has more than a word has room for."""
_NUMBER: Final = (1 << NEAR_BITS) - 1


def bit(number: int) -> np.uint64:
    """A filter's in its word."""
    return _ONE << np.uint64(number % BITS)


class MatchTable:
    """The row of a slot is at `slot + 1`; row 0 is for listings without a slot."""

    def __init__(self) -> None:
        self.bits: npt.NDArray[np.uint64] = _bits(1024, 1)
        """Shape (rows, words)."""
        self.near: npt.NDArray[np.uint64] = table_of(1024, np.dtype(np.uint64))
        """Shape (rows,): see `kernel.selection.note`."""
        self._note = kernels().note
        self._view()

    def _view(self) -> None:
        # Of a memoryview single words are read faster.
        bits: Any = self.bits
        near: Any = self.near
        self._words, self.near_words = memoryview(bits), memoryview(near)

    def reserve(self, rows: int) -> None:
        """Room for so many rows, and for twice as many as before where it has to be made."""
        held = len(self.bits)
        if rows <= held:
            return
        bits, near = _bits(max(rows, 2 * held), self.bits.shape[1]), table_of(max(rows, 2 * held), np.dtype(np.uint64))
        bits[:held], near[:held] = self.bits, self.near
        self.bits, self.near = bits, near
        self._view()

    def widen(self, words: int) -> None:
        """Room for filters of so many words."""
        if words > self.bits.shape[1]:
            bits = _bits(len(self.bits), words)
            bits[:, : self.bits.shape[1]] = self.bits
            self.bits = bits
            self._view()

    def set(self, number: int, at: Slots, matches: Any) -> None:
        """Whether these rows match a filter."""
        column, mask = self.bits[:, number // BITS], bit(number)
        before = column[at]
        after = np.where(matches, before | mask, before & ~mask)
        changed = np.flatnonzero(after != before)
        if changed.size:
            rows = at[changed]
            column[rows] = after[changed]
            self._note(self.bits, rows, self.near)

    def clear(self, number: int) -> None:
        """No row matches a filter."""
        rows = np.flatnonzero(self.column(number)).astype(np.int32)
        self.set(number, rows, False)

    def column(self, number: int) -> npt.NDArray[np.bool_]:
        """Shape (rows,): which rows match a filter."""
        found: npt.NDArray[np.bool_] = (self.bits[:, number // BITS] & bit(number)) != 0
        return found

    def matches(self, row: int, number: int) -> bool:
        """Whether a row matches a filter."""
        return bool(self._words[row, number // BITS] >> number % BITS & 1)

    def numbers(self, row: int, allowed: list[int]) -> list[int]:
        """The filters of these that a row matches; `allowed` are words."""
        packed = self.near_words[row]
        found: list[int] = []
        if packed != MANY_NEAR:
            while packed:
                number = (packed & _NUMBER) - 1
                packed >>= NEAR_BITS
                if allowed[number // BITS] >> number % BITS & 1:
                    found.append(number)
            return found
        for word, mask in enumerate(allowed):
            bits = self._words[row, word] & mask
            while bits:
                lowest = bits & -bits
                found.append(word * BITS + lowest.bit_length() - 1)
                bits ^= lowest
        return found


def _bits(rows: int, words: int) -> npt.NDArray[np.uint64]:
    """No bit is set. The first row begins at a cache line, so that none lies in more of them than it has to."""
    return table_of(rows * words, np.dtype(np.uint64)).reshape(rows, words)
