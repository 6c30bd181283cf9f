"""The records of a message: trades and quotes are written, what changes books is gathered until the frame has been read to its end."""

from __future__ import annotations

from typing import Any

from alphapulse.domain.provenance import RecordFlag
from collector_service.lane.codes import (
    A_NONE,
    B_KEY,
    D_CONSTANT,
    D_FIELD,
    DONE,
    FALSE,
    G_HAVING,
    G_LACKING,
    G_WHERE,
    GUARD_WIDTH,
    ITSELF,
    L_GONE,
    L_GONE_COUNT,
    L_GUARD_COUNT,
    L_GUARDS,
    L_LIST,
    L_PRICE,
    L_SIDE,
    L_SIZE,
    L_TIME,
    L_TIME_KIND,
    LEVELS_WIDTH,
    MISSING,
    N_ITEM,
    N_ITEM_END,
    NODE_WIDTH,
    NOT_PLAIN,
    NOWHERE,
    NULL,
    OBJECT,
    O_BEGIN,
    O_CHECKSUM,
    O_DEPTH,
    O_END,
    O_FIRST,
    O_LAST,
    O_SLOT,
    O_TIME,
    O_TYPE,
    OPS_OF_FRAME,
    P_NODE_COUNT,
    P_NODES,
    QUOTE_RECORD,
    R_ASK,
    R_ASK_SIZE,
    R_BID,
    R_BID_SIZE,
    R_CHECKSUM,
    R_DEPTH,
    R_DEPTH_FIELD,
    R_DEPTH_NODE,
    R_FIRST,
    R_GUARD_COUNT,
    R_GUARDS,
    R_ID,
    R_ID_FIELD,
    R_LATEST,
    R_LEVEL_COUNT,
    R_LEVELS,
    R_PRICE,
    R_SIDE,
    R_SIZE,
    R_SYMBOL,
    R_SYMBOL_FIELD,
    R_TIME,
    R_TIME_KIND,
    R_TYPE,
    ROOM_WANTED,
    S_CONSTANT,
    S_SIGN,
    STRING,
    T_END,
    T_KIND,
    T_NEXT,
    T_START,
    TRADE_RECORD,
    TRUE,
    V_PRICE,
    V_PRICE_EXPONENT,
    V_SIDE,
    V_SIZE,
    V_SIZE_EXPONENT,
    WHOLE,
    X_CHANGES,
    X_FIELD,
    X_HELD_CHANGES,
    X_OPS,
    X_PROVENANCE,
    X_QUOTES,
    X_SLOT,
    X_SOURCE,
    X_STATUS,
    X_TIME,
    X_TOUCHED,
    X_TRADES,
)
from collector_service.lane.jit import compiled, inlined
from collector_service.lane.tokens import match
from collector_service.lane.values import BAD, amount, checksum, identity, meaning, moment, power, whole

_SIZE_ABSENT = int(RecordFlag.SIZE_ABSENT)
_CROSSED = int(RecordFlag.CROSSED)
_BID_ABSENT = int(RecordFlag.BID_ABSENT)
_ASK_ABSENT = int(RecordFlag.ASK_ABSENT)
_BID_SIZE_ABSENT = int(RecordFlag.BID_SIZE_ABSENT)
_ASK_SIZE_ABSENT = int(RecordFlag.ASK_SIZE_ABSENT)
_MAX = 2**63 - 1


@inlined
def _is_there(tape: Any, token: int) -> bool:
    return token >= 0 and tape[token, T_KIND] != NULL


@compiled
def _is_one_of(data: Any, tape: Any, token: int, program: Any, at: int, count: int, texts: Any) -> bool:
    """Whether one of the words stands at a token."""
    kind, start, size = tape[token, T_KIND], tape[token, T_START], tape[token, T_END] - tape[token, T_START]
    for k in range(count):
        word = at + 3 * k
        if program[word] != kind:
            continue
        if kind == TRUE or kind == FALSE:
            return True
        if program[word + 2] != size:
            continue
        same = True
        for place in range(size):
            if data[start + place] != texts[program[word + 1] + place]:
                same = False
                break
        if same:
            return True
    return False


@compiled
def holds(data: Any, tape: Any, program: Any, found: Any, at: int, count: int, texts: Any) -> int:
    """1 where a record is meant, 0 where not, BAD where the ordinary path has to look."""
    for k in range(count):
        guard = at + GUARD_WIDTH * k
        kind, token = program[guard], found[program[guard + 1]]
        there = _is_there(tape, token)
        if kind == G_HAVING or kind == G_LACKING:
            if there != (kind == G_HAVING):
                return 0
            continue
        said = False
        if there:
            got = tape[token, T_KIND]
            if got >= OBJECT or (got == WHOLE and data[tape[token, T_START]] == 45):
                return BAD
            said = _is_one_of(data, tape, token, program, program[guard + 2], program[guard + 3], texts)
        if said != (kind == G_WHERE):
            return 0
    return 1


@compiled
def side_at(data: Any, tape: Any, program: Any, found: Any, at: int, words: Any, texts: Any, state: Any) -> int:
    """1 buy or bid, 2 sell or ask, 0 not told; MISSING where a word has to be looked up first, BAD for what is no side."""
    form = program[at]
    if form == S_CONSTANT:
        return int(program[at + 2])
    token = found[program[at + 1]]
    if token < 0 or tape[token, T_KIND] == NULL:
        return BAD
    if form == S_SIGN:
        start, end = tape[token, T_START], tape[token, T_END]
        if tape[token, T_KIND] > 3 or start == end:
            return BAD
        if tape[token, T_KIND] == WHOLE and end - start == 2 and data[start + 1] == 48:
            return 1  # -0
        return 2 if data[start] == 45 else 1
    return int(meaning(data, tape, token, program[at + 2], words, texts, state))


@compiled
def _symbol(
    data: Any, tape: Any, program: Any, found: Any, record: int, asked: int, words: Any, texts: Any, state: Any
) -> int:
    if program[record + R_SYMBOL] < 0:
        return asked
    token = found[program[record + R_SYMBOL]]
    if token < 0 or tape[token, T_KIND] == NULL:
        return BAD
    return int(meaning(data, tape, token, program[record + R_SYMBOL_FIELD], words, texts, state))


@compiled
def _trade(
    data: Any, tape: Any, program: Any, found: Any, record: int, slot: int, time_ns: int, words: Any, texts: Any,
    books: Any, rows: Any, touched: Any, state: Any,
) -> int:  # fmt: skip
    price, price_exponent = amount(
        data, tape, found[program[record + R_PRICE]], program[record + R_PRICE + 1], program[record + R_PRICE + 2]
    )
    size, size_exponent, flags = 0, 0, state[X_PROVENANCE]
    if program[record + R_SIZE + 1] == A_NONE:
        flags |= _SIZE_ABSENT
    else:
        size, size_exponent = amount(
            data, tape, found[program[record + R_SIZE]], program[record + R_SIZE + 1], program[record + R_SIZE + 2]
        )
    if price <= 0 or size == BAD:
        return NOT_PLAIN
    number = 0
    if program[record + R_ID] >= 0:
        token = found[program[record + R_ID]]
        if program[record + R_ID_FIELD] >= 0:
            if not _is_there(tape, token):
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
def _level(
    data: Any, tape: Any, program: Any, found: Any, at: int, changes: Any, words: Any, texts: Any, state: Any
) -> int:
    """One level into the changes. Its time goes into X_FIELD."""
    said = holds(data, tape, program, found, program[at + L_GUARDS], program[at + L_GUARD_COUNT], texts)
    if said == BAD:
        return NOT_PLAIN
    state[X_FIELD] = 0
    if not said:
        return DONE
    side = side_at(data, tape, program, found, at + L_SIDE, words, texts, state)
    if side == MISSING:
        return int(state[X_STATUS])
    price, price_exponent = amount(
        data, tape, found[program[at + L_PRICE]], program[at + L_PRICE + 1], program[at + L_PRICE + 2]
    )
    gone = 0
    if program[at + L_GONE_COUNT]:
        gone = holds(data, tape, program, found, program[at + L_GONE], program[at + L_GONE_COUNT], texts)
        if gone == BAD:
            return NOT_PLAIN
    size, size_exponent = 0, 0
    if not gone:
        size, size_exponent = amount(
            data, tape, found[program[at + L_SIZE]], program[at + L_SIZE + 1], program[at + L_SIZE + 2]
        )
    if side <= 0 or price <= 0 or size == BAD or state[X_CHANGES] >= changes.shape[0] - state[X_HELD_CHANGES]:
        return NOT_PLAIN
    change = state[X_CHANGES]
    changes[change, V_SIDE] = side
    changes[change, V_PRICE] = price
    changes[change, V_PRICE_EXPONENT] = price_exponent
    changes[change, V_SIZE] = size
    changes[change, V_SIZE_EXPONENT] = size_exponent
    state[X_CHANGES] = change + 1
    if program[at + L_TIME_KIND] != NOWHERE:
        time_ns = moment(data, tape, found[program[at + L_TIME]], program[at + L_TIME_KIND])
        if time_ns < 0:
            return NOT_PLAIN
        state[X_FIELD] = time_ns
    return DONE


@compiled
def _book(
    data: Any, tape: Any, program: Any, found: Any, record: int, slot: int, time_ns: int, changes: Any, ops: Any,
    words: Any, texts: Any, state: Any,
) -> int:  # fmt: skip
    if state[X_OPS] >= OPS_OF_FRAME:
        return NOT_PLAIN
    op = ops[state[X_OPS]]
    op[O_BEGIN] = state[X_CHANGES]
    latest = 0
    nodes = program[P_NODES]
    for k in range(program[record + R_LEVEL_COUNT]):
        at = program[record + R_LEVELS] + LEVELS_WIDTH * k
        number = program[at + L_LIST]
        if number == ITSELF:
            status = _level(data, tape, program, found, at, changes, words, texts, state)
            if status != DONE:
                return status
            latest = max(latest, state[X_FIELD])
            continue
        token = found[number]
        if token < 0:
            continue
        found[program[P_NODE_COUNT] + number] = 1
        first, end = program[nodes + NODE_WIDTH * number + N_ITEM], program[nodes + NODE_WIDTH * number + N_ITEM_END]
        item, stop = token + 1, tape[token, T_NEXT]
        while item < stop:
            if not match(data, tape, program, texts, found, first, end, item):
                return NOT_PLAIN
            status = _level(data, tape, program, found, at, changes, words, texts, state)
            if status != DONE:
                return status
            latest = max(latest, state[X_FIELD])
            item = tape[item, T_NEXT]
    op[O_END] = state[X_CHANGES]
    op[O_SLOT] = slot
    op[O_TYPE] = program[record + R_TYPE]
    op[O_TIME] = latest if program[record + R_LATEST] else time_ns
    for k in range(3):
        node = program[record + R_FIRST + k]
        number = whole(data, tape, found[node]) if node >= 0 else 0
        if number < 0:
            return NOT_PLAIN
        op[O_FIRST + k] = number
    if not op[O_FIRST]:
        op[O_FIRST] = op[O_LAST]
    op[O_CHECKSUM] = -2
    if program[record + R_CHECKSUM] >= 0:
        op[O_CHECKSUM] = checksum(data, tape, found[program[record + R_CHECKSUM]])
        if op[O_CHECKSUM] == BAD:
            return NOT_PLAIN
    op[O_DEPTH] = -1
    if program[record + R_DEPTH] == D_CONSTANT:
        op[O_DEPTH] = program[record + R_DEPTH_FIELD]
    elif program[record + R_DEPTH] == D_FIELD:
        token = found[program[record + R_DEPTH_NODE]]
        if not _is_there(tape, token):
            return NOT_PLAIN
        op[O_DEPTH] = meaning(data, tape, token, program[record + R_DEPTH_FIELD], words, texts, state)
        if op[O_DEPTH] == MISSING:
            return int(state[X_STATUS])
    state[X_OPS] += 1
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
    kind = program[record + R_TYPE]
    if kind != TRADE_RECORD and kind != QUOTE_RECORD:
        return int(
            _book(data, tape, program, found, record, slot, time_ns, changes, ops, words, texts, state)
        )
    rows, written = (trades.shape[0], state[X_TRADES]) if kind == TRADE_RECORD else (quotes.shape[0], state[X_QUOTES])
    if written >= rows or state[X_TOUCHED] >= touched.shape[0]:
        state[X_FIELD] = kind
        state[X_SLOT] = 1
        return ROOM_WANTED
    touched[state[X_TOUCHED], 0] = slot
    if kind == TRADE_RECORD:
        status = _trade(
            data, tape, program, found, record, slot, time_ns, words, texts, books, trades, touched, state
        )
    else:
        status = _quote(data, tape, program, found, record, slot, time_ns, books, quotes, touched, state)
    if status == DONE:
        state[X_TOUCHED] += 1
    return int(status)
