"""A connection that a library reads: begun anew however it ends, and left unread while too much waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from alphapulse.client import Backoff
from collector_service.transport.base import Arrival, ArrivalKind, TransportError
from collector_service.transport.sole import HIGH_WATER, LOW_WATER, SoleConnection


class Socket(asyncio.ReadTransport):
    """Counts what becomes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = 0
        self.resumed = 0
        self.is_gone = False

    def is_closing(self) -> bool:
        return self.is_gone

    def pause_reading(self) -> None:
        self.paused += 1

    def resume_reading(self) -> None:
        self.resumed += 1


def sole(ends: Iterator[Exception], **told: int) -> SoleConnection:
    made: SoleConnection

    async def converse() -> None:
        made.opened("there", None)
        await asyncio.sleep(0)
        made.ended()
        raise next(ends)

    made = SoleConnection(converse, Backoff(0.001, 0.001), name="a library", **told)
    return made


async def take(arrivals: AsyncIterator[Arrival], count: int) -> list[Arrival]:
    async with asyncio.timeout(10):
        return [await anext(arrivals) for _ in range(count)]


async def test_however_a_conversation_ends_another_begins_and_why_is_told() -> None:
    connection = sole(iter((TransportError("gone"), ValueError("of ours"), KeyError("x"), TransportError("again"))))
    found = await take(connection.arrivals(1), 8)
    await connection.close()
    assert [one.kind for one in found] == 4 * [ArrivalKind.OPENED, ArrivalKind.CLOSED]
    assert [one.data for one in found[1::2]] == [b"gone", b"ValueError: of ours", b"KeyError: 'x'", b"again"]
    assert [one.url for one in found[::2]] == 4 * ["there"]


async def test_a_socket_is_left_unread_while_too_much_waits() -> None:
    socket = Socket()
    connection = SoleConnection(asyncio.Event().wait, Backoff(1.0, 1.0), name="a library")  # type: ignore[arg-type]
    arrivals = connection.arrivals(1)
    connection.opened("there", socket)
    for number in range(HIGH_WATER + 10):
        connection.tell(b"%d" % number)
    assert (socket.paused, socket.resumed, connection.quiet_s) == (1, 0, 0.0), "what we do not read is not silent"
    found = await take(arrivals, HIGH_WATER + 10 - LOW_WATER)
    assert socket.resumed == 0
    found += await take(arrivals, 1)
    assert (socket.paused, socket.resumed) == (1, 1)
    found += await take(arrivals, LOW_WATER)
    assert [one.data for one in found[1:]] == [b"%d" % number for number in range(HIGH_WATER + 10)]
    await connection.close()


async def test_a_socket_that_is_gone_is_not_read_on() -> None:
    socket = Socket()
    connection = SoleConnection(asyncio.Event().wait, Backoff(1.0, 1.0), name="a library")  # type: ignore[arg-type]
    arrivals = connection.arrivals(1)
    connection.opened("there", socket)
    for _ in range(HIGH_WATER):
        connection.tell(b"")
    socket.is_gone = True
    await take(arrivals, HIGH_WATER + 1)
    await connection.close()
    assert (socket.paused, socket.resumed) == (1, 0)


async def test_there_is_one_connection() -> None:
    connection = sole(iter(()))
    with pytest.raises(ValueError, match="connections=2: a library is one connection"):
        await anext(connection.arrivals(2))
    with pytest.raises(ValueError, match="path='x': a library is one connection"):
        connection.extend("x")
