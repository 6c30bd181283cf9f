"""One collector's connection on the Unix socket. Event frames go to the core straight from the protocol's callback, as far as its turn allows."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError, Message

from alphapulse.api.relay.v1.relay_service_pb2 import (
    FrameRejected,
    RevisionBarrier,
    SourceAcknowledged,
    SourceGap,
    SourceHello,
)
from alphapulse.domain.errors import AlphaPulseError, Draining, InvalidArgument, LogUnavailable, SequenceFenced
from alphapulse.records import LAYOUTS, Frame, FrameDecoder, FrameFault, FrameType, RecordLayout, encode_control
from relay_service.core import RelayCore
from relay_service.ingress.control import Seats, Sink, pass_barrier
from relay_service.ingress.turns import Turns
from relay_service.sources import SourceState

_log: Final = logging.getLogger(__name__)
_MASK: Final = (1 << 64) - 1
_MAX_UNSENT: Final = 1 << 20
"""Bytes of answers that a collector may leave unread before its connection is ended."""


class _Rest(NamedTuple):
    """What is left of a frame of events that did not fit into a turn."""

    source: SourceState
    layout: RecordLayout
    raw: npt.NDArray[np.uint8]
    sequence: int


class IngressConnection(asyncio.BufferedProtocol):
    """Reads frames, answers control frames, refuses what is none. A barrier stops the reading of this connection alone, and so does a turn of its
    domain that is full."""

    def __init__(self, core: RelayCore, sink: Sink, on_end: Callable[[IngressConnection], None], turns: Turns) -> None:
        self._core = core
        self._sink = sink
        self._turns = turns
        self.waits = False
        """Whether received frames wait for the next turn."""
        self._rest: _Rest | None = None
        self._on_end = on_end
        self._decoder = FrameDecoder()
        self._seats = Seats(core, sink, self._fenced, {}, self._acknowledge)
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
        if self._barrier is None and not self.waits:
            self._turns.offer(self._seats.domain, self)

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
        self._send_away(Draining("this relay is going away; connect again"))

    def hold(self) -> None:
        """Read nothing more until the first turn comes."""
        self.waits = True
        if self._transport is not None:
            self._transport.pause_reading()

    def step(self, rows: int) -> int:
        """Handle what was received, up to a barrier or so many rows."""
        waited, taken = self.waits, 0
        self.waits = False
        if self._rest is not None and not self._ended:
            taken = self._continue(self._rest, rows)
            self.waits = taken >= rows or self._has_rest
        if not self.waits and not self._ended:
            taken += self._frames(rows - taken)
        if self.waits and not waited and self._transport is not None:
            self._transport.pause_reading()
        elif waited and not self.waits and self._barrier is None and not self._ended and self._transport is not None:
            self._transport.resume_reading()
        return taken

    @property
    def _has_rest(self) -> bool:
        return self._rest is not None

    def _frames(self, rows: int) -> int:
        taken = 0
        for item in self._decoder.frames():
            if isinstance(item, FrameFault):
                self._fault(item)
                taken += 1
            elif (layout := LAYOUTS.get(item.type)) is not None:
                taken += self._events(item, layout, rows - taken)
            else:
                self._control(item)
                taken += 1
            if self._ended or self._barrier is not None:
                break
            if taken >= rows:
                self.waits = True
                break
        return taken

    def _control(self, frame: Frame) -> None:
        if frame.type == FrameType.HELLO:
            self._hello(frame)
        elif frame.type == FrameType.BARRIER:
            self._start_barrier(frame)
        elif frame.type == FrameType.SOURCE_GAP:
            self._gap(frame)
        elif frame.type == FrameType.GOODBYE:
            self._end()
        elif frame.type != FrameType.HEARTBEAT:
            self._refuse_text("FRAME_UNKNOWN_TYPE", f"a frame of type {frame.type} has no place here", frame, 0)

    def _events(self, frame: Frame, layout: RecordLayout, rows: int) -> int:
        source = self._seats.by_slot.get(frame.slot)
        raw = frame.raw
        count, rest = divmod(len(raw), layout.dtype.itemsize)
        if source is None:
            text = f"no source said hello in slot {frame.slot}"
            self._refuse_text("NO_HELLO", text, frame, count)
            return 1
        if rest or not count:
            text = f"{len(raw)} bytes are not a whole number of {layout.name} rows of {layout.row_size} bytes, at least one"
            self._refuse_text("MALFORMED_ROW", text, frame, count)
            return 1
        now_ns = time.time_ns()
        if frame.time_ns:
            source.measure_clock(frame.time_ns, now_ns)
        if count <= rows:
            self._accept(source, layout, raw, count, frame.sequence, now_ns)
            return count
        return self._continue(_Rest(source, layout, raw, frame.sequence), rows)

    def _continue(self, rest: _Rest, rows: int) -> int:
        """Take as much of a frame as there is room for; how many rows it were."""
        size = rest.layout.row_size
        count = min(len(rest.raw) // size, rows)
        self._rest = None
        left = rest.raw[count * size :]
        if len(left):
            self._rest = rest._replace(raw=left, sequence=rest.sequence + count & _MASK)
        self._accept(rest.source, rest.layout, rest.raw[: count * size], count, rest.sequence, time.time_ns())
        return count

    def _accept(
        self,
        source: SourceState,
        layout: RecordLayout,
        raw: npt.NDArray[np.uint8],
        count: int,
        sequence: int,
        now_ns: int,
    ) -> None:
        result = self._core.accept_bytes(source, layout.event_type, raw, count, sequence, now_ns)
        if result.rejected:
            self._answer(
                FrameType.REJECT,
                FrameRejected(
                    reason=result.refusal or "ROWS_REJECTED",
                    message=f"{result.rejected} of {count} {layout.name} rows cannot be taken",
                    sequence=sequence,
                    events=result.rejected,
                    resend_from=result.resend_from,
                    slot=self._seats.slot_of(source),
                ),
            )
        if result.groups or result.gaps or result.receipt:
            self._sink(result)

    def _acknowledge(self, receipts: Iterable[SourceAcknowledged]) -> None:
        for one in receipts:
            self._answer(FrameType.ACKNOWLEDGED, one)

    def _hello(self, frame: Frame) -> None:
        hello = self._parsed(SourceHello(), frame)
        if hello is not None:
            try:
                welcome = self._seats.hello(hello, time.time_ns())
            except LogUnavailable as error:
                self._send_away(error)
                return
            self._answer(FrameType.WELCOME, welcome)
            if not welcome.accepted:
                self._core.reject("HELLO_REFUSED")
                _log.warning("source %s refused: %s", hello.source, welcome.message)

    def _gap(self, frame: Frame) -> None:
        gap = self._parsed(SourceGap(), frame)
        if gap is None:
            return
        try:
            known = self._seats.gap(gap.slot, gap.reason, gap.listing_key, gap.count, time.time_ns())
        except InvalidArgument as error:
            self._refuse(error, frame.sequence, 0)
            return
        if not known:
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
            self._transport.resume_reading()
            self._turns.offer(self._seats.domain, self)  # what had been received behind the barrier

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

    def _fenced(self, error: AlphaPulseError) -> None:
        """A newer connection speaks for a source of this one, or nothing of its domain is taken any more."""
        if not isinstance(error, SequenceFenced):
            self._send_away(error)
            return
        self._core.reject("FRAME_SEQUENCE_FENCED")
        self._answer(FrameType.REJECT, FrameRejected(reason="FRAME_SEQUENCE_FENCED", message=error.message))
        self._end()

    def _send_away(self, error: AlphaPulseError) -> None:
        """Say goodbye, and why."""
        self._answer(FrameType.GOODBYE, FrameRejected(reason=error.reason, message=error.message))
        self._end()

    def _end(self) -> None:
        self._ended = True
        if self._transport is not None:
            self._transport.close()
