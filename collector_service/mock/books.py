"""The order books that a mock venue has: what is true of them, what the venue tells of it, and the numbers it tells with it."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

from collector_service.amounts import Amount
from collector_service.book import Book
from collector_service.mock.events import BookEvent, LevelEvent, MockInstrument
from collector_service.spec import books
from collector_service.spec.records import ASK, BID

OPENED_NS: Final = 1_750_000_000_000_000_000
"""When mock venues begin, nanoseconds since the Unix epoch."""
_BEYOND: Final = 4
"""Levels that a venue of limited depth has and does not show."""
_SHOWN_AT_MOST: Final = 30
_MAX_NUMBERS: Final = 4_096
_HOLE: Final = 6
"""Halves of what is between two levels, of which there are two between the best bid and offer."""
_NEAR: Final = 10_000
"""A book is where it should be within one part in so many."""

Top = list[tuple[Decimal, Decimal]]
"""(price, size), the best first."""


class MockBook:
    """One book. Prices are whole ticks and sizes whole lots, so that nothing is ever rounded."""

    def __init__(
        self,
        instrument: MockInstrument,
        spec: books.Books | None,
        dice: random.Random,
        mid: int,
        written: Callable[[Amount, Amount], tuple[Amount, Amount]],
        apart: int = 1,
    ) -> None:
        """`mid` in ticks, `apart` half of what is between two levels; `written` gives a price and a size the digits that the source reads."""
        self.instrument = instrument
        self.number = 1_000
        """The number of the last change told."""
        self.unit = 0
        """Nanoseconds, where numbers are times in this unit."""
        self.single = False
        """Messages have one number for their first and last change."""
        self.paired = False
        """A bid and an ask are told in one item, so there are as many of one as of the other."""
        self._spec = spec
        self._dice = dice
        self._written = written
        self._mid = mid
        self._apart = apart
        self.depth = spec.depth if spec is not None and 0 < spec.depth <= _SHOWN_AT_MOST else 0
        """Levels a side that are told; 0: all."""
        self._size = self.depth + _BEYOND if self.depth else instrument.levels
        self._levels: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
        self._told: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
        self._shadow = Book()
        """What has been told, as the source reads it: checksums are of it."""
        self._numbers: dict[tuple[int, int], int] = {}
        self._last_number = 0
        self._named: set[int] = set()
        self._place()
        self._show()

    def truth(self) -> tuple[Top, Top]:
        """Bids and asks as the venue has told them."""
        return self._top(BID), self._top(ASK)

    def best(self, side: int) -> tuple[Amount, Amount]:
        """(price, size) of the best level."""
        levels = self._levels[side]
        price = max(levels) if side == BID else min(levels)
        return self.price(price), self.size(levels[price])

    def price(self, ticks: int) -> Amount:
        """Ticks as a price."""
        return ticks, -self.instrument.price_decimals

    def size(self, lots: int) -> Amount:
        """Lots as a size."""
        return lots, -self.instrument.size_decimals

    def whole(self, time_ns: int) -> BookEvent:
        """All that is told of the book now, or when it last changed where that time is its number."""
        if self.unit:
            self.number = max(self.number, OPENED_NS // self.unit)
            time_ns = self.number * self.unit
        levels = tuple(self._event(side, price, lots) for side in (BID, ASK) for price, lots in self._shown(side))
        self._named.update(level.number for level in levels)
        last = self.number
        return BookEvent(self.instrument, True, levels, last, last, last, self.checksum(), self.depth or 1_000, time_ns)

    def aim(self, mid: int) -> None:
        """Takes the book to a price, in ticks, once it is far from it, or has a hole there: `step` tells what has changed by that."""
        hole = min(self._levels[ASK]) - max(self._levels[BID])
        if abs(mid - self._mid) * _NEAR >= mid or hole > _HOLE * self._apart:
            self._mid = mid
            self._place()

    def _place(self) -> None:
        """Levels at the places around the price where there should be one; of what was there already nothing changes."""
        between = 2 * self._apart
        best = self._mid // between * between
        for side, way in ((BID, -between), (ASK, between)):
            first = best if side == BID else best + between
            held = self._levels[side]
            places = range(first, first + way * self._size, way)
            self._levels[side] = {price: held.get(price) or self._lots() for price in places}

    def step(self) -> list[LevelEvent]:
        """Moves the book; what has to be told of it. It is told once `told` has numbered it."""
        for _ in range(self._dice.randint(1, 4)):
            self._move()
        gone, changed = self._show()
        # What is gone comes first, so that no order in which it is told crosses the book.
        return [
            *[self._event(side, price, 0) for side, price in gone if price not in self._levels[side]],
            *[self._event(side, price, lots) for side, price, lots in changed],
        ]

    def told(self, changes: Sequence[LevelEvent], time_ns: int) -> BookEvent:
        """A message of these changes, with the numbers it has."""
        previous = self.number
        first = previous + 1
        one = self.single or isinstance(self._spec, books.PerChannel)
        self.number = previous + (1 if one else max(1, len(changes)))
        if self.unit:
            first = self.number = time_ns // self.unit
        levels = tuple(changes)
        self._named.update(level.number for level in levels if level.size[0])
        self._named.difference_update(level.number for level in levels if not level.size[0])
        depth = self.depth or 1_000
        return BookEvent(self.instrument, False, levels, first, self.number, previous, self.checksum(), depth, time_ns)

    def checksum(self) -> int:
        """Of what is told now, as the source's specification takes it; 0 where it takes none."""
        if not isinstance(self._spec, books.Checksum):
            return 0
        found = zlib.crc32(self._spec.text(self._shadow).encode("ascii"))
        return found - 2**32 if self._spec.signed and found >= 2**31 else found

    def _event(self, side: int, price: int, lots: int) -> LevelEvent:
        number = self._numbers.get((side, price), 0)
        if not number:
            if len(self._numbers) >= _MAX_NUMBERS:
                self._forget_numbers()
            self._last_number += 1
            number = self._numbers[side, price] = self._last_number
        return LevelEvent(side, self.price(price), self.size(lots), number, self.number + 1, number in self._named)

    def _forget_numbers(self) -> None:
        """Of prices at which nothing is: in a long life there are many."""
        self._numbers = {
            (side, price): number
            for (side, price), number in self._numbers.items()
            if price in self._levels[side] or price in self._told[side]
        }

    def _lots(self) -> int:
        return self._dice.randint(*self.instrument.lots)

    def _move(self) -> None:
        side = self._dice.choice((BID, ASK))
        levels = self._levels[side]
        match self._dice.randrange(4):
            case 0 if len(levels) > max(2, self._size // 2):
                ranked = self._ranked(side)
                del levels[ranked[0] if self._dice.random() < 0.4 else self._dice.choice(ranked)]
            case 1 if len(levels) < self._size:
                price = self._free(side)
                if price:
                    levels[price] = self._lots()
            case _:
                levels[self._dice.choice(list(levels))] = self._lots()

    def _free(self, side: int) -> int:
        """A price that is free and does not cross the other side; 0 for none."""
        other = self._ranked(ASK if side == BID else BID)[0]
        way = -1 if side == BID else 1
        near = [other + way * self._apart * distance for distance in range(1, 2 * self._size + 2)]
        free = [price for price in near if price > 0 and price not in self._levels[side]]
        return self._dice.choice(free) if free else 0

    def _ranked(self, side: int) -> list[int]:
        return sorted(self._levels[side], reverse=side == BID)

    def _show(self) -> tuple[list[tuple[int, int]], list[tuple[int, int, int]]]:
        """What is told from now on: (side, price) of what is told no more, (side, price, lots) of what is new or another."""
        before, self._told = self._told, {side: dict(self._ranked_levels(side)) for side in (BID, ASK)}
        gone, changed = [], []
        for side, told in self._told.items():
            gone += [(side, price) for price in before[side] if price not in told]
            changed += [(side, *level) for level in sorted(told.items() - before[side].items(), reverse=side == BID)]
        if isinstance(self._spec, books.Checksum):
            for side, price, lots in (*((*level, 0) for level in gone), *changed):
                shadow = self._shadow.bids if side == BID else self._shadow.asks
                shadow.set(*self._written(self.price(price), self.size(lots)))
        return gone, changed

    def _ranked_levels(self, side: int) -> list[tuple[int, int]]:
        shown = min(map(len, self._levels.values())) if self.paired else self.depth or None
        return sorted(self._levels[side].items(), reverse=side == BID)[:shown]

    def _shown(self, side: int) -> list[tuple[int, int]]:
        return list(self._told[side].items())

    def _top(self, side: int) -> Top:
        return [(_number(self.price(price)), _number(self.size(lots))) for price, lots in self._shown(side)]


def _number(amount: Any) -> Decimal:
    return Decimal(amount[0]).scaleb(amount[1])
