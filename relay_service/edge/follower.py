"""Reads the log of a relay's domain as it is written, and hands on what it holds to the subscribers of this edge."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

import structlog

from alphapulse.domain.domains import Domain
from alphapulse.runtime import Readiness
from relay_service.edge.core import EdgeCore
from relay_service.edge.log import PAGE_ENTRIES, EdgeLog
from relay_service.edge.pacing import Pacing
from relay_service.egress.fanout import FanOut
from relay_service.egress.subscriber import Subscriber
from relay_service.egress.subscription import Subscription
from relay_service.log.cursor import LOG_TRIMMED, Cursor, Missing, Step, Turned
from relay_service.log.entries import Entry, EntryKind
from relay_service.log.reader import beginning
from relay_service.log.records import LoggedGap, LoggedRows
from relay_service.log.relay_log import end
from relay_service.log.store import FAILURES
from relay_service.results import AcceptResult

_log = structlog.stdlib.get_logger(__name__)
_PAUSES: Final = (0.05, 2.0)
"""Seconds between two attempts to read the log: the first, and the longest."""
_BEAT_SECONDS: Final = 0.5
"""How often it is looked at what the relay says of itself."""
_TURN_BYTES: Final = 1 << 20
"""Rows handed on before others get their turn."""


class Follower:
    """Async context manager; the log is entered before it. `caught_up` is set when the log was read to its end for the first time."""

    def __init__(
        self, core: EdgeCore, log: EdgeLog, fanout: FanOut, readiness: Readiness, others: Sequence[EdgeLog] = ()
    ) -> None:
        """`others`: the logs of the other domains, which hear from the market's follower what the relay says of itself."""
        self._core = core
        self._others = others
        self._log = log
        self._fanout = fanout
        self._readiness = readiness
        self._domain = log.domain
        self._pacing = Pacing(fanout, log.domain)
        self._cursor = Cursor(log.position)
        self._tasks: list[asyncio.Task[None]] = []
        self._handed_on = 0
        self._pause = _PAUSES[0]
        self.caught_up = asyncio.Event()
        self.entries = 0
        """Entries handed on so far."""
        self.missing = 0
        """Events that the log did not have, where it is known how many."""

    async def __aenter__(self) -> Self:
        self._cursor = Cursor(self._log.beginning)
        self._core.begin(self._log.beginning.sequence, self._domain)
        self._tasks = [asyncio.create_task(self._follow(), name=f"edge-follow-{self._domain.title}")]
        if self._domain is Domain.MARKET:
            self._tasks.append(asyncio.create_task(self._listen(), name="edge-listen"))
        for task in self._tasks:
            task.add_done_callback(self._report)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await end(self._tasks)

    async def wait_caught_up(self) -> None:
        """Until the log was read to its end for the first time. Raises what following it ended with."""
        caught_up = asyncio.create_task(self.caught_up.wait())
        try:
            await asyncio.wait((caught_up, self._tasks[0]), return_when=asyncio.FIRST_COMPLETED)
        finally:
            caught_up.cancel()
        if self._tasks[0].done():
            self._tasks[0].result()

    async def _follow(self) -> None:
        while True:
            try:
                entries = await self._log.next_entries()
                if entries and not self._cursor.position.incarnation:
                    self._begin(entries[0])
                await self._look_back(entries)
            except FAILURES as error:
                await self._failed(error)
                continue
            self._pause = _PAUSES[0]
            self._pacing.page(len(entries))
            for entry in entries:
                await self._take(entry)
            if len(entries) < PAGE_ENTRIES:
                self.caught_up.set()
                self._readiness.set(True)

    async def _failed(self, error: Exception) -> None:
        self._log.errors += 1
        if self._pause == _PAUSES[0]:
            title = self._domain.title
            _log.warning("the log of the %s domain cannot be read now: %s: %s", title, type(error).__name__, error)
        self._readiness.set(False)
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, _PAUSES[1])

    def _begin(self, entry: Entry) -> None:
        """The log was empty until now: its server lost it, and how much more since then nobody knows. A START says so itself."""
        if entry.kind is not EntryKind.START:
            place = beginning(entry)
            self._cursor = Cursor(place)
            self._declare(Missing(LOG_TRIMMED, 0, place.sequence))
            self._turn(Turned(place.incarnation), whole=False)

    async def _look_back(self, entries: list[Entry]) -> None:
        """Where something is missing before these entries: whether the log has forgotten it, or never had it. Raises FAILURES."""
        place = self._cursor.position
        if entries and not _continues(place.incarnation, place.sequence, entries[0]):
            self._cursor.trimmed = await self._log.is_forgotten(place)

    async def _take(self, entry: Entry) -> None:
        for step in self._cursor.follow(entry):
            await self._step(step, entry)
        self._log.took(entry)
        self.entries += 1
        self._handed_on += entry.size
        if self._handed_on >= _TURN_BYTES:
            self._handed_on = 0
            await asyncio.sleep(0)

    async def _step(self, step: Step, entry: Entry) -> None:
        if isinstance(step, LoggedRows):
            await self._pacing.room()
            if self._fanout.subscribers:
                await self._core.wait_defined(step)
            group = self._core.take(step)
            self._cursor.passed(step.last)
            self._fanout.deliver(AcceptResult((group,), (), self._domain, step.now_ns, step.source))
        elif isinstance(step, LoggedGap):
            self._log.expect_gap(step.number)
            self._fanout.deliver(AcceptResult((), (step.record,), self._domain, source=step.record.source))
        elif isinstance(step, Missing):
            self._declare(step)
        else:
            self._turn(step, whole=entry.kind is EntryKind.START)

    def _declare(self, missing: Missing) -> None:
        """Tell every subscription that takes live events of the domain."""
        self.missing += missing.events
        place = self._cursor.position
        if missing.last_sequence > self._log.position.sequence:
            self._core.begin(place.sequence, self._domain)  # what it knew may not be the last any more
        self._log.passed(place)
        for subscriber, subscription in self._live():
            subscriber.declare_missing(subscription, *missing)
            subscriber.wake()

    def _turn(self, step: Turned, *, whole: bool) -> None:
        """Another life of the relay begins: its sequences do anew, and clients resume there from now on."""
        place = self._cursor.position
        life, title = self._log.life_of(step.incarnation, ""), self._domain.title
        _log.info("another life of the relay begins", relay_id=life, domain=title)
        self._core.begin(place.sequence, self._domain)
        self._log.turn(place, whole=whole)
        for subscriber, subscription in self._live():
            subscriber.mark_point(subscription)
            subscriber.wake()
        if self._domain is not Domain.MARKET:
            return  # which life the relay is in, the market says
        self._core.adopt(())
        for subscriber in tuple(self._fanout.subscribers.values()):
            subscriber.queue.push_heartbeat_last()  # names the life for what is asked from now on
            subscriber.wake()

    def _live(self) -> list[tuple[Subscriber, Subscription]]:
        """Who takes what comes of the domain now; those that are replayed come by it themselves."""
        return [
            (subscriber, subscription)
            for subscriber in self._fanout.subscribers.values()
            for subscription in subscriber.subscriptions.values()
            if subscription.queue.domain is self._domain and subscription.replay is None
        ]

    async def _listen(self) -> None:
        """Keep what the relay says of itself and its sources."""
        while True:
            with contextlib.suppress(*FAILURES):  # following says so
                beat = await self._log.read_beat()
                if beat is not None:
                    for log in (self._log, *self._others):
                        log.heard(beat)
                    self._core.adopt(beat.sources)
            self._core.pass_time(time.time_ns())
            await asyncio.sleep(_BEAT_SECONDS)

    def _report(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error(
                "this edge follows the log no more, by a fault of its own: its clients are sent away", exc_info=error
            )
            self._readiness.set(False)
            for subscriber in tuple(self._fanout.subscribers.values()):
                subscriber.ending = True
                subscriber.wake()


def _continues(incarnation: int, sequence: int, entry: Entry) -> bool:
    """Whether nothing lies between a place and an entry, as far as their numbers say."""
    if entry.incarnation != incarnation:
        return entry.kind is EntryKind.START
    return entry.first <= sequence + 1
