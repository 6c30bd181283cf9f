"""What the rows that come next will touch, fetched while those before them are worked on."""

from __future__ import annotations

from typing import Any, Final

from alphapulse.records import QUOTE
from relay_service.kernel.jit import compiled
from relay_service.kernel.lookup import expect, find
from relay_service.kernel.memory import load_i32, load_i64, prefetch
from relay_service.kernel.state import (
    AHEAD,
    AHEAD_SIZE,
    GROUP,
    GROUPS,
    MEMBERS,
    SLOT,
    SLOTS,
)
from relay_service.kernel.tables import LINE

_ROW_FIELDS: Final[Any] = QUOTE.dtype.fields
_GROUP_FIELDS: Final[Any] = GROUP.fields
_KEY: Final = int(_ROW_FIELDS["listing_key"][1]) - len(QUOTE.prefix)
_SLOT_FIELDS: Final[Any] = SLOT.fields
_SLOT_SIZE: Final = SLOT.itemsize
_SLOT_MEMBERS: Final = int(_SLOT_FIELDS["members"][1])
_GROUP_SIZE: Final = GROUP.itemsize
_START: Final = int(_GROUP_FIELDS["start"][1])
_COUNT: Final = int(_GROUP_FIELDS["count"][1])

# How many rows before its turn something is fetched: the farther, the longer the way to it.
_TO_ROW: Final = 40
FARTHEST: Final = 18
_TO_SLOT: Final = 13
_TO_GROUP: Final = 9
_TO_MEMBERS: Final = 6
_TO_OTHERS: Final = 3
_MOST_OTHERS: Final = 8
FEW: Final = 3
"""Rows of a call that are not worth it."""


@compiled
def look_ahead(block: Any, slots: Any, head: int, size: int, k: int, start: int, stop: int) -> None:
    """Fetch what the rows behind row `k` will touch, step by step, each from what the step before has fetched: tables of many listings lie outside of
    the caches, and one wait for several rows is one wait. `head`: of row `k`, which may lie before `start`."""
    # Only a hint, which may lie behind the last row.
    prefetch(head + _TO_ROW * size)
    at = k + FARTHEST
    if start <= at < stop:
        expect(block, load_i64(head + FARTHEST * size + _KEY))
    at = k + _TO_SLOT
    if start <= at < stop:
        number = find(block, load_i64(head + _TO_SLOT * size + _KEY))
        block[AHEAD + at % AHEAD_SIZE] = number
        if number >= 0:
            address = block[SLOTS] + number * _SLOT_SIZE
            prefetch(address + LINE)
            prefetch(address)
            prefetch(address + 2 * LINE)
    at = k + _TO_GROUP
    if start <= at < stop:
        number = block[AHEAD + at % AHEAD_SIZE]
        if number >= 0 and slots[number].group >= 0 and slots[number].member_count == 0:
            prefetch(block[GROUPS] + slots[number].group * _GROUP_SIZE)
    at = k + _TO_MEMBERS
    if start <= at < stop:
        number = block[AHEAD + at % AHEAD_SIZE]
        if number >= 0 and slots[number].group >= 0 and slots[number].member_count == 0:
            prefetch(block[MEMBERS] + 4 * load_i32(block[GROUPS] + slots[number].group * _GROUP_SIZE + _START))
    at = k + _TO_OTHERS
    if start <= at < stop:
        number = block[AHEAD + at % AHEAD_SIZE]
        if number >= 0 and slots[number].group >= 0:
            slot = block[SLOTS] + number * _SLOT_SIZE
            few = int(slots[number].member_count)
            if few > 0:
                for other in range(few):
                    prefetch(block[SLOTS] + load_i32(slot + _SLOT_MEMBERS + 4 * other) * _SLOT_SIZE)
            else:
                group = block[GROUPS] + slots[number].group * _GROUP_SIZE
                members = block[MEMBERS] + 4 * load_i32(group + _START)
                for other in range(min(load_i32(group + _COUNT), _MOST_OTHERS)):
                    prefetch(block[SLOTS] + load_i32(members + 4 * other) * _SLOT_SIZE)


@compiled
def slot_ahead(block: Any, k: int) -> int:
    """The slot that was found for row `k`; below 0 where there was none."""
    return int(block[AHEAD + k % AHEAD_SIZE])
