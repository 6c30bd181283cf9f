"""A frame of JSON as a tape of tokens, and a message on it held against what it has to look like.

Only the plain part of JSON is taken: no escapes, nothing beyond ASCII, no depth beyond a bound. What is taken here msgspec takes as
well, and reads the same from it; everything else is left to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from collector_service.lane.codes import (
    ARRAY,
    FALSE,
    FIELDS,
    FRACTION,
    LEAF,
    LIST,
    MAX_DEPTH,
    MAX_NUMBER,
    N_CHILD,
    N_COUNT,
    N_KIND,
    N_NAME,
    N_NAME_SIZE,
    N_OPTIONAL,
    N_PLACE,
    N_REQUIRED,
    NODE_WIDTH,
    NULL,
    OBJECT,
    P_NODE_COUNT,
    P_NODES,
    PLACES,
    STRING,
    T_END,
    T_KEY,
    T_KEY_END,
    T_KIND,
    T_NEXT,
    T_START,
    TRUE,
    WHOLE,
)
from collector_service.lane.jit import compiled, inlined

_QUOTE = 34
_STOPS = np.ones(256, np.int8)
"""By byte: 1 where a text ends, or is no plain one."""
_STOPS[32:127] = 0
_STOPS[34] = _STOPS[92] = 1
_ONE = np.uint64(1)
_VALUE, _VALUE_OR_END, _KEY, _KEY_OR_END, _COMMA_OR_END, _NOTHING = 0, 1, 2, 3, 4, 5


@inlined
def _is_space(byte: int) -> bool:
    return byte == 32 or byte == 10 or byte == 13 or byte == 9


@inlined
def _is_digit(byte: int) -> bool:
    return 48 <= byte <= 57


@compiled
def _number(data: Any, at: int, end: int) -> tuple[int, int]:
    """(where it ends, its kind); the end is below 0 for what is no plain number."""
    start = at
    if data[at] == 45:
        at += 1
    if at >= end or not _is_digit(data[at]):
        return -1, 0
    if data[at] == 48:
        at += 1
    else:
        while at < end and _is_digit(data[at]):
            at += 1
    kind = WHOLE
    if at < end and data[at] == 46:
        kind = FRACTION
        at += 1
        if at >= end or not _is_digit(data[at]):
            return -1, 0
        while at < end and _is_digit(data[at]):
            at += 1
    if at < end and (data[at] == 101 or data[at] == 69):
        kind = FRACTION
        at += 1
        if at < end and (data[at] == 45 or data[at] == 43):
            at += 1
        if at >= end or not _is_digit(data[at]):
            return -1, 0
        while at < end and _is_digit(data[at]):
            at += 1
    # What may follow ends a value; a further digit, letter or sign makes it another number, or none.
    if at < end and not (data[at] == 44 or data[at] == 93 or data[at] == 125 or _is_space(data[at])):
        return -1, 0
    if at - start > MAX_NUMBER:
        return -1, 0
    return at, kind


@compiled
def _word(data: Any, at: int, end: int) -> tuple[int, int]:
    """(where it ends, its kind) of true, false and null."""
    if data[at] == 116 and at + 4 <= end and data[at + 1] == 114 and data[at + 2] == 117 and data[at + 3] == 101:
        return at + 4, TRUE
    if data[at] == 110 and at + 4 <= end and data[at + 1] == 117 and data[at + 2] == 108 and data[at + 3] == 108:
        return at + 4, NULL
    if (
        data[at] == 102
        and at + 5 <= end
        and data[at + 1] == 97
        and data[at + 2] == 108
        and data[at + 3] == 115
        and data[at + 4] == 101
    ):
        return at + 5, FALSE
    return -1, 0


@inlined
def _text(data: Any, at: int, end: int) -> int:
    """Where a text ends whose first character stands at a place; below 0 for one that is not plain."""
    # Unsigned, since a place that might be below 0 would be looked at for that each time.
    place, stop = np.uint64(at), np.uint64(end)
    while place < stop and not _STOPS[np.uint8(data[place])]:
        place += _ONE
    return int(np.int64(place)) if place < stop and data[place] == _QUOTE else -1


@compiled
def tokenize(data: Any, at: int, end: int, tape: Any, stack: Any) -> int:
    """How many tokens the frame has; below 0 for one that is not plain."""
    count, depth, state, inside = 0, 0, _VALUE, 0
    key, key_end = 0, 0
    room = tape.shape[0]
    while True:
        while at < end and _is_space(data[at]):
            at += 1
        if at >= end:
            return count if state == _NOTHING else -1
        byte = data[at]
        if state == _COMMA_OR_END:
            if byte == 44:
                at += 1
                state = _KEY if inside == OBJECT else _VALUE
                continue
        elif state == _KEY or state == _KEY_OR_END:
            if byte == _QUOTE:
                key = at + 1
                key_end = _text(data, key, end)
                if key_end < 0:
                    return -1
                at = key_end + 1
                while at < end and _is_space(data[at]):
                    at += 1
                if at >= end or data[at] != 58:
                    return -1
                at += 1
                state = _VALUE
                continue
            if state == _KEY or byte != 125:
                return -1
        elif state == _NOTHING:
            return -1
        elif byte != 93 or state != _VALUE_OR_END:
            # A value.
            if count >= room:
                return -1
            tape[count, T_KEY] = key
            tape[count, T_KEY_END] = key_end
            if byte == _QUOTE:
                if not depth:
                    return -1
                stop = _text(data, at + 1, end)
                if stop < 0:
                    return -1
                tape[count, T_KIND] = STRING
                tape[count, T_START] = at + 1
                tape[count, T_END] = stop
                at = stop + 1
            elif byte == 123 or byte == 91:
                if depth >= MAX_DEPTH:
                    return -1
                inside = OBJECT if byte == 123 else ARRAY
                tape[count, T_KIND] = inside
                tape[count, T_START] = at
                stack[depth] = count
                depth += 1
                count += 1
                at += 1
                state = _KEY_OR_END if byte == 123 else _VALUE_OR_END
                continue
            else:
                if not depth:
                    return -1
                stop, kind = _number(data, at, end) if byte == 45 or _is_digit(byte) else _word(data, at, end)
                if stop < 0:
                    return -1
                tape[count, T_KIND] = kind
                tape[count, T_START] = at
                tape[count, T_END] = stop
                at = stop
            count += 1
            tape[count - 1, T_NEXT] = count
            if at < end and data[at] == 44:
                at += 1
                state = _KEY if inside == OBJECT else _VALUE
            else:
                state = _COMMA_OR_END
            continue
        # The end of what is open.
        if byte != 125 and byte != 93:
            return -1
        opened = stack[depth - 1]
        if (inside == OBJECT) != (byte == 125):
            return -1
        at += 1
        depth -= 1
        if depth:
            inside = int(tape[stack[depth - 1], T_KIND])
        tape[opened, T_END] = at
        tape[opened, T_NEXT] = count
        state = _COMMA_OR_END if depth else _NOTHING


@inlined
def _is_named(data: Any, tape: Any, token: int, texts: Any, at: int, size: int) -> bool:
    start = tape[token, T_KEY]
    if tape[token, T_KEY_END] - start != size:
        return False
    for k in range(size):
        if data[start + k] != texts[at + k]:
            return False
    return True


@compiled
def match(data: Any, tape: Any, program: Any, texts: Any, found: Any, first: int, end: int, token: int) -> bool:
    """Finds the nodes `first` to `end`, of which the first is at a token, in a message. False where it does not look as it has to."""
    nodes = program[P_NODES]
    found[first] = token
    for number in range(first, end):
        node = nodes + NODE_WIDTH * number
        kind = program[node + N_KIND]
        if kind == LEAF:
            continue
        at = found[number]
        children, count = program[node + N_CHILD], program[node + N_COUNT]
        if kind != LIST:
            for k in range(count):
                found[children + k] = -1
        if at < 0:
            continue
        got = tape[at, T_KIND]
        if got == NULL and program[node + N_OPTIONAL]:
            found[number] = -1
            continue
        if kind == LIST:
            if got != ARRAY:
                return False
            found[program[P_NODE_COUNT] + number] = 0
            continue
        stop = tape[at, T_NEXT]
        member = at + 1
        if kind == FIELDS:
            if got != OBJECT:
                return False
            hint = 0
            while member < stop:
                for _ in range(count):
                    child = children + hint
                    hint = hint + 1 if hint + 1 < count else 0
                    place = nodes + NODE_WIDTH * child
                    if _is_named(data, tape, member, texts, program[place + N_NAME], program[place + N_NAME_SIZE]):
                        if found[child] >= 0:
                            return False  # told twice
                        found[child] = member
                        break
                member = tape[member, T_NEXT]
        else:
            if kind != PLACES or got != ARRAY:
                return False
            place, next_child = 0, 0
            while member < stop:
                if next_child < count and program[nodes + NODE_WIDTH * (children + next_child) + N_PLACE] == place:
                    found[children + next_child] = member
                    next_child += 1
                place += 1
                member = tape[member, T_NEXT]
            if place < program[node + N_REQUIRED]:
                return False
        for k in range(count):
            if found[children + k] < 0 and not program[nodes + NODE_WIDTH * (children + k) + N_OPTIONAL]:
                return False
    return True
