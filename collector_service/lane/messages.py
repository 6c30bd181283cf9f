"""A frame from its first byte to the last row: what kind of message it is, its records, and what it changes in books."""

from __future__ import annotations

from typing import Any

from collector_service.lane.codes import (
    ARRAY,
    B_HEARD,
    B_TRADE,
    BOOK_WANTED,
    DONE,
    F_SIZE,
    F_TIME,
    K_BY_PLACE,
    K_COUNT,
    K_HAS,
    K_LISTED,
    K_NESTED,
    K_PARTS,
    KIND_WIDTH,
    LEVELS_WANTED,
    LIST,
    MISSING,
    N_ITEM,
    N_ITEM_END,
    N_KIND,
    NODE_WIDTH,
    NOT_PLAIN,
    NULL,
    NUMBERS_WANTED,
    ORDINARY,
    P_BY_NAME,
    P_BY_NAME_END,
    P_BY_PLACE,
    P_BY_PLACE_END,
    P_COMBINED,
    P_KIND_COUNT,
    P_KINDS,
    P_MANY,
    P_NODE_COUNT,
    P_NODES,
    P_ROUTES,
    R_EACH,
    R_EACH_BACKWARDS,
    R_LIST_COUNT,
    R_LISTS,
    RECORD_WIDTH,
    ROUTE_COUNT,
    ROUTE_END,
    ROUTE_FIRST,
    ROUTE_LIST_COUNT,
    ROUTE_LISTS,
    ROUTE_RECORDS,
    ROUTE_WIDTH,
    SILENT,
    T_KIND,
    T_NEXT,
    T_START,
    X_ASKED,
    X_CHANGES,
    X_HAD_QUOTES,
    X_HAD_TRADES,
    X_LEVELS,
    X_OPS,
    X_QUOTES,
    X_RESUMES,
    X_ROUTE,
    X_STATUS,
    X_TIME,
    X_TOUCHED,
    X_TRADES,
)
from collector_service.lane.jit import compiled
from collector_service.lane.machines import carry_out, touch
from collector_service.lane.records import write
from collector_service.lane.tokens import match, tokenize
from collector_service.lane.values import look_up, meaning
from collector_service.lane.verdicts import check


@compiled
def _kind(
    data: Any, tape: Any, program: Any, texts: Any, found: Any, token: int, words: Any, spelled: Any, state: Any
) -> int:
    """The route of a message, SILENT, MISSING, or -1 for the ordinary path. `spelled` takes the words of a kind, two bytes each."""
    by_place = 1 if tape[token, T_KIND] == ARRAY else 0
    first, end = program[P_BY_NAME], program[P_BY_NAME_END]
    if by_place:
        first, end = program[P_BY_PLACE], program[P_BY_PLACE_END]
    if first == end or not match(data, tape, program, texts, found, first, end, token):
        return -1
    for number in range(program[P_KIND_COUNT]):
        kind = program[P_KINDS] + KIND_WIDTH * number
        if program[kind + K_BY_PLACE] != by_place:
            continue
        size = 0
        for k in range(program[kind + K_COUNT]):
            part = kind + K_PARTS + 3 * k
            form, node, said = program[part], found[program[part + 1]], 0
            if form == K_HAS:
                said = program[part + 2] if node >= 0 and tape[node, T_KIND] != NULL else 0
            elif form == K_LISTED:
                said = program[part + 2] if node >= 0 and tape[node, T_KIND] == ARRAY else 0
            elif form == K_NESTED:
                if node >= 0 and tape[node, T_KIND] == ARRAY:
                    opening = data[tape[node, T_START] + 1]
                    said = program[part + 2] if opening == 91 or opening == 93 else 0
            elif node >= 0 and tape[node, T_KIND] < 7 and tape[node, T_KIND] != NULL:
                said = meaning(data, tape, node, program[part + 2], words, texts, state)
                if said == MISSING:
                    return MISSING
            if not said:
                if not k:
                    break
                continue
            spelled[size] = said & 127
            spelled[size + 1] = said >> 7
            size += 2
        if size:
            return int(look_up(spelled, 0, size, program[P_COMBINED], words, texts, state))
    return -1


@compiled
def _rest(data: Any, tape: Any, program: Any, texts: Any, found: Any, lists: int, count: int) -> bool:
    """Whether lists that no record read look as they have to."""
    nodes = program[P_NODES]
    for k in range(count):
        number = program[lists + k]
        token = found[number]
        if token < 0 or found[program[P_NODE_COUNT] + number]:
            continue
        node = nodes + NODE_WIDTH * number
        first, end = program[node + N_ITEM], program[node + N_ITEM_END]
        item, stop = token + 1, tape[token, T_NEXT]
        while item < stop:
            if not match(data, tape, program, texts, found, first, end, item):
                return False
            for inner in range(first, end):
                if program[nodes + NODE_WIDTH * inner + N_KIND] == LIST:
                    return False  # deeper than is looked at here
            item = tape[item, T_NEXT]
    return True


@compiled
def _message(
    data: Any, tape: Any, token: int, route: int, asked: int, program: Any, texts: Any, words: Any, found: Any,
    stack: Any, changes: Any, ops: Any, books: Any, trades: Any, quotes: Any, touched: Any, state: Any,
) -> int:  # fmt: skip
    """The records of a message of a known route."""
    at = program[P_ROUTES] + ROUTE_WIDTH * route
    first, end = program[at + ROUTE_FIRST], program[at + ROUTE_END]
    if first == end or not match(data, tape, program, texts, found, first, end, token):
        return NOT_PLAIN
    nodes = program[P_NODES]
    for k in range(program[at + ROUTE_COUNT]):
        record = program[at + ROUTE_RECORDS] + RECORD_WIDTH * k
        each = program[record + R_EACH]
        if each < 0:
            status = write(
                data, tape, program, found, record, asked, changes, ops, words, texts, books, trades, quotes, touched, state,
            )  # fmt: skip
            if status != DONE:
                return int(status)
            continue
        opened = found[each]
        if opened < 0:
            continue
        found[program[P_NODE_COUNT] + each] = 1
        node = nodes + NODE_WIDTH * each
        item_first, item_end = program[node + N_ITEM], program[node + N_ITEM_END]
        item, stop, count = opened + 1, tape[opened, T_NEXT], 0
        backwards = program[record + R_EACH_BACKWARDS]
        if backwards:
            while item < stop:
                if count >= stack.shape[0]:
                    return NOT_PLAIN
                stack[count] = item
                count += 1
                item = tape[item, T_NEXT]
        while item < stop or count:
            one = item
            if backwards:
                count -= 1
                one = stack[count]
            else:
                item = tape[item, T_NEXT]
            if not match(data, tape, program, texts, found, item_first, item_end, one):
                return NOT_PLAIN
            status = write(
                data, tape, program, found, record, asked, changes, ops, words, texts, books, trades, quotes, touched, state,
            )  # fmt: skip
            if status != DONE:
                return int(status)
            if not _rest(data, tape, program, texts, found, program[record + R_LISTS], program[record + R_LIST_COUNT]):
                return NOT_PLAIN
    if not _rest(data, tape, program, texts, found, program[at + ROUTE_LISTS], program[at + ROUTE_LIST_COUNT]):
        return NOT_PLAIN
    return DONE


@compiled
def _read(
    data: Any, begin: int, end: int, program: Any, texts: Any, words: Any, tape: Any, found: Any, stack: Any, spelled: Any,
    changes: Any, ops: Any, books: Any, trades: Any, quotes: Any, touched: Any, state: Any,
) -> int:  # fmt: skip
    """Everything of a frame but what it does to books."""
    count = tokenize(data, begin, end, tape, stack)
    if count <= 0:
        return NOT_PLAIN
    if state[X_ASKED] >= 0:
        return int(_message(
            data, tape, 0, state[X_ROUTE], state[X_ASKED], program, texts, words, found, stack, changes, ops, books, trades,
            quotes, touched, state,
        ))  # fmt: skip
    token, stop = 0, 1
    if program[P_MANY]:
        if tape[0, T_KIND] != ARRAY:
            return NOT_PLAIN
        token, stop = 1, tape[0, T_NEXT]
    while token < stop:
        if tape[token, T_KIND] < 7:
            return NOT_PLAIN
        route = _kind(data, tape, program, texts, found, token, words, spelled, state)
        if route == MISSING:
            return int(state[X_STATUS])
        if route < 0 or route == ORDINARY:
            return NOT_PLAIN
        if route != SILENT:
            status = _message(
                data, tape, token, route, -1, program, texts, words, found, stack, changes, ops, books, trades, quotes,
                touched, state,
            )  # fmt: skip
            if status != DONE:
                return int(status)
        token = tape[token, T_NEXT] if program[P_MANY] else stop
    return DONE


@compiled
def run(
    data: Any, frames: Any, first: int, end: int, program: Any, texts: Any, words: Any, tape: Any, found: Any, stack: Any,
    spelled: Any, changes: Any, ops: Any, books: Any, keys: Any, sizes: Any, exponents: Any, numbers: Any, trades: Any,
    quotes: Any, levels: Any, touched: Any, dirty: Any, state: Any,
) -> int:  # fmt: skip
    """Decodes frames `first` to `end`; answers where it stopped, X_STATUS says why. Of the frame it stopped at nothing is left, unless X_RESUMES
    says that it goes on there."""
    at = 0
    for number in range(first):
        at += frames[F_SIZE, number]
    for number in range(first, end):
        begin, at = at, at + frames[F_SIZE, number]
        status = DONE
        if state[X_RESUMES]:
            state[X_RESUMES] = 0
        else:
            state[X_HAD_TRADES], state[X_HAD_QUOTES] = state[X_TRADES], state[X_QUOTES]
            state[X_TIME] = frames[F_TIME, number]
            state[X_CHANGES] = 0
            state[X_OPS] = 0
            state[X_TOUCHED] = 0
            status = _read(
                data, begin, at, program, texts, words, tape, found, stack, spelled, changes, ops, books, trades, quotes,
                touched, state,
            )  # fmt: skip
        had_levels = state[X_LEVELS]
        if status == DONE and state[X_OPS]:
            status = check(books, keys, changes, numbers, ops, levels, state)
            if status == BOOK_WANTED or status == LEVELS_WANTED or status == NUMBERS_WANTED:
                state[X_STATUS] = status
                state[X_RESUMES] = 1
                return number
            if status == DONE:
                for k in range(state[X_OPS]):
                    status = carry_out(
                        books, keys, sizes, exponents, changes, numbers, ops, k, levels, dirty, spelled, state
                    )
                    if status != DONE:
                        break
        if status != DONE:
            state[X_STATUS] = status
            state[X_TRADES], state[X_QUOTES], state[X_LEVELS] = state[X_HAD_TRADES], state[X_HAD_QUOTES], had_levels
            return number
        for k in range(state[X_TOUCHED]):
            slot = touched[k, 0]
            book = books[slot]
            book[B_HEARD] = 1
            book[B_TRADE] = max(book[B_TRADE], touched[k, 1] + 1)
            touch(book, slot, dirty, state)
    state[X_STATUS] = DONE
    return end
