"""The bodies of the gRPC methods Publish and PublishAcknowledged: the same as a connection on the socket, in messages."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from alphapulse.api.relay.v1.relay_service_pb2 import (
    FrameRejected,
    PublishAcknowledgedResponse,
    PublishRequest,
    PublishResponse,
    SourceAcknowledged,
    SourceEvents,
)
from alphapulse.domain.errors import AlphaPulseError, Draining, FailedPrecondition, InvalidArgument
from alphapulse.domain.errors import from_reason as error_of
from alphapulse.records import RecordLayout, RecordLayoutError, Rows, split_batch
from relay_service.core import RelayCore
from relay_service.counters import told
from relay_service.ingress.control import Seats, Sink, pass_barrier
from relay_service.ingress.turns import Turns
from relay_service.results import AcceptResult
from relay_service.sources import SourceState

Answer = Callable[[PublishAcknowledgedResponse], None]


class _Request:
    """The events of one request, taken in turns."""

    def __init__(self, stream: PublishStream, source: SourceState, runs: list[tuple[RecordLayout, Rows]], first: int):
        self._stream = stream
        self._source = source
        self._runs = runs
        self._sequence = first
        self.waits = True
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def hold(self) -> None:
        """It waits for its turn, as it was made to."""

    def step(self, rows: int) -> int:
        """Take at most so many rows."""
        if self.done.done():
            self.waits = False
            return 0
        taken = 0
        try:
            self._stream.check_fence()  # a newer connection numbers the source's events now
            while self._runs and taken < rows:
                layout, waiting = self._runs[0]
                piece, rest = waiting[: rows - taken], waiting[rows - taken :]
                self._runs[:1] = [(layout, rest)] if len(rest) else []
                taken += len(piece)
                self._stream.take(self._source, layout, piece, self._sequence)
                self._sequence += len(piece)
        except BaseException as error:
            self._runs.clear()
            self.done.set_exception(error)
        self.waits = bool(self._runs)
        if not self.waits and not self.done.done():
            self.done.set_result(None)
        return taken


class PublishStream:
    """One call. `answer`, where it is given, takes what the source is told as it goes."""

    def __init__(self, core: RelayCore, sink: Sink, turns: Turns | None = None, answer: Answer | None = None) -> None:
        self._core = core
        self._sink = sink
        self._turns = turns or Turns()
        self._answer = answer
        self._fence: asyncio.Future[AlphaPulseError] = asyncio.get_running_loop().create_future()
        self._seats = Seats(core, sink, self._fenced, {}, self._acknowledge)
        self._told = asyncio.Event()
        """Set when the source was told of something that was relayed."""
        self._accepted = 0
        self._rejected: Counter[str] = Counter()
        self._gap_events = 0

    async def run(self, requests: AsyncIterator[PublishRequest]) -> PublishResponse:
        """Take everything; the sum of it. Raises SequenceFenced when a newer connection of the source takes over, LogUnavailable when nothing of its
        domain is taken any more, InvalidArgument and FailedPrecondition for a hello that is refused or missing."""
        following: asyncio.Future[PublishRequest | None] | None = None
        try:
            while True:
                following = asyncio.ensure_future(anext(requests, None))
                await asyncio.wait((following, self._fence), return_when=asyncio.FIRST_COMPLETED)
                self.check_fence()
                request = following.result()
                if request is None:
                    break
                await self._take(request)
            await self._all_told()
        finally:
            self._seats.leave()
            if following is not None:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
        return PublishResponse(
            accepted=self._accepted, rejected=dict(self._rejected), gap_events=told(self._gap_events)
        )

    async def _all_told(self) -> None:
        """The source sends no more, and listens until it knows what became of everything. Raises as `run` does."""
        while self._answer is not None and not self._seats.is_settled:
            self._told.clear()
            telling = asyncio.ensure_future(self._told.wait())
            try:
                await asyncio.wait((telling, self._fence), return_when=asyncio.FIRST_COMPLETED)
            finally:
                telling.cancel()
            self.check_fence()

    def check_fence(self) -> None:
        """Raises what the source is sent away with, where it is."""
        if self._fence.done():
            raise self._fence.result()

    async def _take(self, request: PublishRequest) -> None:
        kind = request.WhichOneof("message")
        if kind == "hello":
            self._hello(request)
        elif kind is None:
            raise InvalidArgument.field("message", "", "required", "a request is a hello, events, a gap or a barrier")
        elif not self._seats.by_slot:
            raise FailedPrecondition("the first request of Publish is a hello")
        elif kind == "events":
            await self._events(request.events)
        elif kind == "barrier":
            self._say(barrier=await pass_barrier(self._core, request.barrier))
        elif kind == "gap":
            gap = request.gap
            if self._seats.gap(gap.slot, gap.reason, gap.listing_key, gap.count, time.time_ns()):
                self._gap_events += gap.count
            else:
                self._core.reject("NO_HELLO")
                self._rejected["NO_HELLO"] += 1

    def _hello(self, request: PublishRequest) -> None:
        if request.hello.acknowledges and self._answer is None:
            text = "Publish answers once, at its end: PublishAcknowledged is the call for a source that is acknowledged"
            raise InvalidArgument.field("hello.acknowledges", "true", "acknowledges", text)
        welcome = self._seats.hello(request.hello, time.time_ns())
        if not welcome.accepted:
            raise error_of(welcome.reason, welcome.message)
        self._say(welcome=welcome)

    async def _events(self, events: SourceEvents) -> None:
        """Rows straight from the serialized batch where it is in the layouts' form, which every client that sets all fields writes."""
        source = self._seats.by_slot.get(events.slot)
        if source is None:
            raise InvalidArgument.field("events.slot", str(events.slot), "slot", "no source said hello in this slot")
        if events.send_time_ns:
            source.measure_clock(events.send_time_ns, time.time_ns())
        try:
            runs = split_batch(memoryview(bytearray(events.batch.SerializeToString())))
        except RecordLayoutError as error:
            raise InvalidArgument.field("events.batch", "", "batch-layout", str(error)) from error
        request = _Request(self, source, runs, events.first_sequence)
        self._turns.offer(self._seats.domain, request)
        await request.done

    def take(self, source: SourceState, layout: RecordLayout, rows: Rows, sequence: int) -> None:
        """Rows of a request, as its turn comes."""
        before = source.gap_events
        result = self._core.accept(source, layout.event_type, rows, sequence, time.time_ns())
        self._accepted += result.accepted
        self._gap_events += source.gap_events - before
        if result.rejected:
            self._refused(source, layout, sequence, len(rows), result)
        if result.duplicates:
            self._rejected["DUPLICATE"] += result.duplicates
        if result.groups or result.gaps or result.receipt:
            self._sink(result)

    def _refused(
        self, source: SourceState, layout: RecordLayout, sequence: int, count: int, result: AcceptResult
    ) -> None:
        reason = result.refusal or "ROWS_REJECTED"
        self._rejected[reason] += result.rejected
        self._say(
            rejected=FrameRejected(
                reason=reason,
                message=f"{result.rejected} of {count} {layout.name} rows cannot be taken",
                sequence=sequence,
                events=result.rejected,
                resend_from=result.resend_from,
                slot=self._seats.slot_of(source),
            )
        )

    def _acknowledge(self, receipts: Iterable[SourceAcknowledged]) -> None:
        for one in receipts:
            self._say(acknowledged=one)
        self._told.set()

    def _say(self, **message: Any) -> None:
        if self._answer is not None:
            self._answer(PublishAcknowledgedResponse(**message))

    def _fenced(self, error: AlphaPulseError) -> None:
        if not self._fence.done():
            self._fence.set_result(error)


class AcknowledgedStream:
    """The handler of PublishAcknowledged: requests are taken as they come, answers written one at a time. No more requests are read while many
    answers wait for a client that does not read them."""

    _MOST_ANSWERS = 1024

    def __init__(self, core: RelayCore, sink: Sink, turns: Turns) -> None:
        self._core = core
        self._sink = sink
        self._turns = turns
        self._drains = asyncio.Event()

    def drain(self) -> None:
        """End all calls, and take no new one: what is not acknowledged is sent again elsewhere."""
        self._drains.set()

    async def __call__(self, requests: AsyncIterator[PublishRequest], context: Any) -> None:
        """One call, until the client has ended it and knows what became of everything it sent, or the relay leaves. Raises as `PublishStream.run`
        does, and Draining."""
        answers: list[PublishAcknowledgedResponse] = []
        ready, room = asyncio.Event(), asyncio.Event()
        room.set()

        def answer(one: PublishAcknowledgedResponse) -> None:
            answers.append(one)
            ready.set()
            if len(answers) > self._MOST_ANSWERS:
                room.clear()

        async def bounded() -> AsyncIterator[PublishRequest]:
            async for request in requests:
                await room.wait()
                yield request

        stream = PublishStream(self._core, self._sink, self._turns, answer)
        running = asyncio.create_task(stream.run(bounded()))
        leaving = asyncio.create_task(self._drains.wait())
        for task in (running, leaving):
            task.add_done_callback(lambda _: ready.set())
        try:
            while True:
                while answers:
                    await context.write(answers.pop(0))
                room.set()
                if running.done():
                    running.result()
                    return
                if leaving.done():
                    raise Draining("this relay is going away; connect again", retry_after=0.5)
                ready.clear()
                await ready.wait()
        finally:
            running.cancel()
            leaving.cancel()
            await asyncio.gather(running, leaving, return_exceptions=True)
