"""Rows that a relay numbered, stamped and judged before, taken in by another process: they change what is held of their listings, and nothing in them
is changed."""

from __future__ import annotations

from typing import Any, Final

from alphapulse.records import QUOTE
from relay_service.kernel.ahead import look_ahead
from relay_service.kernel.faults import SHAPE_SIZE
from relay_service.kernel.intake import hold, prices_of, provisional, room_of
from relay_service.kernel.jit import carray, compiled
from relay_service.kernel.lookup import find
from relay_service.kernel.memory import load_i64, load_u32, pointer
from relay_service.kernel.state import SHAPES, SLOT, SLOT_CAPACITY, SLOTS


def _offset(name: str) -> int:
    """Bytes from the end of a row's prefix to a common field: the same in every type."""
    fields = QUOTE.dtype.fields
    assert fields is not None
    return int(fields[name][1]) - len(QUOTE.prefix)


_KEY: Final = _offset("listing_key")
_VERSION: Final = _offset("definition_version")
_FLAGS: Final = _offset("flags")


@compiled
def absorb(block: Any, rows: Any, numbers: Any, start: int, stop: int, kind: int, now_ns: int) -> int:
    """Rows `start` to `stop` that a relay stamped and judged before become the last ones of their listings; their slots go into `numbers`. Nothing is
    written into them. Where the result is below `stop`, room has to be made first and the call repeated from there."""
    shape = block[SHAPES] + 8 * SHAPE_SIZE * kind
    size = load_i64(shape)
    prefix = load_i64(shape + 8)
    base = rows.ctypes.data
    slots = carray(pointer(block[SLOTS]), (block[SLOT_CAPACITY],), SLOT)
    room = 0
    for k in range(start, stop):
        if room <= 0:
            room = room_of(block)
            if room <= 0:
                return k
        room -= 1
        address = base + k * size
        head = address + prefix
        look_ahead(block, slots, head, size, k, start, stop)
        key = load_i64(head + _KEY)
        number = find(block, key)
        if number < 0:
            number = provisional(block, slots, key, load_i64(shape + 40))
        numbers[k] = number
        if number >= 0:
            flags = int(load_u32(head + _FLAGS))
            hold(block, slots[number], number, kind, address, prices_of(kind, address), flags, now_ns)
    return stop


@compiled
def first_undefined(block: Any, rows: Any, total: int, kind: int) -> int:
    """The place of the first row of a definition that is later than the one held of its listing; -1 where there is none."""
    shape = block[SHAPES] + 8 * SHAPE_SIZE * kind
    size = load_i64(shape)
    head = rows.ctypes.data + load_i64(shape + 8)
    slots = carray(pointer(block[SLOTS]), (block[SLOT_CAPACITY],), SLOT)
    for k in range(total):
        version = load_u32(head + _VERSION)
        if version != 0:
            number = find(block, load_i64(head + _KEY))
            if number < 0 or version > slots[number].definition_version:
                return k
        head += size
    return -1
