"""A venue's live feed: WebSocket connections that come back, and requests beside them, within the venue's limits."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, Self

import aiohttp
import msgspec
import structlog

from alphapulse.client.backoff import Backoff
from alphapulse.domain.errors import FailedPrecondition, InvalidArgument
from alphapulse.domain.provenance import Provenance
from collector_service.addresses import filled, spoken
from collector_service.source import AddressRequest, InstrumentList, Source
from collector_service.spec import Endpoints, Heartbeat, Limits
from collector_service.transport.base import Arrival, ArrivalKind, Fetch, Request, TransportError
from collector_service.transport.listing import fetch_instruments

_QUEUE_FRAMES: Final = 8_192
"""Frames that wait for the decoder; beyond it the sockets are read no further, and TCP slows the venue."""
_TURN_FRAMES: Final = 16
"""A queue that is never empty never waits: after so many frames the sender has its turn."""
_REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=20.0)
_REQUEST_ATTEMPTS: Final = 3
_MAX_FRAME: Final = 32 << 20
_MAX_RETRY_AFTER: Final = 300.0
_NO_FRAME: Final = (
    aiohttp.WSMsgType.CLOSE,
    aiohttp.WSMsgType.CLOSING,
    aiohttp.WSMsgType.CLOSED,
    aiohttp.WSMsgType.ERROR,
)


_log = structlog.stdlib.get_logger(__name__)


class _TooOldError(Exception):
    """The connection has lived as long as the venue lets one live."""


class LiveTransport:
    """Connects to the venue; everything that arrives goes through one queue, in the order of arrival."""

    provenance = Provenance.LIVE
    lossless = False

    def __init__(
        self,
        endpoints: Endpoints,
        path: str,
        limits: Limits,
        heartbeat: Heartbeat,
        *,
        address: AddressRequest | None = None,
        backoff: Backoff | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        """With an `address` each connection asks where to go; without, it is the WebSocket address and `path`. `secrets` are what
        `{secret:NAME}` in addresses, headers and what is sent stands for; no message of ours shows them."""
        self._endpoints = endpoints
        self._path = path
        self._paths: Sequence[str] = ()
        self._address = address
        self._limits = limits
        self._heartbeat = heartbeat
        self._backoff = backoff or Backoff(first=0.5, cap=30.0)
        self._arrived: asyncio.Queue[Arrival] = asyncio.Queue(_QUEUE_FRAMES)
        self._outboxes: list[asyncio.Queue[str]] = []
        self._secrets = dict(secrets or {})
        self._fetches: asyncio.Queue[str] = asyncio.Queue()
        self._polls: dict[str, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._client: aiohttp.ClientSession | None = None
        self._taken = 0
        self.reconnects = 0

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(timeout=_REQUEST_TIMEOUT, headers={"User-Agent": "alphapulse-collector"})
        return self

    async def __aexit__(self, *exc: object) -> None:
        tasks = (*self._tasks, *self._polls.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        self._polls.clear()
        if self._client is not None:
            await self._client.close()

    @property
    def pauses(self) -> bool:
        return self._arrived.empty() or self._taken % _TURN_FRAMES == 0

    async def instruments(self, source: Source) -> InstrumentList:
        return await fetch_instruments(source, self._get)

    async def arrivals(self, connections: int, paths: Sequence[str] = ()) -> AsyncIterator[Arrival]:
        self._paths = paths
        self._outboxes = [asyncio.Queue() for _ in range(connections)]
        streams = self._keep_connected if self._endpoints.websocket else self._begin
        self._tasks = [asyncio.create_task(streams(number)) for number in range(connections)]
        self._tasks.append(asyncio.create_task(self._answer_fetches()))
        while True:
            arrival = await self._arrived.get()
            self._taken += 1
            yield arrival
            if self._taken % _TURN_FRAMES == 0:
                await asyncio.sleep(0)

    def submit(self, request: Request) -> None:
        if isinstance(request, Fetch):
            if not request.every_s:
                self._fetches.put_nowait(request.path)
            elif request.path not in self._polls:
                self._polls[request.path] = asyncio.create_task(self._poll(request.path, request.every_s))
        elif request.connection < len(self._outboxes):
            self._outboxes[request.connection].put_nowait(self._spoken(request.text))

    async def _keep_connected(self, number: int) -> None:
        backoff = Backoff(self._backoff.first, self._backoff.cap)
        while True:
            wait = 0.0
            try:
                await self._converse(number, backoff)
                reason = "the venue closed the connection"
            except _TooOldError:
                reason = "the connection is as old as the venue allows"
            except aiohttp.WSServerHandshakeError as error:
                reason = f"refused with status {error.status}"
                wait = _retry_after(error.headers.get("Retry-After") if error.headers else None)
            except TransportError as error:
                reason, wait = str(error), error.retry_after or 0.0
            except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
                reason = _told(error)
            except Exception as error:  # a connection that nobody opens again would be silence without a reason
                _log.exception("connection failed", url=self._endpoints.websocket)
                reason = _told(error)
            self.reconnects += 1
            await self._put(ArrivalKind.CLOSED, number, reason.encode())
            await asyncio.sleep(max(wait, backoff.next()))

    async def _converse(self, number: int, backoff: Backoff) -> None:
        """One connection, from open to closed."""
        assert self._client is not None
        url = await self._where(number)
        outbox = self._outboxes[number]
        while not outbox.empty():
            outbox.get_nowait()  # meant for a connection that is gone
        async with self._client.ws_connect(
            url,
            max_msg_size=_MAX_FRAME,
            heartbeat=self._heartbeat.interval_s,
            origin=self._endpoints.origin or None,
        ) as socket:
            # What a venue gives for one connection alone is for nobody else to read.
            await self._put(ArrivalKind.OPENED, number, b"", self._shown(number, url))
            writer = asyncio.create_task(self._write(socket, outbox))
            try:
                async with asyncio.timeout(self._limits.connection_lifetime_s or None):
                    await self._read(socket, number, backoff)
            except TimeoutError as error:
                raise _TooOldError from error
            finally:
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse, number: int, backoff: Backoff) -> None:
        while True:
            try:
                async with asyncio.timeout(self._heartbeat.stale_after_s):
                    message = await socket.receive()
            except TimeoutError as error:
                raise ConnectionError(f"no frame for {self._heartbeat.stale_after_s:g} s") from error
            if message.type in _NO_FRAME:
                return
            if message.type is aiohttp.WSMsgType.TEXT:
                data = message.data.encode("utf-8", "surrogateescape")
            elif message.type is aiohttp.WSMsgType.BINARY:
                data = message.data
            else:
                continue
            # Only a connection that delivers has earned a fresh back-off: some venues accept and drop at once.
            backoff.reset()
            await self._put(ArrivalKind.FRAME, number, data)

    async def _write(self, socket: aiohttp.ClientWebSocketResponse, outbox: asyncio.Queue[str]) -> None:
        pause = 1.0 / self._limits.messages_per_second
        with suppress(ConnectionError, RuntimeError):
            while True:
                text = self._heartbeat.ping
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._heartbeat.interval_s):
                        text = await outbox.get()
                if text:
                    await socket.send_str(text)
                    await asyncio.sleep(pause)

    async def _begin(self, number: int) -> None:
        """A venue without a stream: there is nothing to connect to, and requests can begin."""
        await self._put(ArrivalKind.OPENED, number, b"", self._endpoints.rest)

    async def _poll(self, path: str, every_s: float) -> None:
        """Asks again and again, not at the same moment as everybody else; requests wait for their turn as others do."""
        while True:
            self._fetches.put_nowait(path)
            await asyncio.sleep(every_s * random.uniform(0.95, 1.05))  # noqa: S311 - spreads requests, protects nothing

    async def _answer_fetches(self) -> None:
        pause = 1.0 / self._limits.requests_per_second
        while True:
            path = await self._fetches.get()
            try:
                await self._put(ArrivalKind.RESPONSE, 0, await self._get(path), path)
            except TransportError as error:
                await self._put(ArrivalKind.FAILED, 0, str(error).encode(), path)
            await asyncio.sleep(pause)

    async def _where(self, number: int) -> str:
        """The address of a connection that is about to be opened. Raises TransportError."""
        if self._address is None:
            return f"{self._endpoints.websocket}{self._filled(self._path_of(number))}"
        answer = await self._request("POST", self._address.path)
        try:
            return self._address.url(answer)
        except (msgspec.DecodeError, InvalidArgument) as error:
            raise TransportError(
                f"{self._endpoints.rest}{self._address.path}: no address in the answer: {error}"
            ) from error

    def _path_of(self, number: int) -> str:
        return self._paths[number] if self._paths else self._path

    def _shown(self, number: int, url: str) -> str:
        """The address of a connection as anybody may read it."""
        if self._address is None:
            return f"{self._endpoints.websocket}{self._path_of(number)}"
        return url.partition("?")[0]

    async def _get(self, path: str, body: bytes | None = None) -> bytes:
        return await self._request("GET" if body is None else "POST", path, body)

    async def _request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """One answer, asked for a few times; the venue's Retry-After is kept to. A body is JSON. Raises TransportError."""
        assert self._client is not None
        backoff = Backoff(self._backoff.first, self._backoff.cap)
        problem, wait = "", 0.0
        for attempt in range(_REQUEST_ATTEMPTS):
            if attempt:
                await asyncio.sleep(max(wait, backoff.next()))
            try:
                async with self._client.request(
                    method,
                    f"{self._endpoints.rest}{self._filled(path)}",
                    data=body,
                    headers=self._headers(body),
                    allow_redirects=not self._endpoints.headers,
                ) as answer:
                    if answer.status == 200:
                        return await answer.read()
                    problem = f"status {answer.status}"
                    wait = _retry_after(answer.headers.get("Retry-After"))
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                problem = _told(error)
        raise TransportError(f"{self._endpoints.rest}{path}: {problem}", retry_after=wait or None)

    def _headers(self, body: bytes | None) -> dict[str, str]:
        made = {name: self._filled(value) for name, value in self._endpoints.headers}
        return {**made, "Content-Type": "application/json"} if body is not None else made

    def _filled(self, path: str) -> str:
        """Raises TransportError for a secret that nobody told."""
        try:
            return filled(path, self._secrets, time.time_ns())
        except FailedPrecondition as error:
            raise TransportError(f"{self._endpoints.rest or self._endpoints.websocket}: {error}") from error

    def _spoken(self, text: str) -> str:
        """A frame with its secrets, as JSON writes them where it is JSON. Raises TransportError for one that nobody told."""
        try:
            return spoken(text, self._secrets)
        except FailedPrecondition as error:
            raise TransportError(f"{self._endpoints.websocket}: {error}") from error

    async def _put(self, kind: ArrivalKind, number: int, data: bytes, url: str = "") -> None:
        await self._arrived.put(Arrival(kind, time.time_ns(), data, number, url))


def _told(error: Exception) -> str:
    """What an error says, without the address where it would say that: there may be a key in it."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{type(error).__name__}: status {error.status}"
    return type(error).__name__ if isinstance(error, aiohttp.InvalidURL) else f"{type(error).__name__}: {error}"


def _retry_after(text: str | None) -> float:
    """Seconds of a Retry-After header; 0 for none. A date, which no venue sends, counts as none."""
    return min(float(text), _MAX_RETRY_AFTER) if text and text.isascii() and text.isdecimal() else 0.0
