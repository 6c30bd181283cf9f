"""A connection to the relay in the bare protocol, over gRPC or the Unix socket; the same to whoever uses it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol

import grpc

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.records import LAYOUTS, Frame, FrameDecoder, FrameType, encode_control

_METHOD: Final = "/alphapulse.api.relay.v1.RelayService/Subscribe"
CONNECTION_LOST: Final = (OSError, EOFError, grpc.RpcError, asyncio.InvalidStateError, TimeoutError)
SILENT_SECONDS: Final = 0.4
"""A relay from which nothing comes for so long is given up at first: heartbeats come far more often."""


@dataclass
class Rows:
    """Rows of one delivery."""

    first_number: int
    data: bytes
    conflated: int = 0


class Line(Protocol):
    """A connection."""

    async def send(self, request: Any) -> None:
        """A SubscribeRequest. Raises CONNECTION_LOST."""

    async def receive(self) -> Any:
        """Rows, or another SubscribeResponse. Raises CONNECTION_LOST."""

    async def close(self) -> None:
        """End it."""


async def connect(address: str, patience: float | None) -> Line:
    """To a path, or to host:port."""
    if address.startswith("/"):
        reader, writer = await asyncio.open_unix_connection(address)
        return _UnixLine(reader, writer, patience)
    return _GrpcLine(address, patience)


async def _in_time(reading: Coroutine[Any, Any, Any], patience: float | None) -> Any:
    """What is read. Raises TimeoutError where nothing comes. The second half of the time begins when the first is over: a process that was stopped
    for longer than both finds what came in the meantime, and does not give up a relay that was not silent."""
    task = asyncio.ensure_future(reading)
    try:
        for _ in range(2):
            await asyncio.wait((task,), timeout=patience and patience / 2)
            if task.done():
                return task.result()
        raise TimeoutError
    finally:
        task.cancel()


class _UnixLine:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: float | None) -> None:
        self._patience = patience
        self._reader, self._writer = reader, writer
        self._decoder = FrameDecoder()
        self._waiting: deque[Any] = deque()

    async def send(self, request: Any) -> None:
        self._writer.write(encode_control(FrameType.SUBSCRIBE, request))
        await self._writer.drain()

    async def receive(self) -> Any:
        while not self._waiting:
            data = await _in_time(self._reader.read(1 << 18), self._patience)
            if not data:
                raise EOFError("the relay closed it")
            for frame in self._decoder.feed(data):
                if not isinstance(frame, Frame):
                    raise OSError(str(frame.error))
                self._take(frame)
        return self._waiting.popleft()

    def _take(self, frame: Frame) -> None:
        if frame.type == FrameType.CONTROL:
            self._waiting.append(pb.SubscribeResponse.FromString(bytes(frame.payload)))
        elif frame.type in LAYOUTS:
            self._waiting.append(Rows(frame.sequence, bytes(frame.payload)))
        elif frame.type != FrameType.GOODBYE:
            raise OSError(f"a frame of type {frame.type}")

    async def close(self) -> None:
        self._writer.transport.abort()


class _GrpcLine:
    def __init__(self, address: str, patience: float | None) -> None:
        self._patience = patience
        self._channel = grpc.aio.insecure_channel(address)
        self._call: Any = self._channel.stream_stream(
            _METHOD,
            request_serializer=pb.SubscribeRequest.SerializeToString,
            response_deserializer=pb.SubscribeResponse.FromString,
        )()

    async def send(self, request: Any) -> None:
        await self._call.write(request)

    async def receive(self) -> Any:
        found = await _in_time(self._call.read(), self._patience)
        if found is grpc.aio.EOF:
            raise EOFError("the relay ended it")
        if found.WhichOneof("message") != "delivery":
            return found
        one = found.delivery
        return Rows(one.first_number, one.batch.SerializeToString(), one.conflated)

    async def close(self) -> None:
        self._call.cancel()
        await self._channel.close()
