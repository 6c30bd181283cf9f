"""Quotes a second that one relay delivers to ten subscribers over gRPC, each with a filter of its own that lets half of the listings through."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from bench_relay_throughput import FRAME_ROWS, WINDOW_ROWS, bare_forwarder
from child_feeder import POOL, make_quotes
from harness import Metric, Options, alternate, main
from relay import Relay, running_relay

from strategy_sdk import EventType, MarketStream, connect

SUBSCRIBERS: Final = 10
_TELL_SECONDS: Final = 0.005
Keys = npt.NDArray[np.uint64]


class _FanOut:
    """Ten streams of the SDK in one process, counting what comes."""

    def __init__(self, relay: Relay, rows: int) -> None:
        self._relay = relay
        self._rows = rows
        self._streams: list[MarketStream] = []
        self._got = [0] * SUBSCRIBERS
        self._wanted = [0] * SUBSCRIBERS
        self.sent = self.delivered = 0
        self.cpu = 0.0

    async def join(self, stack: AsyncExitStack, keys: Keys) -> None:
        """Subscribes, each to half of the listings, beginning at another one."""
        sent = make_quotes(keys, POOL)["listing_key"]
        sent = np.concatenate([_frame(sent, at) for at in range(0, self._rows, FRAME_ROWS)])[: self._rows]
        for number in range(SUBSCRIBERS):
            chosen = np.roll(keys, -number * len(keys) // SUBSCRIBERS)[: len(keys) // 2]
            self._wanted[number] = int(np.isin(sent, chosen).sum())
            stream = await stack.enter_async_context(
                connect(self._relay.address, egress_socket="", name=f"benchmark-{number}")
            )
            await stream.subscribe(event_types=[EventType.QUOTE], listing_keys=chosen.tolist())
            self._streams.append(stream)

    async def round(self) -> float:
        """Quotes a second delivered to all of them together, from the order to send to the last one decoded."""
        loop = asyncio.get_running_loop()
        self._got = [0] * SUBSCRIBERS
        busy, begin = self._relay.child.cpu_seconds(), loop.time()
        await self._relay.feeder.tell(f"burst {self._rows} {FRAME_ROWS} {WINDOW_ROWS}")
        telling = asyncio.create_task(self._tell())
        await asyncio.gather(*(self._read(number) for number in range(SUBSCRIBERS)))
        seconds = loop.time() - begin
        telling.cancel()
        await self._relay.feeder.line()
        self.cpu += self._relay.child.cpu_seconds() - busy
        self.sent += self._rows
        self.delivered += sum(self._got)
        return sum(self._got) / seconds

    async def _read(self, number: int) -> None:
        stream = self._streams[number]
        while self._got[number] < self._wanted[number]:
            batch = await stream.next_batch()
            if batch is None or batch.gaps:
                raise RuntimeError(f"quotes are missing: {batch and batch.gaps}")
            self._got[number] += sum(len(rows) for _, rows in batch.runs)

    async def _tell(self) -> None:
        """Keeps the feeder a window ahead of the slowest."""
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            least = min(got / wanted for got, wanted in zip(self._got, self._wanted, strict=True))
            await self._relay.feeder.tell(f"got {int(least * self._rows)}")


def _frame(sent: Keys, at: int) -> Keys:
    """The keys of the frame that begins so many rows into a burst: as `Feeder.burst` takes them."""
    start = at % (len(sent) - FRAME_ROWS)
    return sent[start : start + FRAME_ROWS]


async def measure(options: Options) -> Sequence[Metric]:
    rows, rounds = options.pick(500_000, 20_000), options.pick(5, 1)
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(running_relay(options.pick(1_000, 20)))
        keys = np.frombuffer(relay.keys.read_bytes(), "<u8")
        fanout = _FanOut(relay, rows)
        await fanout.join(stack, keys)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        floor = await bare_forwarder(stack, folder, relay.keys, rows)
        await fanout.round()
        await floor.round()
        fanout.cpu, fanout.sent, fanout.delivered = 0.0, 0, 0
        rate, bare, ratio = await alternate(rounds, fanout.round, floor.round)
    timed = (
        f"quotes of {relay.listings} listings, {rows} a round in frames of {FRAME_ROWS}, each delivered to five of ten subscribers over gRPC, "
        "whose filters let half of the listings through; from the order to send to the last one received; checked for gaps and read as "
        "arrays by the SDK; the sum over all, which are read by one process; three busy processes share the processors; "
        f"floor: an asyncio process that writes what it reads to one gRPC stream, unlooked at; median of {rounds} rounds"
    )
    return [
        Metric("delivered", rate, "quotes/s", timed, bare, ratio),
        Metric(
            "relay_cpu",
            fanout.cpu / fanout.delivered * 1e6,
            "us/delivery",
            "processor time of the relay's process for each quote delivered to one subscriber",
        ),
    ]


if __name__ == "__main__":
    main("relay_fanout", measure)
