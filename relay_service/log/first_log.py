"""The log of a domain whose events are handed on only once they are logged: nothing is relayed that a resume could not give again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from alphapulse.domain.errors import LogUnavailable
from relay_service.log.records import LoggedInput, LoggedRows, Position, Record
from relay_service.log.relay_log import LogSettings, LogState, RelayLog
from relay_service.log.tail import Tail, is_empty

_UNBOUNDED: Final = 1 << 62
"""No event that waits is ever given up: `FirstLog.refusal` keeps out what there is no room for, before it is taken."""
MAX_LOSSES: Final = 1024
"""Losses of sources that are kept one by one behind one event. Who resumes before more of them is told that the log does not have all."""


class FirstTail(Tail):
    """What waits to be logged. What is not logged yet is nobody's to read."""

    def __init__(self, last: int) -> None:
        super().__init__(_UNBOUNDED, last)
        self._empty = self._losses = 0
        """Records behind the last event, and the losses among them."""
        self.on_logged: Callable[[], None] = lambda: None
        """Called whenever more is logged."""

    def add(self, record: Record) -> None:
        super().add(record)
        if not is_empty(record):
            self._empty = self._losses = 0
            return
        self._empty += 1
        if isinstance(record, LoggedInput):
            return
        self._losses += 1
        if self._losses > MAX_LOSSES:
            behind = range(len(self._waiting) - self._empty, len(self._waiting))
            losses = (place for place in behind if not isinstance(self._waiting[place], LoggedInput))
            self._join(next(losses), next(losses))
            self._empty -= 1
            self._losses -= 1

    def logged(self, last: int) -> None:
        super().logged(last)
        self.on_logged()

    def forget(self) -> None:
        base = self.base
        super().forget()
        self._empty = self._losses = 0
        self.base = base  # what was not logged never will be, and is handed to nobody

    def after(self, sequence: int) -> list[Record] | None:
        """Losses of sources right behind the last event that is logged. A reader that is ahead of it, because it read what was just written,
        waits."""
        if sequence != self.base:
            return None
        found: list[Record] = []
        for record in super().after(sequence) or []:
            if isinstance(record, LoggedRows) and record.last > self.base:
                break
            found.append(record)
        return found


class FirstLog(RelayLog):
    """A RelayLog that is asked before anything is taken, and says when something may be handed on."""

    linger_seconds = 0.0

    def __init__(self, settings: LogSettings, start_ns: int, last_sequence: int = 0) -> None:
        super().__init__(settings, start_ns, last_sequence)
        self.tail: FirstTail = FirstTail(last_sequence)
        self.on_fenced: Callable[[], None] = lambda: None
        """Called when a relay of the same name that was started later writes the log: nothing more will be logged here."""
        self.handed_gap = 0
        """The number of the last loss of a source that was handed on."""
        self._since_ns = 0
        self._oldest = 0

    @property
    def last_gap(self) -> int:
        """The number of the last loss of a source."""
        return self._source_gap

    @property
    def position(self) -> Position:
        """Behind everything that was handed on."""
        return Position(self._incarnation, self.tail.base, self.handed_gap)

    def refusal(self, size: int) -> str:
        """Why events of so many bytes are not taken now; empty where they are: the log is written by another, has no room, or has taken nothing for
        as long as it may."""
        if self.state in (LogState.FENCED, LogState.CLOSED) or self.tail.size + size > self.settings.buffer_bytes:
            return LogUnavailable.reason
        return LogUnavailable.reason if self._waits_too_long() else ""

    async def _sync(self) -> None:
        await super()._sync()
        if self.state is LogState.FENCED:
            self.on_fenced()

    def _waits_too_long(self) -> bool:
        tail = self.tail
        if tail.last == tail.base:
            self._since_ns = 0
            return False
        now_ns = time.monotonic_ns()
        if not self._since_ns or self._oldest != tail.base:
            self._since_ns, self._oldest = now_ns, tail.base
        return now_ns - self._since_ns > self.settings.patience_seconds * 1e9
