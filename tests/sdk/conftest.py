"""A relay for tests: it sends what a test tells it to, over real sockets, on gRPC and on a Unix socket alike."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.api.relay.v1 import relay_service_pb2_grpc as relay_grpc
from alphapulse.client import Backoff
from alphapulse.records import (
    QUOTE,
    FrameDecoder,
    FrameType,
    RecordLayout,
    Rows,
    encode_control,
    encode_frame,
    row_sizes,
    unpack_rows,
)
from strategy_sdk import Addresses, GapPolicy, MarketStream, connect

Runs = list[tuple[RecordLayout, Rows]]


def quotes(count: int, first_sequence: int = 1, key: int = 7) -> Rows:
    """Quotes that differ from each other."""
    rows = QUOTE.new(count)
    numbers = np.arange(first_sequence, first_sequence + count)
    rows["listing_key"] = key
    rows["sequence"] = numbers
    rows["collector_time_ns"] = 1_000_000 + numbers
    rows["relay_in_ns"] = 2_000_000 + numbers
    rows["relay_out_ns"] = 3_000_000 + numbers
    rows["bid_price"] = 10_000 + numbers
    rows["ask_price"] = 10_002 + numbers
    rows["bid_size"] = rows["ask_size"] = 5
    rows["price_exponent"] = -2
    rows["flags"] = 1
    return rows


@dataclass
class Client:
    """One connected client, as the test's relay sees it."""

    transport: str
    send: Callable[[relay.SubscribeResponse], Any]
    send_rows: Callable[[int, int, Runs], Any]
    cut: Callable[[], Any]
    hello: relay.ClientHello | None = None
    puts: list[relay.PutSubscription] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)

    async def rows(self, first_number: int, *runs: tuple[RecordLayout, Rows], subscription: int = 1) -> None:
        await self.send_rows(subscription, first_number, list(runs))

    async def quotes(self, first_number: int, count: int, first_sequence: int | None = None) -> None:
        await self.rows(first_number, (QUOTE, quotes(count, first_sequence or first_number)))

    async def gap(self, **fields: Any) -> None:
        await self.send(relay.SubscribeResponse(gap=relay.Gap(**{"subscription_id": 1, **fields})))

    async def heartbeat(self, **numbers: int) -> None:
        last = {int(key.removeprefix("s")): number for key, number in numbers.items()}
        beat = relay.Heartbeat(time_ns=1, last_sequence=99, last_numbers=last)
        beat.sources.add(source="BINANCE", connected=True, events={2: 5})
        await self.send(relay.SubscribeResponse(heartbeat=beat))


class FakeRelay(relay_grpc.RelayServiceServicer):
    """Greets, acknowledges, and hands each client to the test."""

    def __init__(self) -> None:
        self.clients: asyncio.Queue[Client] = asyncio.Queue()
        self.hellos: asyncio.Queue[Client] = asyncio.Queue()
        self.asked: asyncio.Queue[relay.SubscribeRequest] = asyncio.Queue()
        self.greets = True
        self.answers = True
        self.refuses: relay.SubscriptionRefused | None = None
        self.row_sizes = row_sizes()
        self.address = ""
        self.socket = ""

    async def client(self) -> Client:
        """The next client that has subscribed."""
        return await self.clients.get()

    async def handle(self, client: Client, request: relay.SubscribeRequest) -> None:
        kind = request.WhichOneof("message")
        self.asked.put_nowait(request)
        if kind == "hello":
            client.hello = request.hello
            self.hellos.put_nowait(client)
            if self.greets:
                await client.send(
                    relay.SubscribeResponse(welcome=relay.RelayWelcome(relay_id="test", row_sizes=self.row_sizes))
                )
        elif kind == "put":
            client.puts.append(request.put)
            if not self.answers:
                return
            if self.refuses is not None:
                refusal = relay.SubscriptionRefused()
                refusal.CopyFrom(self.refuses)
                refusal.subscription_id = request.put.subscription_id
                await client.send(relay.SubscribeResponse(refused=refusal))
                return
            answer = relay.SubscriptionAcknowledged(
                subscription_id=request.put.subscription_id, from_sequence=5, matching_listings=3
            )
            await client.send(relay.SubscribeResponse(acknowledged=answer))
            if len(client.puts) == 1:
                self.clients.put_nowait(client)
        elif kind == "remove":
            client.removed.append(request.remove.subscription_id)
            answer = relay.SubscriptionAcknowledged(subscription_id=request.remove.subscription_id, removed=True)
            await client.send(relay.SubscribeResponse(acknowledged=answer))

    async def Subscribe(self, requests: Any, context: Any) -> None:
        done = asyncio.Event()
        one_at_a_time = asyncio.Lock()

        async def write(message: relay.SubscribeResponse) -> None:
            async with one_at_a_time:
                await context.write(message)

        async def send_rows(subscription: int, first: int, runs: Runs) -> None:
            count = sum(len(rows) for _, rows in runs)
            delivery = relay.Delivery(
                batch=unpack_rows(runs),
                subscription_id=subscription,
                first_number=first,
                count=count,
                last_sequence=max((int(rows["sequence"].max()) for _, rows in runs), default=0),
            )
            await write(relay.SubscribeResponse(delivery=delivery))

        async def cut() -> None:
            done.set()

        client = Client("grpc", write, send_rows, cut)

        async def read() -> None:
            async for request in requests:
                await self.handle(client, request)

        reading = asyncio.create_task(read())
        await done.wait()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "cut by the test")

    async def unix(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def send(message: relay.SubscribeResponse) -> None:
            writer.write(encode_control(FrameType.CONTROL, message))

        async def send_rows(subscription: int, first: int, runs: Runs) -> None:
            for layout, rows in runs:
                writer.write(encode_frame(layout.event_type, rows, slot=subscription, sequence=first))
                first += len(rows)

        async def cut() -> None:
            writer.close()

        client = Client("unix", send, send_rows, cut)
        decoder = FrameDecoder()
        try:
            while data := await reader.read(65536):
                for frame in decoder.feed(data):
                    assert frame.type == FrameType.SUBSCRIBE
                    await self.handle(client, relay.SubscribeRequest.FromString(bytes(frame.payload)))  # type: ignore[union-attr]
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def fake_relay() -> AsyncIterator[FakeRelay]:
    """A relay of the test's own on a free port and a Unix socket."""
    fake = FakeRelay()
    server = grpc.aio.server()
    relay_grpc.add_RelayServiceServicer_to_server(fake, server)
    fake.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    with tempfile.TemporaryDirectory(prefix="ap-sdk-") as folder:
        fake.socket = str(Path(folder) / "egress.sock")
        unix = await asyncio.start_unix_server(fake.unix, fake.socket)
        try:
            yield fake
        finally:
            unix.close()
            await server.stop(None)


@pytest.fixture(params=["grpc", "unix"])
def way(request: pytest.FixtureRequest) -> str:
    """Both transports."""
    return str(request.param)


@pytest.fixture
def open_stream(fake_relay: FakeRelay, way: str) -> Callable[..., MarketStream]:
    """A stream to the test's relay over the way at hand."""

    def opened(policy: GapPolicy = GapPolicy.CONTINUE, **settings: Any) -> MarketStream:
        target = {"address": fake_relay.address} if way == "grpc" else {"egress_socket": fake_relay.socket}
        return connect(**target, gap_policy=policy, backoff=Backoff(first=0.01, cap=0.05), **settings)

    return opened


@pytest.fixture(autouse=True)
def _no_environment() -> Iterator[None]:
    names = [name for name in os.environ if name.endswith("_REGISTRY_ADDRESS") or name.startswith("RELAY_")]
    held = {name: os.environ.pop(name) for name in names}
    yield
    os.environ.update(held)


@dataclass(frozen=True)
class Platform:
    """The real services as processes, and where they listen."""

    addresses: Addresses
    ingress_socket: str


def _start(arguments: list[str], variables: dict[str, str], log: Path) -> tuple[subprocess.Popen[str], str]:
    """A service process and its gRPC address, once it says that it is ready."""
    environment = {**os.environ, "GRPC_PORT": "0", "METRICS_PORT": "off", "LOG_LEVEL": "warning", **variables}
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("ready"):
            return process, dict(part.split("=", 1) for part in line.split()[1:])["grpc"]
    process.wait()
    pytest.fail(f"{' '.join(arguments)} did not start:\n{log.read_text()}")


@pytest.fixture(scope="package")
def platform(database_maker: Any, redis_url: str) -> Iterator[Platform]:
    """Three registries and a relay as processes on a database of their own."""
    database = database_maker.create()
    processes: list[subprocess.Popen[str]] = []
    with tempfile.TemporaryDirectory(prefix="ap-sdk-") as folder:
        stores = {"DATABASE_URL": database, "REDIS_URL": redis_url, "FEED_POLL_SECONDS": "0.02"}
        found: dict[str, str] = {}
        try:
            for name in ("instrument", "venue", "synthetic"):
                upper = {f"{key.upper()}_REGISTRY_ADDRESS": value for key, value in found.items()}
                process, found[name] = _start(
                    ["registry_service", name], {**stores, **upper}, Path(folder) / f"{name}.log"
                )
                processes.append(process)
            sockets = {
                "RELAY_INGRESS_SOCKET": str(Path(folder) / "in.sock"),
                "RELAY_EGRESS_SOCKET": str(Path(folder) / "out.sock"),
                "RELAY_LOG_URL": redis_url,
                "RELAY_ID": f"sdk-{Path(folder).name}",
            }
            registries = {f"{key.upper()}_REGISTRY_ADDRESS": value for key, value in found.items()}
            process, relay_address = _start(["relay_service"], {**sockets, **registries}, Path(folder) / "relay.log")
            processes.append(process)
            addresses = Addresses(
                instrument_registry=found["instrument"],
                venue_registry=found["venue"],
                synthetic_registry=found["synthetic"],
                relay=relay_address,
                egress_socket=sockets["RELAY_EGRESS_SOCKET"],
            )
            yield Platform(addresses, sockets["RELAY_INGRESS_SOCKET"])
        finally:
            for process in reversed(processes):
                process.terminate()
            for process in processes:
                process.wait(20)
                if process.stdout is not None:
                    process.stdout.close()
            database_maker.drop(database)


class Proxy:
    """Forwards TCP connections, and cuts them when told to."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.address = ""

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._pipe(reader, far_writer), self._pipe(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture
def proxy_to() -> Callable[[str], Proxy]:
    """Makes proxies to an address."""
    return Proxy
