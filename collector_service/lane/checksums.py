"""CRC-32 of the best levels of a book, as `collector_service.book.checksum` takes it of their text, without the text."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from collector_service.lane.codes import B_GRID
from collector_service.lane.jit import compiled
from collector_service.lane.levels import (
    COUNT,
    FIRST,
    OFFSET,
    mantissa_at,
    price_exponent_of,
    side_of,
    size_exponent_of,
)

_TOP = 10
_TOP_IN_TURN = 25
_POLYNOMIAL = 0xEDB88320
_ONES = 0xFFFFFFFF


def _tables() -> Any:
    tables = np.zeros((4, 256), np.int64)
    for byte in range(256):
        rest = byte
        for _ in range(8):
            rest = (rest >> 1) ^ (_POLYNOMIAL if rest & 1 else 0)
        tables[0, byte] = rest
    for later in range(1, 4):
        for byte in range(256):
            before = int(tables[later - 1, byte])
            tables[later, byte] = (before >> 8) ^ int(tables[0, before & 0xFF])
    return tables


_TABLES = _tables()
TEXT_SIZE: Final = 2 * _TOP_IN_TURN * 2 * 44
"""Bytes of the longest text: numbers of 18 digits and 36 places, a point and a colon each."""


@compiled
def _crc(text: Any, end: int) -> int:
    """Four bytes at a time: S. Kounavis and F. Berry, "A Systematic Approach to Building High Performance, Software-based, CRC Generators"."""
    crc, at = _ONES, 0
    while at + 4 <= end:
        crc ^= text[at] | (text[at + 1] << 8) | (text[at + 2] << 16) | (text[at + 3] << 24)
        crc = (
            _TABLES[3, crc & 0xFF]
            ^ _TABLES[2, (crc >> 8) & 0xFF]
            ^ _TABLES[1, (crc >> 16) & 0xFF]
            ^ _TABLES[0, (crc >> 24) & 0xFF]
        )
        at += 4
    while at < end:
        crc = (crc >> 8) ^ _TABLES[0, (crc ^ text[at]) & 0xFF]
        at += 1
    return int(crc ^ _ONES)


@compiled
def _write(text: Any, at: int, mantissa: int, point: int) -> int:
    """Writes the digits of a number, with a point before the last `point`, where there are any; where it ends."""
    size, rest = 1, np.uint64(mantissa)
    while rest >= np.uint64(10_000):
        rest //= np.uint64(10_000)
        size += 4
    while rest >= np.uint64(10):
        rest //= np.uint64(10)
        size += 1
    size = max(size, point + 1)
    end = at + size + (1 if point else 0)
    rest = np.uint64(mantissa)
    for k in range(1, end - at + 1):
        if point and k == point + 1:
            text[end - k] = 46
            continue
        above = rest // np.uint64(10)
        text[end - k] = 48 + np.int64(rest - above * np.uint64(10))
        rest = above
    return end


@compiled
def digits_of_top(book: Any, keys: Any, sizes: Any, exponents: Any, text: Any) -> int:
    """Kraken's: ten asks, then ten bids, of each the digits of price and size."""
    end, grid = 0, book[B_GRID]
    for side in range(2, 0, -1):
        at = side_of(book, side)
        best = book[at + OFFSET] + book[at + FIRST] + book[at + COUNT] - 1
        for k in range(best, best - min(_TOP, book[at + COUNT]), -1):
            end = _write(text, end, mantissa_at(keys, exponents, k, grid), 0)
            end = _write(text, end, sizes[k], 0)
    return int(_crc(text, end))


@compiled
def levels_in_turn(book: Any, keys: Any, sizes: Any, exponents: Any, text: Any) -> int:
    """That of OKX and Bitget: bid and ask in turn, `price:size`, as they were written."""
    end, grid = 0, book[B_GRID]
    for rank in range(_TOP_IN_TURN):
        for side in range(1, 3):
            at = side_of(book, side)
            if rank >= book[at + COUNT]:
                continue
            k = book[at + OFFSET] + book[at + FIRST] + book[at + COUNT] - 1 - rank
            if end:
                text[end] = 58
                end += 1
            both = np.int64(exponents[k])
            end = _write(text, end, mantissa_at(keys, exponents, k, grid), -price_exponent_of(both))
            text[end] = 58
            end = _write(text, end + 1, sizes[k], -size_exponent_of(both))
    return int(_crc(text, end))
