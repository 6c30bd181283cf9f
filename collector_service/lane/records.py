"""The records of a message: trades and quotes are written, what changes books is gathered."""

from __future__ import annotations

from typing import Any

from alphapulse.domain.provenance import RecordFlag
from collector_service.lane.changes import gather, holds, is_there, side_at
from collector_service.lane.codes import (
    A_NONE,
    B_KEY,
    B_SCALES,
    DONE,
    JOINED,
    MAX_SCALES,
    MISSING,
    NOT_PLAIN,
    NOWHERE,
    NULL,
    QUOTE_RECORD,
    R_ASK,
    R_ASK_SIZE,
    R_BID,
    R_BID_SIZE,
    R_GUARD_COUNT,
    R_GUARDS,
    R_ID,
    R_ID_FIELD,
    R_PRICE,
    R_SIDE,
    R_SIZE,
    R_SYMBOL,
    R_SYMBOL_FIELD,
    R_TIME,
    R_TIME_KIND,
    R_TYPE,
    ROOM_WANTED,
    STRING,
    T_END,
    T_KIND,
    T_START,
    TRADE_RECORD,
    X_FIELD,
    X_PROVENANCE,
    X_QUOTES,
    X_SCALES,
    X_SLOT,
    X_SOURCE,
    X_STATUS,
    X_TIME,
    X_TOUCHED,
    X_TRADES,
)
from collector_service.lane.jit import compiled
from collector_service.lane.values import (
    BAD,
    amount,
    digits_of,
    identity,
    meaning,
    moment,
    power,
)

_SIZE_ABSENT = int(RecordFlag.SIZE_ABSENT)
_CROSSED = int(RecordFlag.CROSSED)
_BID_ABSENT = int(RecordFlag.BID_ABSENT)
_ASK_ABSENT = int(RecordFlag.ASK_ABSENT)
_BID_SIZE_ABSENT = int(RecordFlag.BID_SIZE_ABSENT)
_ASK_SIZE_ABSENT = int(RecordFlag.ASK_SIZE_ABSENT)
_MAX = 2**63 - 1


@compiled
def _symbol(
    data: Any, tape: Any, program: Any, found: Any, record: int, asked: int, words: Any, texts: Any, state: Any
) -> int:
    node, field = program[record + R_SYMBOL], program[record + R_SYMBOL_FIELD]
    if node == NOWHERE:
        return asked
    nodes, count = record + R_SYMBOL, 1
    if node == JOINED:
        nodes, count, field = field + 2, program[field], program[field + 1]
    for k in range(count):
        token = found[program[nodes + k]]
        if token < 0 or tape[token, T_KIND] == NULL:
            return BAD
        field = meaning(data, tape, token, field, words, texts, state)
        if field < 0:
            break
    return int(field)


@compiled
def _trade(
    data: Any, tape: Any, program: Any, found: Any, record: int, slot: int, time_ns: int, words: Any, texts: Any,
    books: Any, rows: Any, touched: Any, state: Any,
) -> int:  # fmt: skip
    price, price_exponent = amount(
        data,
        tape,
        found[program[record + R_PRICE]],
        program[record + R_PRICE + 1],
        digits_of(program, record + R_PRICE, state),
    )
    size, size_exponent, flags = 0, 0, state[X_PROVENANCE]
    if program[record + R_SIZE + 1] == A_NONE:
        flags |= _SIZE_ABSENT
    else:
        size, size_exponent = amount(
            data,
            tape,
            found[program[record + R_SIZE]],
            program[record + R_SIZE + 1],
            digits_of(program, record + R_SIZE, state),
        )
    if price <= 0 or size == BAD:
        return NOT_PLAIN
    number = 0
    if program[record + R_ID] >= 0:
        token = found[program[record + R_ID]]
        if program[record + R_ID_FIELD] >= 0:
            if not is_there(tape, token):
                return NOT_PLAIN
            number = meaning(data, tape, token, program[record + R_ID_FIELD], words, texts, state)
        else:
            number = identity(data, tape, token)
    side = side_at(data, tape, program, found, record + R_SIDE, words, texts, state)
    if number == MISSING or side == MISSING:
        return int(state[X_STATUS])
    if number < 0 or side < 0:
        return NOT_PLAIN
    row = rows[state[X_TRADES]]
    row.listing_key = books[slot, B_KEY]
    row.venue_time_ns = time_ns
    row.collector_time_ns = state[X_TIME]
    row.source_id = state[X_SOURCE]
    row.flags = flags
    row.price = price
    row.size = size
    row.trade_id = number
    row.price_exponent = price_exponent
    row.size_exponent = size_exponent
    row.aggressor = side
    touched[state[X_TOUCHED], 1] = number if number else time_ns
    state[X_TRADES] += 1
    return DONE


@compiled
def _maybe(data: Any, tape: Any, program: Any, found: Any, at: int) -> tuple[int, int, int]:
    """(mantissa, exponent, whether it is there) of an amount that may be absent."""
    if program[at + 1] == A_NONE:
        return 0, 0, 0
    token = found[program[at]]
    if token < 0 or tape[token, T_KIND] == NULL:
        return 0, 0, 0
    if tape[token, T_KIND] == STRING and tape[token, T_START] == tape[token, T_END]:
        return 0, 0, 0
    mantissa, exponent = amount(data, tape, token, program[at + 1], program[at + 2])
    return mantissa, exponent, 1


@compiled
def _level_out(
    one: int, one_exponent: int, has_one: int, two: int, two_exponent: int, has_two: int
) -> tuple[int, int, int]:
    """Both mantissas at one exponent; BAD where that does not fit."""
    if not has_one:
        one, one_exponent = 0, two_exponent if has_two else 0
    if not has_two:
        two, two_exponent = 0, one_exponent
    exponent = min(one_exponent, two_exponent)
    if one_exponent - exponent > 18 or two_exponent - exponent > 18:
        return BAD, BAD, 0
    first, second = power(one_exponent - exponent), power(two_exponent - exponent)
    if one > _MAX // first or two > _MAX // second:
        return BAD, BAD, 0
    return one * first, two * second, exponent


@compiled
def _quote(
    data: Any, tape: Any, program: Any, found: Any, record: int, slot: int, time_ns: int, books: Any, rows: Any,
    touched: Any, state: Any,
) -> int:  # fmt: skip
    bid, bid_exponent, has_bid = _maybe(data, tape, program, found, record + R_BID)
    bid_size, bid_size_exponent, has_bid_size = _maybe(data, tape, program, found, record + R_BID_SIZE)
    ask, ask_exponent, has_ask = _maybe(data, tape, program, found, record + R_ASK)
    ask_size, ask_size_exponent, has_ask_size = _maybe(data, tape, program, found, record + R_ASK_SIZE)
    if bid == BAD or bid_size == BAD or ask == BAD or ask_size == BAD:
        return NOT_PLAIN
    # What is not there takes the exponent of the other one as it was given, a price of 0 too.
    other_bid, other_ask = (bid_exponent if has_bid else 0), (ask_exponent if has_ask else 0)
    has_bid, has_ask = (1 if has_bid and bid else 0), (1 if has_ask and ask else 0)
    if not has_bid and not has_ask:
        bid, ask, exponent = 0, 0, 0
    else:
        bid, ask, exponent = _level_out(bid, other_bid, has_bid, ask, other_ask, has_ask)
    bid_size, ask_size, size_exponent = _level_out(
        bid_size, bid_size_exponent, has_bid_size, ask_size, ask_size_exponent, has_ask_size
    )
    if bid == BAD or bid_size == BAD:
        return NOT_PLAIN
    flags = state[X_PROVENANCE]
    if not has_bid:
        flags |= _BID_ABSENT
    if not has_ask:
        flags |= _ASK_ABSENT
    if not has_bid_size:
        flags |= _BID_SIZE_ABSENT
    if not has_ask_size:
        flags |= _ASK_SIZE_ABSENT
    if has_bid and has_ask and bid >= ask:
        flags |= _CROSSED
    row = rows[state[X_QUOTES]]
    row.listing_key = books[slot, B_KEY]
    row.venue_time_ns = time_ns
    row.collector_time_ns = state[X_TIME]
    row.source_id = state[X_SOURCE]
    row.flags = flags
    row.bid_price = bid
    row.bid_size = bid_size
    row.ask_price = ask
    row.ask_size = ask_size
    row.price_exponent = exponent
    row.size_exponent = size_exponent
    touched[state[X_TOUCHED], 1] = -1
    state[X_QUOTES] += 1
    return DONE


@compiled
def write(
    data: Any, tape: Any, program: Any, found: Any, record: int, asked: int, changes: Any, ops: Any, words: Any,
    texts: Any, books: Any, trades: Any, quotes: Any, touched: Any, state: Any,
) -> int:  # fmt: skip
    """One record of a message whose nodes are found."""
    said = holds(data, tape, program, found, program[record + R_GUARDS], program[record + R_GUARD_COUNT], texts)
    if said == BAD:
        return NOT_PLAIN
    if not said:
        return DONE
    slot = _symbol(data, tape, program, found, record, asked, words, texts, state)
    if slot == MISSING:
        return int(state[X_STATUS])
    node = program[record + R_TIME]
    time_ns = moment(data, tape, found[node], program[record + R_TIME_KIND]) if node >= 0 else 0
    if slot < 0 or time_ns < 0:
        return NOT_PLAIN
    for k in range(MAX_SCALES):
        state[X_SCALES + k] = books[slot, B_SCALES + k]
    kind = program[record + R_TYPE]
    if kind != TRADE_RECORD and kind != QUOTE_RECORD:
        return int(gather(data, tape, program, found, record, slot, time_ns, changes, ops, words, texts, state))
    rows, written = (trades.shape[0], state[X_TRADES]) if kind == TRADE_RECORD else (quotes.shape[0], state[X_QUOTES])
    if written >= rows or state[X_TOUCHED] >= touched.shape[0]:
        state[X_FIELD] = kind
        state[X_SLOT] = 1
        return ROOM_WANTED
    touched[state[X_TOUCHED], 0] = slot
    if kind == TRADE_RECORD:
        status = _trade(data, tape, program, found, record, slot, time_ns, words, texts, books, trades, touched, state)
    else:
        status = _quote(data, tape, program, found, record, slot, time_ns, books, quotes, touched, state)
    if status == DONE:
        state[X_TOUCHED] += 1
    return int(status)
