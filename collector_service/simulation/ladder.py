"""The order book of one pair on one simulated venue, in ticks and lots."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from collector_service.simulation.pairs import REFERENCE, SimulatedPair

LEVELS: Final = 20
"""A side; below the depth that is subscribed to at Kraken, so nothing falls out of it."""
_GRID_BPS: Final = 1.0
_NOTIONAL: Final = (2_000.0, 60_000.0)
"""USDT a level, at least and at most."""
_TRADE_CHANCE: Final = 0.5
FRAMES_A_STEP: Final = 2 + _TRADE_CHANCE
"""A book update, a ticker and every other time a trade."""

BID: Final = 1
ASK: Final = 2
Change = tuple[int, int, int]
"""(side, price in ticks, size in lots; 0 removes)."""


@dataclass(frozen=True, slots=True)
class SimulatedTrade:
    """A trade; the aggressor as in the API: 1 the buyer, 2 the seller."""

    number: int
    price: int
    size: int
    aggressor: int


@dataclass(frozen=True, slots=True)
class Step:
    """What happened on one pair in one moment. The update's numbers run from `first` to `last`."""

    pair: SimulatedPair
    time_ns: int
    changes: tuple[Change, ...]
    first: int
    last: int
    trade: SimulatedTrade | None


class Ladder:
    """Bids and asks around a mid price that is given from outside. Never crossed, never one-sided."""

    def __init__(self, pair: SimulatedPair, dice: random.Random) -> None:
        self.pair = pair
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.update_number = 1_000
        self.trade_number = 0
        self._dice = dice

    def best(self) -> tuple[int, int]:
        """Best bid and ask, in ticks."""
        return max(self.bids), min(self.asks)

    def top(self, side: int, count: int) -> list[tuple[int, int]]:
        """The best levels of a side."""
        levels = self.bids if side == BID else self.asks
        return sorted(levels.items(), reverse=side == BID)[:count]

    def step(self, mid: float, time_ns: int) -> Step:
        """Moves the book to a mid price (a number of quote units), and says what changed."""
        changes = [*self._rebuild(mid), *self._stir()]
        trade = None
        if self._dice.random() < _TRADE_CHANCE:
            trade, change = self._trade()
            changes.append(change)
        first = self.update_number + 1
        self.update_number += len(changes)
        return Step(self.pair, time_ns, tuple(changes), first, self.update_number, trade)

    def _rebuild(self, mid: float) -> list[Change]:
        ticks = mid * 10**self.pair.price_decimals
        grid = max(1, round(ticks * _GRID_BPS / 10_000))
        best = int(ticks // grid) * grid
        wanted_bids = range(best - (LEVELS - 1) * grid, best + 1, grid)
        wanted_asks = range(best + grid, best + grid * LEVELS + 1, grid)
        return [*self._move(BID, wanted_bids, mid), *self._move(ASK, wanted_asks, mid)]

    def _move(self, side: int, wanted: range, mid: float) -> list[Change]:
        levels = self.bids if side == BID else self.asks
        changes: list[Change] = []
        for price in sorted(set(levels) - set(wanted)):
            del levels[price]
            changes.append((side, price, 0))
        for price in wanted:
            if price not in levels:
                levels[price] = self._size()
                changes.append((side, price, levels[price]))
        return changes

    def _stir(self) -> list[Change]:
        changes: list[Change] = []
        for side, levels in ((BID, self.bids), (ASK, self.asks)):
            price = self._dice.choice(sorted(levels))
            levels[price] = self._size()
            changes.append((side, price, levels[price]))
        return changes

    def _trade(self) -> tuple[SimulatedTrade, Change]:
        bid, ask = self.best()
        side, price = (ASK, ask) if self._dice.random() < 0.5 else (BID, bid)
        levels = self.bids if side == BID else self.asks
        size = max(1, levels[price] // self._dice.randint(2, 20))
        levels[price] = max(1, levels[price] - size)
        self.trade_number += 1
        return SimulatedTrade(self.trade_number, price, size, 1 if side == ASK else 2), (side, price, levels[price])

    def _size(self) -> int:
        units = self._dice.uniform(*_NOTIONAL) / REFERENCE[self.pair.base]
        return max(1, int(units * 10**self.pair.size_decimals))
