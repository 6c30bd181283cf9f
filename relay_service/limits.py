"""What each domain may take of the relay: rows a turn of its loop, and events and bytes a second of each source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from alphapulse.domain.domains import Domain

_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class DomainLimits:
    """Of one domain."""

    turn_rows: int = 1024
    """Rows taken in before the other domains have their turn."""
    source_events: int = 0
    """Events a second that one source may send; 0: any number."""
    source_bytes: int = 0
    """Bytes a second that one source may send; 0: any number."""


def _usual() -> Mapping[Domain, DomainLimits]:
    return MappingProxyType({domain: DomainLimits() for domain in Domain})


@dataclass(frozen=True, slots=True)
class Limits:
    """Of all domains."""

    of: Mapping[Domain, DomainLimits] = field(default_factory=_usual)


class Shed:
    """Events of one source that were refused and will not come again: told to subscribers at once, then once a second. Times are the relay's,
    nanoseconds."""

    __slots__ = ("_told_ns", "_undeclared", "shed")

    def __init__(self) -> None:
        self.shed = 0
        """Events refused so far."""
        self._undeclared = 0
        self._told_ns = 0

    def shed_more(self, count: int) -> None:
        """So many were refused."""
        self.shed += count
        self._undeclared += count

    def undeclared(self, now_ns: int) -> int:
        """Events refused that subscribers have to be told of now; 0: none."""
        owed = self._undeclared
        if not owed or 0 <= now_ns - self._told_ns < _SECOND:
            return 0
        self._undeclared, self._told_ns = 0, now_ns
        return owed


class RateLimit(Shed):
    """One source's. A second's worth may come at once; a frame is taken whole, and paid back before the next one. Times are the relay's,
    nanoseconds."""

    __slots__ = ("_bytes", "_bytes_left", "_events", "_events_left", "_filled_ns", "limits")

    def __init__(self, limits: DomainLimits) -> None:
        super().__init__()
        self._events, self._bytes = limits.source_events, limits.source_bytes
        self.limits = bool(self._events or self._bytes)
        """Whether it refuses anything at all."""
        self._events_left, self._bytes_left = float(self._events), float(self._bytes)
        self._filled_ns = 0

    def admits(self, count: int, size: int, now_ns: int) -> bool:
        """Whether a frame of so many events and bytes may come now; it is paid for."""
        if not self.limits:
            return True
        passed = now_ns - self._filled_ns
        if not 0 <= passed < _SECOND:  # the clock may have been set
            passed = _SECOND
        self._filled_ns = now_ns
        self._events_left = min(self._events, self._events_left + self._events * passed / _SECOND)
        self._bytes_left = min(self._bytes, self._bytes_left + self._bytes * passed / _SECOND)
        if (self._events and self._events_left <= 0) or (self._bytes and self._bytes_left <= 0):
            return False
        self._events_left -= count
        self._bytes_left -= size
        return True
