"""Brings one subscription what is older than now: from the log, then from memory, then joined to live in one turn of the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

import numpy as np
import structlog

from alphapulse.domain.errors import AlphaPulseError
from alphapulse.records import LAYOUTS, OPPORTUNITY
from relay_service.core import RelayCore
from relay_service.egress.rows import Selected
from relay_service.egress.subscriber import Subscriber
from relay_service.egress.subscription import Subscription
from relay_service.log.cursor import Cursor, Missing, Step, Turned
from relay_service.log.reader import LogReader
from relay_service.log.records import LoggedGap, LoggedRows, Position
from relay_service.log.store import FAILURES
from relay_service.results import RowGroup, Slots
from relay_service.subscriptions.index import FilterIndex

_log = structlog.stdlib.get_logger(__name__)
_TURN_BYTES: Final = 1 << 20
"""Rows looked at before others get their turn."""
_PAUSES: Final = (0.05, 2.0)
"""Seconds between two attempts to read the log: the first, and the longest."""


class Replay:
    """One task for one subscription. It reads on while less than half of what may wait for the client does, so it never fills the queue."""

    def __init__(
        self,
        core: RelayCore,
        index: FilterIndex,
        log: LogReader,
        subscriber: Subscriber,
        subscription: Subscription,
        learned: asyncio.Event,
    ) -> None:
        self._core = core
        self._index = index
        self._log = log
        self._subscriber = subscriber
        self._subscription = subscription
        self._learned = learned
        self._cursor: Cursor | None = None
        self._floor = 0
        self._floors: Mapping[int, int] = {}
        self._turn_bytes = 0
        self._waited = False
        self._task: asyncio.Task[None] | None = None
        self._over = False
        self.begun = False
        """Whether the subscription was acknowledged."""

    def start(
        self, find: Callable[[], Awaitable[Cursor]], begin: Callable[[], None], end: Callable[[AlphaPulseError], None]
    ) -> None:
        """Find the place, `begin` the subscription with it, and go; or `end` it with what the place is refused with."""

        async def run() -> None:
            try:
                self._cursor = await find()
            except AlphaPulseError as error:
                if not self._over:
                    end(error)
                return
            if self._over:
                return
            self.begun = True
            begin()
            await self._learned.wait()
            await self._run(self._cursor)

        self._task = asyncio.create_task(run(), name="replay")
        self._task.add_done_callback(self._report)

    def cancel(self) -> None:
        """It is not wanted any more."""
        self._over = True  # a cancellation may be lost in the client of Redis: see `relay_log.end`
        if self._task is not None:
            self._task.cancel()

    def pass_over(self, sequence: int, by_type: Mapping[int, int]) -> None:
        """In the life of the relay the replay begins in, events up to a sequence have been received; of these types, up to these sequences."""
        self._floor, self._floors = sequence, by_type

    @property
    def position(self) -> Position | None:
        """Behind what was handed to the subscription; None while of some types it has received something from further on."""
        if self._cursor is None or self._cursor.position.sequence < max(self._floors.values(), default=0):
            return None
        return self._cursor.position

    @property
    def floor(self) -> int:
        """Events up to this sequence have been received."""
        return self._floor

    @property
    def first_sequence(self) -> int:
        """The sequence of the first event it may bring."""
        return max(self._cursor.position.sequence, self._floor) + 1 if self._cursor is not None else 0

    async def _run(self, cursor: Cursor) -> None:
        pause = _PAUSES[0]
        while not self._over:
            await self._log.reached(self._received(cursor.position))
            records = self._log.tail.after(cursor.position.sequence) if self._is_own_life(cursor) else None
            if records is not None:
                self._waited = False
                await self._take(cursor.follow_tail(self._log.incarnation, records))
                if not self._waited and not self._over:
                    self._join()
                    return
                continue
            try:
                await self._page(cursor)
                pause = _PAUSES[0]
            except FAILURES as error:
                _log.info("the log cannot be read now: %s: %s", type(error).__name__, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _PAUSES[1])

    def _received(self, position: Position) -> Position:
        """Behind everything the client has, from another relay of this log perhaps, that was ahead of this one."""
        return position._replace(sequence=max(position.sequence, self._floor, *self._floors.values()))

    def _is_own_life(self, cursor: Cursor) -> bool:
        return cursor.position.incarnation == self._log.incarnation

    async def _page(self, cursor: Cursor) -> None:
        """A page of the log; where it has nothing further, on to what is in memory."""
        before, moved = cursor.position, False
        for entry in await self._log.page(cursor):
            moved = await self._take(cursor.follow(entry)) or moved
        if not moved and cursor.position == before:
            cursor.trimmed = cursor.trimmed or not self._is_own_life(cursor)
            await self._take(cursor.reach(self._log.incarnation, self._log.tail.base))

    async def _take(self, steps: Iterator[Step]) -> bool:
        """Hand over what is to come; whether there was anything."""
        found = False
        for step in steps:
            if self._over:
                return True
            found = True
            if isinstance(step, LoggedRows):
                await self._rows(step)
            elif isinstance(step, LoggedGap):
                await self._room()
                self._declare(step)
            elif isinstance(step, Missing):
                await self._room()
                self._subscriber.declare_missing(self._subscription, *step)
            else:
                self._turn(step)
        self._subscriber.wake()
        return found

    async def _rows(self, rows: LoggedRows) -> None:
        cursor = self._cursor
        assert cursor is not None
        size = LAYOUTS[rows.event_type].row_size
        step = max(self._subscription.piece_bytes // size, 1)
        for start in range(0, rows.events, step):
            await self._room()
            end = min(start + step, rows.events)
            self._hand_over(rows, start, end, size)
            cursor.passed(rows.first + end - 1)
            await self._others((end - start) * size)

    def _hand_over(self, rows: LoggedRows, start: int, end: int, size: int) -> None:
        """The rows at these places, through the filter as it is now."""
        floor = max(self._floor, self._floors.get(rows.event_type, 0))
        start = max(start, floor + 1 - rows.first)
        if start >= end:
            return
        raw = np.frombuffer(rows.data, np.uint8, (end - start) * size, start * size)
        slots, others = self._slots(rows.event_type, raw)
        group = RowGroup(rows.event_type, raw, slots, rows.first + start, others)
        wanted, places = self._index.select_for(self._subscription.held, group, rows.source)
        if wanted:
            selected = Selected(group, places, time.time_ns())
            self._subscriber.accept_replayed(self._subscription, selected)

    def _slots(self, event_type: int, raw: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> tuple[Slots, Slots | None]:
        table = raw.view(LAYOUTS[event_type].dtype)
        others = self._core.slots_for(table["sell_listing_key"]) if event_type == OPPORTUNITY.event_type else None
        return self._core.slots_for(table["listing_key"]), others

    def _declare(self, gap: LoggedGap) -> None:
        record, held = gap.record, self._subscription.held
        slot = self._core.slots.slot_of(record.listing_key) if record.listing_key else None
        if self._index.concerns(held, record.source, slot):
            self._subscriber.declare(self._subscription, record, gap.number)

    def _turn(self, step: Turned) -> None:
        """What follows is of another life of the relay: from here on the client resumes there."""
        self._floor, self._floors = 0, {}
        self._subscriber.mark_point(self._subscription)

    async def _room(self) -> None:
        while not self._subscription.has_ample_room:
            self._waited = True
            self._subscriber.taken.clear()
            self._subscriber.wake()
            if not self._subscription.has_ample_room:
                await self._subscriber.taken.wait()

    async def _others(self, size: int) -> None:
        """Let others have their turn after a while."""
        self._turn_bytes += size
        if self._turn_bytes >= _TURN_BYTES:
            self._turn_bytes = 0
            self._waited = True
            self._subscriber.wake()
            await asyncio.sleep(0)

    def _join(self) -> None:
        """Everything that was relayed was handed over: what is relayed next comes live."""
        subscription = self._subscription
        subscription.replay = None
        subscription.held.replaying -= 1
        subscription.held.members.append((self._subscriber, subscription))

    def _report(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self._over:
            _log.error("a replay ended by a fault of the relay: its client is sent away", exc_info=error)
            self._subscriber.ending = True
            self._subscriber.wake()
