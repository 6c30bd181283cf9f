"""A venue's live feed: WebSocket connections that are kept, and requests beside them, within the venue's limits."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final, Self

import aiohttp
import msgspec

from alphapulse.client.backoff import Backoff
from alphapulse.domain.errors import FailedPrecondition, InvalidArgument
from alphapulse.domain.provenance import Provenance
from collector_service.addresses import filled, hidden, spoken
from collector_service.handover import Overlap
from collector_service.source import AddressRequest, InstrumentList, Source
from collector_service.spec import Endpoints, Heartbeat, Limits, SignIn
from collector_service.subscriptions import first_of, place_of
from collector_service.transport.base import Arrival, ArrivalKind, Cease, Fetch, Request, Send, TransportError
from collector_service.transport.hosts import Hosts, retry_after
from collector_service.transport.line import Line, Way
from collector_service.transport.listing import fetch_instruments
from collector_service.transport.token import Question, Token

_QUEUE_FRAMES: Final = 8_192
"""Frames that wait for the decoder; beyond it the sockets are read no further, and TCP slows the venue."""
_TURN_FRAMES: Final = 16
"""A queue that is never empty never waits: after so many frames the sender has its turn."""
_REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=20.0)
_REQUEST_ATTEMPTS: Final = 3
_UNAUTHORISED: Final = 401
_REFUSALS: Final = (418, 429)
"""The host has had enough of all of us, whichever source asked."""


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
        sign_in: SignIn | None = None,
        backoff: Backoff | None = None,
        secrets: Mapping[str, str] | None = None,
        hosts: Hosts | None = None,
        overlap: Overlap | None = None,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """With an `address` each connection asks where to go; without, it is the WebSocket address and `path`. With a `sign_in` a token is asked for
        before anything else. `secrets` are what
        `{secret:NAME}` in addresses, headers and what is sent stands for; no message of ours shows them. `hosts` are those of all sources of the
        process. `wait` lets the seconds go by before a connection or request is tried again."""
        self._endpoints = endpoints
        self._path = path
        self._paths: list[str | None] = []
        self._address = address
        self._limits = limits
        self._heartbeat = heartbeat
        self._backoff = backoff or Backoff(first=0.5, cap=30.0)
        self._wait = wait
        self._arrived: asyncio.Queue[Arrival] = asyncio.Queue(_QUEUE_FRAMES)
        self._lines: list[Line] = []
        self._hosts = hosts or Hosts()
        self._overlap = overlap or Overlap()
        self._secrets = dict(secrets or {})
        self._token = Token(sign_in, self._secrets) if sign_in is not None else None
        self._token_place = f"{{secret:{sign_in.secret}}}" if sign_in is not None else ""
        self._fetches: asyncio.Queue[str] = asyncio.Queue()
        self._polls: dict[str, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._client: aiohttp.ClientSession | None = None
        self._taken = 0
        self._turned = 0

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
        return self._arrived.empty() or self._taken - self._turned >= _TURN_FRAMES

    async def instruments(self, source: Source) -> InstrumentList:
        return await fetch_instruments(source, self._get)

    async def arrivals(self, connections: int, paths: Sequence[str] = ()) -> AsyncIterator[Arrival]:
        self._tasks.append(asyncio.create_task(self._answer_fetches()))
        for place in range(connections):
            self.extend(paths[place] if paths else None)
        while True:
            arrival = await self._arrived.get()
            self._taken += 1
            yield arrival
            if self._taken - self._turned >= _TURN_FRAMES:
                self._turned = self._taken
                await asyncio.sleep(0)

    def extend(self, path: str | None) -> None:
        place = len(self._paths)
        self._paths.append(path)
        if self._endpoints.websocket:
            line = Line(self._way(), place)
            self._lines.append(line)
            self._tasks.append(asyncio.create_task(line.keep()))
        else:
            self._tasks.append(asyncio.create_task(self._begin(first_of(place))))

    def ready(self, limit: int, /) -> Sequence[Arrival]:
        found: list[Arrival] = []
        while len(found) < limit and not self._arrived.empty():
            found.append(self._arrived.get_nowait())
        self._taken += len(found)
        return found

    def submit(self, request: Request) -> None:
        if isinstance(request, Cease):
            poll = self._polls.pop(request.path, None)
            if poll is not None:
                poll.cancel()
        elif isinstance(request, Fetch):
            if not request.every_s:
                self._fetches.put_nowait(request.path)
            elif request.path not in self._polls:
                self._polls[request.path] = asyncio.create_task(self._poll(request.path, request.every_s))
        elif self._lines:
            line = self._lines[place_of(request.connection)]
            if isinstance(request, Send):
                line.send(request.connection, self._spoken(request.text))
            else:
                line.retire(request.connection)

    @property
    def reconnects(self) -> int:
        """Connections that broke."""
        return sum(line.lost for line in self._lines)

    def _way(self) -> Way:
        assert self._client is not None
        return Way(
            self._client,
            self._where,
            self._hosts.of,
            self._endpoints.origin,
            self._limits,
            self._heartbeat,
            self._overlap,
            self._backoff,
            self._put,
            self._wait,
        )

    async def _begin(self, number: int) -> None:
        """A venue without a stream: there is nothing to connect to, and requests can begin."""
        await self._put(ArrivalKind.OPENED, number, b"", self._endpoints.rest)

    async def _poll(self, path: str, every_s: float) -> None:
        """Asks again and again, not at the same moment as everybody else; requests wait for their turn as others do."""
        while True:
            self._fetches.put_nowait(path)
            await asyncio.sleep(every_s * random.uniform(0.95, 1.05))  # noqa: S311 - spreads requests, protects nothing

    async def _answer_fetches(self) -> None:
        while True:
            path = await self._fetches.get()
            try:
                await self._put(ArrivalKind.RESPONSE, 0, await self._get(path), path)
            except TransportError as error:
                await self._put(ArrivalKind.FAILED, 0, str(error).encode(), path)

    async def _where(self, number: int) -> tuple[str, str]:
        """The address of a connection that is about to be opened, and what of it is told. Raises TransportError."""
        await self._signed_in()
        if self._address is None:
            path = self._paths[place_of(number)]
            address = f"{self._endpoints.websocket}{self._path if path is None else path}"
            # A key is for nobody else to read.
            return self._filled(address), address
        answer = await self._request("POST", self._address.path)
        try:
            url = self._address.url(answer)
        except (msgspec.DecodeError, InvalidArgument) as error:
            raise TransportError(
                f"{self._endpoints.rest}{self._address.path}: no address in the answer: {error}"
            ) from error
        # What a venue gives for one connection alone is for nobody else to read.
        return url, url.partition("?")[0]

    async def _get(self, path: str, body: bytes | None = None) -> bytes:
        return await self._request("GET" if body is None else "POST", path, body)

    async def _signed_in(self) -> None:
        """Sees to it that there is a token, where one is asked for. Raises TransportError."""
        if self._token is not None:
            await self._token.renew(self._ask_token)

    async def _ask_token(self, question: Question) -> bytes:
        # Once: venues lock out who tries again and again.
        return await self._request("POST", question.path, question.body, proof=question.headers)

    async def _request(
        self, method: str, path: str, body: bytes | None = None, *, proof: Mapping[str, str] | None = None
    ) -> bytes:
        """One answer, asked for a few times; the venue's Retry-After is kept to. A body is JSON. With `proof`, headers of its own, it is a request
        for a token, made once and without what wants one. Raises TransportError."""
        assert self._client is not None
        backoff = Backoff(self._backoff.first, self._backoff.cap)
        address = path if "://" in path else f"{self._endpoints.rest}{path}"
        host = self._hosts.of(address)
        problem, wait, token = "", 0.0, ""
        for attempt in range(_REQUEST_ATTEMPTS if proof is None else 1):
            if attempt:
                await self._wait(max(wait, backoff.next()))
            await host.request(self._limits.requests_per_second)
            if self._token is not None and proof is None:
                await self._signed_in()
                token = self._token.held
            try:
                async with self._client.request(
                    method,
                    self._filled(address),
                    data=body,
                    headers=self._headers(body, proof),
                    allow_redirects=not self._endpoints.headers and self._token is None,
                ) as answer:
                    if answer.status == 200:
                        return await answer.read()
                    problem = f"status {answer.status}"
                    wait = retry_after(answer.headers.get("Retry-After"))
                    if answer.status in _REFUSALS:
                        host.stop(wait or self._backoff.first)
                    if answer.status == _UNAUTHORISED and self._token is not None:
                        self._token.forget(token)
            except aiohttp.InvalidURL:  # says the address itself, secrets and all
                problem = "the address is none"
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                # What aiohttp says may hold the whole address.
                problem = hidden(f"{type(error).__name__}: {error}", self._secrets, address)
        raise TransportError(f"{address}: {problem}", retry_after=wait or None)

    def _headers(self, body: bytes | None, proof: Mapping[str, str] | None) -> dict[str, str]:
        wanted = [one for one in self._endpoints.headers if proof is None or self._token_place not in one[1]]
        made = {name: self._filled(value) for name, value in wanted}
        content = {"Content-Type": "application/json"} if body is not None else {}
        return {**made, **(content if proof is None else proof)}

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

    async def _put(self, kind: ArrivalKind, number: int, data: bytes = b"", url: str = "", /) -> None:
        await self._arrived.put(Arrival(kind, time.time_ns(), data, number, url))
