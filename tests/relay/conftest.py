"""A relay in the test's loop on real sockets, collectors and subscribers that speak to it, and builders of rows and definitions."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import grpc
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from alphapulse.api.instrument.v1.instrument_pb2 import Instrument, Listing
from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.api.relay.v1 import relay_service_pb2_grpc
from alphapulse.records import (
    LAYOUTS,
    QUOTE,
    Frame,
    FrameDecoder,
    FrameType,
    RecordLayout,
    Rows,
    encode_control,
    encode_frame,
    row_sizes,
)
from alphapulse.runtime import ServiceHandle, serve_in_background
from relay_service.__main__ import make
from relay_service.app import RelayApplication
from relay_service.config import RelayConfig
from relay_service.edge.app import EdgeApplication

LIVE = 1
PATIENCE = 20.0
_epochs = itertools.count(1)


def hex_id(key: int) -> str:
    """An id whose first 64 bits are the key."""
    return f"{key:016x}{'0' * 16}"


def make_listing(key: int, instrument: int = 0, venue: str = "XV", **fields: Any) -> Listing:
    """A listing of an instrument, by default of one of its own."""
    return Listing(
        listing_id=hex_id(key),
        listing_key=key,
        instrument_id=hex_id(instrument or key + 1_000_000),
        venue=venue,
        definition_version=fields.pop("version", 1),
        **{"symbol": f"S{key}", "currency": "USD"} | fields,
    )


def quotes(keys: Iterable[int], first_bid: int = 100) -> Rows:
    """A quote for each key; the bids rise by one, so that each row can be told from the others."""
    keys = list(keys)
    rows = QUOTE.new(len(keys))
    rows["listing_key"] = keys
    rows["flags"] = LIVE
    rows["bid_price"] = np.arange(first_bid, first_bid + len(keys))
    rows["ask_price"] = rows["bid_price"] + 1
    rows["bid_size"] = rows["ask_size"] = 1
    return rows


class Collector:
    """One source on the ingress socket."""

    def __init__(self, path: Path, name: str, **hello: Any) -> None:
        self._path = path
        self.name = name
        self.hello = pb.SourceHello(source=name, slot=7, provenance=LIVE, row_sizes=row_sizes(), **hello)
        self.next_sequence = 1

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_unix_connection(str(self._path))
        self._decoder = FrameDecoder()
        self._waiting: list[tuple[int, bytes]] = []
        self.hello.epoch = next(_epochs)
        self._writer.write(encode_control(FrameType.HELLO, self.hello))
        kind, payload = await self.answer()
        assert kind == FrameType.WELCOME
        assert pb.SourceWelcome.FromString(payload).accepted
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def answer(self) -> tuple[int, bytes]:
        """The next frame from the relay."""
        async with asyncio.timeout(PATIENCE):
            while not self._waiting:
                data = await self._reader.read(65536)
                assert data, "the relay closed the connection"
                frames = [frame for frame in self._decoder.feed(data) if isinstance(frame, Frame)]
                self._waiting += [(frame.type, bytes(frame.payload)) for frame in frames]
        return self._waiting.pop(0)

    async def send(self, rows: Rows, layout: RecordLayout = QUOTE) -> None:
        """One frame of rows."""
        self._writer.write(encode_frame(layout.event_type, rows, slot=7, sequence=self.next_sequence))
        self.next_sequence += len(rows)
        await self._writer.drain()

    async def send_bytes(self, data: bytes) -> None:
        """Whatever bytes."""
        self._writer.write(data)
        await self._writer.drain()


@dataclass
class Received:
    """What came of one subscription, checked as it comes: numbers are contiguous, an undeclared loss fails the test."""

    expected: int = 1
    rows: list[dict[str, Any]] = field(default_factory=list)
    gaps: list[Any] = field(default_factory=list)
    source_gaps: list[Any] = field(default_factory=list)
    conflated: int = 0

    def deliver(self, number: int, events: list[dict[str, Any]], conflated: int = 0) -> None:
        """Rows came."""
        assert not events or number == self.expected
        self.expected += len(events)
        self.rows += events
        self.conflated += conflated

    def gap(self, gap: Any) -> None:
        """A gap was declared."""
        if not gap.from_number:
            self.source_gaps.append(gap)
            return
        assert gap.from_number == self.expected
        assert gap.to_number - gap.from_number + 1 == gap.count
        self.expected = gap.to_number + 1
        self.gaps.append(gap)

    @property
    def bids(self) -> list[int]:
        """Of the quotes received."""
        return [row["bid_price"] for row in self.rows if row["type"] == QUOTE.event_type]

    @property
    def dropped(self) -> int:
        """Events declared missing."""
        return sum(gap.count for gap in self.gaps)


class Client:
    """What both kinds of subscriber share: requests, and what was received, in order."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        """Every response; of deliveries the kind and the subscription alone."""
        self.by_id: dict[int, Received] = {}

    async def _send(self, request: pb.SubscribeRequest) -> None:
        raise NotImplementedError

    async def _receive(self) -> None:
        raise NotImplementedError

    async def hello(self, **fields: Any) -> Any:
        """Introduce the client; the welcome."""
        await self._send(pb.SubscribeRequest(hello=pb.ClientHello(**{"name": "test"} | fields)))
        return (await self.until(lambda: self.last("welcome"))).welcome

    async def put(self, subscription_id: int = 1, **fields: Any) -> Any:
        """Put a subscription; its acknowledgement or refusal. Fields of the filter as `filter={...}`, the rest as the message has them."""
        before = len(self.log)
        chosen = pb.SubscriptionFilter(**fields.pop("filter", {}))
        message = pb.PutSubscription(subscription_id=subscription_id, filter=chosen, **fields)
        await self._send(pb.SubscribeRequest(put=message))
        found = await self.until(lambda: self.last("acknowledged", before) or self.last("refused", before))
        return found.acknowledged if found.HasField("acknowledged") else found.refused

    async def remove(self, subscription_id: int) -> Any:
        """Remove a subscription; the answer."""
        before = len(self.log)
        request = pb.SubscribeRequest(remove=pb.RemoveSubscription(subscription_id=subscription_id))
        await self._send(request)
        return await self.until(lambda: self.last("acknowledged", before) or self.last("refused", before))

    def last(self, kind: str, since: int = 0) -> Any:
        """The last response of a kind, or None."""
        return next((one for one in reversed(self.log[since:]) if one.WhichOneof("message") == kind), None)

    def all(self, kind: str) -> list[Any]:
        """All responses of a kind."""
        return [getattr(one, kind) for one in self.log if one.WhichOneof("message") == kind]

    def of(self, subscription_id: int = 1) -> Received:
        """What came of a subscription."""
        return self.by_id.setdefault(subscription_id, Received())

    async def until(self, found: Callable[[], Any]) -> Any:
        """Receive until `found` gives something."""
        async with asyncio.timeout(PATIENCE):
            while not (answer := found()):
                await self._receive()
        return answer

    async def rows(self, count: int, subscription_id: int = 1) -> list[dict[str, Any]]:
        """Receive until a subscription has so many rows, delivered or declared missing."""
        received = self.of(subscription_id)
        await self.until(lambda: received.expected > count)
        return received.rows

    def take(self, response: Any) -> None:
        """Keep one response."""
        self.log.append(response)
        kind = response.WhichOneof("message")
        if kind == "gap":
            self.of(response.gap.subscription_id).gap(response.gap)
        elif kind == "delivery":
            one = response.delivery
            events = events_of(one.batch)
            assert len(events) == one.count
            if events:
                assert events[-1]["sequence"] == one.last_sequence
            self.of(one.subscription_id).deliver(one.first_number, events, one.conflated)


def events_of(batch: Any) -> list[dict[str, Any]]:
    """The events of an EventBatch, merged by sequence."""
    found = []
    for layout in LAYOUTS.values():
        for message in getattr(batch, layout.batch_field):
            event = {name: getattr(message, name) for name in layout.fields}
            found.append({"type": layout.event_type, **event})
    return sorted(found, key=lambda event: event["sequence"])


class GrpcClient(Client):
    """A subscriber over gRPC."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._channel = grpc.aio.insecure_channel(address)
        self.call = relay_service_pb2_grpc.RelayServiceStub(self._channel).Subscribe()

    async def close(self) -> None:
        """End the stream and the channel."""
        self.call.cancel()
        await self._channel.close()

    async def _send(self, request: pb.SubscribeRequest) -> None:
        await self.call.write(request)

    async def _receive(self) -> None:
        response = await self.call.read()
        assert response is not grpc.aio.EOF, "the relay ended the stream"
        self.take(response)


class UnixClient(Client):
    """A subscriber on the egress socket."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._decoder = FrameDecoder()
        self.rejects: list[Any] = []
        self.ended = False

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def connect(self) -> Self:
        """Open the connection."""
        self._reader, self._writer = await asyncio.open_unix_connection(str(self._path))
        return self

    async def send_bytes(self, data: bytes) -> None:
        """Whatever bytes."""
        self._writer.write(data)
        await self._writer.drain()

    async def _send(self, request: pb.SubscribeRequest) -> None:
        await self.send_bytes(encode_control(FrameType.SUBSCRIBE, request))

    async def _receive(self) -> None:
        data = await self._reader.read(1 << 20)
        if not data:
            assert not self.ended, "the relay closed the connection"
            self.ended = True
        for frame in self._decoder.feed(data):
            assert isinstance(frame, Frame)
            if frame.type == FrameType.CONTROL:
                self.take(pb.SubscribeResponse.FromString(bytes(frame.payload)))
            elif frame.type == FrameType.REJECT:
                self.rejects.append(pb.FrameRejected.FromString(bytes(frame.payload)))
            elif frame.type in LAYOUTS:
                layout = LAYOUTS[frame.type]
                rows = layout.from_bytes(bytes(frame.payload))
                columns = {name: rows[name].tolist() for name in layout.fields}
                events = [
                    {"type": frame.type} | {name: column[k] for name, column in columns.items()}
                    for k in range(len(rows))
                ]
                self.of(frame.slot).deliver(frame.sequence, events)


class Relay:
    """A relay that serves, and what a test connects to it."""

    def __init__(
        self, app: RelayApplication | EdgeApplication, config: RelayConfig, handle: ServiceHandle, stack: AsyncExitStack
    ) -> None:
        self.app = app
        self.config = config
        self.handle = handle
        self._stack = stack
        channel = grpc.aio.insecure_channel(handle.address)
        stack.push_async_callback(channel.close)
        self.stub: Any = relay_service_pb2_grpc.RelayServiceStub(channel)

    async def collector(self, name: str = "TEST", **hello: Any) -> Collector:
        """A source that said hello, with these fields more."""
        return await self._stack.enter_async_context(Collector(self.config.ingress_socket, name, **hello))

    async def grpc(self, **hello: Any) -> GrpcClient:
        """A gRPC subscriber that said hello."""
        client = GrpcClient(self.handle.address)
        self._stack.push_async_callback(client.close)
        await client.hello(**hello)
        return client

    async def unix(self, **hello: Any) -> UnixClient:
        """A subscriber on the Unix socket that said hello."""
        client = await UnixClient(self.config.egress_socket).connect()
        self._stack.push_async_callback(client.close)
        await client.hello(**hello)
        return client

    async def subscriber(self, transport: str, **hello: Any) -> GrpcClient | UnixClient:
        """A subscriber of either kind."""
        return await (self.grpc if transport == "grpc" else self.unix)(**hello)

    def define(self, *listings: Listing, instruments: Iterable[Instrument] = ()) -> None:
        """Definitions as if a registry had sent them."""
        for instrument in instruments:
            self.app.core.replica.apply_instrument(instrument)
        for listing in listings:
            self.app.core.replica.apply_listing(listing)


@pytest.fixture
def socket_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="relay") as folder:
        yield Path(folder)


@pytest.fixture
def open_relay(socket_folder: Path) -> Callable[..., Any]:
    """A relay with these settings, as an async context manager, an edge too; no registry is up, definitions come by `Relay.define`."""

    @asynccontextmanager
    async def start(**settings: Any) -> AsyncIterator[Relay]:
        name = settings.get("edge_id", "")
        usual: dict[str, Any] = {
            "metrics_port": None,
            "drain_seconds": 2.0,
            "registry_wait_seconds": 0.0,
            "ingress_socket": socket_folder / "in.sock",
            "egress_socket": socket_folder / f"out{name}.sock",
            "instrument_registry_address": "127.0.0.1:1",
            "venue_registry_address": "127.0.0.1:1",
            "synthetic_registry_address": "127.0.0.1:1",
        }
        config = RelayConfig(**usual | settings)
        app = make(config, CollectorRegistry())
        port = settings.get("grpc_port", 0)
        async with serve_in_background(app, config, port=port) as handle, AsyncExitStack() as stack:
            app.fanout.learned.set()
            yield Relay(app, config, handle, stack)

    return start


@pytest.fixture
async def start_relay(open_relay: Callable[..., Any]) -> AsyncIterator[Callable[..., Any]]:
    """Starts a relay with these settings, up to the end of the test."""
    async with AsyncExitStack() as stack:

        async def entered(**settings: Any) -> Relay:
            return await stack.enter_async_context(open_relay(**settings))

        yield entered


@pytest.fixture
async def relay(start_relay: Callable[..., Any]) -> Relay:
    """A relay with registries' definitions and the usual settings."""
    started: Relay = await start_relay()
    return started


@pytest.fixture
def build() -> Any:
    """The builders of this file, by name."""
    return _Builders()


class _Builders:
    listing: Callable[..., Listing] = staticmethod(make_listing)
    quotes: Callable[..., Rows] = staticmethod(quotes)
    hex_id: Callable[[int], str] = staticmethod(hex_id)

    @staticmethod
    def now_ns() -> int:
        """The clock of events."""
        return time.time_ns()
