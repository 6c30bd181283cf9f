"""The end of the log in memory: what was handed on last, bounded, so that a client who comes from another edge costs no read of Redis."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence

from relay_service.log.records import LoggedRows, Record, cost_of


class Window:
    """Records of one life of the relay in order, without a hole; the oldest go where there are too many."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._records: deque[Record] = deque()
        self.base = 0
        """What follows this event is in memory."""
        self.last = 0
        """The sequence of the last event that was handed on."""
        self.size = 0
        """Bytes of memory."""

    def begin(self, sequence: int) -> None:
        """Go on behind this event, without anything of what was before."""
        self._records.clear()
        self.size = 0
        self.base = self.last = sequence

    def add(self, record: Record) -> None:
        """What was handed on now; it follows what was handed on last."""
        self._records.append(record)
        self.last = max(self.last, record.last)
        self.size += cost_of(record)
        while self.size > self._bound:
            gone = self._records.popleft()
            self.size -= cost_of(gone)
            # Losses of sources right behind an event stay readable with it, so what went with them is not in memory any more.
            self.base = max(self.base, gone.last if isinstance(gone, LoggedRows) else gone.last + 1)

    def after(self, sequence: int) -> Sequence[Record] | None:
        """What follows an event, losses of sources right behind it included; None where it is to be read from Redis."""
        if sequence < self.base:
            return None
        found = list(itertools.takewhile(lambda one: one.last >= sequence, reversed(self._records)))
        found.reverse()
        return found

    def since(self, now_ns: int) -> LoggedRows | None:
        """The first rows that came at this time or later."""
        return next((one for one in self._records if isinstance(one, LoggedRows) and one.now_ns >= now_ns), None)
