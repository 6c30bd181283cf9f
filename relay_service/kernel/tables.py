"""Arrays whose rows begin at cache lines: of tables of a million listings each line that a row touches is a wait for memory."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

LINE: Final = 64
"""Bytes of a cache line."""


def table_of(count: int, dtype: np.dtype[Any], stride: int = 0) -> npt.NDArray[Any]:
    """Shape (count,): zeros, the first of them at a cache line, `stride` bytes from one to the next (0: no room between)."""
    stride = stride or dtype.itemsize
    memory = np.zeros(count * stride + LINE, np.uint8)
    return np.ndarray((count,), dtype, memory, -memory.ctypes.data % LINE, (stride,))
