"""A registry small enough to read, behind real gRPC on a real socket, and a TCP proxy that cuts connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_pb2
from alphapulse.api.instrument.v1 import instrument_service_pb2 as pb
from alphapulse.api.instrument.v1.instrument_service_pb2_grpc import (
    InstrumentServiceServicer,
    add_InstrumentServiceServicer_to_server,
)
from alphapulse.domain.errors import SnapshotRequired, Unavailable
from alphapulse.runtime import GrpcService


class SmallRegistry(InstrumentServiceServicer):
    """Revision n creates instrument n. `cuts` says after how many responses each next stream breaks; then none do."""

    def __init__(self, *, cuts: Sequence[int] = (), bookmark_every: int = 2, per_message: int = 1) -> None:
        self.head = 0
        self.oldest = 0
        self.bookmark_every = bookmark_every
        self.per_message = per_message
        self.bookmarks_in_snapshot = False
        self.cuts = list(cuts)
        self.watches: list[pb.WatchInstrumentsRequest] = []
        self.batches: list[tuple[int, str]] = []
        self.written: dict[str, list[str]] = {}
        self.answer: Callable[[pb.RegisterInstrumentsRequest], Awaitable[None]] | None = None
        self.open_streams = 0
        self._grown = asyncio.Event()

    name = "small"

    async def start(self) -> Sequence[GrpcService]:
        name = "alphapulse.api.instrument.v1.InstrumentService"
        return [GrpcService(name, lambda server: add_InstrumentServiceServicer_to_server(self, server))]

    async def drain(self) -> None: ...

    async def stop(self) -> None: ...

    def grow(self, count: int) -> None:
        """Add revisions."""
        self.head += count
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    async def WatchInstruments(self, request: Any, context: Any) -> AsyncIterator[pb.WatchInstrumentsResponse]:
        self.watches.append(request)
        self.open_streams += 1
        left = self.cuts.pop(0) if self.cuts else -1
        try:
            async for response in self._events(request):
                if left == 0:
                    raise Unavailable("cut")
                left -= 1
                yield response
        finally:
            self.open_streams -= 1

    async def _events(self, request: Any) -> AsyncIterator[pb.WatchInstrumentsResponse]:
        at = int(request.resume_token.removeprefix("after-") or self.head)
        if at < self.oldest:
            raise SnapshotRequired.since(f"after-{self.oldest}")
        if not request.resume_token:
            if not request.skip_snapshot:
                for number in range(1, at + 1):
                    entry = pb.InstrumentEntry(instrument=instrument_pb2.Instrument(instrument_id=str(number)))
                    yield pb.WatchInstrumentsResponse(snapshot=pb.InstrumentSnapshot(entries=[entry]))
                    if self.bookmarks_in_snapshot:
                        yield bookmark(at)
            yield bookmark(at, complete=not request.skip_snapshot)
        sent = 0
        while True:
            grown = self._grown
            while at < self.head:
                upto = min(self.head, at + self.per_message)
                yield changes(range(at + 1, upto + 1))
                at, sent = upto, sent + 1
                if sent % self.bookmark_every == 0:
                    yield bookmark(at)
            await grown.wait()

    async def RegisterInstruments(
        self, requests: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[pb.RegisterInstrumentsResponse]:
        left = self.cuts.pop(0) if self.cuts else -1
        async for request in requests:
            key = request.write.request_id
            self.batches.append((request.batch_id, key))
            if self.answer is not None:
                await self.answer(request)
            ids = self.written.setdefault(key, [entry.instrument.instrument_id for entry in request.entries])
            # Written, and the answer lost: what a broken connection does.
            if left == 0:
                raise Unavailable("cut")
            left -= 1
            results = [pb.RegistrationResult(instrument_id=each) for each in ids]
            yield pb.RegisterInstrumentsResponse(batch_id=request.batch_id, results=results)


def bookmark(revision: int, *, complete: bool = False) -> pb.WatchInstrumentsResponse:
    held = common_pb2.Bookmark(revision=revision, resume_token=f"after-{revision}", snapshot_complete=complete)
    return pb.WatchInstrumentsResponse(bookmark=held)


def changes(revisions: range) -> pb.WatchInstrumentsResponse:
    made = [
        pb.InstrumentChange(revision=each, instrument=instrument_pb2.Instrument(instrument_id=str(each)))
        for each in revisions
    ]
    return pb.WatchInstrumentsResponse(changes=pb.InstrumentChanges(changes=made))


class Proxy:
    """Forwards TCP to `port`; `cut` resets every connection, as a lost machine or a firewall does."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        both = {writer, there_writer}
        self._writers |= both
        try:
            await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        finally:
            for each in both:
                each.close()
            self._writers -= both


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
def small_registry() -> type[SmallRegistry]:
    """The class of the small registry: an application for `serve_in_background`."""
    return SmallRegistry


@pytest.fixture
async def proxy_to() -> AsyncIterator[Callable[[int], Awaitable[Proxy]]]:
    """Put a proxy in front of a port."""
    async with AsyncExitStack() as stack:

        async def opened(port: int) -> Proxy:
            return await stack.enter_async_context(Proxy(port).listening())

        yield opened
