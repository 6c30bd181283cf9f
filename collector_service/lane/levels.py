"""Levels of books in one arena, a side being a run of it: prices on the book's own grid, rising, those of asks negated, so that the best level is the
last one and changes near it move little.
"""

from __future__ import annotations

from typing import Any

from collector_service.lane.codes import (
    B_DEPTH,
    B_GRID,
    B_SIDES,
    NO_GRID,
    NO_ROOM_ON_GRID,
    SIDE_WIDTH,
    V_KEY,
    V_PRICE,
    V_PRICE_EXPONENT,
    V_SIDE,
)
from collector_service.lane.jit import compiled, inlined
from collector_service.lane.values import power

_LARGEST = 2**62
OFFSET, FIRST, COUNT, ROOM = 0, 1, 2, 3


@inlined
def pack(price_exponent: int, size_exponent: int) -> int:
    """Both exponents, each from -127 to 127, in 16 bits."""
    return (price_exponent << 8) | (size_exponent & 0xFF)


@inlined
def price_exponent_of(packed: int) -> int:
    """The first of the two."""
    return packed >> 8


@inlined
def size_exponent_of(packed: int) -> int:
    """The second."""
    found = packed & 0xFF
    return found - 256 if found > 127 else found


@inlined
def fits(mantissa: int, shift: int) -> bool:
    """Whether mantissa x 10**shift is a price of a grid."""
    return shift <= 18 and mantissa <= _LARGEST // power(shift)


@compiled
def side_of(book: Any, side: int) -> int:
    """Where the numbers of a side begin: 1 bids, 2 asks."""
    return B_SIDES + SIDE_WIDTH * (side - 1)


@compiled
def finest(book: Any, keys: Any, changes: Any, first: int, end: int, whole: bool) -> int:
    """The grid that holds the changes, and what the book holds, where they are not `whole`: NO_ROOM_ON_GRID where there is none."""
    grid, found, top = book[B_GRID], 0, 0
    for k in range(first, end):
        found = min(found, changes[k, V_PRICE_EXPONENT])
    keeps = not whole and grid != NO_GRID
    if keeps:
        found = min(found, grid)
    for k in range(first, end):
        if not fits(changes[k, V_PRICE], changes[k, V_PRICE_EXPONENT] - found):
            return NO_ROOM_ON_GRID
    if keeps and found < grid:
        for side in range(1, 3):
            at = side_of(book, side)
            if book[at + COUNT]:
                start = book[at + OFFSET] + book[at + FIRST]
                top = max(top, abs(keys[start]), abs(keys[start + book[at + COUNT] - 1]))
        if not fits(top, grid - found):
            return NO_ROOM_ON_GRID
    return int(found)


@compiled
def refine(book: Any, keys: Any, grid: int) -> None:
    """Puts what the book holds on a finer grid."""
    if book[B_GRID] != NO_GRID and grid < book[B_GRID]:
        factor = power(book[B_GRID] - grid)
        for side in range(1, 3):
            at = side_of(book, side)
            start = book[at + OFFSET] + book[at + FIRST]
            for k in range(start, start + book[at + COUNT]):
                keys[k] *= factor
    book[B_GRID] = grid


@compiled
def place(changes: Any, first: int, end: int, grid: int) -> None:
    """Fills in the prices of changes as they are kept."""
    for k in range(first, end):
        key = changes[k, V_PRICE] * power(changes[k, V_PRICE_EXPONENT] - grid)
        changes[k, V_KEY] = key if changes[k, V_SIDE] == 1 else -key


@compiled
def empty(book: Any) -> None:
    """Forgets all levels. Room is left in front, where a snapshot that tells the best level first goes."""
    for side in range(1, 3):
        at = side_of(book, side)
        book[at + COUNT] = 0
        book[at + FIRST] = book[at + ROOM] // 4 * 3


@compiled
def put(book: Any, keys: Any, sizes: Any, exponents: Any, side: int, key: int, size: int, packed: int) -> None:
    """The size now at a price, `key` as it is kept; 0 removes the level. There has to be room for one more."""
    at = side_of(book, side)
    base, count, room = book[at + OFFSET], book[at + COUNT], book[at + ROOM]
    start = base + book[at + FIRST]
    low, high = start, start + count
    # Near the best price, where most changes are.
    near = high - 8
    if count and keys[low] > key:
        high = low  # beyond all others, as each level of a book that is told best first
    elif near > low:
        if keys[near] < key:
            low = near + 1
        else:
            high = near + 1
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    end = start + count
    if low < end and keys[low] == key:
        if size:
            sizes[low] = size
            exponents[low] = packed
        elif low - start < end - 1 - low:
            for k in range(low, start, -1):
                keys[k], sizes[k], exponents[k] = keys[k - 1], sizes[k - 1], exponents[k - 1]
            book[at + FIRST] += 1
            book[at + COUNT] = count - 1
        else:
            for k in range(low, end - 1):
                keys[k], sizes[k], exponents[k] = keys[k + 1], sizes[k + 1], exponents[k + 1]
            book[at + COUNT] = count - 1
        return
    if not size:
        return
    to_front = low - start < end - low
    if to_front and start == base and end < base + room:
        to_front = False
        if count > 64:
            start, low = _shift(book, at, keys, sizes, exponents, low)
            end = start + count
            to_front = start > base
    elif not to_front and end == base + room:
        to_front = True
        if count > 64:
            start, low = _shift(book, at, keys, sizes, exponents, low)
            end = start + count
            to_front = end == base + room
    if to_front:
        for k in range(start, low):
            keys[k - 1], sizes[k - 1], exponents[k - 1] = keys[k], sizes[k], exponents[k]
        low -= 1
        book[at + FIRST] -= 1
    else:
        for k in range(end, low, -1):
            keys[k], sizes[k], exponents[k] = keys[k - 1], sizes[k - 1], exponents[k - 1]
    keys[low], sizes[low], exponents[low] = key, size, packed
    book[at + COUNT] = count + 1


@compiled
def _shift(book: Any, at: int, keys: Any, sizes: Any, exponents: Any, low: int) -> tuple[int, int]:
    """Moves a side into the middle of its room, so that it is not moved again soon; where it begins then, and where `low` is."""
    count = book[at + COUNT]
    start = book[at + OFFSET] + book[at + FIRST]
    to = book[at + OFFSET] + (book[at + ROOM] - count) // 2
    if to < start:
        for k in range(count):
            keys[to + k], sizes[to + k], exponents[to + k] = keys[start + k], sizes[start + k], exponents[start + k]
    elif to > start:
        for k in range(count - 1, -1, -1):
            keys[to + k], sizes[to + k], exponents[to + k] = keys[start + k], sizes[start + k], exponents[start + k]
    book[at + FIRST] = to - book[at + OFFSET]
    return to, low + to - start


@compiled
def find(book: Any, keys: Any, side: int, key: int) -> int:
    """The place of a price in the arena; below 0 where there is none."""
    at = side_of(book, side)
    start = book[at + OFFSET] + book[at + FIRST]
    low, high = start, start + book[at + COUNT]
    end = high
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < end and keys[low] == key else -1


@inlined
def mantissa_at(keys: Any, exponents: Any, at: int, grid: int) -> int:
    """The mantissa of the price of a level, as the venue wrote it."""
    shift = price_exponent_of(int(exponents[at])) - grid
    return int(abs(keys[at]) // power(shift) if shift else abs(keys[at]))


@compiled
def excess(book: Any, side: int) -> int:
    """Levels beyond the book's depth."""
    depth = book[B_DEPTH]
    return max(0, book[side_of(book, side) + COUNT] - depth) if depth else 0


@compiled
def is_crossed(book: Any, keys: Any) -> int:
    """1 where the best bid is at or above the best ask; -1, -2, -3 without bids, without asks, without both; else 0."""
    bids, asks = side_of(book, 1), side_of(book, 2)
    none = (1 if not book[bids + COUNT] else 0) + (2 if not book[asks + COUNT] else 0)
    if none:
        return -none
    bid = keys[book[bids + OFFSET] + book[bids + FIRST] + book[bids + COUNT] - 1]
    ask = -keys[book[asks + OFFSET] + book[asks + FIRST] + book[asks + COUNT] - 1]
    return 1 if bid >= ask else 0
