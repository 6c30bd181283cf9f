"""From a listing_key to its slot: open addressing with linear probing, at most half full. Keys are 64-bit patterns, held signed."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from relay_service.kernel.jit import carray, compiled
from relay_service.kernel.memory import load_i64, pointer, prefetch, store_i64
from relay_service.kernel.state import HASH, HASH_MASK, HASHED, SLOT, SLOT_COUNT, SLOTS

_SPREAD: Final = np.int64(
    -7046029254386353131
)  # 2**64 divided by the golden ratio, odd: spreads keys that were not hashes

_SIZE: Final = HASHED.itemsize


@compiled
def find(block: Any, key: int) -> int:
    """The slot of a key, or -1 - place where it would be put."""
    mask = block[HASH_MASK]
    place = ((key * _SPREAD) >> 31) & mask
    while True:
        at = block[HASH] + _SIZE * place
        found = load_i64(at)
        if found == key:
            return int(load_i64(at + 8))
        if found == 0:
            return int(-1 - place)
        place = (place + 1) & mask


@compiled
def expect(block: Any, key: int) -> None:
    """A key will be looked up soon: its place is fetched meanwhile."""
    prefetch(block[HASH] + _SIZE * (((key * _SPREAD) >> 31) & block[HASH_MASK]))


@compiled
def put(block: Any, key: int, slot: int) -> None:
    """Put a key that is not there yet."""
    at = block[HASH] + _SIZE * (-1 - find(block, key))
    store_i64(at, key)
    store_i64(at + 8, slot)


@compiled
def signed_key(key: Any) -> Any:
    """The signed integer of the same 64 bits."""
    return np.int64(key)


@compiled
def rehash(block: Any) -> None:
    """Put the keys of all slots into an empty table."""
    slots = carray(pointer(block[SLOTS]), (block[SLOT_COUNT],), SLOT)
    for number in range(block[SLOT_COUNT]):
        put(block, signed_key(slots[number].key), number)
