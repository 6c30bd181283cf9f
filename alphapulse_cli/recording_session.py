"""From a stream into a recording: what a subscription gives is written down as it comes, and becomes Parquet beside it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from google.protobuf.json_format import MessageToJson

from alphapulse.recording import Missing, Recorder
from strategy_sdk import EventBatch, EventFilter, MarketStream, Subscription

SYNC_SECONDS: Final = 1.0
"""How often the disk is made to hold what was received: as much is lost when the machine goes down, not when the process does."""


class RecordingSession:
    """One subscription, recorded until the stream is stopped."""

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
        subscription = await self._stream.subscribe(wanted)
        self._follow(self._stream.relay_id, subscription.from_sequence)
        keeper = asyncio.create_task(self._keep(subscription))
        keeper.add_done_callback(lambda _: self._stream.stop())  # a disk that fails ends it
        try:
            async for batch in self._stream.batches():
                self._take(batch)
        finally:
            self._over.set()
            await asyncio.wait((keeper,))
        self._take_definitions()
        keeper.result()

    def _follow(self, relay_id: str, from_sequence: int = 0) -> None:
        gap = self._recorder.follow(relay_id, from_sequence=from_sequence, wanted=self._wanted)
        if gap is not None:
            self._on_missing(gap)

    def _take(self, batch: EventBatch) -> None:
        self._take_definitions()
        for gap in batch.gaps:
            missing = Missing(
                *(gap.reason, gap.count, gap.from_number, gap.to_number),
                *(gap.source, gap.listing_key),
            )
            self._recorder.missing(missing)
            self._on_missing(missing)
        if batch.life:
            self._follow(batch.life)
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
        self._recorder.point(subscription.resume_token)
