"""Arrays that the kernel fills and empties within one call: one set a thread, for all of its sessions."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from alphapulse.records import BOOK_LEVEL, QUOTE, TRADE
from collector_service.book import LevelChange
from collector_service.lane import codes
from collector_service.lane.checksums import TEXT_SIZE

BATCH: Final = 256
"""Frames that are decoded in one call at most."""
ROWS: Final = 1 << 12
"""Of each type, at first; of trades and quotes also those that one frame has at most."""
_OPS: Final = codes.OPS_OF_FRAME + codes.MAX_HELD
_LAYOUTS: Final = {one.event_type: one for one in (TRADE, QUOTE, BOOK_LEVEL)}


class Scratch:
    """What they hold is nobody's between two calls: rows were taken, all else is written anew. What they have grown to stays."""

    def __init__(self) -> None:
        self.frames: Any = np.zeros((codes.FRAME_WIDTH, BATCH), np.int64)
        self.sizes, self.times = (row.data for row in (self.frames[0], self.frames[1]))
        self.tape: Any = np.zeros((1 << 10, codes.TAPE_WIDTH), np.int32)
        self.stack: Any = np.zeros(ROWS, np.int64)
        self.spelled: Any = np.zeros(TEXT_SIZE, np.int8)
        self.changes: Any = np.zeros((1 << 8, codes.LEVEL_WIDTH), np.int64)
        self.ops: Any = np.zeros((_OPS, codes.OP_WIDTH), np.int64)
        self.touched: Any = np.zeros((ROWS, 2), np.int64)
        self.rows = {number: layout.new(ROWS) for number, layout in _LAYOUTS.items()}
        self.bytes = {number: rows.data.cast("B") for number, rows in self.rows.items()}
        """Those of the rows."""
        self._longest = 512

    def fit(self, longest: int) -> None:
        """Room for the tokens and levels of a frame of so many bytes: a token takes two at least, but for those that open, a level six."""
        if longest <= self._longest:
            return
        self._longest = longest = 2 * longest
        tokens = longest // 2 + codes.MAX_DEPTH + 2
        if tokens > len(self.tape):
            self.tape = np.zeros((tokens, codes.TAPE_WIDTH), np.int32)
        if longest // 3 > len(self.changes):
            self.changes = np.zeros((longest // 3, codes.LEVEL_WIDTH), np.int64)

    def fit_levels(self, levels: Sequence[LevelChange]) -> int:
        """Writes levels to the end of the changes, more than as many before them; where they begin."""
        if 2 * len(levels) > len(self.changes):
            self.changes = np.zeros((4 * len(levels), codes.LEVEL_WIDTH), np.int64)
        at = len(self.changes) - len(levels)
        if levels:
            self.changes[at:] = [(side, *price, *size, 0, 0) for side, price, size in levels]
        return at

    def fit_rows(self, event_type: int, count: int) -> None:
        """Room for rows of a type, which stand empty now."""
        if len(self.rows[event_type]) < count:
            rows = self.rows[event_type] = _LAYOUTS[event_type].new(2 * count)
            self.bytes[event_type] = rows.data.cast("B")


class _OfThread(threading.local):
    scratch: Scratch | None = None


_HERE: Final = _OfThread()


def scratch() -> Scratch:
    """That of this thread."""
    found = _HERE.scratch
    if found is None:
        found = _HERE.scratch = Scratch()
    return found
