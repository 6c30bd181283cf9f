"""The compiled entry points, cached on disk (NUMBA_CACHE_DIR, or beside the source) under a key that changes with any source of the kernel.

numba keys its cache by the file of the function alone; the functions it calls live in other files, and layouts come from descriptors. So the
entry points are closures over a fingerprint of all of them, which numba does put into the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from relay_service.kernel import absorb as _absorb
from relay_service.kernel import intake as _intake
from relay_service.kernel import lookup as _lookup
from relay_service.kernel import selection as _selection
from relay_service.kernel.jit import entry_point
from relay_service.kernel.state import LAYOUT_TEXT


def _fingerprint() -> str:
    """SHA-256 over the kernel's sources and the layouts compiled into them."""
    digest = hashlib.sha256(LAYOUT_TEXT.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Kernels:
    """The entry points; each compiles at its first call, or loads what an earlier process compiled."""

    intake: Callable[..., int]
    absorb: Callable[..., int]
    first_undefined: Callable[..., int]
    pass_time: Callable[..., int]
    stamp_out: Callable[..., None]
    rehash: Callable[..., None]
    note: Callable[..., None]
    divide: Callable[..., None]
    gather: Callable[..., None]
    first_seen: Callable[..., int]
    conflate: Callable[..., int]
    every_nth: Callable[..., int]


def _make(fingerprint: str) -> Kernels:
    # What they call is reached through its module: a compiled function in the closure would put a random number into the key,
    # and no process would ever find what another one compiled.
    @entry_point
    def intake(
        block: Any,
        rows: Any,
        numbers: Any,
        start: int,
        stop: int,
        kind: int,
        source_id: int,
        provenance: int,
        gap: bool,
        now_ns: int,
    ) -> int:
        _ = fingerprint
        return int(_intake.intake(block, rows, numbers, start, stop, kind, source_id, provenance, gap, now_ns))

    @entry_point
    def absorb(block: Any, rows: Any, numbers: Any, start: int, stop: int, kind: int, now_ns: int) -> int:
        _ = fingerprint
        return int(_absorb.absorb(block, rows, numbers, start, stop, kind, now_ns))

    @entry_point
    def first_undefined(block: Any, rows: Any, total: int, kind: int) -> int:
        _ = fingerprint
        return int(_absorb.first_undefined(block, rows, total, kind))

    @entry_point
    def pass_time(block: Any, place: int, now_ns: int) -> int:
        _ = fingerprint
        return int(_intake.pass_time(block, place, now_ns))

    @entry_point
    def stamp_out(block: Any, rows: Any, total: int, kind: int, now_ns: int, hop: int) -> None:
        _ = fingerprint
        _intake.stamp_out(block, rows, total, kind, now_ns, hop)

    @entry_point
    def rehash(block: Any) -> None:
        _ = fingerprint
        _lookup.rehash(block)

    @entry_point
    def note(match: Any, at: Any, near: Any) -> None:
        _ = fingerprint
        _selection.note(match, at, near)

    @entry_point
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
        _ = fingerprint
        _selection.divide(match, near, allowed, slots, others, counts, hits, ends, whole, pairs, listed, sums)

    @entry_point
    def gather(raw: Any, size: int, places: Any, out: Any) -> None:
        _ = fingerprint
        _selection.gather(raw, size, places, out)

    @entry_point
    def first_seen(slots: Any, seen: Any, out: Any) -> int:
        _ = fingerprint
        return int(_selection.first_seen(slots, seen, out))

    @entry_point
    def conflate(raw: Any, size: int, slots: Any, places: Any, held: Any, count: int) -> int:
        _ = fingerprint
        return int(_selection.conflate(raw, size, slots, places, held, count))

    @entry_point
    def every_nth(slots: Any, seen: Any, every: int, out: Any) -> int:
        _ = fingerprint
        return int(_selection.every_nth(slots, seen, every, out))

    return Kernels(
        intake,
        absorb,
        first_undefined,
        pass_time,
        stamp_out,
        rehash,
        note,
        divide,
        gather,
        first_seen,
        conflate,
        every_nth,
    )


@cache
def kernels() -> Kernels:
    """The entry points of this process."""
    return _make(_fingerprint())
