"""CRC-32 of the best levels of a book, as `collector_service.book.checksum` takes it of their text, without the text."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from collector_service.lane.codes import B_GRID
from collector_service.lane.jit import compiled, inlined
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


def _table() -> Any:
    table = np.zeros(256, np.int64)
    for byte in range(256):
        rest = byte
        for _ in range(8):
            rest = (rest >> 1) ^ (_POLYNOMIAL if rest & 1 else 0)
        table[byte] = rest
    return table


_TABLE = _table()
assert int(_TABLE[1]) == zlib.crc32(b"\x01") ^ zlib.crc32(b"\x00") ^ int(_TABLE[0])  # it is the same polynomial


@inlined
def _add(crc: int, byte: int) -> int:
    return (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]


@compiled
def _digits(crc: int, mantissa: int, least: int, point: int) -> int:
    """The digits of a number, `least` at least, with a point before the last `point`, where there are any."""
    size, scale, rest = 1, 1, mantissa
    while rest >= 10:
        rest //= 10
        scale *= 10
        size += 1
    for _ in range(least - size):
        crc = _add(crc, 48)
        if least - _ == point + 1:
            crc = _add(crc, 46)
    while size:
        digit = mantissa // scale
        crc = _add(crc, 48 + digit)
        mantissa -= digit * scale
        scale //= 10
        size -= 1
        if point and size == point:
            crc = _add(crc, 46)
    return crc


@compiled
def digits_of_top(book: Any, keys: Any, sizes: Any, exponents: Any) -> int:
    """Kraken's: ten asks, then ten bids, of each the digits of price and size."""
    crc, grid = _ONES, book[B_GRID]
    for side in range(2, 0, -1):
        at = side_of(book, side)
        best = book[at + OFFSET] + book[at + FIRST] + book[at + COUNT] - 1
        for k in range(best, best - min(_TOP, book[at + COUNT]), -1):
            crc = _digits(crc, mantissa_at(keys, exponents, k, grid), 1, 0)
            crc = _digits(crc, int(sizes[k]), 1, 0)
    return crc ^ _ONES


@compiled
def levels_in_turn(book: Any, keys: Any, sizes: Any, exponents: Any) -> int:
    """That of OKX and Bitget: bid and ask in turn, `price:size`, as they were written."""
    crc, grid, told = _ONES, book[B_GRID], False
    for rank in range(_TOP_IN_TURN):
        for side in range(1, 3):
            at = side_of(book, side)
            if rank >= book[at + COUNT]:
                continue
            k = book[at + OFFSET] + book[at + FIRST] + book[at + COUNT] - 1 - rank
            if told:
                crc = _add(crc, 58)
            told = True
            point = -price_exponent_of(int(exponents[k]))
            crc = _digits(crc, mantissa_at(keys, exponents, k, grid), 1 + point, point)
            crc = _add(crc, 58)
            point = -size_exponent_of(int(exponents[k]))
            crc = _digits(crc, int(sizes[k]), 1 + point, point)
    return crc ^ _ONES
