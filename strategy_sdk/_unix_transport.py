"""The relay over its Unix egress socket: frames of rows, and control frames that hold the API's own messages."""

from __future__ import annotations

import asyncio
import time
from typing import cast

from google.protobuf.message import DecodeError

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.client import is_transient
from alphapulse.domain.errors import AlphaPulseError, from_reason
from alphapulse.records import (
    LAYOUTS,
    Frame,
    FrameDecoder,
    FrameFault,
    FrameType,
    RecordLayoutError,
    encode_control,
)
from strategy_sdk._batch import EventBatch
from strategy_sdk._inbox import Inbox, Received
from strategy_sdk._transport import Connection, ConnectionLost


class UnixTransport:
    """Connects to the relay's egress socket at a path."""

    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """For messages."""
        return f"unix {self._path}"

    async def open(self) -> Connection:
        """A new connection."""
        loop = asyncio.get_running_loop()
        try:
            _, protocol = await loop.create_unix_connection(lambda: _UnixConnection(self._path), self._path)
        except OSError as error:
            raise ConnectionLost(f"the socket {self._path} cannot be connected to: {error}") from error
        return protocol


class _UnixConnection(asyncio.BufferedProtocol):
    def __init__(self, path: str) -> None:
        self._path = path
        self._decoder = FrameDecoder()
        self._inbox = Inbox(self._resume)
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None
        self._refusal: AlphaPulseError | None = None
        self._closed = asyncio.get_running_loop().create_future()

    # --- Connection
    async def send(self, request: relay.SubscribeRequest) -> None:
        await self._writable.wait()
        if self._inbox.end is not None or self._transport is None:
            raise self._inbox.end or ConnectionLost(f"the socket {self._path} is not connected")
        self._transport.write(encode_control(FrameType.SUBSCRIBE, request))

    async def receive(self) -> Received:
        return await self._inbox.take()

    def abort(self) -> None:
        self._fail("it was given up")

    async def close(self) -> None:
        self.abort()
        if self._transport is not None:
            await self._closed

    # --- BufferedProtocol
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"the relay closed it{f': {exc}' if exc else ''}")
        if not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._decoder.writable()

    def buffer_updated(self, nbytes: int) -> None:
        received = time.time_ns()
        self._decoder.advance(nbytes)
        try:
            for frame in self._decoder.frames():
                self._take(frame, received)
        except (RecordLayoutError, DecodeError) as error:
            self._fail(f"it sent what cannot be read: {error}")
        if self._inbox.paused and self._transport is not None:
            self._transport.pause_reading()

    def eof_received(self) -> None:
        fault = self._decoder.finish()
        if fault is not None:
            self._end(fault.error.message)

    def _take(self, frame: Frame | FrameFault, received: int) -> None:
        if isinstance(frame, FrameFault):
            # What a refused frame held is missing in the numbering: the next one shows it.
            if frame.fatal:
                self._fail(frame.error.message)
            return
        item: Received
        if frame.type in LAYOUTS:
            layout = LAYOUTS[frame.type]
            # The decoder's buffer is written again: the rows move once, as a block.
            rows = layout.from_bytes(bytes(frame.payload))
            if not len(rows):
                return
            last = int(rows[-1]["sequence"])
            item = EventBatch(frame.slot, frame.sequence, len(rows), last, received, ((layout, rows),))
        elif frame.type == FrameType.CONTROL:
            item = relay.SubscribeResponse.FromString(bytes(frame.payload))
        elif frame.type == FrameType.GOODBYE:
            self._end("the relay said goodbye")
            return
        elif frame.type == FrameType.REJECT:
            refusal = relay.FrameRejected.FromString(bytes(frame.payload))
            self._refusal = from_reason(refusal.reason, refusal.message)
            return
        else:
            return  # of a later version: skipped, as every unknown frame
        self._inbox.put(item, len(frame.payload))

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _fail(self, why: str) -> None:
        self._end(why)
        if self._transport is not None:
            self._transport.abort()

    def _end(self, why: str) -> None:
        lost = ConnectionLost(f"the connection to the relay's socket {self._path} ended: {why}")
        refusal = self._refusal
        self._inbox.close(lost if refusal is None or is_transient(refusal) else refusal)
        self._writable.set()
