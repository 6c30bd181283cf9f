"""Books whose updates carry a checksum of the best levels, as Kraken's do.

Source: Kraken, "Book checksum", v1 and v2: CRC-32 of the ten best asks, then the ten best bids, each price and size without
the point and without leading zeros. That is the text of the mantissa, since amounts keep their trailing zeros.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Final

from collector_service.book.levels import Book, Level
from collector_service.book.machine import BookMachine, BookUpdate, Delivery, Result, Step

_TOP: Final = 10


def crc32_of_top(book: Book) -> int:
    """The checksum of a book's ten best levels a side."""
    return zlib.crc32((_digits(book.asks.top(_TOP)) + _digits(book.bids.top(_TOP))).encode("ascii"))


def _digits(levels: Iterable[Level]) -> str:
    return "".join([f"{price[0]}{size[0]}" for price, size in levels])


class ChecksumMachine(BookMachine):
    """A checksum that does not hold puts the book out of step, and what broke it is not delivered."""

    def snapshot(self, update: BookUpdate) -> Result:
        return self._verified(self._load(update), update)

    def update(self, update: BookUpdate) -> Result:
        if not self.synced:
            return Result(Step.WAITING)
        return self._verified(self._advance(update), update)

    def _verified(self, delivery: Delivery, update: BookUpdate) -> Result:
        if update.checksum is not None and update.checksum != crc32_of_top(self.book):
            self.reset()
            return Result(Step.RESYNC, (), "CHECKSUM_MISMATCH")
        return Result(Step.DELIVERED, (delivery,))
