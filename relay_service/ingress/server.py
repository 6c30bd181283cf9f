"""The Unix socket that collectors connect to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from relay_service.core import RelayCore
from relay_service.ingress.connection import IngressConnection
from relay_service.ingress.control import Sink
from relay_service.ingress.turns import Turns
from relay_service.sockets import UnixListener


class IngressServer:
    """Takes connections while entered, and ends them at the end. Reachable for the relay's own user alone (mode 0600)."""

    def __init__(self, path: Path, core: RelayCore, sink: Sink, turns: Turns | None = None) -> None:
        self._core = core
        self._turns = turns or Turns()
        self._sink = sink
        self._listener = UnixListener("RELAY_INGRESS_SOCKET", path, self._connected)
        self._connections: set[IngressConnection] = set()

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._connections)

    async def __aenter__(self) -> Self:
        await self._listener.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._listener.close()
        ending = list(self._connections)
        for connection in ending:
            connection.close()
        if ending:
            await asyncio.wait([connection.closed for connection in ending], timeout=2.0)

    def _connected(self) -> IngressConnection:
        connection = IngressConnection(self._core, self._sink, self._connections.discard, self._turns)
        self._connections.add(connection)
        return connection
