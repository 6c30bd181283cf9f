"""Whether what a frame changes in books can be done, by the rules of `collector_service.book`: the machines of that package say why they are so; here
is what they say of a book in step. Nothing has changed yet; whatever puts a book out of step is left to them.
"""

from __future__ import annotations

from typing import Any

from collector_service.lane.codes import (
    AWAY,
    B_DEPTH,
    B_FRESH,
    B_MACHINE,
    B_OWNER,
    B_SEQUENCE,
    BOOK_WANTED,
    DONE,
    G_COUNT,
    IN_STEP,
    LEVELS_WANTED,
    M_CHECKSUM,
    M_OFFSET,
    M_PER_CHANNEL,
    M_PREVIOUS,
    M_RANGE,
    M_RANGE_WITH_HOLES,
    M_SNAPSHOT_ONLY,
    NO_ROOM_ON_GRID,
    NOT_PLAIN,
    NUMBERS_WANTED,
    O_BEGIN,
    O_DEPTH,
    O_END,
    O_FIRST,
    O_GRID,
    O_LAST,
    O_PREVIOUS,
    O_SLOT,
    O_TYPE,
    OPS_OF_FRAME,
    ROOM_WANTED,
    SNAPSHOT_RECORD,
    V_KEY,
    V_PRICE,
    V_PRICE_EXPONENT,
    V_SIDE,
    X_FIELD,
    X_HELD,
    X_HELD_CHANGES,
    X_KEPT,
    X_LEVELS,
    X_OPS,
    X_SLOT,
)
from collector_service.lane.jit import compiled, inlined
from collector_service.lane.levels import (
    COUNT,
    ROOM,
    finest,
    fits,
    place,
    side_of,
)

_BOOK_ROWS = 3
_LEAST_ROOM = 64
_SHORT = 128
_LONG = 2_048
"""Levels of a book that comes whole each time."""


@compiled
def verdict(book: Any, op: Any) -> int:
    """1: it is applied; 0: it holds nothing new; -1: the machine has to look at it."""
    machine, sequence, last = book[B_MACHINE], book[B_SEQUENCE], op[O_LAST]
    is_snapshot = op[O_TYPE] == SNAPSHOT_RECORD
    if book[B_OWNER] != IN_STEP:
        return 1 if is_snapshot or machine == M_SNAPSHOT_ONLY else -1
    if machine == M_RANGE or machine == M_RANGE_WITH_HOLES:
        if last <= sequence:
            return 0
        if is_snapshot or machine == M_RANGE_WITH_HOLES:
            return 1
        first = op[O_FIRST]
        follows = first <= sequence + 1 <= last if book[B_FRESH] else first == sequence + 1
        return 1 if follows else -1
    if machine == M_PREVIOUS:
        previous = op[O_PREVIOUS]
        if is_snapshot:
            return 0 if last < sequence else 1
        if last < sequence and previous != sequence:
            return 0
        if last == sequence and not book[B_FRESH]:
            return 0
        follows = previous == sequence or (book[B_FRESH] != 0 and op[O_FIRST] <= sequence <= last)
        return 1 if follows else -1
    if machine == M_PER_CHANNEL and not is_snapshot:
        if last <= sequence:
            return 0
        return 1 if last == sequence + 1 else -1
    if machine == M_SNAPSHOT_ONLY and last and last < sequence:
        return 0
    return 1


@compiled
def _kept(book: Any, ops: Any, last: int, state: Any) -> int:
    """The first of the updates held that a snapshot with the number `last` does not contain; -1 where the machine has to look at them."""
    end, machine = OPS_OF_FRAME + state[X_HELD], book[B_MACHINE]
    first = OPS_OF_FRAME
    while first < end and (ops[first, O_LAST] < last or (machine != M_PREVIOUS and ops[first, O_LAST] == last)):
        first += 1
    fresh, sequence = True, last
    for k in range(first, end):
        if machine == M_PREVIOUS:
            follows = ops[k, O_PREVIOUS] == sequence or (fresh and ops[k, O_FIRST] <= sequence <= ops[k, O_LAST])
        elif machine == M_RANGE:
            following = sequence + 1
            follows = ops[k, O_FIRST] <= following <= ops[k, O_LAST] if fresh else ops[k, O_FIRST] == following
        else:
            follows = machine == M_RANGE_WITH_HOLES
        if not follows:
            return -1
        fresh, sequence = False, ops[k, O_LAST]
    return first


@compiled
def _with_held(book: Any, keys: Any, changes: Any, ops: Any, op: Any, state: Any) -> bool:
    """Makes ready the updates that an answer ends the waiting of. False where the machine has to look at them."""
    kept = _kept(book, ops, op[O_LAST], state)
    if kept < 0:
        return False
    first, end = changes.shape[0] - state[X_HELD_CHANGES], changes.shape[0]
    grid = finest(book, keys, changes, first, end, True)
    if grid == NO_ROOM_ON_GRID:
        return False
    grid = min(op[O_GRID], grid)
    for k in range(op[O_BEGIN], op[O_END]):
        if not fits(changes[k, V_PRICE], changes[k, V_PRICE_EXPONENT] - grid):
            return False
    for k in range(first, end):
        if not fits(changes[k, V_PRICE], changes[k, V_PRICE_EXPONENT] - grid):
            return False
    state[X_KEPT] = kept
    op[O_GRID] = grid
    place(changes, first, end, grid)
    return True


@inlined
def is_whole(book: Any, op: Any) -> bool:
    """Whether it takes the place of all that the book holds."""
    if book[B_MACHINE] == M_SNAPSHOT_ONLY:
        return bool(book[B_OWNER] != IN_STEP)
    return bool(op[O_TYPE] == SNAPSHOT_RECORD)


@compiled
def are_distinct(changes: Any, first: int, end: int) -> bool:
    """Whether a book that comes whole names each price once; prices are placed. One that is long has to be in order, from either end."""
    if end - first > _LONG:
        return False
    falls = rises = True
    for side in range(1, 3):
        before, any_before = 0, False
        for k in range(first, end):
            if changes[k, V_SIDE] != side:
                continue
            key = changes[k, V_KEY]
            if any_before:
                falls = falls and key < before
                rises = rises and key > before
            before, any_before = key, True
    if falls or rises:
        return True
    if end - first > _SHORT:
        return False
    for k in range(first, end):
        for other in range(first, k):
            if changes[k, V_KEY] == changes[other, V_KEY]:
                return False
    return True


@compiled
def check(books: Any, keys: Any, changes: Any, numbers: Any, ops: Any, rows: Any, state: Any) -> int:
    """Whether all that the frame changes can be done: DONE, or the status of what is wanted first."""
    count, needed, numbered = state[X_OPS], 0, 0
    for k in range(count):
        op = ops[k]
        slot = op[O_SLOT]
        book = books[slot]
        if book[B_OWNER] == AWAY:
            state[X_SLOT] = slot
            return BOOK_WANTED
        if count > 1:
            if book[B_MACHINE] >= M_CHECKSUM:
                return NOT_PLAIN
            for other in range(k):
                if ops[other, O_SLOT] == slot:
                    return NOT_PLAIN
        judged = verdict(book, op)
        if judged < 0:
            return NOT_PLAIN
        if op[O_DEPTH] >= 0 and op[O_DEPTH] != book[B_DEPTH] and (op[O_TYPE] != SNAPSHOT_RECORD or not judged):
            return NOT_PLAIN
        if not judged:
            continue
        levels = op[O_END] - op[O_BEGIN]
        whole = is_whole(book, op)
        grid = finest(book, keys, changes, op[O_BEGIN], op[O_END], whole)
        if grid == NO_ROOM_ON_GRID:
            return NOT_PLAIN
        op[O_GRID] = grid
        if state[X_HELD]:
            if not _with_held(book, keys, changes, ops, op, state):
                return NOT_PLAIN
            levels += state[X_HELD_CHANGES]
        place(changes, op[O_BEGIN], op[O_END], op[O_GRID])
        if book[B_MACHINE] == M_SNAPSHOT_ONLY and not whole:
            held = max(book[side_of(book, 1) + COUNT], book[side_of(book, 2) + COUNT])
            if held > _LONG or not are_distinct(changes, op[O_BEGIN], op[O_END]):
                return NOT_PLAIN
        if book[B_MACHINE] == M_OFFSET:
            numbered += levels
        for side in range(1, 3):
            at = side_of(book, side)
            wanted = levels + (0 if whole else book[at + COUNT])
            if wanted >= book[at + ROOM]:
                state[X_SLOT] = slot
                state[X_FIELD] = max(_LEAST_ROOM, 2 * wanted)
                return LEVELS_WANTED
            needed += levels
            if state[X_HELD]:
                needed += levels
            if book[B_DEPTH] or book[B_MACHINE] == M_SNAPSHOT_ONLY or book[B_MACHINE] == M_OFFSET:
                needed += book[at + COUNT]
    if 2 * (numbers[numbers.shape[0] - 1, G_COUNT] + numbered) > numbers.shape[0] - 1:
        state[X_FIELD] = numbered
        return NUMBERS_WANTED
    if needed > rows.shape[0] - state[X_LEVELS]:
        state[X_FIELD] = _BOOK_ROWS
        state[X_SLOT] = needed
        return ROOM_WANTED
    return DONE
