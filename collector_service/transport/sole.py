"""A source's only connection, which a library opens and reads: made anew whenever it breaks, and read no faster than what arrives is taken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import structlog

from alphapulse.client.backoff import Backoff
from collector_service.transport.base import Arrival, ArrivalKind, TransportError

_TURN_FRAMES: Final = 16
"""A queue that is never empty never waits: after so many frames the sender has its turn."""
HIGH_WATER: Final = 16_384
"""Arrivals that wait for the decoder; beyond it the socket is not read, and TCP slows whoever sends."""
LOW_WATER: Final = 4_096
_log = structlog.stdlib.get_logger(__name__)


class SoleConnection:
    """Keeps one conversation going after the other, and has what arrived in them in the order of arrival."""

    def __init__(self, converse: Callable[[], Awaitable[None]], backoff: Backoff, *, name: str, most: int = 0) -> None:
        """`converse` speaks from the opening of a connection to its end, and raises TransportError then. `backoff` waits between two of them; who
        converses resets it. `most` arrivals wait at the most, and `put` with them; 0: what does not wait for room uses `tell`."""
        self._converse = converse
        self._backoff = backoff
        self._name = name
        self._arrived: asyncio.Queue[Arrival] = asyncio.Queue(most)
        self._keeper: asyncio.Task[None] | None = None
        self._socket: asyncio.ReadTransport | None = None
        self._paused = False
        self._heard = 0.0
        self._taken = 0

    async def close(self) -> None:
        """Ends the conversation under way."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    @property
    def pauses(self) -> bool:
        """As `Transport.pauses`."""
        return self._arrived.empty() or self._taken % _TURN_FRAMES == 0

    @property
    def quiet_s(self) -> float:
        """Seconds since anything was heard; 0 while the socket is not read."""
        return 0.0 if self._paused else time.monotonic() - self._heard

    async def arrivals(self, connections: int) -> AsyncIterator[Arrival]:
        """As `Transport.arrivals`, of one connection."""
        if connections != 1:
            raise ValueError(f"connections={connections}: {self._name} is one connection")
        self._keeper = asyncio.create_task(self._keep())
        while True:
            arrival = await self._arrived.get()
            self._taken += 1
            if self._paused and self._arrived.qsize() <= LOW_WATER:
                self._read_on()
            yield arrival
            if self._taken % _TURN_FRAMES == 0:
                await asyncio.sleep(0)

    def extend(self, path: str | None) -> None:
        """As `Transport.extend`: there is no other place."""
        raise ValueError(f"path={path!r}: {self._name} is one connection")

    def opened(self, at: str, socket: asyncio.ReadTransport | None) -> None:
        """A connection is open; its socket is left unread while too much waits."""
        self._socket, self._paused, self._heard = socket, False, time.monotonic()
        self._arrived.put_nowait(_arrival(ArrivalKind.OPENED, b"", at))

    def ended(self) -> None:
        """It is not any more."""
        self._socket = None

    def heard(self) -> None:
        """It has said something, whether or not that is told."""
        self._heard = time.monotonic()

    def tell(self, data: bytes) -> None:
        """A message has arrived."""
        self._arrived.put_nowait(_arrival(ArrivalKind.FRAME, data))
        if not self._paused and self._arrived.qsize() >= HIGH_WATER and self._socket is not None:
            self._paused = True
            self._socket.pause_reading()

    async def put(self, kind: ArrivalKind, data: bytes, url: str = "") -> None:
        """The same of anything, once there is room."""
        await self._arrived.put(_arrival(kind, data, url))

    def _read_on(self) -> None:
        self._paused, self._heard = False, time.monotonic()
        if self._socket is not None and not self._socket.is_closing():
            self._socket.resume_reading()

    async def _keep(self) -> None:
        while True:
            try:
                await self._converse()
                return
            except TransportError as error:
                reason, wait = str(error), error.retry_after or 0.0
            except Exception as error:  # a task that ends here would be silence without a reason
                _log.exception("a conversation failed", connection=self._name)
                reason, wait = f"{type(error).__name__}: {error}", 0.0
            await self.put(ArrivalKind.CLOSED, reason.encode())
            await asyncio.sleep(max(wait, self._backoff.next()))


def _arrival(kind: ArrivalKind, data: bytes, url: str = "") -> Arrival:
    return Arrival(kind, time.time_ns(), data, 0, url)
