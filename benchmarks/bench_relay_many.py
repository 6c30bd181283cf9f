"""A thousand subscribers, each with a predicate of its own, at 100,000 events a second: nothing is lost, and how late it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import numpy as np
from calls import open_bytes_channel, relay_stream
from harness import Metric, Options, main
from relay import Relay, running_relay

from alphapulse.api.relay.v1 import relay_service_pb2 as api

RATE: Final = 100_000
FRAME_ROWS: Final = 100
_CHANNELS: Final = 8
_IDLE_SECONDS: Final = 60.0


class _Reader:
    """One subscriber: follows the numbers, notes how late the first and the last quote of each delivery are."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.got = 0
        self.late_ns: list[tuple[int, int]] = []
        """(of the first, of the last)."""

    async def read(self, sums: _Sums) -> None:
        """Until it is cancelled. RuntimeError where a quote is missing."""
        while True:
            data = await self._call.read()
            now = time.time_ns()
            response = api.SubscribeResponse.FromString(data)
            if response.HasField("gap"):
                raise RuntimeError(f"quotes are missing: {response.gap}")
            if not response.HasField("delivery"):
                continue
            delivery = response.delivery
            if delivery.first_number != self.got + 1:
                raise RuntimeError(f"number {delivery.first_number} came behind {self.got}")
            self.got += delivery.count
            first, last = delivery.batch.quotes[0], delivery.batch.quotes[-1]
            self.late_ns.append((now - first.collector_time_ns, now - last.collector_time_ns))
            sums.add(delivery.count)


class _Sums:
    """What all have together."""

    def __init__(self) -> None:
        self.got = 0
        self._wanted = 0
        self._reached = asyncio.Event()

    def add(self, count: int) -> None:
        """So many came."""
        self.got += count
        if self.got >= self._wanted:
            self._reached.set()

    async def reach(self, wanted: int) -> None:
        """Wait for so many."""
        self._wanted = wanted
        self._reached.clear()
        if self.got < wanted:
            await self._reached.wait()


async def _join(stack: AsyncExitStack, relay: Relay, predicates: Sequence[str]) -> list[_Reader]:
    channels = [await stack.enter_async_context(open_bytes_channel(relay.address)) for _ in range(_CHANNELS)]
    readers = []
    for number, predicate in enumerate(predicates):
        call = await relay_stream(channels[number % _CHANNELS], f"many-{number}", predicate)
        stack.callback(call.cancel)
        readers.append(_Reader(call))
    return readers


async def _round(relay: Relay, predicates: Sequence[str], frames: int) -> tuple[float, list[tuple[int, int]], int]:
    """(quotes a second sent, how late the first and the last quote of each delivery were in nanoseconds, quotes delivered) with these subscribers."""
    async with AsyncExitStack() as stack:
        readers = await _join(stack, relay, predicates)
        sums = _Sums()
        reading = [asyncio.create_task(reader.read(sums)) for reader in readers]
        try:
            told = await relay.feeder.ask(f"paced {frames} {RATE / FRAME_ROWS} {FRAME_ROWS}")
            everything = asyncio.create_task(sums.reach(frames * FRAME_ROWS))
            done, _ = await asyncio.wait(
                [everything, *reading], timeout=_IDLE_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
            if everything not in done:
                raise RuntimeError(f"{sums.got} of {frames * FRAME_ROWS} quotes came within {_IDLE_SECONDS} s")
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
    late = [one for reader in readers for one in reader.late_ns]
    return told["sent"] / told["seconds"], late, sums.got


async def measure(options: Options) -> Sequence[Metric]:
    subscribers, frames = options.pick(1_000, 20), options.pick(10_000, 100)
    instruments = 2 * subscribers
    predicates = [f"lot_size > {2 * number} and lot_size <= {2 * number + 2}" for number in range(subscribers)]
    async with running_relay(instruments) as relay:
        await _round(relay, [""], frames // 10)
        _, bare, _ = await _round(relay, [""], frames // 5)
        busy = relay.child.cpu_seconds()
        rate, late, got = await _round(relay, predicates, frames)
        busy = relay.child.cpu_seconds() - busy
    firsts, lasts = (np.array(side) / 1e3 for side in zip(*late, strict=True))
    bare_firsts, bare_lasts = (np.array(side) / 1e3 for side in zip(*bare, strict=True))
    timed = (
        f"from the collector's stamp to the message at the subscriber, of the {{}} quote of each delivery; {subscribers} streams over gRPC, each "
        f"with one predicate (of a lot size between two figures) that six of {relay.listings} listings satisfy and no other wants, {RATE} quotes "
        f"a second in frames of {FRAME_ROWS}, read by one process; floor: one stream that wants all of them"
    )
    return [
        _metric("p99", 99, lasts, bare_lasts, timed.format("last")),
        _metric("p50", 50, lasts, bare_lasts, timed.format("last")),
        _metric("first_p99", 99, firsts, bare_firsts, timed.format("first")),
        _metric("first_p50", 50, firsts, bare_firsts, timed.format("first")),
        Metric("rows", got / len(late), "quotes", "quotes in a delivery, over all streams"),
        Metric(
            "delivered",
            got / (frames * FRAME_ROWS),
            "of sent",
            f"quotes delivered of {frames * FRAME_ROWS} sent, each wanted by one subscriber; a gap or a hole in the numbers ends the benchmark",
        ),
        Metric(
            "rate",
            rate,
            "quotes/s",
            "what the collector sent meanwhile; floor: what it was asked to",
            RATE,
            rate / RATE,
        ),
        Metric(
            "relay_cpu", busy / got * 1e6, "us/quote", "processor time of the relay's process, subscribing included"
        ),
    ]


def _metric(name: str, share: int, late: Any, bare: Any, timed: str) -> Metric:
    value, floor = (float(np.percentile(one, share)) for one in (late, bare))
    return Metric(name, value, "us", timed, floor, value / floor)


if __name__ == "__main__":
    main("relay_many", measure)
