"""Columns of Arrow straight from memory. `pyarrow.array` imports pandas to see whether it was given a piece of it: seconds of every start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def numbers(values: npt.NDArray[Any]) -> Any:
    """A column over numbers; copied where they do not lie one behind the other."""
    found = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(found.dtype), len(found), [None, pa.py_buffer(found)])


def texts(values: Sequence[str | None]) -> Any:
    """A column of texts; None is null."""
    return binaries([None if one is None else one.encode() for one in values], pa.string())


def binaries(values: Sequence[bytes | None], kind: Any) -> Any:
    """A column of bytes, of type binary or string; None is null."""
    ends = np.cumsum([0, *(len(one or b"") for one in values)], dtype=np.int32)
    valid = np.packbits(np.array([one is not None for one in values], bool), bitorder="little")
    data = b"".join(one for one in values if one is not None)
    return pa.Array.from_buffers(kind, len(values), [pa.py_buffer(valid), pa.py_buffer(ends), pa.py_buffer(data)])


def picked(few: Any, places: npt.NDArray[np.int64]) -> Any:
    """A column that has of a few values, for each row, the one at its place."""
    return few.take(numbers(places))
