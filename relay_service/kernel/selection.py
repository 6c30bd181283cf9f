"""One pass of a batch of rows through all filters: which filter wants which rows, and what to do per listing with those it wants.

Functions over plain arrays. A filter is one bit in a row of 64-bit words (`match`); the row of a slot is at `slot + 1`, row 0 is for listings without
a slot. Beside each row stands a word (`near`) with the numbers of its bits, where they are few: see `note`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from relay_service.kernel.jit import compiled
from relay_service.kernel.memory import copy_bytes, prefetch, trailing_zeros
from relay_service.kernel.tables import LINE

PAIRS: Final = 0
"""Place in the sums of `divide`: wanted rows, over all filters."""
PARTED: Final = 1
"""How many filters want some of the rows."""
WHOLE: Final = 2
"""How many want them all."""
SUMS: Final = 3

_AHEAD: Final = 12
"""Rows between the one that is looked at and the one whose words are fetched."""
_BITS: Final = 64
_SHIFT: Final = 6
_ONE: Final = np.uint64(1)
NEAR_BITS: Final = 16
"""Of a filter's number, plus one, in the word beside a row of `match`; there is room for four."""
MANY: Final = np.uint64(2**64 - 1)
"""What stands there instead where there are more."""
_NEAR: Final = 64 // NEAR_BITS
_MOST: Final = 2**NEAR_BITS - 1
_SPREAD_SHIFT: Final = 32
_SPREAD: Final = 1 << _SPREAD_SHIFT
"""A pair is the place of the row times this, and the number of the filter."""


@compiled
def note(match: Any, at: Any, near: Any) -> None:
    """Write beside each of these rows of `match` which filters its bits are: of a thousand filters that is a sixteenth of the memory to wait for."""
    for k in range(at.shape[0]):
        packed, count = np.uint64(0), 0
        for w in range(match.shape[1]):
            bits = match[at[k], w]
            while bits:
                number = w * _BITS + trailing_zeros(bits)
                bits &= bits - _ONE
                if count == _NEAR or number >= _MOST:
                    packed, bits = MANY, np.uint64(0)
                    count = _NEAR + 1
                elif count < _NEAR:
                    packed |= np.uint64(number + 1) << np.uint64(count * NEAR_BITS)
                    count += 1
        near[at[k]] = packed


@compiled
def look_up(match: Any, near: Any, slots: Any, k: int) -> None:
    """Fetch what says which filters want the rows behind row `k`: of many listings it lies outside of the caches."""
    if k + _AHEAD < slots.shape[0]:
        prefetch(near.ctypes.data + 8 * (slots[k + _AHEAD] + 1))
    if 0 <= k + _AHEAD // 2 < slots.shape[0]:
        at = slots[k + _AHEAD // 2] + 1
        if at < near.shape[0] and near[at] == MANY:
            for offset in range(0, 8 * match.shape[1], LINE):
                prefetch(match.ctypes.data + 8 * match.shape[1] * at + offset)


@compiled
def want(number: int, k: int, found: int, wanted: int, counts: Any, hits: Any, pairs: Any) -> tuple[int, int]:
    """A filter wants row `k`: what `pair` returns, so far."""
    if counts[number] == 0:
        hits[found] = number
        found += 1
    counts[number] += 1
    if wanted < pairs.shape[0]:
        pairs[wanted] = k * _SPREAD + number
    return found, wanted + 1


@compiled
def pair(
    match: Any, near: Any, allowed: Any, slots: Any, others: Any, counts: Any, hits: Any, pairs: Any
) -> tuple[int, int]:
    """(filters, rows) that are wanted: each filter once in `hits`, how many rows it wants in `counts`, and every (row, filter) in `pairs` as far as
    they go. `counts` comes as zeros."""
    found, wanted = 0, 0
    for k in range(-_AHEAD, 0):
        look_up(match, near, slots, k)
    for k in range(slots.shape[0]):
        look_up(match, near, slots, k)
        first = slots[k] + 1
        second = others[k] + 1 if others.shape[0] != 0 else first
        if first >= match.shape[0] or second >= match.shape[0]:  # a slot that is not known yet
            first = second = 0
        packed = near[first]
        if first == second and packed != MANY:
            while packed:
                number = int(packed & np.uint64(_MOST)) - 1
                packed >>= np.uint64(NEAR_BITS)
                if allowed[number >> _SHIFT] >> np.uint64(number & _BITS - 1) & _ONE:
                    found, wanted = want(number, k, found, wanted, counts, hits, pairs)
            continue
        for w in range(allowed.shape[0]):
            bits = (match[first, w] | match[second, w]) & allowed[w]
            while bits:
                number = w * _BITS + trailing_zeros(bits)
                bits &= bits - _ONE
                found, wanted = want(number, k, found, wanted, counts, hits, pairs)
    return found, wanted


@compiled
def divide(
    match: Any,
    near: Any,
    allowed: Any,
    slots: Any,
    others: Any,
    counts: Any,
    hits: Any,
    ends: Any,
    whole: Any,
    pairs: Any,
    listed: Any,
    sums: Any,
) -> None:
    """Divide rows among filters.

    `hits` gets the filters that want some of the rows, `ends` beside each where its rows end in `listed`, which has their places filter by filter,
    ascending; `whole` gets the filters that want all of them. `sums` says how many there are of each. `counts` comes and is left as zeros. Where
    `sums[PAIRS]` is more than `pairs` or `listed` hold, make room and call again. `others`, where not empty, holds a second slot of each row: a row
    that matches by either is wanted once."""
    total = slots.shape[0]
    found, wanted = pair(match, near, allowed, slots, others, counts, hits, pairs)
    sums[PAIRS] = wanted
    parted, all_of_them, at = 0, 0, 0
    fits = wanted <= pairs.shape[0]
    for k in range(found):
        number = hits[k]
        count = counts[number]
        counts[number] = 0
        if count == total:
            whole[all_of_them] = number
            all_of_them += 1
            continue
        if fits:
            counts[number] = at + 1  # from here on where its next row goes, plus one
        hits[parted] = number
        at += count
        ends[parted] = at
        parted += 1
    sums[PARTED], sums[WHOLE] = parted, all_of_them
    if not fits or parted == 0:
        return
    for k in range(wanted):
        number = pairs[k] & (_SPREAD - 1)
        place = counts[number]
        if place != 0:
            listed[place - 1] = pairs[k] >> _SPREAD_SHIFT
            counts[number] = place + 1
    for k in range(parted):
        counts[hits[k]] = 0


@compiled
def gather(raw: Any, size: int, places: Any, out: Any) -> None:
    """The rows at these places, one behind the other."""
    source, target = raw.ctypes.data, out.ctypes.data
    for k in range(places.shape[0]):
        copy_bytes(target + k * size, source + places[k] * size, size)


@compiled
def first_seen(slots: Any, seen: Any, out: Any) -> int:
    """The slots whose `seen` is 0, each once, into `out`; they are marked. The result is their number."""
    found = 0
    for k in range(slots.shape[0]):
        slot = slots[k]
        if slot >= 0 and seen[slot] == 0:
            seen[slot] = 1
            out[found] = slot
            found += 1
    return found


@compiled
def conflate(raw: Any, size: int, slots: Any, places: Any, held: Any, count: int) -> int:
    """Keep the last row of each slot: `held` has room for `count` + all these rows, `places[slot]` is where a slot's row lies, -1 where none does.
    The result is the new count. A row without a slot replaces nothing."""
    source, target = raw.ctypes.data, held.ctypes.data
    for k in range(slots.shape[0]):
        slot = slots[k]
        place = count
        if slot >= 0 and places[slot] >= 0:
            place = places[slot]
        else:
            if slot >= 0:
                places[slot] = place
            count += 1
        copy_bytes(target + place * size, source + k * size, size)
    return count


@compiled
def every_nth(slots: Any, seen: Any, every: int, out: Any) -> int:
    """The rows that are the first, n+1st, 2n+1st ... of their slot, into `out`; `seen[slot + 1]` counts on, modulo n. The result is their number."""
    found = 0
    for k in range(slots.shape[0]):
        place = slots[k] + 1
        if seen[place] == 0:
            out[found] = k
            found += 1
        seen[place] += 1
        if seen[place] >= every:
            seen[place] = 0
    return found
