"""What words of a venue mean, found out once by the functions of the ordinary path, and looked up by the kernel from then on."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from collector_service.lane.codes import (
    HASH_FACTOR,
    HASH_MASK,
    HASH_SEED,
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
        self.texts: Any = np.zeros(max(4096, 2 * len(texts)), np.int8)
        self.texts[: len(texts)] = np.frombuffer(texts, np.int8)
        self._used = len(texts)
        self._count = 0

    def add(self, field: int, word: bytes, value: int) -> bool:
        """False where there is no room for it."""
        if self._count >= MAX_WORDS or len(word) > _LONGEST:
            return False
        if 2 * (self._count + 1) > len(self.rows):
            self._grow()
        if self._used + len(word) > len(self.texts):
            self.texts = np.concatenate((self.texts, np.zeros(len(self.texts), np.int8)))
        self.texts[self._used : self._used + len(word)] = np.frombuffer(word, np.int8)
        self._put((field + 1, _hash(field, word), value, self._used, len(word)))
        self._used += len(word)
        self._count += 1
        return True

    def forget(self, field: int) -> None:
        """Words of a field that may mean something else now."""
        kept = [tuple(row) for row in self.rows.tolist() if row[W_FIELD] and row[W_FIELD] != field + 1]
        self.rows[:] = 0
        self._count = len(kept)
        for row in kept:
            self._put(row)

    def _grow(self) -> None:
        kept = [tuple(row) for row in self.rows.tolist() if row[W_FIELD]]
        self.rows = np.zeros((2 * len(self.rows), WORD_WIDTH), np.int64)
        for row in kept:
            self._put(row)

    def _put(self, row: tuple[int, ...]) -> None:
        mask = len(self.rows) - 1
        at = (row[W_HASH] ^ (row[W_HASH] >> 29)) & mask
        while self.rows[at, W_FIELD]:
            at = (at + 1) & mask
        self.rows[at] = row


def _hash(field: int, word: bytes) -> int:
    """As `values.look_up` takes it."""
    found = HASH_SEED + field
    for byte in word:
        found = ((found ^ byte) * HASH_FACTOR) & HASH_MASK
    return found


assert (W_FIELD, W_HASH, W_VALUE, W_AT, W_SIZE) == (0, 1, 2, 3, 4)  # rows are written as tuples
