"""NOTIFY and LISTEN: how replicas tell each other at once that something was committed. Only a hint; polling is what is sure.

NOTIFY takes a lock of the whole database at commit, so it is sent after the write's transaction, one for many commits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

import asyncpg

_log = logging.getLogger(__name__)
_RETRY_SECONDS: Final = 1.0


class PostgresHint:
    """Implements ChangeHint on one connection of its own."""

    def __init__(self, dsn: str, service: str) -> None:
        self._dsn = dsn
        self._channel = f"alphapulse_{service}"
        self._announced = 0
        self._sent = 0
        self._wake = asyncio.Event()

    def announce(self, revision: int) -> None:
        """Tells the others, soon."""
        self._announced = max(self._announced, revision)
        self._wake.set()

    async def run(self, woken: Callable[[int], None]) -> None:
        """Calls `woken` with what others announce, until cancelled; reconnects by itself."""
        while True:
            try:
                await self._session(woken)
            except (
                OSError,
                TimeoutError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                asyncpg.InternalClientError,
            ) as error:
                _log.debug("change notifications are lost for now: %s", error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _session(self, woken: Callable[[int], None]) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=5.0, command_timeout=5.0)
        try:
            # Whatever is announced while this connection lives wakes the one loop below, as does its end.
            connection.add_termination_listener(lambda _: self._wake.set())
            await connection.add_listener(self._channel, lambda *told: _tell(woken, told[3]))
            while not connection.is_closed():
                if self._announced > self._sent:
                    revision = self._announced
                    await connection.execute("SELECT pg_notify($1, $2)", self._channel, str(revision))
                    self._sent = revision
                await self._wake.wait()
                self._wake.clear()
        finally:
            with contextlib.suppress(
                OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError
            ):
                await connection.close(timeout=1.0)


def _tell(woken: Callable[[int], None], payload: str) -> None:
    if payload.isdigit():
        woken(int(payload))
