"""A mock venue behind real sockets, HTTP and WebSocket on 127.0.0.1, with everything that venues do to their clients."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Self
from urllib.parse import unquote

from aiohttp import WSCloseCode, WSMsgType, web

from collector_service.mock.chain import MockChain
from collector_service.mock.events import Said
from collector_service.mock.venue import MockVenue
from collector_service.spec.dialect import Compression
from collector_service.spec.source import Endpoints


class MockServer:
    """Serves one venue. An async context manager; the market moves when `advance` is called, and nothing happens by a clock."""

    def __init__(self, venue: MockVenue | MockChain, host: str = "127.0.0.1", port: int = 0) -> None:
        self.venue = venue
        self.address = (host, port)
        self.requests: Counter[str] = Counter()
        """REST requests, by path."""
        self.connections = 0
        """WebSocket connections taken so far."""
        self.refuse_requests: list[tuple[int, str]] = []
        """(status, Retry-After) of answers to the next requests, in the place of theirs."""
        self.refuse_connections: list[tuple[int, str]] = []
        """The same of the next WebSocket handshakes."""
        self.is_silent = False
        """Connections are taken and nothing is said on them."""
        self.holds_answers = False
        """Requests wait until it is False again: a slow start."""
        self._sockets: dict[int, web.WebSocketResponse] = {}
        # One queue a connection: what the venue says is sent in the order it was said, replies and events alike.
        self._outboxes: dict[int, asyncio.Queue[bytes]] = {}
        self._runner: web.AppRunner | None = None

    @property
    def endpoints(self) -> Endpoints:
        """Where it is."""
        host = f"{self.address[0]}:{self.address[1]}"
        return replace(self.venue.source.endpoints, websocket=f"ws://{host}", rest=f"http://{host}")

    @property
    def open_connections(self) -> int:
        """WebSocket connections that are open now."""
        return len(self._sockets)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._get)
        app.router.add_post("/{path:.*}", self._post)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, *self.address)
        await site.start()
        self.address = self._runner.addresses[0][:2]
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.cut()
        if self._runner is not None:
            await self._runner.cleanup()

    async def cut(self) -> None:
        """Ends every WebSocket connection, as a venue's restart does."""
        for socket in list(self._sockets.values()):
            await socket.close(code=WSCloseCode.SERVICE_RESTART)

    def inject(self, data: bytes) -> None:
        """Sends a frame of the caller's on every connection."""
        for outbox in self._outboxes.values():
            outbox.put_nowait(data)

    def send(self, connection: int, data: bytes) -> None:
        """Sends a frame on one connection, behind what was said on it before."""
        outbox = self._outboxes.get(connection)
        if outbox is not None and not self.is_silent:
            outbox.put_nowait(data)

    def advance(self) -> None:
        """One moment of the market, told to everybody who subscribed to it."""
        for said in self.venue.step():
            for connection in list(self._outboxes):
                if self.venue.takes(connection, said):
                    self._say(connection, (said,))

    async def _get(self, request: web.Request) -> web.StreamResponse:
        upgrades = request.headers.get("Upgrade", "").lower() == "websocket"
        refusals = self.refuse_connections if upgrades else self.refuse_requests
        if not upgrades:
            self.requests[request.path] += 1
        if refusals:
            status, retry_after = refusals.pop(0)
            return web.Response(status=status, headers={"Retry-After": retry_after} if retry_after else None)
        if upgrades:
            return await self._websocket(request)
        while self.holds_answers:  # noqa: ASYNC110 - whoever holds them has no event to give
            await asyncio.sleep(0.002)
        body = self.venue.answer(request.raw_path) or self.venue.answer(unquote(request.raw_path))
        return web.Response(status=404) if body is None else web.Response(body=body, content_type="application/json")

    async def _post(self, request: web.Request) -> web.Response:
        """A list that is asked for so, or an address for one connection, which venues give at this host."""
        self.requests[request.path] += 1
        if self.refuse_requests:
            status, retry_after = self.refuse_requests.pop(0)
            return web.Response(status=status, headers={"Retry-After": retry_after} if retry_after else None)
        body = self.venue.lists.posted(request.path_qs, await request.read())
        body = body or self.venue.ticket(request.path_qs, f"{self.endpoints.websocket}/ticket")
        return web.Response(status=404) if body is None else web.Response(body=body, content_type="application/json")

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        connection = self.venue.connect()
        outbox = self._outboxes[connection] = asyncio.Queue()
        self._sockets[connection] = socket
        self._say(connection, self.venue.welcome())
        writer = asyncio.create_task(self._write(socket, outbox))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._say(connection, self.venue.receive(connection, message.data))
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            del self._sockets[connection], self._outboxes[connection]
            self.venue.disconnect(connection)
        return socket

    def _say(self, connection: int, said: Iterable[Said]) -> None:
        for one in said:
            self.send(connection, one.data)

    async def _write(self, socket: web.WebSocketResponse, outbox: asyncio.Queue[bytes]) -> None:
        packed = self.venue.dialect.compression is not Compression.NONE
        try:
            while True:
                data = await outbox.get()
                if packed or not _is_text(data):
                    await socket.send_bytes(data)
                else:
                    await socket.send_str(data.decode())
        except (ConnectionError, RuntimeError):
            return  # it was cut in between; its handler tidies up


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
