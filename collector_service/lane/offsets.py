"""Numbers of levels by their prices, in one table for all books: those of levels that are gone as well, since what arrives late may be older than
their going.
"""

from __future__ import annotations

from typing import Any

from collector_service.lane.codes import (
    B_TAG,
    G_COUNT,
    G_EXPONENT,
    G_LAST_TAG,
    G_NUMBER,
    G_PRICE,
    G_TAG,
    HASH_FACTOR,
    O_BEGIN,
    O_END,
    O_LAST,
    V_NUMBER,
    V_PRICE,
    V_PRICE_EXPONENT,
    V_SIDE,
)
from collector_service.lane.jit import compiled


@compiled
def _find(numbers: Any, tag: int, price: int, exponent: int) -> int:
    """The row of a price, or the free one where it belongs, whose price it bears from now on."""
    while price % 10 == 0:
        price //= 10
        exponent += 1
    mixed = ((tag * HASH_FACTOR ^ price) * HASH_FACTOR ^ exponent) * HASH_FACTOR
    mask = numbers.shape[0] - 2
    at = (mixed ^ (mixed >> 29)) & mask
    while numbers[at, G_TAG]:
        if numbers[at, G_PRICE] == price and numbers[at, G_TAG] == tag and numbers[at, G_EXPONENT] == exponent:
            return int(at)
        at = (at + 1) & mask
    numbers[at, G_PRICE] = price
    numbers[at, G_EXPONENT] = exponent
    return int(at)


@compiled
def number_of(numbers: Any, book: Any, side: int, price: int, exponent: int) -> int:
    """That of a level; 0 where there is none."""
    tag = 2 * book[B_TAG] + side - 1
    at = _find(numbers, tag, price, exponent)
    return int(numbers[at, G_NUMBER]) if numbers[at, G_TAG] else 0


@compiled
def begin_numbers(numbers: Any, book: Any) -> None:
    """The levels of a book are numbered anew."""
    head = numbers[numbers.shape[0] - 1]
    head[G_LAST_TAG] += 1
    book[B_TAG] = head[G_LAST_TAG]


@compiled
def take_numbers(numbers: Any, book: Any, changes: Any, op: Any, whole: bool) -> int:
    """Takes the numbers of changes that are no older than what is held. Of an update the others are left out; where it ends then."""
    head = numbers[numbers.shape[0] - 1]
    kept = op[O_BEGIN]
    for k in range(op[O_BEGIN], op[O_END]):
        tag = 2 * book[B_TAG] + changes[k, V_SIDE] - 1
        at = _find(numbers, tag, changes[k, V_PRICE], changes[k, V_PRICE_EXPONENT])
        number = changes[k, V_NUMBER] if changes[k, V_NUMBER] else op[O_LAST]
        if not numbers[at, G_TAG]:
            numbers[at, G_TAG] = tag
            head[G_COUNT] += 1
        elif number < numbers[at, G_NUMBER]:
            continue
        numbers[at, G_NUMBER] = number
        if not whole and kept != k:
            for place in range(changes.shape[1]):
                changes[kept, place] = changes[k, place]
        kept += 1
    return int(op[O_END] if whole else kept)
