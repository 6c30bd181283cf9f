"""What words of a venue mean, found out once by the functions of the ordinary path, and looked up by the kernel from then on."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from collector_service.lane.codes import (
    W_AT,
    W_FIELD,
    W_HASH,
    W_SIZE,
    W_VALUE,
    WORD_WIDTH,
)

MAX_WORDS: Final = 1 << 16
"""Beyond it words are asked each time: a venue with so many spellings is read, but not faster."""
_LONGEST: Final = 128


class WordTable:
    """Words by field, the bytes of each as they stand in frames, with what they mean: a number."""

    def __init__(self, texts: bytes) -> None:
        """`texts` are the names of fields, which the kernel compares with."""
        self.rows: Any = np.zeros((256, WORD_WIDTH), np.int64)
        self._numbers = _flat(self.rows)
        self.texts: Any = np.zeros(max(4096, 2 * len(texts)), np.int8)
        self._bytes = self.texts.data.cast("B")
        self._bytes[: len(texts)] = texts
        self._used = len(texts)
        self._count = 0

    def add(self, field: int, word: bytes, value: int, hashed: int) -> bool:
        """False where there is no room for it. `hashed` is what `values.look_up` made of field and word."""
        if self._count >= MAX_WORDS or len(word) > _LONGEST:
            return False
        if 2 * (self._count + 1) > len(self.rows):
            self._grow()
        begin, end = self._used, self._used + len(word)
        if end > len(self._bytes):
            self.texts = np.concatenate((self.texts, np.zeros(len(self.texts), np.int8)))
            self._bytes = self.texts.data.cast("B")
        self._bytes[begin:end] = word
        self._put((field + 1, hashed, value, begin, len(word)))
        self._used = end
        self._count += 1
        return True

    def _grow(self) -> None:
        kept = [tuple(row) for row in self.rows.tolist() if row[W_FIELD]]
        self.rows = np.zeros((2 * len(self.rows), WORD_WIDTH), np.int64)
        self._numbers = _flat(self.rows)
        for row in kept:
            self._put(row)

    def _put(self, row: tuple[int, ...]) -> None:
        mask, numbers = len(self.rows) - 1, self._numbers
        at = (row[W_HASH] ^ (row[W_HASH] >> 29)) & mask
        while numbers[WORD_WIDTH * at + W_FIELD]:
            at = (at + 1) & mask
        place = WORD_WIDTH * at
        for number in row:
            numbers[place] = number
            place += 1


def _flat(rows: Any) -> memoryview:
    """One number after the other: writing one by the array costs as much as all else of a word."""
    return memoryview(rows).cast("B").cast("q")


assert (W_FIELD, W_HASH, W_VALUE, W_AT, W_SIZE) == (0, 1, 2, 3, 4)  # rows are written as tuples
