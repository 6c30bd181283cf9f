"""The egress socket: subscribers on the same machine, without gRPC between. Rows are written in the very call in which ingress handed them over."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import structlog
from google.protobuf.message import DecodeError

from alphapulse.api.relay.v1 import relay_service_pb2
from alphapulse.domain.errors import AlphaPulseError, FrameError, InvalidArgument, UnknownFrameType
from alphapulse.records import Frame, FrameDecoder, FrameFault, FrameType, encode_control, encode_frame
from relay_service.egress.fanout import FanOut
from relay_service.egress.frames import FrameEncoder
from relay_service.egress.session import MAX_UNIX_ID, Session
from relay_service.sockets import UnixListener

_log = structlog.stdlib.get_logger(__name__)


class _Connection(asyncio.BufferedProtocol):
    """One client. Writes at once while its socket takes them; what gathers while it does not is the next write."""

    def __init__(self, fanout: FanOut) -> None:
        self._fanout = fanout
        self._decoder = FrameDecoder()
        self._transport: asyncio.Transport | None = None
        self._blocked = False
        self._reading = True
        self._refused = False
        """Whether a frame was refused since the socket last took everything: a client that reads no answers is read no further."""
        self._warned = False
        self._subscriber = fanout.connect("unix", FrameEncoder(), self._flush)
        self._session = Session(fanout, self._subscriber, MAX_UNIX_ID)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # Nothing gathers in the transport: it is either idle or blocked, and then the queue gathers, where it is bounded.
        self._transport.set_write_buffer_limits(high=0)
        self._subscriber.write_rows = self._write_rows

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._subscriber.write_rows = None
        self._fanout.disconnect(self._subscriber)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._decoder.writable()

    def buffer_updated(self, nbytes: int) -> None:
        self._decoder.advance(nbytes)
        for item in self._decoder.frames():
            if isinstance(item, FrameFault):
                self._reject(item.error, item.sequence)
                if item.fatal:
                    self._close()
                    return
            elif not self._take(item):
                return
        if self._transport is not None and (self._subscriber.queue.is_lagging or (self._blocked and self._refused)):
            self._reading = False
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        fault = self._decoder.finish()
        if fault is not None:
            self._reject(fault.error, fault.sequence)
        return False

    def pause_writing(self) -> None:
        self._blocked = True
        self._subscriber.write_rows = None

    def resume_writing(self) -> None:
        self._blocked = False
        if self._transport is not None and not self._transport.is_closing():
            self._subscriber.write_rows = self._write_rows
            self._refused = False
            self._flush()
            self._read_on()

    def _write_rows(self, event_type: int, data: bytes, subscription_id: int, number: int) -> None:
        """One frame, past the queue."""
        assert self._transport is not None  # taken from the subscriber when it goes
        try:
            self._transport.write(encode_frame(event_type, data, slot=subscription_id, sequence=number))
        except Exception as error:
            self._give_up(error)

    def _take(self, frame: Frame) -> bool:
        """Handle one frame; False when the connection ends."""
        if frame.type == FrameType.GOODBYE:
            self._close()
            return False
        if frame.type != FrameType.SUBSCRIBE:
            text = f"a frame of type {frame.type} means nothing on this socket; SUBSCRIBE ({int(FrameType.SUBSCRIBE)}) does"
            self._reject(UnknownFrameType(text), frame.sequence)
            return True
        try:
            self._session.handle(relay_service_pb2.SubscribeRequest.FromString(bytes(frame.payload)))
        except DecodeError as error:
            self._reject(InvalidArgument(f"the payload is no SubscribeRequest: {error}"), frame.sequence)
        except AlphaPulseError as error:
            self._reject(error, frame.sequence)
            self._close()
            return False
        return True

    def _reject(self, error: AlphaPulseError, sequence: int) -> None:
        if self._transport is None:
            return
        message = relay_service_pb2.FrameRejected(reason=error.reason, message=str(error), sequence=sequence)
        self._refused = True
        self._transport.write(encode_control(FrameType.REJECT, message))
        if isinstance(error, FrameError) and not self._warned:
            self._warned = True
            _log.warning("subscriber's frame refused", reason=error.reason, subscriber=self._subscriber.subscriber_id)

    def _flush(self) -> None:
        try:
            self._write()
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """A fault of the relay's own in what is this client's: it is sent away. Whoever handed rows over goes on, to everybody else."""
        _log.error("a subscriber is sent away by a fault of the relay", exc_info=error)
        self._subscriber.write_rows = None
        if self._transport is not None:
            self._transport.abort()

    def _write(self) -> None:
        transport, subscriber = self._transport, self._subscriber
        if transport is None or transport.is_closing():
            return
        while not self._blocked:
            data = subscriber.take()
            if data is None:
                if subscriber.ending:
                    self._close()
                return
            transport.write(data)
            self._read_on()

    def _read_on(self) -> None:
        transport, waits = self._transport, self._subscriber.queue.is_lagging or (self._blocked and self._refused)
        if not self._reading and not waits and transport is not None and not transport.is_closing():
            self._reading = True
            transport.resume_reading()

    def _close(self) -> None:
        self._subscriber.write_rows = None
        if self._transport is not None:
            self._transport.write(encode_frame(FrameType.GOODBYE, b""))
            self._transport.close()


def egress_socket(path: Path, fanout: FanOut) -> UnixListener:
    """The egress socket at a path."""
    return UnixListener("RELAY_EGRESS_SOCKET", path, lambda: _Connection(fanout))
