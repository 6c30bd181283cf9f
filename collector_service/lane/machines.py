"""What a frame changes in books, checked by the rules of `collector_service.book` and done. The machines of that package say why they are so; here is
what they do to a book in step. Whatever puts a book out of step is left to them, before anything has changed.
"""

from __future__ import annotations

from typing import Any

from alphapulse.domain.provenance import RecordFlag
from collector_service.lane.checksums import digits_of_top, levels_in_turn
from collector_service.lane.codes import (
    AWAY,
    B_DELIVERED,
    B_DEPTH,
    B_DIRTY,
    B_FRESH,
    B_GRID,
    B_HEARD,
    B_IGNORED,
    B_KEY,
    B_MACHINE,
    B_OWNER,
    B_SEQUENCE,
    B_STEPS,
    BOOK_WANTED,
    DONE,
    IN_STEP,
    LEVELS_WANTED,
    M_CHECKSUM,
    M_DIGITS_OF_TOP,
    M_PER_CHANNEL,
    M_PREVIOUS,
    M_RANGE,
    M_RANGE_WITH_HOLES,
    M_SNAPSHOT_ONLY,
    NO_ROOM_ON_GRID,
    NOT_PLAIN,
    O_BEGIN,
    O_CHECKSUM,
    O_DEPTH,
    O_END,
    O_FIRST,
    O_GRID,
    O_LAST,
    O_PREVIOUS,
    O_SLOT,
    O_TIME,
    O_TYPE,
    OPS_OF_FRAME,
    ROOM_WANTED,
    SNAPSHOT_RECORD,
    V_KEY,
    V_PRICE,
    V_PRICE_EXPONENT,
    V_SIDE,
    V_SIZE,
    V_SIZE_EXPONENT,
    X_DIRTY,
    X_FIELD,
    X_HELD,
    X_HELD_CHANGES,
    X_KEPT,
    X_LEVELS,
    X_OPS,
    X_PROVENANCE,
    X_SLOT,
    X_SOURCE,
    X_TIME,
)
from collector_service.lane.jit import compiled, inlined
from collector_service.lane.levels import (
    COUNT,
    FIRST,
    OFFSET,
    ROOM,
    empty,
    excess,
    find,
    finest,
    fits,
    is_crossed,
    mantissa_at,
    pack,
    place,
    price_exponent_of,
    put,
    refine,
    side_of,
    size_exponent_of,
)
from collector_service.lane.values import power

_BEGIN = int(RecordFlag.SNAPSHOT_BEGIN)
_LAST = int(RecordFlag.LAST_OF_UPDATE)
_CROSSED = int(RecordFlag.CROSSED)
_BID_ABSENT = int(RecordFlag.BID_ABSENT)
_ASK_ABSENT = int(RecordFlag.ASK_ABSENT)
_BOOK_ROWS = 3
_LEAST_ROOM = 64
_SHORT = 128
_LONG = 2_048
"""Levels of a book that comes whole each time."""


@compiled
def touch(book: Any, slot: int, dirty: Any, state: Any) -> None:
    """Something has changed that Python has to be told."""
    if not book[B_DIRTY]:
        book[B_DIRTY] = 1
        dirty[state[X_DIRTY]] = slot
        state[X_DIRTY] += 1


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


@compiled
def check(books: Any, keys: Any, changes: Any, ops: Any, rows: Any, state: Any) -> int:
    """Whether all that the frame changes can be done: DONE, or the status of what is wanted first."""
    count, needed = state[X_OPS], 0
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
            if book[B_DEPTH] or book[B_MACHINE] == M_SNAPSHOT_ONLY:
                needed += book[at + COUNT]
    if needed > rows.shape[0] - state[X_LEVELS]:
        state[X_FIELD] = _BOOK_ROWS
        state[X_SLOT] = needed
        return ROOM_WANTED
    return DONE


@inlined
def is_whole(book: Any, op: Any) -> bool:
    """Whether it takes the place of all that the book holds."""
    if book[B_MACHINE] == M_SNAPSHOT_ONLY:
        return book[B_OWNER] != IN_STEP
    return op[O_TYPE] == SNAPSHOT_RECORD


@inlined
def _write(
    rows: Any, state: Any, book: Any, op: Any, side: int, price: int, price_exponent: int, size: int, size_exponent: int
) -> None:
    row = rows[state[X_LEVELS]]
    row.listing_key = book[B_KEY]
    row.venue_time_ns = op[O_TIME]
    row.collector_time_ns = state[X_TIME]
    row.source_id = state[X_SOURCE]
    row.flags = state[X_PROVENANCE]
    row.price = price
    row.size = size
    row.venue_sequence = op[O_LAST]
    row.price_exponent = price_exponent
    row.size_exponent = size_exponent
    row.side = side
    state[X_LEVELS] += 1


@compiled
def _apply(book: Any, keys: Any, sizes: Any, exponents: Any, changes: Any, first: int, end: int) -> None:
    for k in range(first, end):
        packed = pack(changes[k, V_PRICE_EXPONENT], changes[k, V_SIZE_EXPONENT])
        put(book, keys, sizes, exponents, changes[k, V_SIDE], changes[k, V_KEY], changes[k, V_SIZE], packed)


@compiled
def _cut(book: Any, keys: Any, exponents: Any, op: Any, rows: Any, state: Any, told: bool) -> None:
    """Takes out what is beyond the depth, best first, and tells it."""
    for side in range(1, 3):
        gone = excess(book, side)
        if not gone:
            continue
        at = side_of(book, side)
        start = book[at + OFFSET] + book[at + FIRST]
        if told:
            for k in range(start + gone - 1, start - 1, -1):
                mantissa = mantissa_at(keys, exponents, k, book[B_GRID])
                _write(rows, state, book, op, side, mantissa, price_exponent_of(int(exponents[k])), 0, 0)
        book[at + FIRST] += gone
        book[at + COUNT] -= gone


@compiled
def _tell_all(book: Any, keys: Any, sizes: Any, exponents: Any, op: Any, rows: Any, state: Any) -> None:
    for side in range(1, 3):
        at = side_of(book, side)
        start = book[at + OFFSET] + book[at + FIRST]
        for k in range(start + book[at + COUNT] - 1, start - 1, -1):
            both = int(exponents[k])
            mantissa = mantissa_at(keys, exponents, k, book[B_GRID])
            _write(
                rows,
                state,
                book,
                op,
                side,
                mantissa,
                price_exponent_of(both),
                int(sizes[k]),
                size_exponent_of(both),
            )


@compiled
def _differences(
    book: Any, keys: Any, sizes: Any, exponents: Any, changes: Any, op: Any, rows: Any, marks: Any, state: Any
) -> None:
    """Of a book that comes whole: what is gone, best first, then what is new or other, in the venue's order; a side after the other."""
    for side in range(1, 3):
        at = side_of(book, side)
        start, count = book[at + OFFSET] + book[at + FIRST], book[at + COUNT]
        for k in range(count):
            marks[k] = 0
        for c in range(op[O_BEGIN], op[O_END]):
            if changes[c, V_SIDE] == side and changes[c, V_SIZE]:
                k = find(book, keys, side, changes[c, V_KEY])
                if k >= 0:
                    marks[k - start] = 1
        for k in range(start + count - 1, start - 1, -1):
            if not marks[k - start]:
                mantissa = mantissa_at(keys, exponents, k, book[B_GRID])
                _write(rows, state, book, op, side, mantissa, price_exponent_of(int(exponents[k])), 0, 0)
        for c in range(op[O_BEGIN], op[O_END]):
            if changes[c, V_SIDE] != side or not changes[c, V_SIZE]:
                continue
            k = find(book, keys, side, changes[c, V_KEY])
            packed = pack(changes[c, V_PRICE_EXPONENT], changes[c, V_SIZE_EXPONENT])
            if k < 0 or sizes[k] != changes[c, V_SIZE] or exponents[k] != packed:
                _write(
                    rows,
                    state,
                    book,
                    op,
                    side,
                    changes[c, V_PRICE],
                    changes[c, V_PRICE_EXPONENT],
                    changes[c, V_SIZE],
                    changes[c, V_SIZE_EXPONENT],
                )


@compiled
def _replay(book: Any, keys: Any, sizes: Any, exponents: Any, rows: Any, first: int, end: int) -> None:
    """Does to the book what rows say."""
    for k in range(first, end):
        row = rows[k]
        side = int(row.side)
        key = row.price * power(row.price_exponent - book[B_GRID])
        packed = pack(row.price_exponent, row.size_exponent)
        put(book, keys, sizes, exponents, side, key if side == 1 else -key, row.size, packed)


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
def _update(book: Any, keys: Any, sizes: Any, exponents: Any, changes: Any, op: Any, rows: Any, state: Any) -> None:
    """Applies an update and tells it."""
    for k in range(op[O_BEGIN], op[O_END]):
        change = changes[k]
        _write(
            rows,
            state,
            book,
            op,
            change[V_SIDE],
            change[V_PRICE],
            change[V_PRICE_EXPONENT],
            change[V_SIZE],
            change[V_SIZE_EXPONENT],
        )
    _apply(book, keys, sizes, exponents, changes, op[O_BEGIN], op[O_END])
    _cut(book, keys, exponents, op, rows, state, True)
    book[B_FRESH] = 0
    book[B_SEQUENCE] = op[O_LAST]


@compiled
def _mark(book: Any, keys: Any, rows: Any, first: int, end: int) -> None:
    """The last row of an update says how the book is."""
    if first == end:
        return
    crossed, more = is_crossed(book, keys), _LAST
    if crossed > 0:
        more |= _CROSSED
    if crossed == -1 or crossed == -3:
        more |= _BID_ABSENT
    if crossed == -2 or crossed == -3:
        more |= _ASK_ABSENT
    rows[end - 1].flags |= more


@compiled
def carry_out(
    books: Any,
    keys: Any,
    sizes: Any,
    exponents: Any,
    changes: Any,
    ops: Any,
    number: int,
    rows: Any,
    dirty: Any,
    text: Any,
    state: Any,
) -> int:
    """One of the frame's changes; `check` has found that it can be done. NOT_PLAIN where a checksum does not hold: the machine does the same to the
    same book once more, and says so."""
    op = ops[number]
    slot, first, end = op[O_SLOT], op[O_BEGIN], op[O_END]
    book = books[slot]
    machine = book[B_MACHINE]
    if not verdict(book, op):
        book[B_IGNORED] += 1
        touch(book, slot, dirty, state)
        return DONE
    whole, began = is_whole(book, op), state[X_LEVELS]
    if whole:
        if op[O_DEPTH] >= 0:
            book[B_DEPTH] = op[O_DEPTH]
        empty(book)
        book[B_GRID] = op[O_GRID]
        _apply(book, keys, sizes, exponents, changes, first, end)
        _cut(book, keys, exponents, op, rows, state, False)
        _tell_all(book, keys, sizes, exponents, op, rows, state)
        book[B_FRESH] = 1
    elif machine == M_SNAPSHOT_ONLY:
        refine(book, keys, op[O_GRID])
        _differences(book, keys, sizes, exponents, changes, op, rows, text, state)
        _replay(book, keys, sizes, exponents, rows, began, state[X_LEVELS])
        _cut(book, keys, exponents, op, rows, state, False)
    else:
        refine(book, keys, op[O_GRID])
        _update(book, keys, sizes, exponents, changes, op, rows, state)
    book[B_SEQUENCE] = op[O_LAST]
    if machine >= M_CHECKSUM and op[O_CHECKSUM] >= 0:
        taken = (
            digits_of_top(book, keys, sizes, exponents, text)
            if machine == M_DIGITS_OF_TOP
            else levels_in_turn(book, keys, sizes, exponents, text)
        )
        if taken != op[O_CHECKSUM]:
            state[X_LEVELS] = began
            return NOT_PLAIN
    book[B_OWNER] = IN_STEP
    told = state[X_LEVELS]
    if state[X_HELD]:
        for k in range(state[X_KEPT], OPS_OF_FRAME + state[X_HELD]):
            _update(book, keys, sizes, exponents, changes, ops[k], rows, state)
            ops[k, O_GRID] = state[X_LEVELS]
            book[B_DELIVERED] += 1
        begin = told
        for k in range(state[X_KEPT], OPS_OF_FRAME + state[X_HELD]):
            _mark(book, keys, rows, begin, ops[k, O_GRID])
            begin = ops[k, O_GRID]
    _mark(book, keys, rows, began, told)
    if whole and told > began:
        rows[began].flags |= _BEGIN
    book[B_DELIVERED] += 1
    book[B_STEPS] += 1
    book[B_HEARD] = 1
    touch(book, slot, dirty, state)
    return DONE
