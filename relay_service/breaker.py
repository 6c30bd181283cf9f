"""A circuit breaker a source: one that sends little but rows that cannot be taken is not listened to for a while.

    CLOSED --half of a second's rows refused, and many of them--> OPEN --pause over--> HALF_OPEN --sound rows--> CLOSED
                                                                    ^------- refused again, twice the pause ----'

What it sheds unread is counted, refused with CIRCUIT_OPEN, and declared to subscribers: whether it was sound nobody knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

_SECOND: Final = 1_000_000_000


class BreakerState(IntEnum):
    """As `alphapulse.api.relay.v1.BreakerState` numbers them."""

    CLOSED = 1
    """Rows are taken."""
    OPEN = 2
    """Rows are shed."""
    HALF_OPEN = 3
    """Some rows are taken, to see what they are."""


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When it opens, and for how long."""

    window_ns: int = _SECOND
    """Rows are judged by windows of this length."""
    refused: int = 200
    """So many rows of a window have to be refused, and half of all."""
    pause_ns: int = _SECOND
    """How long it is open at first; doubled each time what follows is no better."""
    longest_pause_ns: int = 30 * _SECOND
    """How long it is open at most."""
    sound: int = 100
    """So many rows have to be taken, half-open, before it closes."""


class Breaker:
    """One source's. Times are the relay's, nanoseconds; they may stand still, and be set back."""

    __slots__ = (
        *("_ends_ns", "_limits", "_opens_ns", "_pause_ns", "_refused", "_taken", "_told_ns", "_undeclared"),
        *("opened", "shed", "state"),
    )

    def __init__(self, limits: BreakerLimits | None = None) -> None:
        self._limits = limits or BreakerLimits()
        self.state = BreakerState.CLOSED
        """Now."""
        self.opened = 0
        """How often it opened."""
        self.shed = 0
        """Rows shed so far."""
        self._pause_ns = self._limits.pause_ns
        self._opens_ns = self._ends_ns = 0
        self._taken = self._refused = 0
        self._undeclared = 0
        self._told_ns = 0

    def admits(self, count: int, now_ns: int) -> bool:
        """Whether a frame of so many rows is to be read; one that is not counts as shed."""
        if self.state is BreakerState.CLOSED:
            return True
        if self.state is BreakerState.OPEN:
            # A clock that was set back must not keep it open for longer than its pause.
            if self._opens_ns <= now_ns < self._ends_ns:
                self.shed += count
                self._undeclared += count
                return False
            self.state = BreakerState.HALF_OPEN
            self._taken = self._refused = 0
        return True

    def judge(self, taken: int, refused: int, now_ns: int) -> None:
        """What became of the rows of a frame that was admitted."""
        if self.state is BreakerState.HALF_OPEN:
            self._taken += taken
            self._refused += refused
            if self._refused and self._refused >= self._taken:
                self._pause_ns = min(2 * self._pause_ns, self._limits.longest_pause_ns)
                self._open(now_ns)
            elif self._taken >= self._limits.sound:
                self.state = BreakerState.CLOSED
                self._pause_ns = self._limits.pause_ns
                self._begin(now_ns)
            return
        if not self._opens_ns <= now_ns < self._ends_ns:
            self._begin(now_ns)
        self._taken += taken
        self._refused += refused
        if self._refused >= self._limits.refused and self._refused >= self._taken:
            self._open(now_ns)

    def undeclared(self, now_ns: int) -> int:
        """Rows shed that subscribers have to be told of now: at once when it opened, then once in a window; 0: none."""
        owed = self._undeclared
        if not owed or (self.state is BreakerState.OPEN and 0 <= now_ns - self._told_ns < self._limits.window_ns):
            return 0
        self._undeclared, self._told_ns = 0, now_ns
        return owed

    def _begin(self, now_ns: int) -> None:
        self._taken = self._refused = 0
        self._opens_ns, self._ends_ns = now_ns, now_ns + self._limits.window_ns

    def _open(self, now_ns: int) -> None:
        self.state = BreakerState.OPEN
        self.opened += 1
        self._opens_ns, self._ends_ns = now_ns, now_ns + self._pause_ns
        self._told_ns = now_ns - self._limits.window_ns
