"""Processor time of the relay for an event: stamped, looked up, marked, kept, compared across venues, matched with a thousand filters, and its bytes
gathered for each; apart from it what it costs to number and queue them for a thousand subscribers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numba
import numpy as np
import numpy.typing as npt
from harness import Metric, Options, main, say
from kernel_intake import build, frame

from alphapulse.domain.domains import Domain
from alphapulse.records import QUOTE, Rows
from relay_service.core import RelayCore
from relay_service.egress.envelope import GrpcEncoder
from relay_service.egress.figures import Figures
from relay_service.egress.handing import queue_rows
from relay_service.egress.queue import SendQueue
from relay_service.egress.subscriber import Subscriber
from relay_service.egress.subscription import Subscription
from relay_service.egress.warm_up import warm_up
from relay_service.subscriptions.index import FilterIndex
from relay_service.subscriptions.wanted import Filter, Start, Stream, Wanted

LISTINGS: Final = 300_000
FEW: Final = 10_000
MANY: Final = 1_000_000
FILTERS: Final = 1_000
OVERLAP: Final = 0.1
FRAME_ROWS: Final = 500
_NOW_NS: Final = 1_000
_TURNS: Final = 20
"""Frames from one write of a subscriber to its next."""
_QUEUE_BYTES: Final = 64 << 20


def _nothing() -> None:
    """Nobody sleeps."""


def _no_beat(_: Subscriber) -> bytes:
    raise AssertionError("no heartbeat was asked for")


def _no_point(*_: object) -> None:
    """There is no log."""


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
    clients: list[Subscriber] = field(default_factory=list)
    turn: int = 0

    def round(self) -> float:
        """Nanoseconds an event."""
        core, index = self.core, self.index
        source, _ = core.sources.claim("BENCH", 1, 1)

        def take(rows: Rows) -> None:
            result = core.accept(source, QUOTE.event_type, rows, source.next_sequence, _NOW_NS)
            for group in result.groups:
                hits = index.select(group, result.source)
                core.stamp_out(group.event_type, group.raw, len(group.slots), _NOW_NS)
                hits.gather(group)

        return _timed(self.frames, take)

    def queued_round(self) -> float:
        """Nanoseconds an event, with a subscriber of each filter: up to the bytes that are handed to the transport."""
        core, index = self.core, self.index
        source, _ = core.sources.claim("BENCH", 1, 1)
        clients = self.clients

        def take(rows: Rows) -> None:
            result = core.accept(source, QUOTE.event_type, rows, source.next_sequence, _NOW_NS)
            touched: dict[str, Subscriber] = {}
            for group in result.groups:
                hits = index.select(group, result.source)
                core.stamp_out(group.event_type, group.raw, len(group.slots), _NOW_NS)
                queue_rows(group, hits, _NOW_NS, touched, alone=True)
            for client in clients[self.turn :: _TURNS]:
                while client.take() is not None:
                    pass
            self.turn = (self.turn + 1) % _TURNS

        return _timed(self.frames, take)

    def join(self) -> None:
        """A subscriber of each filter."""
        for held in self.index:
            lane = SendQueue(dict.fromkeys(Domain, _QUEUE_BYTES))
            client = Subscriber(
                f"bench-{held.number}", "grpc", GrpcEncoder(), lane, Figures(), _nothing, _no_beat, 0, _no_point
            )
            wanted = Wanted(1, held.wanted, Stream(), Start.NOW)
            subscription = Subscription(wanted, held, lane.lane(Domain.MARKET))
            client.subscriptions[1] = subscription
            held.members.append((client, subscription))
            self.clients.append(client)


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
    warm_up()
    middle = _bench(options, options.pick(LISTINGS, 3_000), options.pick(LISTINGS, 3_000))
    _floor(middle.frames)
    found = [(middle.round(), _floor(middle.frames)) for _ in range(rounds)]
    middle.join()
    middle.queued_round()
    queued = [(middle.queued_round(), _floor(middle.frames)) for _ in range(rounds)]
    few = _bench(options, options.pick(FEW, 1_000), options.pick(FEW, 1_000))
    many = _bench(options, options.pick(MANY, 6_000), options.pick(MANY, 6_000))
    active = _Bench(many.core, many.index, _bench_frames(options, many.core))
    active.round()
    scale = [(few.round(), many.round(), active.round()) for _ in range(rounds)]
    timed = (
        f"processor time a quote of RelayCore.accept, FilterIndex.select, stamping and Hits.gather, in frames of {FRAME_ROWS} of random listings, "
        f"all on three venues, with {FILTERS} filters that want a tenth more than their share of the listings; median of {rounds} rounds"
    )
    return [
        _metric(
            "event",
            found,
            f"{timed}; {LISTINGS} listings; floor: a compiled loop that copies the same rows and counts them",
        ),
        _metric(
            "event_queued",
            queued,
            f"the same, and the rows numbered and queued for a subscriber of each filter, who writes once in {_TURNS} frames, up to the bytes of its "
            "gRPC messages; same floor",
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
