"""A process of the harness and the test that steers it: lines of JSON on a Unix socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Order = dict[str, Any]


async def obey(name: str, socket: Path, do: Callable[[Order], Awaitable[None]]) -> None:
    """Connect, say who it is, and carry out one order after the other until the test leaves."""
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=1 << 24)
    writer.write(json.dumps({"name": name}).encode() + b"\n")
    while line := await reader.readline():
        order = json.loads(line)
        await do(order)
        writer.write(json.dumps({"done": order["number"]}).encode() + b"\n")
    writer.close()


class Controller:
    """The test's side: whoever is there, by name. A process that was started again takes the place of the one before."""

    def __init__(self) -> None:
        self._there: dict[str, asyncio.StreamWriter] = {}
        self._changed = asyncio.Event()
        self._done: dict[str, int] = {}
        """The number of the last order that was carried out."""
        self._number = 0
        self._server: asyncio.Server | None = None

    async def listen(self, path: Path) -> None:
        """Take processes at a path."""
        self._server = await asyncio.start_unix_server(self._connected, str(path), limit=1 << 24)

    async def close(self) -> None:
        """Send everybody away."""
        assert self._server is not None
        self._server.close()
        for writer in self._there.values():
            writer.close()

    def forget(self, name: str) -> None:
        """The process is dead."""
        writer = self._there.pop(name, None)
        self._done.pop(name, None)
        if writer is not None:
            writer.close()

    async def there(self, name: str) -> None:
        """Until a process has come."""
        await self._until(lambda: name in self._there)

    def tell(self, name: str, order: str, **values: Any) -> int:
        """Give an order without waiting; its number."""
        self._number += 1
        writer = self._there.get(name)
        if writer is not None and not writer.is_closing():
            writer.write(json.dumps({"order": order, "number": self._number, **values}).encode() + b"\n")
        return self._number

    async def ask(self, name: str, order: str, **values: Any) -> None:
        """Give an order to a process that runs, and wait until it was carried out."""
        await self.there(name)
        number = self.tell(name, order, **values)
        try:
            await self._until(lambda: self._done.get(name, 0) >= number)
        except TimeoutError:
            raise AssertionError(f"{name} has not carried out in time: {order}") from None

    async def _until(self, found: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not found():
                self._changed.clear()
                await self._changed.wait()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = ""
        try:
            name = json.loads(await reader.readline())["name"]
            self._there[name] = writer
            self._changed.set()
            while line := await reader.readline():
                if self._there.get(name) is writer:
                    self._done[name] = json.loads(line)["done"]
                    self._changed.set()
        except (OSError, ValueError):
            pass
        finally:
            writer.close()
