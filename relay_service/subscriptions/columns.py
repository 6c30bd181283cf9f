"""What filters look at, as numbers: a column of codes a text, and beside the texts one packed row of numbers and words.

An exact decimal is its mantissa and its exponent, in the columns `name` and `name_exponent`; a moment is a decimal of seconds. Words are small
numbers, 0 where there is none.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

NONE: Final = 128
"""The exponent of a number that is missing: those of decimals lie in -128..127."""
DECIMAL: Final = struct.Struct("<qh")
"""Mantissa and exponent, as they lie in a row."""
NO_DECIMAL: Final = DECIMAL.pack(0, NONE)


class Column:
    """Codes by row; code 0 is the empty value."""

    def __init__(self, empty: Any, capacity: int) -> None:
        self.codes = np.zeros(capacity, np.int32)
        self.values: list[Any] = [empty]
        self.code_of = {empty: 0}

    def add(self, value: Any) -> int:
        """The code of a value that has none yet."""
        code = self.code_of[value] = len(self.values)
        self.values.append(value)
        return code


class Layout:
    """Which numbers and words a packed row holds, in this order."""

    def __init__(self, numbers: Sequence[str], words: Sequence[str]) -> None:
        decimals = [part for name in numbers for part in ((name, "<i8"), (f"{name}_exponent", "<i2"))]
        self.dtype: Final[np.dtype[Any]] = np.dtype([*decimals, *((name, "u1") for name in words)])
        self.empty: Final = NO_DECIMAL * len(numbers) + bytes(len(words))


class Table:
    """Columns and packed rows of one sort of thing, by its number. The last row is never in use: -1, which stands for
    nothing, finds it empty."""

    def __init__(self, texts: Mapping[str, Any], layout: Layout, capacity: int = 1024) -> None:
        self.columns = {name: Column(empty, capacity) for name, empty in texts.items()}
        self._layout = layout
        self._size = layout.dtype.itemsize
        self._raw = bytearray(layout.empty * capacity)
        self.packed: npt.NDArray[np.void] = np.frombuffer(self._raw, layout.dtype)
        """Shape (capacity,): the packed rows. Replaced when the table grows: read it through this object."""
        self._writers: list[tuple[Column, Any, Any]] = []
        self._open()

    def reserve(self, count: int) -> None:
        """Room for so many rows."""
        capacity = len(self.packed)
        if count < capacity:
            return
        more = max(count + 1, 2 * capacity) - capacity
        for column in self.columns.values():
            column.codes = np.concatenate((column.codes, np.zeros(more, np.int32)))
        self._raw = bytearray(self._raw + self._layout.empty * more)
        self.packed = np.frombuffer(self._raw, self._layout.dtype)
        self._open()

    def _open(self) -> None:
        """What `put` needs of each column; of a memoryview single codes are written in half the time."""
        buffers: list[Any] = [one.codes for one in self.columns.values()]
        self._writers = [
            (one, one.code_of.get, memoryview(codes)) for one, codes in zip(self.columns.values(), buffers, strict=True)
        ]

    def put(self, place: int, texts: Sequence[Any], packed: bytes) -> None:
        """A row: its texts in the order of the columns, and the rest of it."""
        for value, (column, code_of, codes) in zip(texts, self._writers, strict=True):
            code = code_of(value)
            codes[place] = column.add(value) if code is None else code
        self._raw[place * self._size : (place + 1) * self._size] = packed
