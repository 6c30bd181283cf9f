"""The body of the gRPC method Publish: the same as a connection on the socket, for one source, in messages."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator

from alphapulse.api.relay.v1.relay_service_pb2 import PublishRequest, PublishResponse, SourceEvents
from alphapulse.domain.errors import FailedPrecondition, InvalidArgument, SequenceFenced
from alphapulse.domain.errors import from_reason as error_of
from alphapulse.records import RecordLayoutError, split_batch
from relay_service.core import RelayCore
from relay_service.ingress.control import Seats, Sink, pass_barrier


class PublishStream:
    """One call of Publish."""

    def __init__(self, core: RelayCore, sink: Sink) -> None:
        self._core = core
        self._sink = sink
        self._fence: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._seats = Seats(core, sink, self._fenced, {})
        self._accepted = 0
        self._rejected: Counter[str] = Counter()
        self._gap_events = 0

    async def run(self, requests: AsyncIterator[PublishRequest]) -> PublishResponse:
        """Take everything; the sum of it. Raises SequenceFenced when a newer connection of the source takes over, InvalidArgument and
        FailedPrecondition for a hello that is refused or missing."""
        try:
            while True:
                following = asyncio.ensure_future(anext(requests, None))
                await asyncio.wait((following, self._fence), return_when=asyncio.FIRST_COMPLETED)
                if self._fence.done():
                    following.cancel()
                    raise SequenceFenced("a newer connection speaks for this source")
                request = following.result()
                if request is None:
                    break
                await self._take(request)
        finally:
            self._seats.leave()
        return PublishResponse(accepted=self._accepted, rejected=dict(self._rejected), gap_events=self._gap_events)

    async def _take(self, request: PublishRequest) -> None:
        kind = request.WhichOneof("message")
        if kind == "hello":
            welcome = self._seats.hello(request.hello, time.time_ns())
            if not welcome.accepted:
                raise error_of(welcome.reason, welcome.message)
        elif kind is None:
            raise InvalidArgument.field("message", "", "required", "a request is a hello, events, a gap or a barrier")
        elif not self._seats.by_slot:
            raise FailedPrecondition("the first request of Publish is a hello")
        elif kind == "events":
            self._events(request.events)
        elif kind == "barrier":
            await pass_barrier(self._core, request.barrier)
        elif kind == "gap":
            gap = request.gap
            if self._seats.gap(gap.slot, gap.reason, gap.listing_key, gap.count, time.time_ns()):
                self._gap_events += gap.count
            else:
                self._core.reject("NO_HELLO")
                self._rejected["NO_HELLO"] += 1

    def _events(self, events: SourceEvents) -> None:
        """Rows straight from the serialized batch where it is in the layouts' form, which every client that sets all fields writes."""
        source = self._seats.by_slot.get(events.slot)
        if source is None:
            raise InvalidArgument.field("events.slot", str(events.slot), "slot", "no source said hello in this slot")
        now_ns = time.time_ns()
        if events.send_time_ns:
            source.measure_clock(events.send_time_ns, now_ns)
        try:
            runs = split_batch(memoryview(bytearray(events.batch.SerializeToString())))
        except RecordLayoutError as error:
            raise InvalidArgument.field("events.batch", "", "batch-layout", str(error)) from error
        sequence = events.first_sequence
        for layout, rows in runs:
            before = source.gap_events
            result = self._core.accept(source, layout.event_type, rows, sequence, now_ns)
            sequence += len(rows)
            self._accepted += result.accepted
            self._gap_events += source.gap_events - before
            if result.rejected:
                self._rejected[result.refusal or "ROWS_REJECTED"] += result.rejected
            if result.duplicates:
                self._rejected["DUPLICATE"] += result.duplicates
            if result.groups or result.gaps:
                self._sink(result)

    def _fenced(self) -> None:
        if not self._fence.done():
            self._fence.set_result(None)
