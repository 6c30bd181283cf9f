"""Nine subscribers that read, beside one that takes a hundredth of what comes: what it costs them, and the relay's memory."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import numpy as np
from calls import open_bytes_channel, relay_stream
from harness import Metric, Options, main, say
from relay import Relay, running_relay

from alphapulse.api.relay.v1 import relay_service_pb2 as api
from alphapulse.api.relay.v1 import relay_service_pb2_grpc as rpc
from alphapulse.client.channel import open_channel
from alphapulse.records import QUOTE
from strategy_sdk import EventType, MarketStream, connect

HEALTHY: Final = 9
RATE: Final = 10_000
FRAME_ROWS: Final = 50
SHARE: Final = 100
QUEUE_BYTES: Final = 2 << 20
_SLOW: Final = "slow"
_HEARTBEAT_SECONDS: Final = 10.0
_MIB: Final = 1 << 20


class _Healthy:
    """Streams that read all that comes."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._streams: list[MarketStream] = []

    async def join(self, stack: AsyncExitStack) -> None:
        """Subscribe to all quotes."""
        for number in range(HEALTHY):
            stream = await stack.enter_async_context(
                connect(
                    self._relay.address,
                    egress_socket="",
                    name=f"healthy-{number}",
                    heartbeat_seconds=_HEARTBEAT_SECONDS,
                    with_definitions=False,
                )
            )
            await stream.subscribe(event_types=[EventType.QUOTE])
            self._streams.append(stream)

    async def p99(self, rows: int) -> float:
        """Microseconds from the collector's stamp to the message that brings a quote, of all of them in the second half of the round."""
        frames = rows // FRAME_ROWS
        reading = [asyncio.create_task(self._read(stream, rows)) for stream in self._streams]
        await self._relay.feeder.ask(f"paced {frames} {RATE / FRAME_ROWS} {FRAME_ROWS}")
        return float(np.percentile(np.concatenate(await asyncio.gather(*reading)), 99)) / 1e3

    async def _read(self, stream: MarketStream, rows: int) -> np.ndarray:
        found, got = [], 0
        while got < rows:
            batch = await stream.next_batch()
            if batch is None or batch.gaps:
                raise RuntimeError(f"a subscriber that reads misses quotes: {batch and batch.gaps}")
            for _, events in batch.runs:
                got += len(events)
                if got > rows // 2:
                    found.append(batch.received_ns - events["collector_time_ns"].astype(np.int64))
        return np.concatenate(found)


@asynccontextmanager
async def _slow_client(relay: Relay) -> AsyncIterator[list[int]]:
    """A stream whose reader waits after each message as long as a hundredth of the rate would take for it; what gaps told it is missing."""
    missing: list[int] = []
    async with open_bytes_channel(relay.address) as channel:
        call = await relay_stream(channel, _SLOW)
        reading = asyncio.create_task(_read_slowly(call, missing))
        try:
            yield missing
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            call.cancel()


async def _read_slowly(call: Any, missing: list[int]) -> None:
    while True:
        data = await call.read()
        if len(data) < QUOTE.row_size:
            response = api.SubscribeResponse.FromString(data)
            if response.HasField("gap"):
                missing.append(response.gap.count)
            continue
        await asyncio.sleep(len(data) / QUOTE.row_size / (RATE / SHARE))


async def _queued(relay: Relay) -> int:
    """Bytes that wait for the slow one."""
    async with open_channel(relay.address) as channel:
        stub: Any = rpc.RelayServiceStub(channel)
        listed = await stub.ListSubscribers(api.ListSubscribersRequest())
    return max((one.queued_bytes for one in listed.subscribers if one.name == _SLOW), default=0)


async def measure(options: Options) -> Sequence[Metric]:
    rows, rounds = options.pick(6 * RATE, 8_000), options.pick(5, 1)
    pairs: list[tuple[float, float]] = []
    queued, resident = [], []
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(
            running_relay(options.pick(1_000, 20), RELAY_QUEUE_BYTES=str(QUEUE_BYTES))
        )
        healthy = _Healthy(relay)
        await healthy.join(stack)
        await healthy.p99(rows)
        begun = relay.resident()
        for number in range(rounds):
            bare = await healthy.p99(rows) if number % 2 else 0.0
            async with _slow_client(relay):
                beside = await healthy.p99(rows)
                queued.append(await _queued(relay))
                resident.append(relay.resident())
            pairs.append((beside, bare or await healthy.p99(rows)))
            say(
                f"p99 beside the slow one {pairs[-1][0]:.0f} us, without {pairs[-1][1]:.0f} us, {queued[-1]:,} bytes wait"
            )
    if not options.quick and max(queued) < QUEUE_BYTES // 4:
        raise RuntimeError(f"the slow client was not slow: {queued} bytes waited for it")
    value, floor = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(beside / bare for beside, bare in pairs)
    timed = (
        f"from the collector's stamp to the message at {HEALTHY} subscribers over gRPC, {RATE} quotes a second in frames of {FRAME_ROWS}, all "
        f"of which they want and get; a tenth takes {RATE // SHARE} a second; floor: without that one; {rounds} rounds by turns, their second halves"
    )
    return [
        Metric("healthy_p99", value, "us", timed, floor, ratio),
        Metric(
            "queued",
            max(max(queued), 1) / _MIB,
            "MiB",
            "most that waited in the relay for the slow one at the end of a round; floor: RELAY_QUEUE_BYTES",
            QUEUE_BYTES / _MIB,
            max(queued) / QUEUE_BYTES,
        ),
        Metric(
            "memory",
            max(resident),
            "MiB",
            "most memory of the relay's process with the slow one connected; floor: before it first was",
            begun,
            max(resident) / begun,
        ),
    ]


if __name__ == "__main__":
    main("relay_slow_client", measure)
