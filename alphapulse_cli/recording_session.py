"""From a stream into a recording: what a subscription gives is written down as it comes, and becomes Parquet beside it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from google.protobuf.json_format import MessageToJson

from alphapulse.domain.errors import (
    InvalidArgument,
    NoEventLog,
    ResumeTokenInvalid,
    ResumeTokenTooOld,
    Unavailable,
    Unimplemented,
)
from alphapulse.recording import Missing, Point, Recorder
from strategy_sdk import EventBatch, EventFilter, MarketStream, Place, Subscription

SYNC_SECONDS: Final = 1.0
"""How often the disk is made to hold what was received: as much is lost when the machine goes down, not when the process does."""
_CANNOT_GO_ON: Final = (
    InvalidArgument,
    NoEventLog,
    ResumeTokenInvalid,
    ResumeTokenTooOld,
    Unavailable,
    Unimplemented,
)
"""What a relay refuses with that does not go on. A filter that is refused is refused once more, without a start."""


class RecordingSession:
    """One subscription, recorded until the stream is stopped. It goes on where the recording ends, where the relay can."""

    def __init__(self, stream: MarketStream, recorder: Recorder, on_missing: Callable[[Missing], None]) -> None:
        self._stream = stream
        self._recorder = recorder
        self._on_missing = on_missing
        self._definitions: list[bytes] = []
        self._wanted = ""
        self._over = asyncio.Event()
        stream.on_definition(self._definitions.append)

    async def run(self, wanted: EventFilter) -> None:
        """Record until the stream is stopped. Raises what the relay refuses the filter with, and OSError of the disk."""
        self._wanted = MessageToJson(wanted.to_message(), preserving_proto_field_name=True, indent=None)
        subscription = await self._subscribe(wanted)
        keeper = asyncio.create_task(self._keep(subscription))
        keeper.add_done_callback(lambda _: self._stream.stop())  # a disk that fails ends it
        try:
            async for batch in self._stream.batches():
                self._take(batch)
                self._note_point(subscription)
        finally:
            self._over.set()
            await asyncio.wait((keeper,))
        self._take_definitions()
        keeper.result()

    async def _subscribe(self, wanted: EventFilter) -> Subscription:
        kept = self._recorder.point_for(self._wanted)
        if kept is not None:
            life, point = kept
            place = Place(point.resume_token, point.number, point.sequence, {}, point.source_gap, life)
            try:
                return await self._go_on(wanted, place)
            except _CANNOT_GO_ON:
                pass
        subscription = await self._stream.subscribe(wanted)
        self._follow(self._stream.relay_id, subscription.from_sequence)
        return subscription

    async def _go_on(self, wanted: EventFilter, place: Place) -> Subscription:
        """From where the recording ends; where the log has forgotten what follows, from the oldest it has."""
        try:
            subscription = await self._stream.subscribe(wanted, start=place)
        except ResumeTokenTooOld as error:
            oldest = error.metadata.get("oldest_token")
            if not oldest:
                raise
            subscription = await self._stream.subscribe(wanted, start=place.at(oldest))
            # Of which life the relay's oldest event is the stream tells before it.
            self._follow(place.relay_id)
        else:
            self._follow(place.relay_id, goes_on=True)
        return subscription

    def _follow(self, relay_id: str, from_sequence: int = 0, *, goes_on: bool = False) -> None:
        gap = self._recorder.follow(relay_id, from_sequence=from_sequence, wanted=self._wanted, goes_on=goes_on)
        if gap is not None:
            self._on_missing(gap)

    def _take(self, batch: EventBatch) -> None:
        self._take_definitions()
        for gap in batch.gaps:
            missing = Missing(
                *(gap.reason, gap.count, gap.from_number, gap.to_number),
                *(gap.source, gap.listing_key),
                last_sequence=gap.last_sequence,
                source_gap=gap.source_gap,
            )
            self._recorder.missing(missing)
            self._on_missing(missing)
        if batch.life:
            self._follow(batch.life, goes_on=True)
        for layout, rows in batch.runs:
            self._recorder.rows(layout, rows, batch.received_ns)

    def _take_definitions(self) -> None:
        self._recorder.definitions(self._definitions)
        self._definitions.clear()

    async def _keep(self, subscription: Subscription) -> None:
        """Everything that is not receiving, a step after the other; what takes long in a thread."""
        writing: asyncio.Task[object] | None = None
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SYNC_SECONDS):
                    await self._over.wait()
            self._note(subscription)
            await asyncio.to_thread(self._recorder.sync)
            if writing is not None and writing.done():
                writing.result()
                writing = None
            if writing is None and self._recorder.is_due():
                self._recorder.rotate()
            if writing is None and self._recorder.has_closed:
                writing = asyncio.create_task(asyncio.to_thread(self._recorder.write_closed))
        if writing is not None:
            await writing

    def _note(self, subscription: Subscription) -> None:
        heartbeat = self._stream.last_heartbeat
        if heartbeat is not None:
            self._recorder.sources(one.source for one in heartbeat.sources)
        self._note_point(subscription)

    def _note_point(self, subscription: Subscription) -> None:
        """Where it would go on after what was taken: between two batches that is what is recorded."""
        place = subscription.place
        if place is None:
            self._recorder.point(Point(""))
        else:
            self._recorder.point(Point(place.resume_token, place.number, place.sequence, place.source_gap))
