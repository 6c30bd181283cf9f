"""The relay over gRPC. Responses are taken as bytes: `_envelope` reads them."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import grpc

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.client.channel import open_channel
from alphapulse.client.errors import from_rpc_error, is_transient
from alphapulse.domain.errors import AlphaPulseError
from strategy_sdk._envelope import read_response
from strategy_sdk._inbox import Inbox, Received
from strategy_sdk._transport import Connection, ConnectionLost

_METHOD: Final = "/alphapulse.api.relay.v1.RelayService/Subscribe"


class GrpcTransport:
    """Opens Subscribe streams at `host:port`."""

    def __init__(self, address: str) -> None:
        self._address = address

    @property
    def name(self) -> str:
        """For messages."""
        return f"grpc {self._address}"

    async def open(self) -> Connection:
        """A new channel and a stream on it."""
        channel = open_channel(self._address)
        call: Any = channel.stream_stream(_METHOD, request_serializer=relay.SubscribeRequest.SerializeToString)()
        return _GrpcConnection(self._address, channel, call)


class _GrpcConnection:
    """Reads in a task of its own: whoever waits for the next item may be cancelled, a read of gRPC may not without
    ending the call."""

    def __init__(self, address: str, channel: grpc.aio.Channel, call: Any) -> None:
        self._address = address
        self._channel = channel
        self._call = call
        self._room = asyncio.Event()
        self._room.set()
        self._inbox = Inbox(self._room.set)
        # The library buffers for a slow peer when a second write is started before the first ends.
        self._writing = asyncio.Lock()
        self._reader = asyncio.create_task(self._read())

    async def send(self, request: relay.SubscribeRequest) -> None:
        try:
            async with self._writing:
                await self._call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            await asyncio.wait((self._reader,))
            raise self._inbox.end or self._lost(str(error)) from error

    async def receive(self) -> Received:
        return await self._inbox.take()

    def abort(self) -> None:
        self._inbox.close(self._lost("it was given up"))
        self._call.cancel()

    async def close(self) -> None:
        self.abort()
        self._reader.cancel()
        await asyncio.wait((self._reader,))
        await self._channel.close()

    async def _read(self) -> None:
        read, put, inbox = self._call.read, self._inbox.put, self._inbox
        try:
            while (data := await read()) is not grpc.aio.EOF:
                put(read_response(data, time.time_ns()), len(data))
                if inbox.paused:
                    self._room.clear()
                    await self._room.wait()
            inbox.close(self._lost("the relay ended it"))
        except grpc.RpcError as raw:
            error = from_rpc_error(raw)
            inbox.close(self._lost(error.message, error) if is_transient(error) else error)
        except AlphaPulseError as error:
            inbox.close(error)
            self._call.cancel()
        except asyncio.CancelledError:
            inbox.close(self._lost("it was given up"))
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise

    def _lost(self, why: str, cause: AlphaPulseError | None = None) -> ConnectionLost:
        text = f"the stream to the relay at {self._address} ended: {why}"
        return ConnectionLost(
            text, metadata={"cause": cause.reason} if cause else None, retry_after=cause.retry_after if cause else None
        )
