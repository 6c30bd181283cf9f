"""Which instruments have fallen silent while their market has not.

The clock of it is the source's own activity: it advances by one for each instrument that was heard of in a second. So a night, a holiday or an
outage of the whole venue, in which everything is quiet, makes nothing stale; one instrument without a word while the others say what
they always say does. Each is held against its own past: the moving mean of its silences.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class StalenessRules:
    """When an instrument is stale."""

    factor: float = 30.0
    """Silent for so many times its usual silence. Were its events independent of each other, e^-30 of its silences would be so long."""
    floor_s: float = 60.0
    """And for so many seconds at least."""
    silences: int = 16
    """Silences that have to be known of it; also the length of the moving mean."""


@dataclass(slots=True)
class _Instrument:
    heard_at: float
    """By the clock of activity."""
    heard_ns: int
    usual: float = 0.0
    """The moving mean of its silences, by that clock."""
    known: int = 0


class Staleness:
    """Takes which instruments were heard of, about once a second; tells which turned stale."""

    def __init__(self, rules: StalenessRules | None = None) -> None:
        self.stale: dict[int, int] = {}
        """Keys of the instruments that are stale, with the time of the last event, nanoseconds since the Unix epoch."""
        self.returned: set[int] = set()
        """Those that are not stale any more since the last time."""
        self._rules = rules or StalenessRules()
        self._known: dict[int, _Instrument] = {}
        self._activity = 0.0
        self.next_ns = 0
        """When a second is over: nanoseconds since the Unix epoch."""

    def is_due(self, now_ns: int) -> bool:
        """Whether a second is over."""
        return now_ns >= self.next_ns

    def take(self, heard: Iterable[int], now_ns: int) -> list[int]:
        """What was heard of since the last time; answers what is stale from now on."""
        self.next_ns = now_ns + _SECOND
        heard = set(heard)
        self.returned = heard & self.stale.keys()
        self._activity += len(heard)
        for key in heard:
            self._hear(key, now_ns)
        return self._fallen(now_ns) if heard else []

    def forget(self, keys: Iterable[int]) -> None:
        """Instruments of whose silence another cause is known."""
        for key in keys:
            self._known.pop(key, None)
            self.stale.pop(key, None)

    def _hear(self, key: int, now_ns: int) -> None:
        found = self._known.get(key)
        if found is None:
            self._known[key] = _Instrument(self._activity, now_ns)
            return
        if self.stale.pop(key, None) is None:
            # A silence that was told is no measure of those to come.
            found.known = min(found.known + 1, self._rules.silences)
            found.usual += (self._activity - found.heard_at - found.usual) / found.known
        found.heard_at, found.heard_ns = self._activity, now_ns

    def _fallen(self, now_ns: int) -> list[int]:
        rules = self._rules
        floor_ns = int(rules.floor_s * _SECOND)
        fallen = [
            key
            for key, one in self._known.items()
            if one.known >= rules.silences
            and now_ns - one.heard_ns >= floor_ns
            and self._activity - one.heard_at > rules.factor * one.usual
            and key not in self.stale
        ]
        self.stale.update((key, self._known[key].heard_ns) for key in fallen)
        return fallen
