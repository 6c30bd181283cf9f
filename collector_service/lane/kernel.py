"""The compiled entry point, cached on disk (NUMBA_CACHE_DIR, or beside the source) under a key that changes with any source of the kernel.

numba keys its cache by the file of the function alone; what it calls lives in other files, and layouts come from descriptors. So the entry point is a
closure over a fingerprint of all of them, which numba does put into the key.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from io import FileIO
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
    "offsets",
    "records",
    "tokens",
    "values",
    "verdicts",
)
"""The modules that are compiled."""
_COMPILED: Final = b"compiled\n"


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
        stack: Any, spelled: Any, changes: Any, ops: Any, books: Any, keys: Any, sizes: Any, exponents: Any, numbers: Any,
        trades: Any, quotes: Any, levels: Any, touched: Any, dirty: Any, state: Any,
    ) -> int:  # fmt: skip
        _ = fingerprint
        return int(_messages.run(
            data, frames, first, end, program, texts, words, tape, found, stack, spelled, changes, ops, books, keys, sizes,
            exponents, numbers, trades, quotes, levels, touched, dirty, state,
        ))  # fmt: skip

    return run


@cache
def kernel() -> Callable[..., int]:
    """The entry point of this process."""
    return _make(_fingerprint())


def load() -> None:
    """Compiles the kernel, or loads what an earlier process compiled: some seconds, once in a process."""
    whole = partial(np.zeros, dtype=np.int64)
    # Read-only, as a lane gives them: to the compiler that is another type than what can be written.
    frames = np.frombuffer(b"\0", np.int8)
    with _one_compiles():
        kernel()(
            frames, whole((codes.FRAME_WIDTH, 1)), 0, 0, whole(codes.PROGRAM_HEAD), np.zeros(1, np.int8),
            whole((1, codes.WORD_WIDTH)), np.zeros((1, codes.TAPE_WIDTH), np.int32), whole(1), whole(1), np.zeros(1, np.int8),
            whole((1, codes.LEVEL_WIDTH)), whole((1, codes.OP_WIDTH)), whole((1, codes.BOOK_WIDTH)), whole(1), whole(1),
            np.zeros(1, np.int16), whole((2, codes.NUMBER_WIDTH)), TRADE.new(1), QUOTE.new(1), BOOK_LEVEL.new(1), whole((1, 2)), whole(1),
            whole(codes.STATE_WIDTH),
        )  # fmt: skip


@contextmanager
def _one_compiles() -> Iterator[None]:
    """Of the processes that share a cache, one compiles; those that come meanwhile wait for it, as each would spend a minute of a core on the
    same. What it leaves in the file it had locked tells later ones that there is nothing to wait for. Where no file can be written or
    locked, nobody waits.
    """
    place = _lock()
    if place is None:
        yield
        return
    with place:
        if _is_marked(place):  # while it was waited for
            fcntl.flock(place, fcntl.LOCK_UN)
        yield
        with suppress(OSError):
            if not _is_marked(place):
                place.write(_COMPILED)


def _lock() -> FileIO | None:
    """The file, locked; None where it is marked already or cannot be had."""
    entry: Any = kernel()
    folder = entry.stats.cache_path
    if folder is None:  # nothing is kept
        return None
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        place = FileIO(Path(folder, f"kernel-{_fingerprint()[:16]}.lock"), "a+")
    except OSError:
        return None
    with suppress(OSError):
        if not _is_marked(place):
            fcntl.flock(place, fcntl.LOCK_EX)
            return place
    place.close()
    return None


def _is_marked(place: FileIO) -> bool:
    return os.fstat(place.fileno()).st_size > 0
