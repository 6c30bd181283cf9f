"""A simulated venue behind real sockets: HTTP and WebSocket on 127.0.0.1, for tests of live connections and for trying things out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Final, Self

from aiohttp import WSCloseCode, WSMsgType, web

from collector_service.simulation.venue import SimulatedVenue

_PACE_SECONDS: Final = 0.005


class VenueServer:
    """Serves one venue. An async context manager; `address` is host and port once it is entered."""

    def __init__(self, venue: SimulatedVenue, host: str = "127.0.0.1", port: int = 0) -> None:
        self.venue = venue
        self.address = (host, port)
        self.requests: Counter[str] = Counter()
        """REST requests answered, by path."""
        self.connections = 0
        """WebSocket connections taken so far."""
        self.refuse_requests: list[tuple[int, str]] = []
        """(status, Retry-After) of answers to give to the next requests in place of theirs; for tests."""
        self._sockets: dict[int, web.WebSocketResponse] = {}
        # One queue a connection: what the venue says is sent in the order it was said, replies and events alike.
        self._outboxes: dict[int, asyncio.Queue[str]] = {}
        self._runner: web.AppRunner | None = None
        self._pump: asyncio.Task[None] | None = None

    @property
    def websocket_url(self) -> str:
        """Base address of its WebSocket."""
        return f"ws://{self.address[0]}:{self.address[1]}"

    @property
    def rest_url(self) -> str:
        """Base address of its REST requests."""
        return f"http://{self.address[0]}:{self.address[1]}"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._get)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, *self.address)
        await site.start()
        self.address = self._runner.addresses[0][:2]
        self._pump = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        await self.cut()
        if self._runner is not None:
            await self._runner.cleanup()

    async def cut(self) -> None:
        """Ends every WebSocket connection, as a venue's restart does."""
        for socket in list(self._sockets.values()):
            await socket.close(code=WSCloseCode.SERVICE_RESTART)

    def inject(self, text: str) -> None:
        """Sends a frame of the caller's to every connection."""
        for outbox in self._outboxes.values():
            outbox.put_nowait(text)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._websocket(request)
        self.requests[request.path] += 1
        if self.refuse_requests:
            status, retry_after = self.refuse_requests.pop(0)
            return web.Response(status=status, headers={"Retry-After": retry_after})
        body = self.venue.request(request.path_qs)
        return web.Response(status=404) if body is None else web.Response(body=body, content_type="application/json")

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        connection, welcome = self.venue.connect()
        outbox = self._outboxes[connection] = asyncio.Queue()
        self._sockets[connection] = socket
        self._say(connection, welcome)
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

    def _say(self, connection: int, texts: Iterable[str]) -> None:
        for text in texts:
            self._outboxes[connection].put_nowait(text)

    @staticmethod
    async def _write(socket: web.WebSocketResponse, outbox: asyncio.Queue[str]) -> None:
        try:
            while True:
                await socket.send_str(await outbox.get())
        except (ConnectionError, RuntimeError):
            return  # it was cut in between; its handler tidies up

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time() - self.venue.now_s
        while True:
            due = self.venue.due(loop.time() - start)
            while self.venue.steps < due:
                for connection, text in self.venue.step():
                    self._say(connection, (text,))
            await asyncio.sleep(_PACE_SECONDS)
