"""Books whose updates carry a checksum of the best levels.

Sources: Kraken, "Book checksum", v1 and v2: CRC-32 of the ten best asks, then the ten best bids, each price and size without the point and without
leading zeros, which is the text of the mantissa, since amounts keep their trailing zeros. OKX and Bitget, "Checksum": of 25 levels a side, bid and
ask in turn, `price:size` with colons between, each as it was sent.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import Final

from collector_service.amounts import Amount
from collector_service.book.levels import Book, Level
from collector_service.book.machine import BookMachine, BookUpdate, Delivery, Result, Step

_TOP: Final = 10
_TOP_IN_TURN: Final = 25


def digits_of_top(book: Book) -> str:
    """Kraken's text."""
    return _digits(book.asks.top(_TOP)) + _digits(book.bids.top(_TOP))


def levels_in_turn(book: Book) -> str:
    """The text of OKX and Bitget."""
    parts: list[str] = []
    for bid, ask in zip_longest(book.bids.top(_TOP_IN_TURN), book.asks.top(_TOP_IN_TURN)):
        for level in (bid, ask):
            if level is not None:
                parts += [_written(level[0]), _written(level[1])]
    return ":".join(parts)


def _digits(levels: Iterable[Level]) -> str:
    return "".join([f"{price[0]}{size[0]}" for price, size in levels])


def _written(amount: Amount) -> str:
    """As the venue wrote it, where it wrote no exponent."""
    mantissa, exponent = amount
    if exponent >= 0:
        return str(mantissa * 10**exponent)
    digits = str(mantissa).rjust(1 - exponent, "0")
    return f"{digits[:exponent]}.{digits[exponent:]}"


class ChecksumMachine(BookMachine):
    """A checksum that does not hold puts the book out of step, and what broke it is not delivered."""

    def __init__(self, depth: int = 0, *, text: Callable[[Book], str] = digits_of_top) -> None:
        super().__init__(depth)
        self.text = text

    def snapshot(self, update: BookUpdate) -> Result:
        return self._verified(self._load(update), update)

    def update(self, update: BookUpdate) -> Result:
        if not self.synced:
            return Result(Step.WAITING)
        return self._verified(self._advance(update), update)

    def _verified(self, delivery: Delivery, update: BookUpdate) -> Result:
        if update.checksum is not None and update.checksum != zlib.crc32(self.text(self.book).encode("ascii")):
            self.reset()
            return Result(Step.RESYNC, (), "CHECKSUM_MISMATCH")
        return Result(Step.DELIVERED, (delivery,))
