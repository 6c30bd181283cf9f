"""One pass of a batch of rows through all filters: which filter wants which rows, and what to do per listing with those it wants.

Compiled functions over plain arrays; each calls nothing outside this file, so that numba's cache on disk sees every change. A filter is one
bit in a row of 64-bit words; the row of a slot is at `slot + 1`, row 0 is for listings without a slot.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from relay_service.kernel.jit import entry_point, intrinsic


@intrinsic  # type: ignore[untyped-decorator]
def _trailing_zeros(typingctx: Any, word: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


@entry_point
def count_hits(match: Any, allowed: Any, slots: Any, others: Any, counts: Any, hits: Any) -> int:
    """How many rows each filter wants: `counts[filter]`, which comes and is left as zeros but for the filters listed in `hits`; their number is the
    result. `others`, where not empty, holds a second slot of each row: a row that matches by either is wanted once."""
    found = 0
    words = allowed.shape[0]
    rows = match.shape[0]
    paired = others.shape[0] != 0
    for k in range(slots.shape[0]):
        first = slots[k] + 1
        second = others[k] + 1 if paired else first
        if first >= rows or second >= rows:
            first = second = 0
        for w in range(words):
            bits = (match[first, w] | match[second, w]) & allowed[w]
            while bits:
                number = w * 64 + int(_trailing_zeros(bits))
                bits &= bits - types.uint64(1)
                if counts[number] == 0:
                    hits[found] = number
                    found += 1
                counts[number] += 1
    return found


@entry_point
def list_hits(match: Any, allowed: Any, slots: Any, others: Any, places: Any, out: Any) -> None:
    """The rows each filter wants, written into `out` from `places[filter]` on; each place is left behind its last row."""
    words = allowed.shape[0]
    rows = match.shape[0]
    paired = others.shape[0] != 0
    for k in range(slots.shape[0]):
        first = slots[k] + 1
        second = others[k] + 1 if paired else first
        if first >= rows or second >= rows:
            first = second = 0
        for w in range(words):
            bits = (match[first, w] | match[second, w]) & allowed[w]
            while bits:
                number = w * 64 + int(_trailing_zeros(bits))
                bits &= bits - types.uint64(1)
                out[places[number]] = k
                places[number] += 1


@entry_point
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


@entry_point
def conflate(raw: Any, size: int, slots: Any, places: Any, held: Any, count: int) -> int:
    """Keep the last row of each slot: `held` has room for `count` + all these rows, `places[slot]` is where a slot's row lies, -1 where none does.
    The result is the new count. A row without a slot replaces nothing."""
    for k in range(slots.shape[0]):
        slot = slots[k]
        place = count
        if slot >= 0 and places[slot] >= 0:
            place = places[slot]
        else:
            if slot >= 0:
                places[slot] = place
            count += 1
        source = k * size
        target = place * size
        for byte in range(size):
            held[target + byte] = raw[source + byte]
    return count


@entry_point
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
