"""CRC-32 of the best levels of a book, as `collector_service.book.checksum` takes it of their text, without the text."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from collector_service.lane.codes import B_GRID, B_TEXTS, V_KEY, V_SIDE
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
    tables = np.zeros((8, 256), np.int64)
    for byte in range(256):
        rest = byte
        for _ in range(8):
            rest = (rest >> 1) ^ (_POLYNOMIAL if rest & 1 else 0)
        tables[0, byte] = rest
    for later in range(1, 8):
        for byte in range(256):
            before = int(tables[later - 1, byte])
            tables[later, byte] = (before >> 8) ^ int(tables[0, before & 0xFF])
    return tables


_TABLES = _tables()
_BYTES_OF_SIDE = 2 * _TOP * 20
_BIT = 1 << 31


def _powers() -> Any:
    """By count of bytes, what takes a checksum behind so many more that are zero, were it multiplied with it: x^(8 count), its bits reversed."""
    powers = np.zeros(_BYTES_OF_SIDE + 1, np.int64)
    powers[0] = rest = _BIT
    for count in range(1, len(powers)):
        for _ in range(8):
            rest = (rest >> 1) ^ (_POLYNOMIAL if rest & 1 else 0)
        powers[count] = rest
    return powers


_POWERS = _powers()
TEXT_SIZE: Final = 2 * _TOP_IN_TURN * 2 * 44
"""Bytes of the longest text: numbers of 18 digits and 36 places, a point and a colon each."""


@compiled
def _crc(text: Any, at: int, begin: int) -> int:
    """Of the text from a place on, without the last step; `begin` is that of what stands before it. Eight bytes at a time: M. E. Kounavis and F. L.
    Berry, "A Systematic Approach to Building High Performance Software-based CRC Generators", 2005."""
    crc, end = begin, text.shape[0]
    while at + 8 <= end:
        crc ^= text[at] | (text[at + 1] << 8) | (text[at + 2] << 16) | (text[at + 3] << 24)
        crc = (
            _TABLES[7, crc & 0xFF]
            ^ _TABLES[6, (crc >> 8) & 0xFF]
            ^ _TABLES[5, (crc >> 16) & 0xFF]
            ^ _TABLES[4, (crc >> 24) & 0xFF]
            ^ _TABLES[3, text[at + 4]]
            ^ _TABLES[2, text[at + 5]]
            ^ _TABLES[1, text[at + 6]]
            ^ _TABLES[0, text[at + 7]]
        )
        at += 8
    while at < end:
        crc = (crc >> 8) ^ _TABLES[0, (crc ^ text[at]) & 0xFF]
        at += 1
    return int(crc)


@compiled
def _behind(crc: int, count: int) -> int:
    """What a checksum is behind `count` bytes of zero: its product with a power of x."""
    factor, product = _POWERS[count], 0
    while crc:
        product ^= factor if crc & _BIT else 0
        crc = (crc << 1) & _ONES
        factor = (factor >> 1) ^ (_POLYNOMIAL if factor & 1 else 0)
    return int(product)


@compiled
def _digits(text: Any, at: int, mantissa: int) -> int:
    """Writes the digits of a number before a place; where they begin."""
    rest = np.uint64(mantissa)
    while rest >= np.uint64(10_000):
        above = rest // np.uint64(10_000)
        four = np.int64(rest - above * np.uint64(10_000))
        high = (four * 5_243) >> 19
        low = four - 100 * high
        tens, more = (high * 103) >> 10, (low * 103) >> 10
        text[at - 1] = 48 + low - 10 * more
        text[at - 2] = 48 + more
        text[at - 3] = 48 + high - 10 * tens
        text[at - 4] = 48 + tens
        at -= 4
        rest = above
    while rest >= np.uint64(10):
        above = rest // np.uint64(100)
        pair = np.int64(rest - above * np.uint64(100))
        tens = (pair * 103) >> 10
        text[at - 1] = 48 + pair - 10 * tens
        text[at - 2] = 48 + tens
        at -= 2
        rest = above
    if rest or at == text.shape[0] or mantissa < 10:
        at -= 1
        text[at] = 48 + np.int64(rest)
    return at


@compiled
def _written(text: Any, at: int, mantissa: int, point: int) -> int:
    """Writes a number with its last `point` digits behind a point, and one before it at least; where it begins."""
    if not point:
        return int(_digits(text, at, mantissa))
    rest, size = np.uint64(mantissa), 0
    while size <= point or rest:
        if size == point:
            at -= 1
            text[at] = 46
        above = rest // np.uint64(10)
        at -= 1
        text[at] = 48 + np.int64(rest - above * np.uint64(10))
        rest = above
        size += 1
    return at


@compiled
def digits_of_top(book: Any, keys: Any, sizes: Any, exponents: Any, text: Any) -> int:
    """Kraken's: ten asks, then ten bids, of each the digits of price and size. Written from its end, a side on its own: most updates leave the text
    of one as it was, and checksums of parts make that of the whole."""
    grid = book[B_GRID]
    for side in range(1, 3):
        known = B_TEXTS + 2 * (2 - side)
        if book[known]:
            continue
        at, begin = side_of(book, side), text.shape[0]
        best = book[at + OFFSET] + book[at + FIRST] + book[at + COUNT] - 1
        for k in range(best - min(_TOP, book[at + COUNT]) + 1, best + 1):
            begin = _digits(text, begin, sizes[k])
            begin = _digits(text, begin, mantissa_at(keys, exponents, k, grid))
        book[known] = text.shape[0] - begin + 1
        book[known + 1] = _crc(text, begin, 0 if side == 1 else _ONES)
    return int(_behind(book[B_TEXTS + 1], book[B_TEXTS + 2] - 1) ^ book[B_TEXTS + 3] ^ _ONES)


@compiled
def forget_texts(book: Any, keys: Any, changes: Any, first: int, end: int) -> None:
    """Changes are about to be made: the text of a side is another one where one of them is among its best ten."""
    for k in range(first, end):
        side = changes[k, V_SIDE]
        known, at = B_TEXTS + 2 * (2 - side), side_of(book, side)
        if book[known]:
            tenth = book[at + OFFSET] + book[at + FIRST] + book[at + COUNT] - _TOP
            if book[at + COUNT] < _TOP or changes[k, V_KEY] >= keys[tenth]:
                book[known] = 0


@compiled
def levels_in_turn(book: Any, keys: Any, sizes: Any, exponents: Any, text: Any) -> int:
    """That of OKX and Bitget: bid and ask in turn, `price:size`, as they were written. Written from its end."""
    begin, grid = text.shape[0], book[B_GRID]
    for rank in range(_TOP_IN_TURN - 1, -1, -1):
        for side in range(2, 0, -1):
            at = side_of(book, side)
            if rank >= book[at + COUNT]:
                continue
            k = book[at + OFFSET] + book[at + FIRST] + book[at + COUNT] - 1 - rank
            if begin < text.shape[0]:
                begin -= 1
                text[begin] = 58
            both = int(exponents[k])
            begin = _written(text, begin, sizes[k], -size_exponent_of(both)) - 1
            text[begin] = 58
            begin = _written(text, begin, mantissa_at(keys, exponents, k, grid), -price_exponent_of(both))
    return int(_crc(text, begin, _ONES) ^ _ONES)
