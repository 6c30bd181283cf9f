"""The change feed of one process: every revision once, in order, whichever replica wrote it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Final, Protocol, Self

from alphapulse.domain.errors import AlphaPulseError, ConsistencyNotReached
from registry_service.storage.model import Change

_log = logging.getLogger(__name__)
_BATCH: Final = 1000
_LOOK_EVERY: Final = 25
"""Reads of the log without a row after which its beginning is looked at."""


class ChangeLog(Protocol):
    """What the feed reads."""

    async def revision(self) -> int:
        """The last committed revision."""

    async def changes(self, after_revision: int, limit: int) -> Sequence[Change]:
        """Rows in order."""

    async def oldest_resumable(self) -> int:
        """The smallest revision after which the log is whole."""


class ChangeHint(Protocol):
    """Tells other replicas, and is told by them, that something was committed. Only ever a hint: it may be lost."""

    async def run(self, woken: Callable[[int], None]) -> None:
        """Calls `woken` with revisions others announce, until cancelled; reconnects by itself."""

    def announce(self, revision: int) -> None:
        """Tells the others, soon."""


class Voidable(Protocol):
    """The cache, as the feed sees it."""

    def invalidate(self, keys: Iterable[str], revision: int) -> None:
        """Voids what was read of these keys before this revision."""

    def invalidate_all(self, revision: int) -> None:
        """Voids everything read before this revision."""

    def advance(self, revision: int) -> None:
        """Every change up to this revision has been told."""


Listener = Callable[[Sequence[Change]], None]


class Feed:
    """Follows the change log: hints make it fast, polling makes it sure. An async context manager.

    Listeners are called with each batch, in order, without an await in between: what they have seen is exactly what lies
    at or below `applied_revision`.
    """

    def __init__(
        self, log: ChangeLog, cache: Voidable, hint: ChangeHint | None = None, *, poll_seconds: float = 0.2
    ) -> None:
        self._changes = log
        self._cache = cache
        self._hint = hint
        self._poll_seconds = poll_seconds
        self._applied = 0
        self._wake = asyncio.Event()
        self._waiters: dict[asyncio.Future[None], int] = {}
        self._listeners: list[Listener] = []
        self._losers: list[Callable[[], None]] = []
        self._empty_reads = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._applied = await self._changes.revision()
        self._tasks.append(asyncio.create_task(self._follow(), name="change-feed"))
        if self._hint is not None:
            self._tasks.append(asyncio.create_task(self._hint.run(self._woken), name="change-hint"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for waiter in self._waiters:
            waiter.cancel()

    @property
    def applied_revision(self) -> int:
        """Every revision up to this one is applied in this process: cached answers voided, watchers told."""
        return self._applied

    def listen(self, listener: Listener, lost: Callable[[], None] | None = None) -> None:
        """Calls `listener` with every batch from now on; `lost` before a batch that does not follow the one before, because the log was pruned
        over this process's head."""
        self._listeners.append(listener)
        if lost is not None:
            self._losers.append(lost)

    def committed(self, changes: Sequence[Change]) -> None:
        """This process has committed these: what they void is void from here on. They are applied at once when nothing lies
        between, otherwise read in order."""
        if changes[0].revision == self._applied + 1:
            self._apply(changes)
        else:
            self._void(changes)
            self._wake.set()
        if self._hint is not None:
            self._hint.announce(changes[-1].revision)

    async def wait_applied(self, revision: int, timeout: float = 5.0) -> None:
        """Returns once `revision` is applied. Raises ConsistencyNotReached after `timeout` seconds."""
        if self._applied >= revision:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = revision
        self._wake.set()
        try:
            async with asyncio.timeout(timeout):
                await waiter
        except TimeoutError:
            raise ConsistencyNotReached(
                f"revision {revision} is asked for and {self._applied} is reached",
                metadata={"wanted": str(revision), "reached": str(self._applied)},
                retry_after=0.5,
            ) from None
        finally:
            self._waiters.pop(waiter, None)

    def _woken(self, revision: int) -> None:
        if revision > self._applied:
            self._wake.set()

    async def _follow(self) -> None:
        failing = False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._catch_up()
                failing = False
            except AlphaPulseError as error:
                if not failing:
                    _log.warning("the change feed cannot read the change log: %s", error)
                failing = True
            except Exception:
                _log.exception("the change feed failed; it goes on")
                failing = True

    async def _catch_up(self) -> None:
        while True:
            changes = await self._changes.changes(self._applied, _BATCH)
            # While the rows were read, `committed` may have applied some of them.
            fresh = [change for change in changes if change.revision > self._applied]
            if fresh:
                if fresh[0].revision != self._applied + 1:
                    self._skip(fresh[0].revision - 1)
                self._apply(fresh)
            elif not changes:
                await self._look_for_a_hole()
            if len(changes) < _BATCH:
                return

    async def _look_for_a_hole(self) -> None:
        """Nothing follows: either nothing happened, or all of it was pruned. Asked when somebody waits, and now and then."""
        self._empty_reads += 1
        if self._waiters or self._empty_reads % _LOOK_EVERY == 0:
            oldest = await self._changes.oldest_resumable()
            if oldest > self._applied:
                self._skip(oldest)

    def _skip(self, revision: int) -> None:
        """The log was pruned over our head: what changed up to a revision is unknown, so everything is void."""
        self._cache.invalidate_all(revision)
        for lost in self._losers:
            lost()
        self._reached(revision)

    def _apply(self, changes: Sequence[Change]) -> None:
        self._void(changes)
        self._reached(changes[-1].revision, changes)

    def _void(self, changes: Sequence[Change]) -> None:
        """All at once, as of the last of them: nothing was read in between, for they come to be seen together."""
        self._cache.invalidate([key for change in changes for key in change.cache_keys], changes[-1].revision)

    def _reached(self, revision: int, changes: Sequence[Change] = ()) -> None:
        self._applied = revision
        self._cache.advance(revision)
        for listener in self._listeners if changes else ():
            listener(changes)
        for waiter, wanted in list(self._waiters.items()):
            if wanted <= self._applied and not waiter.done():
                waiter.set_result(None)
