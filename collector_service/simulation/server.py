"""A simulated venue behind real sockets: HTTP and WebSocket on 127.0.0.1, for tests of live connections and for trying things out."""

from __future__ import annotations

import asyncio
from typing import Final, Self

from collector_service.mock import MockServer
from collector_service.simulation.venue import SimulatedVenue

_PACE_SECONDS: Final = 0.005


class VenueServer(MockServer):
    """Serves one venue, whose market moves by the clock. An async context manager; `address` is host and port once it is entered."""

    def __init__(self, venue: SimulatedVenue, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(venue.mock, host, port)
        self._simulated = venue
        self._pump: asyncio.Task[None] | None = None

    @property
    def websocket_url(self) -> str:
        """Base address of its WebSocket."""
        return self.endpoints.websocket

    @property
    def rest_url(self) -> str:
        """Base address of its REST requests."""
        return self.endpoints.rest

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._pump = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        await super().__aexit__(*exc)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        venue = self._simulated
        start = loop.time() - venue.now_s
        while True:
            due = venue.due(loop.time() - start)
            while venue.steps < due:
                for connection, data in venue.step():
                    self.send(connection, data)
            await asyncio.sleep(_PACE_SECONDS)
