"""What a message changes in a book, gathered until the frame has been read to its end; and which messages and levels a record means."""

from __future__ import annotations

from typing import Any

from collector_service.lane.codes import (
    A_PLAIN,
    ARRAY,
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
    L_OFFSET,
    L_PAIRS,
    L_PRICE,
    L_SIDE,
    L_SIZE,
    L_TIME,
    L_TIME_KIND,
    LEVELS_WIDTH,
    MISSING,
    N_ITEM,
    N_ITEM_END,
    N_REQUIRED,
    NODE_WIDTH,
    NOT_PLAIN,
    NOWHERE,
    NULL,
    O_BEGIN,
    O_CHECKSUM,
    O_DEPTH,
    O_END,
    O_FIRST,
    O_LAST,
    O_SLOT,
    O_TIME,
    O_TYPE,
    OBJECT,
    OPS_OF_FRAME,
    P_NODE_COUNT,
    P_NODES,
    R_CHECKSUM,
    R_DEPTH,
    R_DEPTH_FIELD,
    R_DEPTH_NODE,
    R_FIRST,
    R_LATEST,
    R_LEVEL_COUNT,
    R_LEVELS,
    R_TYPE,
    S_CONSTANT,
    S_SIGN,
    T_END,
    T_KIND,
    T_NEXT,
    T_START,
    TRUE,
    V_NUMBER,
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
    X_STATUS,
)
from collector_service.lane.jit import compiled, inlined
from collector_service.lane.tokens import match
from collector_service.lane.values import (
    BAD,
    amount,
    checksum,
    digits_of,
    meaning,
    moment,
    whole,
)


@inlined
def is_there(tape: Any, token: int) -> bool:
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
        there = is_there(tape, token)
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
        data, tape, found[program[at + L_PRICE]], program[at + L_PRICE + 1], digits_of(program, at + L_PRICE, state)
    )
    gone = 0
    if program[at + L_GONE_COUNT]:
        gone = holds(data, tape, program, found, program[at + L_GONE], program[at + L_GONE_COUNT], texts)
        if gone == BAD:
            return NOT_PLAIN
    size, size_exponent = 0, 0
    if not gone:
        size, size_exponent = amount(
            data, tape, found[program[at + L_SIZE]], program[at + L_SIZE + 1], digits_of(program, at + L_SIZE, state)
        )
    if side <= 0 or price <= 0 or size == BAD or state[X_CHANGES] >= changes.shape[0] - state[X_HELD_CHANGES]:
        return NOT_PLAIN
    change = state[X_CHANGES]
    changes[change, V_SIDE] = side
    changes[change, V_PRICE] = price
    changes[change, V_PRICE_EXPONENT] = price_exponent
    changes[change, V_SIZE] = size
    changes[change, V_SIZE_EXPONENT] = size_exponent
    number = whole(data, tape, found[program[at + L_OFFSET]]) if program[at + L_OFFSET] >= 0 else 0
    if number < 0:
        return NOT_PLAIN
    changes[change, V_NUMBER] = number
    state[X_CHANGES] = change + 1
    if program[at + L_TIME_KIND] != NOWHERE:
        time_ns = moment(data, tape, found[program[at + L_TIME]], program[at + L_TIME_KIND])
        if time_ns < 0:
            return NOT_PLAIN
        state[X_FIELD] = time_ns
    return DONE


@compiled
def _pairs(data: Any, tape: Any, program: Any, at: int, required: int, opened: int, changes: Any, state: Any) -> int:
    """Levels of the commonest form into the changes: arrays that begin with price and size, and their time perhaps, the latest of which goes into
    X_FIELD."""
    side, change = program[at + L_SIDE + 2], state[X_CHANGES]
    room = changes.shape[0] - state[X_HELD_CHANGES]
    item, stop, latest = opened + 1, tape[opened, T_NEXT], 0
    while item < stop:
        following = tape[item, T_NEXT]
        if tape[item, T_KIND] != ARRAY or following - item < 3 or change >= room:
            return NOT_PLAIN
        second = tape[item + 1, T_NEXT]
        if second >= following:
            return NOT_PLAIN
        if required > 2:
            count, member = 0, item + 1
            while member < following:
                count += 1
                member = tape[member, T_NEXT]
            if count < required:
                return NOT_PLAIN
        price, price_exponent = amount(data, tape, item + 1, A_PLAIN, 0)
        size, size_exponent = amount(data, tape, second, A_PLAIN, 0)
        if price <= 0 or size == BAD:
            return NOT_PLAIN
        if program[at + L_TIME_KIND] != NOWHERE:
            third = tape[second, T_NEXT]
            time_ns = moment(data, tape, third, program[at + L_TIME_KIND]) if third < following else BAD
            if time_ns < 0:
                return NOT_PLAIN
            latest = max(latest, time_ns)
        one = changes[change]
        one[V_SIDE] = side
        one[V_PRICE] = price
        one[V_PRICE_EXPONENT] = price_exponent
        one[V_SIZE] = size
        one[V_SIZE_EXPONENT] = size_exponent
        one[V_NUMBER] = 0
        change += 1
        item = following
    state[X_CHANGES] = change
    state[X_FIELD] = latest
    return DONE


@compiled
def gather(
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
        if program[at + L_PAIRS]:
            required = program[nodes + NODE_WIDTH * program[nodes + NODE_WIDTH * number + N_ITEM] + N_REQUIRED]
            if _pairs(data, tape, program, at, required, token, changes, state) != DONE:
                return NOT_PLAIN
            latest = max(latest, state[X_FIELD])
            continue
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
        if not is_there(tape, token):
            return NOT_PLAIN
        op[O_DEPTH] = meaning(data, tape, token, program[record + R_DEPTH_FIELD], words, texts, state)
        if op[O_DEPTH] == MISSING:
            return int(state[X_STATUS])
    state[X_OPS] += 1
    return DONE
