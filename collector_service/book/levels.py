"""The price levels of one order book."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from collector_service.amounts import Amount, price_key

Level = tuple[Amount, Amount]
"""(price, size)."""


class Side:
    """One side of a book, its best price first."""

    __slots__ = ("_keys", "_levels", "_sign")

    def __init__(self, *, bids: bool) -> None:
        # Keys are kept in rising order and the best has to be first, so those of bids are negated.
        self._sign = -1 if bids else 1
        self._keys: list[int] = []
        self._levels: dict[int, Level] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Level]:
        levels = self._levels
        return (levels[key] for key in self._keys)

    def set(self, price: Amount, size: Amount) -> None:
        """The size now at a price; 0 removes the level, and removing one that is not there is no error."""
        key = self._sign * price_key(price)
        if size[0]:
            if key not in self._levels:
                insort(self._keys, key)
            self._levels[key] = (price, size)
        elif self._levels.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]

    def best(self) -> Level | None:
        """The best level, None for an empty side."""
        return self._levels[self._keys[0]] if self._keys else None

    def best_key(self) -> int | None:
        """The best price on the book's grid."""
        return self._sign * self._keys[0] if self._keys else None

    def top(self, count: int) -> list[Level]:
        """The best levels, at most `count`."""
        return [self._levels[key] for key in self._keys[:count]]

    def truncate(self, depth: int) -> list[Amount]:
        """Forgets all but the best `depth` levels; answers the prices forgotten."""
        gone = self._keys[depth:]
        del self._keys[depth:]
        return [self._levels.pop(key)[0] for key in gone]

    def fill(self, levels: Iterable[Level]) -> None:
        """Holds these and no others: the best first, each price once."""
        self._levels = {self._sign * price_key(level[0]): level for level in levels}
        self._keys = list(self._levels)

    def clear(self) -> None:
        """Forgets all levels."""
        self._keys.clear()
        self._levels.clear()


class Book:
    """Both sides of one instrument's order book."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = Side(bids=True)
        self.asks = Side(bids=False)

    @property
    def crossed(self) -> bool:
        """The best bid is at or above the best ask."""
        bid, ask = self.bids.best_key(), self.asks.best_key()
        return bid is not None and ask is not None and bid >= ask

    def clear(self) -> None:
        """Forgets both sides."""
        self.bids.clear()
        self.asks.clear()
