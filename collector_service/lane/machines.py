"""What a frame changes in books, done: `verdicts.check` has found that it can be."""

from __future__ import annotations

from typing import Any

from alphapulse.domain.provenance import RecordFlag
from collector_service.lane.checksums import digits_of_top, forget_texts, levels_in_turn
from collector_service.lane.codes import (
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
    B_TEXTS,
    DONE,
    IN_STEP,
    M_CHECKSUM,
    M_DIGITS_OF_TOP,
    M_OFFSET,
    M_SNAPSHOT_ONLY,
    NOT_PLAIN,
    O_BEGIN,
    O_CHECKSUM,
    O_DEPTH,
    O_END,
    O_GRID,
    O_LAST,
    O_SLOT,
    O_TIME,
    OPS_OF_FRAME,
    V_KEY,
    V_PRICE,
    V_PRICE_EXPONENT,
    V_SIDE,
    V_SIZE,
    V_SIZE_EXPONENT,
    X_DIRTY,
    X_HELD,
    X_KEPT,
    X_LEVELS,
    X_PROVENANCE,
    X_SOURCE,
    X_TIME,
)
from collector_service.lane.jit import compiled, inlined
from collector_service.lane.levels import (
    COUNT,
    FIRST,
    OFFSET,
    empty,
    excess,
    find,
    is_crossed,
    mantissa_at,
    pack,
    price_exponent_of,
    put,
    refine,
    side_of,
    size_exponent_of,
)
from collector_service.lane.offsets import begin_numbers, number_of, take_numbers
from collector_service.lane.values import power
from collector_service.lane.verdicts import is_whole, verdict

_BEGIN = int(RecordFlag.SNAPSHOT_BEGIN)
_LAST = int(RecordFlag.LAST_OF_UPDATE)
_CROSSED = int(RecordFlag.CROSSED)
_BID_ABSENT = int(RecordFlag.BID_ABSENT)
_ASK_ABSENT = int(RecordFlag.ASK_ABSENT)


@compiled
def touch(book: Any, slot: int, dirty: Any, state: Any) -> None:
    """Something has changed that Python has to be told."""
    if not book[B_DIRTY]:
        book[B_DIRTY] = 1
        dirty[state[X_DIRTY]] = slot
        state[X_DIRTY] += 1


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
def _uncross(book: Any, keys: Any, exponents: Any, numbers: Any, op: Any, rows: Any, state: Any) -> None:
    """Takes out levels that are gone and tells it, until the best bid is below the best ask: of the two the one with the lower number."""
    while is_crossed(book, keys) == 1:
        bids, asks = side_of(book, 1), side_of(book, 2)
        bid = book[bids + OFFSET] + book[bids + FIRST] + book[bids + COUNT] - 1
        ask = book[asks + OFFSET] + book[asks + FIRST] + book[asks + COUNT] - 1
        bid_price = mantissa_at(keys, exponents, bid, book[B_GRID])
        ask_price = mantissa_at(keys, exponents, ask, book[B_GRID])
        bid_exponent, ask_exponent = price_exponent_of(int(exponents[bid])), price_exponent_of(int(exponents[ask]))
        of_bid = number_of(numbers, book, 1, bid_price, bid_exponent)
        if of_bid <= number_of(numbers, book, 2, ask_price, ask_exponent):
            book[bids + COUNT] -= 1
            _write(rows, state, book, op, 1, bid_price, bid_exponent, 0, 0)
        else:
            book[asks + COUNT] -= 1
            _write(rows, state, book, op, 2, ask_price, ask_exponent, 0, 0)


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
    numbers: Any,
    ops: Any,
    number: int,
    rows: Any,
    dirty: Any,
    text: Any,
    state: Any,
) -> int:
    """One of the frame's changes. NOT_PLAIN where a checksum does not hold: the machine does the same to the
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
    highest = op[O_LAST]
    if machine == M_OFFSET:
        if whole:
            begin_numbers(numbers, book)
        else:
            highest = max(highest, book[B_SEQUENCE])
        op[O_END] = take_numbers(numbers, book, changes, op, whole)
        if first == op[O_END] and not whole:
            book[B_IGNORED] += 1
            touch(book, slot, dirty, state)
            return DONE
    if whole:
        if op[O_DEPTH] >= 0:
            book[B_DEPTH] = op[O_DEPTH]
        empty(book)
        book[B_TEXTS] = book[B_TEXTS + 2] = 0
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
        if machine == M_DIGITS_OF_TOP:
            forget_texts(book, keys, changes, first, end)
        _update(book, keys, sizes, exponents, changes, op, rows, state)
    if machine == M_OFFSET:
        _uncross(book, keys, exponents, numbers, op, rows, state)
    book[B_SEQUENCE] = highest
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
