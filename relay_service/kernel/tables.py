"""Arrays whose rows begin at cache lines, large ones in huge pages: each line that a row of a large table touches is a wait for memory."""

from __future__ import annotations

import contextlib
import mmap
from typing import Any, Final

import numpy as np
import numpy.typing as npt

LINE: Final = 64
"""Bytes of a cache line."""
_PAGE: Final = 2 << 20
"""Bytes of a huge page."""


def table_of(count: int, dtype: np.dtype[Any], stride: int = 0) -> npt.NDArray[Any]:
    """Shape (count,): zeros, the first of them at a cache line, `stride` bytes from one to the next (0: no room between)."""
    stride = stride or dtype.itemsize
    size = count * stride
    if size < _PAGE // 2:
        memory = np.zeros(size + LINE, np.uint8)
        return np.ndarray((count,), dtype, memory, -memory.ctypes.data % LINE, (stride,))
    # In pages of 4 KiB every row of a large table is a walk through the page tables, too.
    room = mmap.mmap(-1, size + _PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # shared memory gets none
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            room.madvise(mmap.MADV_HUGEPAGE)
    return np.ndarray((count,), dtype, room, -np.frombuffer(room, np.uint8).ctypes.data % _PAGE, (stride,))
