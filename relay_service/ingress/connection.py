"""One collector's connection on the Unix socket. Event frames go to the core straight from the protocol's callback."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final, cast

from google.protobuf.message import DecodeError, Message

from alphapulse.api.relay.v1.relay_service_pb2 import FrameRejected, RevisionBarrier, SourceGap, SourceHello
from alphapulse.domain.errors import AlphaPulseError
from alphapulse.records import LAYOUTS, Frame, FrameDecoder, FrameFault, FrameType, RecordLayout, encode_control
from relay_service.core import RelayCore
from relay_service.ingress.control import Seats, Sink, pass_barrier

_log: Final = logging.getLogger(__name__)
_MAX_UNSENT: Final = 1 << 20
"""Bytes of answers that a collector may leave unread before its connection is ended."""


class IngressConnection(asyncio.BufferedProtocol):
    """Reads frames, answers control frames, refuses what is none. A barrier stops the reading of this connection alone."""

    def __init__(self, core: RelayCore, sink: Sink, on_end: Callable[[IngressConnection], None]) -> None:
        self._core = core
        self._sink = sink
        self._on_end = on_end
        self._decoder = FrameDecoder()
        self._seats = Seats(core, sink, self._fenced, {})
        self._transport: asyncio.Transport | None = None
        self._barrier: asyncio.Task[None] | None = None
        self._ended = False
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the transport is gone."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._decoder.writable()

    def buffer_updated(self, nbytes: int) -> None:
        self._decoder.advance(nbytes)
        self._drain()

    def eof_received(self) -> bool:
        fault = self._decoder.finish() if self._barrier is None else None
        if fault is not None:
            self._refuse(fault.error, fault.sequence, 0)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        if self._barrier is not None:
            self._barrier.cancel()
        self._seats.leave()
        self._on_end(self)
        if not self.closed.done():
            self.closed.set_result(None)

    def close(self) -> None:
        """Say goodbye and end the connection."""
        if not self._ended and self._transport is not None:
            self._ended = True
            self._transport.write(encode_control(FrameType.GOODBYE, FrameRejected(reason="DRAINING")))
            self._transport.close()

    def _drain(self) -> None:
        """Handle every whole frame received, up to a barrier."""
        for item in self._decoder.frames():
            if isinstance(item, FrameFault):
                self._fault(item)
            else:
                self._handle(item)
            if self._ended or self._barrier is not None:
                return

    def _handle(self, frame: Frame) -> None:
        layout = LAYOUTS.get(frame.type)
        if layout is not None:
            self._events(frame, layout)
        elif frame.type == FrameType.HELLO:
            self._hello(frame)
        elif frame.type == FrameType.BARRIER:
            self._start_barrier(frame)
        elif frame.type == FrameType.SOURCE_GAP:
            self._gap(frame)
        elif frame.type == FrameType.GOODBYE:
            self._end()
        elif frame.type != FrameType.HEARTBEAT:
            self._refuse_text("FRAME_UNKNOWN_TYPE", f"a frame of type {frame.type} has no place here", frame, 0)

    def _events(self, frame: Frame, layout: RecordLayout) -> None:
        source = self._seats.by_slot.get(frame.slot)
        raw = frame.raw
        count, rest = divmod(len(raw), layout.dtype.itemsize)
        if source is None:
            text = f"no source said hello in slot {frame.slot}"
            self._refuse_text("NO_HELLO", text, frame, count)
            return
        if rest or not count:
            text = f"{len(raw)} bytes are not a whole number of {layout.name} rows of {layout.row_size} bytes, at least one"
            self._refuse_text("MALFORMED_ROW", text, frame, count)
            return
        now_ns = time.time_ns()
        if frame.time_ns:
            source.measure_clock(frame.time_ns, now_ns)
        result = self._core.accept_bytes(source, frame.type, raw, count, frame.sequence, now_ns)
        if result.rejected:
            text = f"{result.rejected} of {count} {layout.name} rows cannot be taken"
            self._answer(
                FrameType.REJECT,
                FrameRejected(
                    reason=result.refusal or "ROWS_REJECTED",
                    message=text,
                    sequence=frame.sequence,
                    events=result.rejected,
                ),
            )
        if result.groups or result.gaps:
            self._sink(result)

    def _hello(self, frame: Frame) -> None:
        hello = self._parsed(SourceHello(), frame)
        if hello is not None:
            welcome = self._seats.hello(hello, time.time_ns())
            self._answer(FrameType.WELCOME, welcome)
            if not welcome.accepted:
                self._core.reject("HELLO_REFUSED")
                _log.warning("source %s refused: %s", hello.source, welcome.message)

    def _gap(self, frame: Frame) -> None:
        gap = self._parsed(SourceGap(), frame)
        if gap is not None and not self._seats.gap(gap.slot, gap.reason, gap.listing_key, gap.count, time.time_ns()):
            self._refuse_text("NO_HELLO", f"no source said hello in slot {gap.slot}", frame, 0)

    def _start_barrier(self, frame: Frame) -> None:
        barrier = self._parsed(RevisionBarrier(), frame)
        if barrier is None or self._transport is None:
            return
        self._transport.pause_reading()
        self._barrier = asyncio.create_task(self._wait_barrier(barrier))

    async def _wait_barrier(self, barrier: RevisionBarrier) -> None:
        try:
            self._answer(FrameType.BARRIER, await pass_barrier(self._core, barrier))
        except AlphaPulseError as error:
            self._refuse(error, 0, 0)
        self._barrier = None
        if not self._ended and self._transport is not None:
            self._drain()  # what had been received behind the barrier
            if self._barrier is None and not self._ended:
                self._transport.resume_reading()

    def _fault(self, fault: FrameFault) -> None:
        self._refuse(fault.error, fault.sequence, 0)
        if fault.fatal:
            self._end()

    def _parsed(self, message: Any, frame: Frame) -> Any:
        try:
            message.ParseFromString(bytes(frame.payload))
        except DecodeError:
            text = f"the payload is no {type(message).__name__}"
            self._refuse_text("MALFORMED_CONTROL", text, frame, 0)
            return None
        return message

    def _refuse(self, error: AlphaPulseError, sequence: int, events: int) -> None:
        self._core.reject(error.reason, max(events, 1))
        rejected = FrameRejected(reason=error.reason, message=error.message, sequence=sequence, events=events)
        self._answer(FrameType.REJECT, rejected)

    def _refuse_text(self, reason: str, text: str, frame: Frame, events: int) -> None:
        self._core.reject(reason, max(events, 1))
        rejected = FrameRejected(reason=reason, message=text, sequence=frame.sequence, events=events)
        self._answer(FrameType.REJECT, rejected)

    def _answer(self, kind: FrameType, message: Message) -> None:
        if self._ended or self._transport is None or self._transport.is_closing():
            return
        self._transport.write(encode_control(kind, message))
        if self._transport.get_write_buffer_size() > _MAX_UNSENT:
            _log.warning("a collector does not read its answers: its connection is ended")
            self._ended = True
            self._transport.abort()

    def _fenced(self) -> None:
        """A newer connection speaks for a source of this one."""
        self._core.reject("FRAME_SEQUENCE_FENCED")
        text = "a newer connection speaks for a source of this one"
        self._answer(FrameType.REJECT, FrameRejected(reason="FRAME_SEQUENCE_FENCED", message=text))
        self._end()

    def _end(self) -> None:
        self._ended = True
        if self._transport is not None:
            self._transport.close()
