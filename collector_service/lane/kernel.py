"""The compiled entry point, cached on disk (NUMBA_CACHE_DIR, or beside the source) under a key that changes with any source of the kernel.

numba keys its cache by the file of the function alone; what it calls lives in other files, and layouts come from descriptors. So the entry point is a
closure over a fingerprint of all of them, which numba does put into the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from alphapulse.records import BOOK_LEVEL, QUOTE, TRADE
from collector_service.lane import messages as _messages
from collector_service.lane.jit import entry_point


def _fingerprint() -> str:
    """SHA-256 over the kernel's sources and the layouts compiled into it."""
    digest = hashlib.sha256(repr([layout.dtype.descr for layout in (TRADE, QUOTE, BOOK_LEVEL)]).encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _make(fingerprint: str) -> Callable[..., int]:
    # What it calls is reached through its module: a compiled function in the closure would put a random number into the key, and no
    # process would ever find what another one compiled.
    @entry_point
    def run(
        data: Any, frames: Any, first: int, end: int, program: Any, texts: Any, words: Any, tape: Any, found: Any,
        stack: Any, spelled: Any, changes: Any, ops: Any, books: Any, keys: Any, sizes: Any, exponents: Any, trades: Any,
        quotes: Any, levels: Any, touched: Any, dirty: Any, state: Any,
    ) -> int:  # fmt: skip
        _ = fingerprint
        return int(_messages.run(
            data, frames, first, end, program, texts, words, tape, found, stack, spelled, changes, ops, books, keys, sizes,
            exponents, trades, quotes, levels, touched, dirty, state,
        ))  # fmt: skip

    return run


@cache
def kernel() -> Callable[..., int]:
    """The entry point of this process."""
    return _make(_fingerprint())
