"""The market from the relays of several partitions as one stream: a connection to each, whatever one of them does.

Each partition keeps what is its own: sequences, numbers, gaps, lives and places. Here they are put side by side, batch by batch, in the order in
which they are there; between partitions there is no other order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.domain.errors import AlphaPulseError, FailedPrecondition, InvalidArgument
from strategy_sdk._batch import EventBatch, Gap
from strategy_sdk._callbacks import Callbacks
from strategy_sdk._convert import Definition
from strategy_sdk._events import Event
from strategy_sdk._heartbeat import Heartbeat
from strategy_sdk._places import Place, Places
from strategy_sdk._stream import MarketStream
from strategy_sdk._stream_stats import StreamStats, stats_of_all
from strategy_sdk._subscriptions import Contract, EventFilter, Start, Subscription, chosen_filter


class PartitionStream(MarketStream):
    """The stream of one partition. Its subscriptions have ids of their own: those whose remainder by the count is the index plus one."""

    def begin(self, index: int, count: int, defined: Callable[[int, relay.ListingDefinition], None]) -> Self:
        """One of so many; `defined` is told of definitions as they come."""
        self._last_identity, self._step = index + 1 - count, count
        self._index, self._told = index, defined
        return self

    def _defined(self, definition: relay.ListingDefinition) -> None:
        self._told(self._index, definition)

    async def wait_ready(self) -> None:
        """Until a batch waits, or an error, or the stream is stopped."""
        await self._pump_until(lambda: bool(self._outbox))

    @property
    def is_ready(self) -> bool:
        """Whether a batch or an error waits."""
        return bool(self._outbox)

    def take_ready(self) -> EventBatch | None:
        """What waits: from here on it counts as handed over."""
        return self._outbox.take()


@dataclass(frozen=True, slots=True)
class PartitionedSubscription:
    """A subscription at every partition."""

    parts: tuple[Subscription, ...]
    """One for each partition, in their order; events, batches and gaps name these by their ids, and each numbers its own from 1."""
    filter: EventFilter = field(repr=False)

    @property
    def matching_listings(self) -> int:
        """Listings that matched when a relay last answered. Relays know all listings, whosever they are: the most that one told."""
        return max(part.matching_listings for part in self.parts)

    @property
    def active(self) -> bool:
        """Whether it is in force everywhere."""
        return all(part.active for part in self.parts)

    @property
    def snapshot_complete(self) -> bool:
        """Where it was asked to start with a snapshot: whether all of it has come from everywhere."""
        return all(part.snapshot_complete for part in self.parts)

    @property
    def place(self) -> Places | None:
        """As `Subscription.place`, of all partitions; None where one has none."""
        found = [place for part in self.parts if (place := part.place) is not None]
        return Places(tuple(found)) if len(found) == len(self.parts) else None


class PartitionedStream(Callbacks):
    """Events from the relays of all partitions; made by `connect_partitions`. Read by one task, in the ways of `MarketStream`. A partition that is
    lost is waited for, and goes on where it stopped, while the others go on."""

    def __init__(self, parts: Sequence[PartitionStream]) -> None:
        super().__init__()
        self.parts = tuple(part.begin(index, len(parts), self._note) for index, part in enumerate(parts))
        """The streams of the partitions, in their order: for what is a partition's own, such as `relay_id`. They are read through this one alone."""
        self._at: dict[int, int] = {}
        """By listing_key, which partition defined it last."""
        self._ready: Iterator[Event | Gap] = iter(())
        self._waiting: dict[int, asyncio.Task[None]] = {}
        self._next = 0
        """Whose turn it is."""
        self._taking = self._stopped = False

    def _note(self, index: int, definition: relay.ListingDefinition) -> None:
        self._at[definition.listing.listing_key] = index
        self._defined(definition)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            opening = [asyncio.create_task(stack.enter_async_context(part)) for part in self.parts]
            try:
                await asyncio.gather(*opening)
            except BaseException:
                for task in opening:
                    task.cancel()
                await asyncio.gather(*opening, return_exceptions=True)
                raise
            stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the stream; whoever reads it comes to its end."""
        self.stop()
        waiting = tuple(self._waiting.values())
        await asyncio.gather(*(part.close() for part in self.parts))
        await asyncio.gather(*waiting, return_exceptions=True)

    def stop(self) -> None:
        """Let whoever reads the stream come to its end, without waiting."""
        self._stopped = True
        for part in self.parts:
            part.stop()

    # --- subscriptions
    async def subscribe(
        self,
        wanted: EventFilter | None = None,
        *,
        contract: Contract | None = None,
        snapshot: bool = False,
        start: Places | Start | None = None,
        **fields: Any,
    ) -> PartitionedSubscription:
        """As `MarketStream.subscribe`, at every partition: returns when all relays have taken it, and where one refuses it is in force at none.
        `start` is a time, or a `PartitionedSubscription.place`."""
        chosen = chosen_filter(wanted, fields)
        starts = self._starts(start)
        asked = [
            asyncio.create_task(part.subscribe(chosen, contract=contract, snapshot=snapshot, start=own))
            for part, own in zip(self.parts, starts, strict=True)
        ]
        try:
            return PartitionedSubscription(tuple(await asyncio.gather(*asked)), chosen)
        except BaseException:
            for task in asked:
                task.cancel()
            answers = await asyncio.gather(*asked, return_exceptions=True)
            taken = [
                (part, one) for part, one in zip(self.parts, answers, strict=True) if isinstance(one, Subscription)
            ]
            with contextlib.suppress(AlphaPulseError):
                await asyncio.gather(*(part.unsubscribe(one) for part, one in taken))
            raise

    def _starts(self, start: Places | Start | None) -> Sequence[Start | None]:
        count = len(self.parts)
        if isinstance(start, Places):
            if len(start.of) != count:
                text = f"it is of {len(start.of)} partitions, this stream of {count}: what a partition holds is another matter there"
                raise InvalidArgument.field("start", str(start)[:32], "place-partitions", text)
            return start.of
        if isinstance(start, Place):
            text = "it is of one relay's whole market, or of one partition: give the place of a PartitionedSubscription"
            raise InvalidArgument.field("start", str(start)[:32], "place-partitions", text)
        return [start] * count

    async def unsubscribe(self, subscription: PartitionedSubscription) -> None:
        """End a subscription; events already received still come."""
        ending = zip(self.parts, subscription.parts, strict=True)
        await asyncio.gather(*(part.unsubscribe(one) for part, one in ending))

    # --- the three faces
    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event | Gap:
        while True:
            for event in self._ready:
                self._progress.handed = event
                return event
            batch = await self.next_batch()
            if batch is None:
                raise StopAsyncIteration
            self._progress.handed = None
            self._ready = iter([*batch.gaps, *batch.events()])

    async def batches(self) -> AsyncIterator[EventBatch]:
        """Events as arrays over the received bytes, each batch of one partition with the gaps before it."""
        while (batch := await self.next_batch()) is not None:
            yield batch

    async def run(self) -> None:
        """Call the registered callbacks until the stream is stopped. What a callback raises ends it."""
        while (batch := await self.next_batch()) is not None:
            await self.dispatch(batch)

    async def next_batch(self) -> EventBatch | None:
        """The next batch, of the partitions in turn; None at the end. Cancelling it loses nothing."""
        if self._taking:
            raise FailedPrecondition("another task reads this stream already", hint="open one stream a task")
        self._taking = True
        try:
            while True:
                batch = self._take()
                if batch is not None or self._stopped:
                    return batch
                await self._wait()
        finally:
            self._taking = False

    def _take(self) -> EventBatch | None:
        count = len(self.parts)
        for at in range(count):
            index = (self._next + at) % count
            part = self.parts[index]
            if part.is_ready:
                self._next = (index + 1) % count
                self._progress = part.progress
                return part.take_ready()
        return None

    async def _wait(self) -> None:
        """Until one of them has something. A partition is not read while what it gave before waits, so each holds up its own relay alone."""
        for index, part in enumerate(self.parts):
            if index not in self._waiting:
                self._waiting[index] = asyncio.create_task(part.wait_ready())
        await asyncio.wait(self._waiting.values(), return_when=asyncio.FIRST_COMPLETED)
        for index, task in tuple(self._waiting.items()):
            if task.done():
                del self._waiting[index]
                task.result()

    # --- what is known besides events
    def partition_of(self, subscription_id: int) -> int:
        """The partition, from 0, that an event, batch or gap of this subscription_id is of."""
        return (subscription_id - 1) % len(self.parts)

    def definition(self, listing_key: int) -> Definition | None:
        """As `MarketStream.definition`, from the partition that defined it last."""
        index = self._at.get(listing_key)
        return None if index is None else self.parts[index].definition(listing_key)

    def is_stale(self, listing_key: int) -> bool:
        """As `MarketStream.is_stale`; of a listing that nobody defined, whether it is at any partition."""
        index = self._at.get(listing_key)
        asked = self.parts if index is None else (self.parts[index],)
        return any(part.is_stale(listing_key) for part in asked)

    @property
    def last_heartbeat(self) -> Heartbeat | None:
        """Of the partition that was heard of least lately; None before each had one."""
        beats = [part.last_heartbeat for part in self.parts if part.last_heartbeat is not None]
        return min(beats, key=lambda one: one.received_ns) if len(beats) == len(self.parts) else None

    @property
    def silence(self) -> float:
        """Seconds since anything was received, of the partition for which it is the longest."""
        return max(part.silence for part in self.parts)

    @property
    def is_silent(self) -> bool:
        """Whether more heartbeats are missing of a partition than may be."""
        return any(part.is_silent for part in self.parts)

    @property
    def transport(self) -> str:
        """The ways to the relays."""
        return "; ".join(part.transport for part in self.parts)

    def stats(self) -> StreamStats:
        """What all of them have done so far: counts are sums, `last_sequence` is the highest, latency that of the slowest for each hop."""
        return stats_of_all([part.stats() for part in self.parts])
