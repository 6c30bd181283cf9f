"""What a mock venue is told from outside, where it is one of several in one market."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Terms:
    """How a pair trades."""

    price_decimals: int
    size_decimals: int
    lots: tuple[int, int]
    """The least and the most of a level, in units of the last decimal of sizes."""
    levels: int
    """A side of its book, where the venue tells all of it."""
    min_notional_decimals: int = 0
    """The least that an order is worth is 10 to the power of minus so many, in the quote currency."""


class World(Protocol):
    """What goes on around a venue: time, and prices that other venues have as well."""

    @property
    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        ...

    @property
    def pairs(self) -> Mapping[tuple[str, str], Terms]:
        """What the venue lists, by base and quote; empty: whatever its list can say."""
        ...

    def symbol(self, base: str, quote: str) -> str:
        """How the venue spells one of its pairs where its list leaves it open; empty: somehow."""
        ...

    def mid(self, base: str, quote: str) -> float | None:
        """The price of a pair now; None for one that has none."""
        ...
