"""A simulated venue in this process: no sockets, the same words."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final, Self

import msgspec

from alphapulse.domain.provenance import Provenance
from collector_service.simulation import SimulatedVenue
from collector_service.source import InstrumentList, Source
from collector_service.subscriptions import first_of, place_of
from collector_service.transport.base import Arrival, ArrivalKind, Fetch, Request, Send, TransportError
from collector_service.transport.listing import fetch_instruments

_PACE_SECONDS: Final = 0.002
_TURN_FRAMES: Final = 8
"""After so many the sender has its turn: rows do not wait for the end of a burst."""


class SimulatedTransport:
    """Frames of a simulated venue, at its rate. With `steps` it ends after so many, as fast as they are taken, on the venue's clock."""

    provenance = Provenance.SIMULATED
    lossless = True

    def __init__(self, venue: SimulatedVenue, *, steps: int | None = None) -> None:
        self._venue = venue
        self._steps = steps
        self._waiting: deque[Arrival] = deque()
        self._connections: list[int] = []
        self._turn = 0
        self._polls: dict[str, tuple[float, float]] = {}
        """Requests that are made again and again: seconds between them, and when the next one is due."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for connection in self._connections:
            self._venue.disconnect(connection)
        self._connections.clear()

    @property
    def pauses(self) -> bool:
        return self._steps is None and (not self._waiting or self._turn % _TURN_FRAMES == 0)

    async def instruments(self, source: Source) -> InstrumentList:
        return await fetch_instruments(source, self._get)

    async def _get(self, path: str, body: bytes | None = None) -> bytes:
        answer = self._venue.request(path, body)
        if answer is None:
            raise TransportError(f"the simulated venue {self._venue.source} does not know {path}")
        return answer

    async def arrivals(self, connections: int, paths: Sequence[str] = ()) -> AsyncIterator[Arrival]:
        for _ in range(connections):
            self.extend(None)
        pace = self._at_once() if self._steps is not None else self._in_time()
        async for _ in pace:
            self._turn = 0
            while self._waiting:
                arrival = self._waiting.popleft()
                self._turn += 1
                # It arrives when it is taken, not when the venue said it.
                yield arrival if self._steps is not None else msgspec.structs.replace(arrival, time_ns=time.time_ns())
                if self._turn % _TURN_FRAMES == 0:
                    await asyncio.sleep(0)

    def extend(self, path: str | None) -> None:
        number = first_of(len(self._connections))
        connection, welcome = self._venue.connect()
        self._connections.append(connection)
        self._put(ArrivalKind.OPENED, number, b"", self._venue.websocket_path)
        for said in welcome:
            self._put(ArrivalKind.FRAME, number, said)

    def submit(self, request: Request) -> None:
        if isinstance(request, Fetch):
            self._answer(request.path)
            if request.every_s:
                self._polls[request.path] = request.every_s, time.monotonic() + request.every_s
        if not isinstance(request, Send):
            return
        for said in self._venue.receive(self._connections[place_of(request.connection)], request.text):
            self._put(ArrivalKind.FRAME, request.connection, said)

    def _answer(self, path: str) -> None:
        body = self._venue.request(path)
        kind = ArrivalKind.RESPONSE if body is not None else ArrivalKind.FAILED
        self._put(kind, 0, body if body is not None else b"404", path)

    async def _at_once(self) -> AsyncIterator[None]:
        yield None
        for _ in range(self._steps or 0):
            self._step()
            yield None

    async def _in_time(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        # The shared market's clock: venues that start at different moments still tell the same story at the same time.
        start = loop.time() - (time.time_ns() - self._venue.market.start_ns) / 1e9
        while True:
            yield None
            due = self._venue.due(loop.time() - start)
            while self._venue.steps < due:
                self._step()
            for path, (every_s, at) in list(self._polls.items()):
                if time.monotonic() >= at:
                    self._polls[path] = every_s, at + every_s
                    self._answer(path)
            await asyncio.sleep(_PACE_SECONDS)

    def _step(self) -> None:
        numbers = {connection: first_of(place) for place, connection in enumerate(self._connections)}
        for connection, said in self._venue.step():
            number = numbers.get(connection)
            if number is not None:
                self._put(ArrivalKind.FRAME, number, said)

    def _put(self, kind: ArrivalKind, number: int, data: bytes, url: str = "") -> None:
        now = self._venue.now_ns if self._steps is not None else time.time_ns()
        self._waiting.append(Arrival(kind, now, data, number, url))
