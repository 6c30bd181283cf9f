"""One frame through the kernel: check, look up, stamp and mark every row in place, keep the last ones, look for opportunities."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from alphapulse.domain.provenance import PROVENANCE_MASK, Provenance, RecordFlag
from relay_service.kernel.ahead import FARTHEST, FEW, look_ahead, slot_ahead
from relay_service.kernel.faults import SHAPE_SIZE, fault_of, head_offset
from relay_service.kernel.histogram import COLLECTOR_TO_RELAY, VENUE_TO_COLLECTOR, record
from relay_service.kernel.jit import carray, compiled
from relay_service.kernel.lookup import find, put
from relay_service.kernel.memory import (
    copy_bytes,
    load_i64,
    load_u32,
    pointer,
    store_i64,
    store_u32,
)
from relay_service.kernel.opportunity import count, evaluate_group, evaluate_slot, note_crossed
from relay_service.kernel.quality import (
    JUDGED,
    is_late,
    judge_level,
    judge_quote,
    judge_trade,
    keep_quote,
    keep_status,
    keep_trade,
    prices_of_quote,
    prices_of_trade,
)
from relay_service.kernel.state import (
    BATCH,
    GIVEN,
    GROUP,
    GROUP_COUNT,
    GROUPS,
    HASH_MASK,
    HISTOGRAMS,
    MET,
    MET_COUNT,
    NEXT_SEQUENCE,
    NO_REGISTRY,
    OPEN_COUNT,
    OPEN_GROUPS,
    OUT_CAPACITY,
    OUT_COUNT,
    SHAPES,
    SLOT,
    SLOT_CAPACITY,
    SLOT_COUNT,
    SLOTS,
    STALE_NS,
    TOUCHED,
    TOUCHED_CAPACITY,
    TOUCHED_COUNT,
    UNKNOWN_EVENTS,
    WRITTEN,
)

TRADE_TYPE: Final = 1
QUOTE_TYPE: Final = 2
LEVEL_TYPE: Final = 3
STATUS_TYPE: Final = 6


_KEY: Final = head_offset("listing_key")
_SEQUENCE: Final = head_offset("sequence")
_VENUE_TIME: Final = head_offset("venue_time_ns")
_REPLAY: Final = int(Provenance.REPLAY)
_COLLECTOR_TIME: Final = head_offset("collector_time_ns")
_RELAY_IN: Final = head_offset("relay_in_ns")
_RELAY_OUT: Final = head_offset("relay_out_ns")
_SOURCE: Final = head_offset("source_id")
_VERSION: Final = head_offset("definition_version")
_FLAGS: Final = head_offset("flags")

_UNKNOWN: Final = int(RecordFlag.UNKNOWN_LISTING)
_NO_REGISTRY: Final = int(RecordFlag.NO_REGISTRY)
_GAP_BEFORE: Final = int(RecordFlag.GAP_BEFORE)
_STALE: Final = int(RecordFlag.STALE)


@compiled
def provisional(block: Any, slots: Any, key: int, room: int) -> int:
    """A slot for a listing that nobody defined; -1 when there are as many as are allowed. `room`: the place in the block that says how many are."""
    if block[room] <= 0:
        return -1
    block[room] -= 1
    number = block[SLOT_COUNT]
    block[SLOT_COUNT] = number + 1
    slots[number].key = np.uint64(key)
    put(block, key, number)
    return int(number)


@compiled
def touch(block: Any, slot: Any, number: int) -> None:
    """Report a slot that synthetics depend on, once in a batch."""
    if slot.watched != 0 and slot.batch != block[BATCH]:
        slot.batch = block[BATCH]
        store_u32(block[TOUCHED] + 4 * block[TOUCHED_COUNT], np.uint32(number))
        block[TOUCHED_COUNT] += 1


@compiled
def meet(block: Any, slot: Any, number: int) -> None:
    """Report a slot at its first event, once in a life of the relay."""
    if slot.met == 0:
        slot.met = np.uint8(1)
        store_u32(block[MET] + 4 * block[MET_COUNT], np.uint32(number))
        block[MET_COUNT] += 1


@compiled
def stamp(block: Any, head: int, version: int, place: int, source_id: int, now_ns: int) -> int:
    """Write what the relay owns of a row, measure its way here; the row's sequence. `place`: where the block holds the domain's next one."""
    sequence = block[place]
    block[place] = sequence + 1
    store_i64(head + _SEQUENCE, sequence)
    store_i64(head + _RELAY_IN, now_ns)
    store_i64(head + _RELAY_OUT, np.int64(0))
    store_u32(head + _SOURCE, np.uint32(source_id))
    store_u32(head + _VERSION, np.uint32(version))
    venue_time = load_i64(head + _VENUE_TIME)
    collector_time = load_i64(head + _COLLECTOR_TIME)
    if collector_time > 0:
        record(block[HISTOGRAMS], COLLECTOR_TO_RELAY, now_ns - collector_time, 1)
        # The venue's time of a replayed event is that of its recording.
        if venue_time > 0 and int(load_u32(head + _FLAGS)) & PROVENANCE_MASK != _REPLAY:
            record(block[HISTOGRAMS], VENUE_TO_COLLECTOR, collector_time - venue_time, 1)
    return int(sequence)


@compiled
def prices_of(kind: int, address: int) -> tuple[float, float]:
    """The prices of a row as doubles: what is judged of them is also kept, and a division costs as much as ten comparisons."""
    if kind == QUOTE_TYPE:
        return prices_of_quote(address)
    if kind == TRADE_TYPE:
        return prices_of_trade(address)
    return np.nan, np.nan


@compiled
def hold(
    block: Any, slot: Any, number: int, kind: int, address: int, prices: tuple[float, float], flags: int, now_ns: int
) -> bool:
    """A stamped row becomes the last one of its listing; False where it changes nothing."""
    if kind == QUOTE_TYPE:
        if is_late(slot, flags, now_ns):
            return False
        keep_quote(block, slot, address, prices, flags, now_ns)
    elif kind == TRADE_TYPE:
        keep_trade(block, slot, number, address, prices[0], flags, now_ns)
    elif kind == STATUS_TYPE:
        keep_status(block, slot, number, address)
    else:
        return False
    return True


@compiled
def keep(
    block: Any, slots: Any, number: int, kind: int, address: int, prices: tuple[float, float], flags: int, now_ns: int
) -> None:
    """A stamped row changes the state of its listing and, where it may, the opportunity of its group."""
    slot = slots[number]
    if not hold(block, slot, number, kind, address, prices, flags, now_ns):
        return
    touch(block, slot, number)
    if slot.group < 0 or kind == TRADE_TYPE:
        return
    head = address + load_i64(block[SHAPES] + 8 * (SHAPE_SIZE * kind + 1))
    sequence = load_i64(head + _SEQUENCE)
    times = load_i64(head + _VENUE_TIME), load_i64(head + _COLLECTOR_TIME)
    trigger = (sequence, times[0], times[1], np.int64(load_u32(head + _SOURCE)), sequence)
    groups = carray(pointer(block[GROUPS]), (block[GROUP_COUNT],), GROUP)
    provenance = flags & PROVENANCE_MASK
    note_crossed(block, slot)
    evaluate_slot(block, slots, groups, number, provenance, trigger, now_ns)


@compiled
def judge(block: Any, slot: Any, kind: int, address: int, prices: tuple[float, float], flags: int, now_ns: int) -> int:
    """The flags of a row of a listing."""
    if kind == QUOTE_TYPE:
        return int(judge_quote(block, slot, address, prices, flags, now_ns))
    if kind == TRADE_TYPE:
        return int(judge_trade(block, slot, address, prices[0], flags, now_ns))
    if kind == LEVEL_TYPE:
        return int(judge_level(slot, address, flags))
    return int(flags)


@compiled
def room_of(block: Any) -> int:
    """How many rows there is room for, whatever comes of them; 0: Python makes room and calls again."""
    room = min(
        (OUT_CAPACITY - block[OUT_COUNT]) >> 1,
        block[TOUCHED_CAPACITY] - max(block[TOUCHED_COUNT], block[MET_COUNT]),
        block[SLOT_CAPACITY] - block[SLOT_COUNT],
        (block[HASH_MASK] + 1 >> 1) - block[SLOT_COUNT],
    )
    return int(room)


@compiled
def intake(
    block: Any,
    rows: Any,
    numbers: Any,
    start: int,
    stop: int,
    kind: int,
    source_id: int,
    provenance: int,
    gap: bool,
    now_ns: int,
) -> int:
    """Take rows `start` to `stop` of `rows` (bytes), writing those kept from block[WRITTEN] on and their slots into `numbers`. Where the result is
    below `stop`, room has to be made first and the call repeated from there. `gap`: mark the next row kept. The places of refused rows are written
    into `numbers` from its end."""
    if start == 0:
        block[WRITTEN] = 0
        block[GIVEN] = 0
        block[BATCH] += 1
    shape = block[SHAPES] + 8 * SHAPE_SIZE * kind
    size = load_i64(shape)
    prefix = load_i64(shape + 8)
    base = rows.ctypes.data
    slots = carray(pointer(block[SLOTS]), (block[SLOT_CAPACITY],), SLOT)
    ahead = stop - start > FEW
    if ahead:
        for k in range(start - FARTHEST, start):
            look_ahead(block, slots, base + k * size + prefix, size, k, start, stop)
    room = 0
    for k in range(start, stop):
        if room <= 0:
            room = room_of(block)
            if room <= 0:
                return k
        room -= 1
        address = base + k * size
        number = -1
        if ahead:
            look_ahead(block, slots, address + prefix, size, k, start, stop)
            number = slot_ahead(block, k)
        fault = fault_of(address, address + prefix, shape, provenance)
        if fault >= 0:
            count(block, fault)
            numbers[stop - 1 - (k - block[WRITTEN])] = k
            continue
        written = block[WRITTEN]
        if written != k:
            copy_bytes(base + written * size, address, size)
            address = base + written * size
        numbers[written] = take(block, slots, number, address, shape, kind, source_id, gap, now_ns)
        block[WRITTEN] = written + 1
        gap = False
    return stop


@compiled
def take(
    block: Any,
    slots: Any,
    number: int,
    address: int,
    shape: int,
    kind: int,
    source_id: int,
    gap: bool,
    now_ns: int,
) -> int:
    """Stamp and keep one row; its slot. `number`: the slot that was found before; below 0 where none was."""
    head = address + load_i64(shape + 8)
    key = load_i64(head + _KEY)
    flags = int(load_u32(head + _FLAGS)) & ~(_UNKNOWN | _NO_REGISTRY)
    block[GIVEN] |= flags & JUDGED
    if number < 0:
        number = find(block, key)
    if number < 0:
        number = provisional(block, slots, key, load_i64(shape + 40))
    version = 0
    if number >= 0 and slots[number].known != 0:
        version = int(slots[number].definition_version)
    elif block[NO_REGISTRY] != 0:
        flags |= _NO_REGISTRY
    else:
        flags |= _UNKNOWN
        count(block, UNKNOWN_EVENTS)
    if gap:
        flags |= _GAP_BEFORE
    # A replayed event bears the time of its recording.
    venue_time = load_i64(head + _VENUE_TIME)
    if 0 < block[STALE_NS] < now_ns - venue_time and venue_time > 0 and flags & PROVENANCE_MASK != _REPLAY:
        flags |= _STALE
    prices = prices_of(kind, address)
    if number >= 0:
        meet(block, slots[number], number)
        flags = judge(block, slots[number], kind, address, prices, flags, now_ns)
    store_u32(head + _FLAGS, np.uint32(flags))
    stamp(block, head, version, load_i64(shape + 32), source_id, now_ns)
    if number >= 0:
        keep(block, slots, number, kind, address, prices, flags, now_ns)
    return int(number)


@compiled
def pass_time(block: Any, place: int, now_ns: int) -> int:
    """Look again at the open groups from `place` downwards whose quotes became too old; where to go on, -1 at the end."""
    slots = carray(pointer(block[SLOTS]), (block[SLOT_CAPACITY],), SLOT)
    groups = carray(pointer(block[GROUPS]), (block[GROUP_COUNT],), GROUP)
    place = min(place, block[OPEN_COUNT] - 1)
    while place >= 0:
        if block[OUT_COUNT] + 2 > OUT_CAPACITY:
            return place
        index = int(load_u32(block[OPEN_GROUPS] + 4 * place))
        if now_ns > groups[index].expires_ns:
            reconsider(block, slots, groups, index, now_ns)
        place -= 1
    return -1


@compiled
def reconsider(block: Any, slots: Any, groups: Any, index: int, now_ns: int) -> None:
    """Look at a group again without an event: time passed, or a definition changed."""
    zero = np.int64(0)
    trigger = (zero, zero, zero, zero, block[NEXT_SEQUENCE])
    evaluate_group(block, slots, groups, index, int(groups[index].provenance), trigger, now_ns)


@compiled
def stamp_out(block: Any, rows: Any, total: int, kind: int, now_ns: int, hop: int) -> None:
    """Write relay_out_ns into rows and measure the hop through the relay."""
    shape = block[SHAPES] + 8 * SHAPE_SIZE * kind
    size = load_i64(shape)
    head = rows.ctypes.data + load_i64(shape + 8)
    came, many = load_i64(head + _RELAY_IN), 0
    for _ in range(total):
        store_i64(head + _RELAY_OUT, now_ns)
        relay_in = load_i64(head + _RELAY_IN)
        if relay_in != came:  # rows of one frame came at one time, and are counted at once
            record(block[HISTOGRAMS], hop, now_ns - came, many)
            came, many = relay_in, 0
        many += 1
        head += size
    record(block[HISTOGRAMS], hop, now_ns - came, many)
