"""Stands between a client and a server, over TCP or Unix sockets, and does to the bytes what networks and machines do: delays, silence, ends.

Bytes within one connection keep their order, as TCP keeps it: what can be out of order in truth is two connections of one client. `linger` does that:
the client finds its connection ended and opens another, while what it had sent on the old one still arrives at the server, later.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Final

UP: Final = "up"
"""From the client to the server."""
DOWN: Final = "down"
_CHUNK: Final = 1 << 16
_HELD: Final = 1 << 13
"""Bytes that a proxy and its sockets hold, about: what more there is waits at the relay."""
_HELD_TCP: Final = 1 << 17
"""A window smaller than a segment of the loopback's lets TCP wait for its timers."""
_LINGER_SECONDS: Final = 0.03

Address = str | int
"""A path, or a port of 127.0.0.1."""


class Proxy:
    """One listening address. What is set holds for every connection, also those there are."""

    def __init__(self, near: Address, far: Callable[[], Address]) -> None:
        self.near = near
        self.open = True
        """Whether new connections are taken; else they are closed at once."""
        self._far = far
        self._delay = dict.fromkeys((UP, DOWN), 0.0)
        self._flows = {way: asyncio.Event() for way in (UP, DOWN)}
        self._left: dict[str, int | None] = dict.fromkeys((UP, DOWN))
        self._conversations: set[_Conversation] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.heal()

    async def listen(self) -> None:
        """Take connections. A port of 0 becomes a free one."""
        if isinstance(self.near, str):
            self._server = await asyncio.start_unix_server(self._connected, self.near, limit=_HELD)
        else:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.near, limit=_HELD)
            self.near = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """End everything."""
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def heal(self) -> None:
        """No fault from now on."""
        for way in (UP, DOWN):
            self._delay[way], self._left[way] = 0.0, None
            self._flows[way].set()

    @property
    def faulty(self) -> bool:
        """Whether a fault is set."""
        return any(self._delay.values()) or not all(flow.is_set() for flow in self._flows.values())

    def delay(self, way: str, seconds: float) -> None:
        """Everything that goes this way comes so much later."""
        self._delay[way] = seconds

    def stall(self, way: str) -> None:
        """Nothing goes this way until `heal`."""
        self._flows[way].clear()

    def truncate(self, way: str, size: int) -> None:
        """So many bytes more go this way, then the connection that carries the last of them ends."""
        self._left[way] = size

    def cut(self, *, reset: bool = False) -> None:
        """End all connections, in order or with a reset."""
        for one in tuple(self._conversations):
            one.cut(reset=reset)

    def linger(self) -> None:
        """End all connections towards the client; what it had sent still arrives, later."""
        for one in tuple(self._conversations):
            one.linger()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.open:
                await self._converse(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far = self._far()
        if isinstance(far, str):
            far_reader, far_writer = await asyncio.open_unix_connection(far, limit=_HELD)
        else:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", far, limit=_HELD)
        for each in (writer, far_writer):
            each.transport.set_write_buffer_limits(high=_HELD)
            end = each.get_extra_info("socket")
            held = _HELD if end.family == socket.AF_UNIX else _HELD_TCP
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                end.setsockopt(socket.SOL_SOCKET, option, held)
        one = _Conversation(writer, far_writer)
        self._conversations.add(one)
        pumps = [
            asyncio.create_task(self._pump(UP, reader, far_writer, one)),
            asyncio.create_task(self._pump(DOWN, far_reader, writer, one)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if one.lingers:
                await asyncio.sleep(_LINGER_SECONDS)
        finally:
            self._conversations.discard(one)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            far_writer.transport.abort() if one.was_reset else far_writer.close()

    async def _pump(
        self, way: str, source: asyncio.StreamReader, target: asyncio.StreamWriter, one: _Conversation
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                await self._flows[way].wait()
                if one.lingers and way == UP:
                    await asyncio.sleep(_LINGER_SECONDS / 2)
                elif self._delay[way]:
                    await asyncio.sleep(self._delay[way])
                left = self._left[way]
                if left is not None and len(data) > left:
                    self._left[way] = None
                    target.write(data[:left])
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_LINGER_SECONDS):
                            await target.drain()
                    break
                if left is not None:
                    self._left[way] = left - len(data)
                target.write(data)
                await target.drain()
        if one.lingers and way == DOWN:
            await asyncio.sleep(2 * _LINGER_SECONDS)


class Routes:
    """The addresses of one client: what is done to one is done to all."""

    def __init__(self, proxies: Iterable[Proxy]) -> None:
        self._proxies = tuple(proxies)

    def heal(self) -> None:
        """No fault from now on."""
        for one in self._proxies:
            one.heal()

    def delay(self, way: str, seconds: float) -> None:
        """As of a proxy."""
        for one in self._proxies:
            one.delay(way, seconds)

    def stall(self, way: str) -> None:
        """As of a proxy."""
        for one in self._proxies:
            one.stall(way)

    def truncate(self, way: str, size: int) -> None:
        """As of a proxy."""
        for one in self._proxies:
            one.truncate(way, size)

    def cut(self, *, reset: bool = False) -> None:
        """As of a proxy."""
        for one in self._proxies:
            one.cut(reset=reset)

    def linger(self) -> None:
        """As of a proxy."""
        for one in self._proxies:
            one.linger()


class _Conversation:
    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self._near, self._far = near, far
        self.was_reset = False
        self.lingers = False

    def cut(self, *, reset: bool) -> None:
        self.was_reset = reset
        for writer in (self._near, self._far):
            if reset:
                with contextlib.suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
                writer.transport.abort()
            else:
                writer.close()

    def linger(self) -> None:
        self.lingers = True
        self._near.close()
