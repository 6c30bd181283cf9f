"""One connection to a venue that is kept: opened anew when it breaks, and followed by another one before the venue ends it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import aiohttp
import structlog

from alphapulse.client.backoff import Backoff
from collector_service.handover import Overlap
from collector_service.spec import Heartbeat, Limits
from collector_service.subscriptions import first_of, partner_of
from collector_service.transport.base import ArrivalKind, TransportError
from collector_service.transport.hosts import HostPace, retry_after

_MAX_FRAME: Final = 32 << 20
_TOO_MANY: Final = (418, 429)
_ROLL_OVER: Final = (0.80, 0.95)
"""Part of its life after which a connection is followed by another one, drawn for each: they do not all go at once."""
_NO_FRAME: Final = (
    aiohttp.WSMsgType.CLOSE,
    aiohttp.WSMsgType.CLOSING,
    aiohttp.WSMsgType.CLOSED,
    aiohttp.WSMsgType.ERROR,
)
_log = structlog.stdlib.get_logger(__name__)


class _TooOldError(Exception):
    """The connection has lived as long as the venue lets one live."""


class Put(Protocol):
    """Takes what arrives; waits where nobody takes it from there."""

    def __call__(self, kind: ArrivalKind, connection: int, data: bytes = b"", url: str = "", /) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Way:
    """What the connections of one source have in common."""

    client: aiohttp.ClientSession
    address: Callable[[int], Awaitable[tuple[str, str]]]
    """The address of a connection with this number, and what of it may be shown. Raises TransportError."""
    pace: Callable[[str], HostPace]
    """The host behind an address."""
    origin: str
    limits: Limits
    heartbeat: Heartbeat
    overlap: Overlap
    backoff: Backoff
    put: Put
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Lets the seconds go by before a connection is tried again."""


@dataclass(slots=True)
class _Connection:
    number: int
    outbox: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    opened: asyncio.Future[float] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """When it was."""
    retired: bool = False
    reason: str = "the venue closed the connection"
    wait: float = 0.0
    """Seconds the venue asks to be left alone."""
    task: asyncio.Task[None] = field(init=False)


class Line:
    """A place among a source's connections, which one after the other takes. `lost` counts those that broke."""

    def __init__(self, way: Way, place: int) -> None:
        self._way = way
        self._place = place
        self._backoff = Backoff(way.backoff.first, way.backoff.cap)
        self._connections: dict[int, _Connection] = {}
        self.lost = 0

    def send(self, connection: int, text: str) -> None:
        """Sends over one of its connections; what is for one that is gone is for nobody."""
        found = self._connections.get(connection)
        if found is not None:
            found.outbox.put_nowait(text)

    def retire(self, connection: int) -> None:
        """A connection has a successor: it is closed."""
        found = self._connections.get(connection)
        if found is not None:
            found.retired = True
            found.task.cancel()

    async def keep(self) -> None:
        """Until it is cancelled."""
        current = self._open(first_of(self._place))
        try:
            while True:
                heir = await self._serve(current)
                if current.retired and heir is not None:
                    await self._way.put(ArrivalKind.RETIRED, current.number)
                    _log.info("a connection was followed by another before its end", place=self._place)
                    current = heir
                    continue
                self.lost += 1
                await self._way.put(ArrivalKind.CLOSED, current.number, current.reason.encode())
                if heir is None:
                    await self._way.wait(max(current.wait, self._backoff.next()))
                    heir = self._open(current.number)
                current = heir
        finally:
            for one in list(self._connections.values()):
                one.task.cancel()
            await asyncio.gather(*(one.task for one in self._connections.values()), return_exceptions=True)

    async def _serve(self, current: _Connection) -> _Connection | None:
        """Waits until a connection has ended; answers the one that is there to follow it."""
        opened: set[asyncio.Future[Any]] = {current.opened, current.task}
        await asyncio.wait(opened, return_when=asyncio.FIRST_COMPLETED)
        lifetime = self._way.limits.connection_lifetime_s
        due = None
        if lifetime and current.opened.done():
            overlap = min(self._way.overlap.notice_s + self._way.overlap.bound_s, lifetime / 2)
            age = lifetime * random.uniform(*_ROLL_OVER) - overlap  # noqa: S311 - spreads, protects nothing
            due = max(0.0, current.opened.result() + age - _now())
        await asyncio.wait({current.task}, timeout=due)
        backoff = Backoff(self._way.backoff.first, self._way.backoff.cap)
        while not current.task.done():
            number = partner_of(current.number)
            await self._way.put(ArrivalKind.SUCCEEDING, number)
            await asyncio.wait({current.task}, timeout=self._way.overlap.notice_s)
            if current.task.done():
                await self._way.put(ArrivalKind.RETIRED, number)
                break
            heir = self._open(number)
            await asyncio.wait({current.task, heir.task}, return_when=asyncio.FIRST_COMPLETED)
            if not heir.task.done():
                return heir
            await self._way.put(ArrivalKind.RETIRED, number)
            if current.retired:  # it was given up for one that is gone now
                await asyncio.wait({current.task})
                current.reason = heir.reason
                break
            _log.warning("no other connection yet", reason=heir.reason)
            await asyncio.wait({current.task}, timeout=max(heir.wait, backoff.next()))
        return None

    def _open(self, number: int) -> _Connection:
        made = self._connections[number] = _Connection(number)
        made.task = asyncio.create_task(self._converse(made))
        return made

    async def _converse(self, connection: _Connection) -> None:
        """One connection, from open to closed; it knows then why. Raises nothing but cancellation."""
        try:
            await self._exchange(connection)
        except _TooOldError:
            connection.reason = "the connection is as old as the venue allows"
        except aiohttp.WSServerHandshakeError as error:
            connection.reason = f"refused with status {error.status}"
            connection.wait = retry_after(error.headers.get("Retry-After") if error.headers else None)
            if error.status in _TOO_MANY:
                self._way.pace(str(error.request_info.url)).stop(connection.wait or self._way.backoff.first)
        except TransportError as error:
            connection.reason, connection.wait = str(error), error.retry_after or 0.0
        except aiohttp.InvalidURL:  # says the address itself, secrets and all
            connection.reason = "the address is none"
        except aiohttp.ClientResponseError as error:  # says the address, too
            connection.reason = f"{type(error).__name__}: status {error.status}"
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            connection.reason = f"{type(error).__name__}: {error}"
        except Exception as error:  # a connection that nobody opens again would be silence without a reason
            _log.exception("connection failed")
            connection.reason = f"{type(error).__name__}: {error}"

    async def _exchange(self, connection: _Connection) -> None:
        way = self._way
        url, shown = await way.address(connection.number)
        await way.pace(url).connection()
        async with way.client.ws_connect(
            url, max_msg_size=_MAX_FRAME, heartbeat=way.heartbeat.interval_s, origin=way.origin or None
        ) as socket:
            await way.put(ArrivalKind.OPENED, connection.number, b"", shown)
            connection.opened.set_result(_now())
            writer = asyncio.create_task(self._write(socket, connection.outbox))
            try:
                async with asyncio.timeout(way.limits.connection_lifetime_s or None):
                    await self._read(socket, connection.number)
            except TimeoutError as error:
                raise _TooOldError from error
            finally:
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse, number: int) -> None:
        stale_after_s = self._way.heartbeat.stale_after_s
        while True:
            try:
                async with asyncio.timeout(stale_after_s):
                    message = await socket.receive()
            except TimeoutError as error:
                raise ConnectionError(f"no frame for {stale_after_s:g} s") from error
            if message.type in _NO_FRAME:
                return
            if message.type is aiohttp.WSMsgType.TEXT:
                data = message.data.encode("utf-8", "surrogateescape")
            elif message.type is aiohttp.WSMsgType.BINARY:
                data = message.data
            else:
                continue
            # Only a connection that delivers has earned a fresh back-off: some venues accept and drop at once.
            self._backoff.reset()
            await self._way.put(ArrivalKind.FRAME, number, data)

    async def _write(self, socket: aiohttp.ClientWebSocketResponse, outbox: asyncio.Queue[str]) -> None:
        pause = 1.0 / self._way.limits.messages_per_second
        heartbeat = self._way.heartbeat
        with suppress(ConnectionError, RuntimeError):
            while True:
                text = heartbeat.ping
                with suppress(TimeoutError):
                    async with asyncio.timeout(heartbeat.interval_s):
                        text = await outbox.get()
                if text:
                    await socket.send_str(text)
                    await asyncio.sleep(pause)


def _now() -> float:
    return asyncio.get_running_loop().time()
