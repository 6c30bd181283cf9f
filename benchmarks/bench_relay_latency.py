"""One way through the relay at 1,000 events a second: a frame of one quote from the collector's socket to the subscriber.

The Unix path stands against two blocking sockets with nothing between them, the gRPC path against a bare stream.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
from calls import bare_stream, open_bytes_channel
from harness import Child, Metric, Options, main, start
from peers import running_peers
from relay import running_relay
from sockets import connected

from alphapulse.api.marketdata.v1 import marketdata_pb2
from alphapulse.api.relay.v1 import relay_service_pb2 as api
from alphapulse.records import QUOTE, Frame, FrameDecoder, FrameType, encode_control
from strategy_sdk import EventType, MarketStream, connect

RATE = 1_000
PEERS_RATE = 5_000
_RECEIVE_SECONDS = 30.0
Latencies = list[int]
Round = Callable[[int, int], Awaitable[Latencies]]
"""So many events at so many a second."""


class UnixReader:
    """Frames of quotes from a blocking socket: the same for the relay and for its floor."""

    def __init__(self, path: Path) -> None:
        self._socket = connected(path)
        self._socket.settimeout(_RECEIVE_SECONDS)
        self._decoder = FrameDecoder()

    def subscribe(self) -> None:
        """Ask the relay for quotes; returns when it has agreed."""
        wanted = api.SubscriptionFilter(event_types=[marketdata_pb2.EVENT_TYPE_QUOTE])
        put = api.PutSubscription(subscription_id=1, filter=wanted)
        for request in (api.SubscribeRequest(hello=api.ClientHello(name="benchmark")), api.SubscribeRequest(put=put)):
            self._socket.sendall(encode_control(FrameType.SUBSCRIBE, request))
        while True:
            for frame in self._frames():
                if frame.type == FrameType.CONTROL:
                    answer = api.SubscribeResponse.FromString(bytes(frame.payload))
                    if answer.HasField("acknowledged"):
                        return
                    if answer.HasField("refused"):
                        raise RuntimeError(f"the relay refuses: {answer}")

    def receive(self, count: int) -> Latencies:
        """Nanoseconds from the collector's stamp to the read that brought it, of so many quotes."""
        found: Latencies = []
        while len(found) < count:
            data = self._socket.recv(1 << 16)
            now = time.time_ns()
            for frame in self._decoder.feed(data):
                if isinstance(frame, Frame) and frame.type == QUOTE.event_type:
                    rows = np.frombuffer(frame.payload, QUOTE.dtype)
                    found.extend((now - rows["collector_time_ns"]).tolist())
        return found

    def _frames(self) -> list[Frame]:
        return [one for one in self._decoder.feed(self._socket.recv(1 << 16)) if isinstance(one, Frame)]

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()


def unix_round(feeder: Child, reader: UnixReader) -> Round:
    """A round over a reader."""

    async def run(count: int, rate: int) -> Latencies:
        receiving = asyncio.create_task(asyncio.to_thread(reader.receive, count))
        await feeder.ask(f"paced {count} {rate}")
        return await receiving

    return run


def grpc_round(feeder: Child, stream: MarketStream) -> Round:
    """A round over the SDK's stream."""

    async def receive(count: int) -> Latencies:
        found: Latencies = []
        while len(found) < count:
            batch = await stream.next_batch()
            if batch is None or batch.gaps:
                raise RuntimeError(f"the stream broke: {batch}")
            for _, rows in batch.runs:
                found.extend((batch.received_ns - rows["collector_time_ns"]).tolist())
        return found

    async def run(count: int, rate: int) -> Latencies:
        receiving = asyncio.create_task(receive(count))
        await feeder.ask(f"paced {count} {rate}")
        return await receiving

    return run


def bare_grpc_round(feeder: Child, call: Any) -> Round:
    """A round over the bare stream of frames."""

    async def receive(count: int) -> Latencies:
        found: Latencies = []
        decoder = FrameDecoder()
        while len(found) < count:
            data = await call.read()
            now = time.time_ns()
            for frame in decoder.feed(data):
                if isinstance(frame, Frame):
                    found.extend((now - np.frombuffer(frame.payload, QUOTE.dtype)["collector_time_ns"]).tolist())
        return found

    async def run(count: int, rate: int) -> Latencies:
        receiving = asyncio.create_task(receive(count))
        await feeder.ask(f"paced {count} {rate}")
        return await receiving

    return run


async def _rounds(options: Options, paths: Mapping[str, Round], rate: int = RATE) -> dict[str, list[Latencies]]:
    """Each path's rounds of half a second, by turns; the first of each does not count."""
    rounds, count = options.pick(8, 1), options.pick(rate // 2, 50)
    found: dict[str, list[Latencies]] = {name: [] for name in paths}
    for number in range(rounds + 1):
        order = list(paths) if number % 2 else list(paths)[::-1]
        for name in order:
            latencies = await paths[name](count, rate)
            if number:
                found[name].append(latencies)
    return found


def _metric(
    name: str,
    share: int,
    ours: list[Latencies],
    bare: list[Latencies],
    timed: str,
    peers: Mapping[str, list[Latencies]] | None = None,
) -> Metric:
    """Percentiles of each round; their medians, and the median of the rounds' ratios."""
    pairs = [(np.percentile(a, share) / 1e3, np.percentile(b, share) / 1e3) for a, b in zip(ours, bare, strict=True)]
    value, floor = (float(statistics.median(side)) for side in zip(*pairs, strict=True))
    ratio = float(statistics.median(a / b for a, b in pairs))
    others = {
        peer: statistics.median(float(np.percentile(one, share)) for one in rounds) / 1e3
        for peer, rounds in (peers or {}).items()
    }
    return Metric(f"{name}_p{share}", value, "us", timed, floor, ratio, others)


async def measure(options: Options) -> Sequence[Metric]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        relay = await stack.enter_async_context(running_relay(options.pick(1_000, 20)))
        keys = relay.keys
        await start(stack, "child_forward_unix", folder / "in", folder / "out")
        bare_reader = UnixReader(folder / "out")
        stack.callback(bare_reader.close)
        bare_feeder = await start(stack, "child_feeder", folder / "in", keys)
        forwarder = await start(stack, "child_forward_grpc", folder / "grpc")
        grpc_feeder = await start(stack, "child_feeder", folder / "grpc", keys)
        channel = await stack.enter_async_context(open_bytes_channel(forwarder.facts["address"]))
        call = bare_stream(channel)
        stack.callback(call.cancel)

        reader = UnixReader(relay.egress)
        reader.subscribe()
        stream = await stack.enter_async_context(connect(relay.address, egress_socket="", name="benchmark"))
        unix_paths = {"relay": unix_round(relay.feeder, reader), "bare": unix_round(bare_feeder, bare_reader)}
        grpc_paths = {"relay": grpc_round(relay.feeder, stream), "bare": bare_grpc_round(grpc_feeder, call)}
        peers = await running_peers(stack, folder, relay.listed.redis_url)
        unix = await _rounds(options, unix_paths)
        fast_unix = await _rounds(options, unix_paths | {name: peer.paced for name, peer in peers.items()}, PEERS_RATE)
        reader.close()
        await stream.subscribe(event_types=[EventType.QUOTE])
        grpc = await _rounds(options, grpc_paths)
        fast_grpc = await _rounds(options, grpc_paths, PEERS_RATE)
    common = (
        f"from the collector's stamp right before it sends to the read that brings it, {RATE} frames a second of one quote each, "
        f"{relay.listings} listings, enrichment and detection on, sender, relay and reader in processes of their own; median of "
        f"{len(unix['relay'])} rounds of {len(unix['relay'][0])}"
    )
    faster = f"the same at {PEERS_RATE} a second"
    beside = "; peers by turns with it, one message a quote: pyzmq, redis-py over a Valkey, nats-py over a nats-server where that is installed"
    on_unix = f"Unix socket in and out, {common}; floor: a process with two blocking sockets, the same frames, sender and reader"
    on_grpc = f"Unix socket in, gRPC to the SDK, {common}; floor: an asyncio process that writes what it reads to a gRPC stream"
    return [
        _metric("unix", 50, unix["relay"], unix["bare"], on_unix),
        _metric("unix", 99, unix["relay"], unix["bare"], on_unix),
        _metric("grpc", 50, grpc["relay"], grpc["bare"], on_grpc),
        _metric("grpc", 99, grpc["relay"], grpc["bare"], on_grpc),
        _metric(
            "unix_5000",
            50,
            fast_unix["relay"],
            fast_unix["bare"],
            f"as unix_p50, {faster}{beside}",
            {name: fast_unix[name] for name in peers},
        ),
        _metric("grpc_5000", 50, fast_grpc["relay"], fast_grpc["bare"], f"as grpc_p50, {faster}"),
    ]


if __name__ == "__main__":
    main("relay_latency", measure)
