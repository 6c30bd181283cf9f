"""One connection takes the place of another: both are listened to, each event is given once, and nothing is missed.

Books are kept twice: what the new connection says builds a book of its own, which takes the place of the old one as soon as it is in step
and no older. So a machine never sees two streams, whose numbers it would take for a gap. Trades with numbers are taken from whichever
connection gives them first; what has no number is taken from one connection at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from collector_service.book import BookMachine, LevelChange

_SECOND: Final = 1_000_000_000
TRADES: Final = "trades"


@dataclass(frozen=True, slots=True)
class Overlap:
    """How long two connections stand beside each other, in seconds."""

    notice_s: float = 2.0
    """Before the new one is opened: from then on it is remembered which trades were given, should it be behind the old one."""
    settle_s: float = 2.0
    """At least, with both open: a subscription may take effect later than another."""
    bound_s: float = 30.0
    """At most: what the new one has not given until then, it has to give without the old one."""


@dataclass(slots=True)
class Handover:
    """What is known while it lasts."""

    old: int
    new: int
    """The numbers of the two connections."""
    symbols: set[str]
    """All spellings of what they carry."""
    overlap: Overlap
    opened_ns: int = 0
    """When the new one was opened; 0: not yet."""
    books: dict[str, BookMachine] = field(default_factory=dict)
    """What the new connection builds, by symbol; also after it has taken over."""
    replaced: dict[str, BookMachine] = field(default_factory=dict)
    """The old connection's books that are no longer the source's, by symbol."""
    levels: dict[str, dict[int, LevelChange]] = field(default_factory=dict)
    """The numbers of levels on the new connection."""
    replaced_levels: dict[str, dict[int, LevelChange]] = field(default_factory=dict)
    highest: tuple[dict[str, int], dict[str, int]] = field(default_factory=lambda: ({}, {}))
    """The highest number of a trade that the old connection gave, and the new one, by symbol; that of before, where it has given none. The
    time of a trade without a number is its number."""
    _numbers: dict[str, set[int]] = field(default_factory=dict)
    _led: set[tuple[str, str]] = field(default_factory=set)
    _given: tuple[set[str], set[str]] = field(default_factory=lambda: (set(), set()))

    def takes_trade(self, connection: int, symbol: str, trade_id: int, time_ns: int) -> bool:
        """Whether a trade of one of the two is given; one without a number is taken from the old connection, as long as it serves."""
        is_new = connection == self.new
        self._given[is_new].add(TRADES)
        highest = self.highest[is_new]
        highest[symbol] = max(trade_id or time_ns, highest.get(symbol, 0))
        if not trade_id:
            return not is_new
        numbers = self._numbers.setdefault(symbol, set())
        if trade_id in numbers:
            return False
        numbers.add(trade_id)
        return True

    def takes(self, connection: int, kind: str, symbol: str) -> bool:
        """Whether an event without a number is given: the old connection's, until the new one has given the first of its kind and symbol."""
        is_new = connection == self.new
        self._given[is_new].add(kind)
        if is_new:
            self._led.add((kind, symbol))
            return True
        return (kind, symbol) not in self._led

    def is_due(self, now_ns: int) -> bool:
        """Whether the time for it is over."""
        return bool(self.opened_ns) and now_ns - self.opened_ns >= self.overlap.bound_s * _SECOND

    def is_settled(self, now_ns: int) -> bool:
        """Whether the new connection has given the first of everything that the old one gives, books apart."""
        if not self.opened_ns or now_ns - self.opened_ns < self.overlap.settle_s * _SECOND:
            return False
        return self._given[0] <= self._given[1]
