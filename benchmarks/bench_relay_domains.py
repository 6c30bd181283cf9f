"""One way of an execution report through the relay, alone and beside a flood of the market, in the same run.

Reports go from a source's socket of their own to a subscriber's, while another source sends quotes as fast as the relay takes them and another
subscriber takes them all.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import numpy as np
from harness import Child, Metric, Options, main
from relay import running_relay
from sockets import connected

from alphapulse.api.relay.v1 import relay_service_pb2 as api
from alphapulse.domain.domains import Domain
from alphapulse.domain.provenance import Provenance
from alphapulse.records import EXECUTION_REPORT, Frame, FrameDecoder, FrameType, encode_control, encode_frame, row_sizes

RATE = 250
"""Reports a second."""
FLOOD_ROWS = 200_000
FRAME_ROWS = 500
_SLOT = 1
_SECONDS = 60.0
Latencies = list[int]


class Reports:
    """A source of the execution domain, and a subscriber that takes what it sends."""

    def __init__(self, ingress: Path, egress: Path, listing_key: int) -> None:
        self._source, self._reader = connected(ingress), connected(egress)
        self._reader.settimeout(_SECONDS)
        self._decoder = FrameDecoder()
        self._row = EXECUTION_REPORT.new(1)
        self._row["listing_key"], self._row["flags"] = listing_key, int(Provenance.SIMULATED)
        self._sequence = 1
        hello = api.SourceHello(
            source="GATEWAY",
            slot=_SLOT,
            epoch=time.time_ns(),
            row_sizes=row_sizes(),
            provenance=int(Provenance.SIMULATED),  # type: ignore[arg-type]
            domain=int(Domain.EXECUTION),  # type: ignore[arg-type]
            acknowledges=True,
        )
        self._source.sendall(encode_control(FrameType.HELLO, hello))
        self._source.recv(1 << 16)
        subscribe(self._reader, self._decoder, Domain.EXECUTION)

    def round(self, count: int) -> Latencies:
        """Nanoseconds from right before each of so many reports is sent to the read that brings it."""
        sending = threading.Thread(target=self._send, args=(count,))
        sending.start()
        found: Latencies = []
        while len(found) < count:
            data = self._reader.recv(1 << 16)
            now = time.time_ns()
            for frame in self._decoder.feed(data):
                if isinstance(frame, Frame) and frame.type == EXECUTION_REPORT.event_type:
                    rows = np.frombuffer(frame.payload, EXECUTION_REPORT.dtype)
                    found.extend((now - rows["collector_time_ns"]).tolist())
        sending.join()
        return found

    def _send(self, count: int) -> None:
        begin = time.perf_counter()
        for number in range(count):
            wait = begin + number / RATE - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            self._row["collector_time_ns"] = time.time_ns()
            kind = EXECUTION_REPORT.event_type
            self._source.sendall(encode_frame(kind, self._row, slot=_SLOT, sequence=self._sequence))
            self._sequence += 1
        self._source.setblocking(False)
        with suppress(BlockingIOError):
            while self._source.recv(1 << 16):
                pass  # acknowledgements
        self._source.setblocking(True)

    def close(self) -> None:
        """End both connections."""
        self._source.close()
        self._reader.close()


def subscribe(reader: socket.socket, decoder: FrameDecoder, domain: Domain) -> None:
    """Ask for everything of a domain; returns when the relay has agreed."""
    chosen = api.SubscriptionFilter(domain=int(domain), include_unknown=True)  # type: ignore[arg-type]
    put = api.PutSubscription(subscription_id=1, filter=chosen)
    for request in (api.SubscribeRequest(hello=api.ClientHello(name="benchmark")), api.SubscribeRequest(put=put)):
        reader.sendall(encode_control(FrameType.SUBSCRIBE, request))
    while True:
        for frame in decoder.feed(reader.recv(1 << 16)):
            if isinstance(frame, Frame) and frame.type == FrameType.CONTROL:
                answer = api.SubscribeResponse.FromString(bytes(frame.payload))
                if answer.HasField("refused"):
                    raise RuntimeError(f"the relay refuses: {answer}")
                if answer.HasField("acknowledged"):
                    return


class Flood:
    """Quotes as fast as the relay takes them, and a subscriber that takes them all."""

    def __init__(self, feeder: Child, egress: Path) -> None:
        self._feeder = feeder
        self._reader = connected(egress)
        subscribe(self._reader, FrameDecoder(), Domain.MARKET)
        self.rows, self.seconds = 0, 0.0
        self._draining = threading.Thread(target=self._drain, daemon=True)
        self._draining.start()

    def _drain(self) -> None:
        with suppress(OSError):
            while self._reader.recv(1 << 20):
                pass

    @asynccontextmanager
    async def on(self) -> AsyncIterator[None]:
        """While entered."""
        stopped = asyncio.Event()
        running = asyncio.create_task(self._run(stopped))
        await asyncio.sleep(0.2)
        try:
            yield
        finally:
            stopped.set()
            await running

    async def _run(self, stopped: asyncio.Event) -> None:
        begin = time.perf_counter()
        while not stopped.is_set():
            await self._feeder.ask(f"burst {FLOOD_ROWS} {FRAME_ROWS} {1 << 40}")
            self.rows += FLOOD_ROWS
        self.seconds += time.perf_counter() - begin

    def close(self) -> None:
        """End the connection."""
        self._reader.close()


def _metric(share: int, beside: list[Latencies], alone: list[Latencies], timed: str) -> Metric:
    """Percentiles of each round; their medians, and the median of the rounds' ratios."""
    pairs = [(np.percentile(a, share) / 1e3, np.percentile(b, share) / 1e3) for a, b in zip(beside, alone, strict=True)]
    value, floor = (float(statistics.median(side)) for side in zip(*pairs, strict=True))
    return Metric(f"execution_p{share}", value, "us", timed, floor, float(statistics.median(a / b for a, b in pairs)))


async def measure(options: Options) -> Sequence[Metric]:
    rounds, count = options.pick(6, 1), options.pick(1_000, 50)
    alone: list[Latencies] = []
    beside: list[Latencies] = []
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(running_relay(options.pick(1_000, 20)))
        key = int(np.frombuffer(relay.ingress.with_name("keys").read_bytes(), "<u8")[0])
        reports = Reports(relay.ingress, relay.egress, key)
        stack.callback(reports.close)
        flood = Flood(relay.feeder, relay.egress)
        stack.callback(flood.close)
        await asyncio.to_thread(reports.round, count)
        for _ in range(rounds):
            alone.append(await asyncio.to_thread(reports.round, count))
            async with flood.on():
                beside.append(await asyncio.to_thread(reports.round, count))
    timed = (
        f"from right before a source sends a report to the read that brings it, Unix socket in and out, {RATE} reports a second, beside a "
        f"source that sends quotes as fast as they are taken and a subscriber that takes them all, {relay.listings} listings, enrichment "
        f"and detection on; median of {rounds} rounds of {count}; floor: the same without the flood, in turns with it"
    )
    taken = "quotes taken in a second, while the reports were measured beside them"
    rate = Metric("flood", flood.rows / flood.seconds, "quotes/s", taken)
    return [_metric(50, beside, alone, timed), _metric(99, beside, alone, timed), rate]


if __name__ == "__main__":
    main("relay_domains", measure)
