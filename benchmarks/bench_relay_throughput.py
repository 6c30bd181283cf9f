"""Quotes a second from one collector on the relay's Unix socket to one subscriber over gRPC, with enrichment and detection on."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
from calls import bare_stream, open_bytes_channel
from harness import Child, Metric, Options, alternate, main, start
from peers import running_peers
from relay import Relay, running_relay

from alphapulse.records import QUOTE
from alphapulse.records.framing import HEADER_SIZE
from strategy_sdk import EventType, MarketStream, connect

FRAME_ROWS = 500
WINDOW_ROWS = 100_000
_TELL_EVERY = 10_000


class _Progress:
    """Tells the feeder how much arrived, so that it stays a window ahead and no more."""

    def __init__(self, feeder: Child) -> None:
        self._feeder = feeder
        self._told = 0

    async def got(self, total: int) -> None:
        """So many rows of the burst."""
        if total - self._told >= _TELL_EVERY:
            self._told = total
            await self._feeder.tell(f"got {total}")


class Burst:
    """The SDK's stream of batches."""

    def __init__(self, relay: Relay, stream: MarketStream, rows: int) -> None:
        self._relay = relay
        self._stream = stream
        self._rows = rows
        self.checksum = 0.0
        self.forget()

    def forget(self) -> None:
        """Begin the sums anew."""
        self.sent = self.delivered = 0
        self.cpu = 0.0

    @property
    def relay_cpu(self) -> float:
        """Microseconds of the relay's processor time for each quote."""
        return self.cpu / self.sent * 1e6

    async def round(self) -> float:
        """Quotes a second, from the order to send to the last received and decoded."""
        progress, got = _Progress(self._relay.feeder), 0
        busy, begin = self._relay.child.cpu_seconds(), time.perf_counter()
        await self._relay.feeder.tell(f"burst {self._rows} {FRAME_ROWS} {WINDOW_ROWS}")
        while got < self._rows:
            batch = await self._stream.next_batch()
            if batch is None:
                raise RuntimeError("the stream ended")
            if batch.gaps:
                raise RuntimeError(f"quotes are missing: {batch.gaps}")
            for _, rows in batch.runs:
                self.checksum += float(rows["bid_price"].mean() + rows["ask_price"].mean())
                got += len(rows)
            await progress.got(got)
        seconds = time.perf_counter() - begin
        self.cpu += self._relay.child.cpu_seconds() - busy
        await self._relay.feeder.line()
        self.sent += self._rows
        self.delivered += got
        return got / seconds


class BareForwarder:
    """A bare stream of the frames, counted by their length."""

    def __init__(self, feeder: Child, call: Any, rows: int) -> None:
        self._feeder = feeder
        self._call = call
        self._rows = rows

    async def round(self) -> float:
        """Quotes a second."""
        progress, got = _Progress(self._feeder), 0
        frames = -(-self._rows // FRAME_ROWS)
        whole = self._rows * QUOTE.row_size + frames * HEADER_SIZE
        begin = time.perf_counter()
        await self._feeder.tell(f"burst {self._rows} {FRAME_ROWS} {WINDOW_ROWS}")
        while got < whole:
            got += len(await self._call.read())
            await progress.got(got // QUOTE.row_size)
        seconds = time.perf_counter() - begin
        await self._feeder.line()
        return self._rows / seconds


async def bare_forwarder(stack: AsyncExitStack, folder: Path, keys: Path, rows: int) -> BareForwarder:
    forwarder = await start(stack, "child_forward_grpc", folder / "bare")
    feeder = await start(stack, "child_feeder", folder / "bare", keys)
    channel: grpc.aio.Channel = await stack.enter_async_context(open_bytes_channel(forwarder.facts["address"]))
    call = bare_stream(channel)
    stack.callback(call.cancel)
    return BareForwarder(feeder, call, rows)


async def measure(options: Options) -> Sequence[Metric]:
    rows, rounds = options.pick(1_000_000, 20_000), options.pick(7, 1)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        relay = await stack.enter_async_context(running_relay(options.pick(1_000, 20)))
        floor = await bare_forwarder(stack, folder, relay.keys, rows)
        stream = await stack.enter_async_context(connect(relay.address, egress_socket="", name="benchmark"))
        await stream.subscribe(event_types=[EventType.QUOTE])
        ours = Burst(relay, stream, rows)
        await ours.round()
        await floor.round()
        ours.forget()
        begun = relay.resident()
        rate, bare, ratio = await alternate(rounds, ours.round, floor.round)
        held = relay.resident()
        peers = {}
        for name, peer in (await running_peers(stack, folder, relay.listed.redis_url)).items():
            peers[name] = statistics.median([await peer.burst(rows // 20) for _ in range(options.pick(3, 1))])
    timed = (
        f"quotes of {relay.listings} listings on three venues, {rows} a round in frames of {FRAME_ROWS}, at most {WINDOW_ROWS} under way, "
        "sent by one process over the Unix socket, from the order to send to the last one received, checked for gaps and read as arrays by "
        "the SDK in another; registries, detection and fees on; three busy processes share the processors; floor: an asyncio process "
        "that writes what it reads from the Unix socket to a gRPC stream, unlooked at; peers, one message a quote: pyzmq XPUB to SUB, redis-py "
        "PUBLISH to SUBSCRIBE over a Valkey, nats-py over a nats-server where that is installed; "
        f"median of {rounds} rounds"
    )
    return [
        Metric("quotes", rate, "quotes/s", timed, bare, ratio, peers),
        Metric(
            "delivered",
            ours.delivered / ours.sent,
            "of sent",
            f"quotes delivered of {ours.sent} sent; a gap ends the benchmark",
        ),
        Metric(
            "memory",
            held,
            "MiB",
            f"memory of the relay's process after {rounds} rounds; floor: before them, after one to warm up; `make soak` is the long run",
            begun,
            held / begun,
        ),
        Metric("relay_cpu", ours.relay_cpu, "us/quote", "processor time of the relay's process, all threads"),
    ]


if __name__ == "__main__":
    main("relay_throughput", measure)
