"""The compiled entry point, cached on disk (NUMBA_CACHE_DIR, or beside the source) under a key that changes with any source of the kernel.

numba keys its cache by the file of the function alone; what it calls lives in other files, and layouts come from descriptors. So the entry point is a
closure over a fingerprint of all of them, which numba does put into the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from alphapulse.records import BOOK_LEVEL, QUOTE, TRADE
from collector_service.lane import codes
from collector_service.lane import messages as _messages
from collector_service.lane.jit import entry_point

_PARTS: Final = (
    "changes",
    "checksums",
    "codes",
    "jit",
    "levels",
    "machines",
    "messages",
    "records",
    "tokens",
    "values",
    "verdicts",
)
"""The modules that are compiled."""


def _fingerprint() -> str:
    """SHA-256 over the kernel's sources and the layouts compiled into it."""
    digest = hashlib.sha256(repr([layout.dtype.descr for layout in (TRADE, QUOTE, BOOK_LEVEL)]).encode())
    for name in _PARTS:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
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


def load() -> None:
    """Compiles the kernel, or loads what an earlier process compiled: some seconds, once in a process."""
    whole = partial(np.zeros, dtype=np.int64)
    kernel()(
        np.zeros(1, np.int8), whole((codes.FRAME_WIDTH, 1)), 0, 0, whole(codes.PROGRAM_HEAD), np.zeros(1, np.int8),
        whole((1, codes.WORD_WIDTH)), np.zeros((1, codes.TAPE_WIDTH), np.int32), whole(1), whole(1), np.zeros(1, np.int8),
        whole((1, codes.LEVEL_WIDTH)), whole((1, codes.OP_WIDTH)), whole((1, codes.BOOK_WIDTH)), whole(1), whole(1),
        np.zeros(1, np.int16), TRADE.new(1), QUOTE.new(1), BOOK_LEVEL.new(1), whole((1, 2)), whole(1),
        whole(codes.STATE_WIDTH),
    )  # fmt: skip
