"""Processor time of the relay's core for an event: stamped, looked up, marked, kept, compared across venues, and matched with a thousand filters."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numba
import numpy as np
import numpy.typing as npt
from harness import Metric, Options, main, say
from kernel_intake import build, frame

from alphapulse.records import QUOTE, Rows
from relay_service.core import RelayCore
from relay_service.subscriptions.index import FilterIndex
from relay_service.subscriptions.wanted import Filter

LISTINGS: Final = 300_000
FEW: Final = 10_000
MANY: Final = 1_000_000
FILTERS: Final = 1_000
OVERLAP: Final = 0.1
FRAME_ROWS: Final = 500
_NOW_NS: Final = 1_000


class _Run:
    """Wants the listings from one slot to another: what a filter by listing keys comes to, without looking for a million keys a thousand times."""

    takes_unslotted = False
    looks_at_venues = False

    def __init__(self, wanted: Filter, first: int, stop: int) -> None:
        self.wanted = wanted
        self._first, self._stop = first, stop

    def mask(self, slots: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """One truth value a slot."""
        return (slots >= self._first) & (slots < self._stop)


def _index(core: RelayCore, listings: int, filters: int) -> FilterIndex:
    """Filters that want as many listings each, a tenth of them wanted by the next one too."""
    share = listings / filters

    def compiled(wanted: Filter) -> Any:
        number = min(wanted.listing_keys)
        return _Run(wanted, int(number * share), int((number + 1 + OVERLAP) * share))

    index = FilterIndex(cast(Any, compiled), lambda: core.slots.count)
    for number in range(filters):
        index.acquire(Filter(listing_keys=frozenset({number})))
    return index


@dataclass(slots=True)
class _Bench:
    """A core, its filters, and frames that lie in no cache."""

    core: RelayCore
    index: FilterIndex
    frames: list[Rows]

    def round(self) -> float:
        """Nanoseconds an event."""
        core, index = self.core, self.index
        source, _ = core.sources.claim("BENCH", 1, 1)
        return _timed(self.frames, lambda rows: self._take(core, index, source, rows))

    @staticmethod
    def _take(core: RelayCore, index: FilterIndex, source: Any, rows: Rows) -> None:
        result = core.accept(source, QUOTE.event_type, rows, source.next_sequence, _NOW_NS)
        for group in result.groups:
            index.select(group, result.source)


def _timed(frames: list[Rows], take: Callable[[Rows], None]) -> float:
    """Processor time and not the clock's: whoever else runs on the machine takes his share of the latter."""
    begin = time.thread_time_ns()
    for rows in frames:
        take(rows)
    return (time.thread_time_ns() - begin) / sum(map(len, frames))


def _bench(options: Options, listings: int, active: int) -> _Bench:
    """`active`: how many of the listings have events."""
    say(f"{listings} listings, {active} of them active ...")
    core, keys = build(listings)
    index = _index(core, listings, options.pick(FILTERS, 20))
    count = options.pick(400, 4)
    bench = _Bench(core, index, [frame(keys, FRAME_ROWS, active, seed) for seed in range(count)])
    bench.round()
    return bench


@numba.njit
def _copy(raw: Any, size: int, out: Any) -> int:
    count = 0
    for start in range(0, raw.shape[0], size):
        out[start : start + size] = raw[start : start + size]
        count += 1
    return count


def _floor(frames: list[Rows]) -> float:
    """Nanoseconds a row of a compiled loop that copies the same rows and counts them."""
    out = np.zeros(FRAME_ROWS * QUOTE.row_size, np.uint8)

    def take(rows: Rows) -> None:
        if _copy(rows.view(np.uint8), QUOTE.row_size, out) != len(rows):
            raise AssertionError("rows were lost")

    return _timed(frames, take)


async def measure(options: Options) -> Sequence[Metric]:
    rounds = options.pick(9, 1)
    middle = _bench(options, options.pick(LISTINGS, 3_000), options.pick(LISTINGS, 3_000))
    _floor(middle.frames)
    found = [(middle.round(), _floor(middle.frames)) for _ in range(rounds)]
    few = _bench(options, options.pick(FEW, 1_000), options.pick(FEW, 1_000))
    many = _bench(options, options.pick(MANY, 6_000), options.pick(MANY, 6_000))
    active = _Bench(many.core, many.index, _bench_frames(options, many.core))
    active.round()
    scale = [(few.round(), many.round(), active.round()) for _ in range(rounds)]
    timed = (
        f"processor time of RelayCore.accept and FilterIndex.select a quote, in frames of {FRAME_ROWS} of random listings, all on three venues, "
        f"with {FILTERS} filters that want a tenth more than their share of the listings; median of {rounds} rounds"
    )
    return [
        _metric(
            "event",
            found,
            f"{timed}; {LISTINGS} listings; floor: a compiled loop that copies the same rows and counts them",
        ),
        _metric(
            "event_1000000",
            [(large, small) for small, large, _ in scale],
            f"{timed}; {MANY} listings; floor: {FEW} listings",
        ),
        _metric(
            "event_1000000_active",
            [(some, small) for small, _, some in scale],
            f"{timed}; {MANY} listings, {FEW} of which have events; floor: {FEW} listings",
        ),
    ]


def _bench_frames(options: Options, core: RelayCore) -> list[Rows]:
    """Frames of the listings that are active, which lie scattered over the tables."""
    keys = core.slots.table["key"][: core.slots.count]
    active = np.random.default_rng(2).choice(keys, options.pick(FEW, 1_000), replace=False)
    return [frame(active, FRAME_ROWS, len(active), seed) for seed in range(options.pick(400, 4))]


def _metric(name: str, pairs: list[tuple[float, float]], timed: str) -> Metric:
    value, floor = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Metric(name, value, "ns", timed, floor, statistics.median(one / bare for one, bare in pairs))


if __name__ == "__main__":
    main("relay_kernel", measure)
