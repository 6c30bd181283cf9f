"""Group commit: the writes that wait are planned one after the other into one transaction, and become durable together.

The transaction locks the counter's row first. That serialises replicas and makes the next revisions known while planning;
revisions of one commit are dense, because an operation that is refused gives back what it took. The counter is raised last.
While a group is written and synced to disk the next is planned on top of it (`group`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from types import TracebackType
from typing import Final, Self

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alphapulse.domain.errors import (
    AlphaPulseError,
    AlreadyExists,
    Draining,
    Internal,
    InvalidArgument,
    ResourceExhausted,
)
from registry_service.storage import flush
from registry_service.storage.database import cause_of, driver, is_away, unavailable
from registry_service.storage.flush import FailAt
from registry_service.storage.group import Plan, Write, lock
from registry_service.storage.model import Change, Needs, Operation, WriteOutcome
from registry_service.storage.reads import Reads
from registry_service.storage.schema import Tables
from registry_service.storage.session import TransactionLost

_log = logging.getLogger(__name__)
_STRAGGLERS: Final = 4
"""One of so many who write again and again is not waited for."""
_UNKNOWN: Final = (
    "Postgres was lost during the write, whose outcome is unknown: a retry with the same request_id is safe"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterLimits:
    """Bounds of the writer."""

    group_operations: int = 256
    """Operations in one transaction."""
    ahead_entries: int = 200
    """Entries that have to wait before they are planned ahead: reads are made for all of a group, and a few small writes are
    planned for less together, once the group before has landed."""
    linger_seconds: float = 0.003
    """How long a group waits at most for those who were answered with the last one and are about to write again: a group costs
    nearly the same whatever it holds. Who writes alone waits once after a crowd has gone, and not again."""
    portion_entries: int = 500
    """Entries after which what was planned ahead of them is rendered, and the next are read for."""
    group_entries: int = 20_000
    """Entries staged in one transaction, after which the operations that remain get the next one."""
    waiting_operations: int = 20_000
    """Operations that may wait; one more is refused with RESOURCE_EXHAUSTED."""
    replay_window: timedelta = timedelta(hours=24)
    """How long a request_id gives its earlier answer."""


@dataclass(slots=True, eq=False)
class _Flight:
    """A group on its way into Postgres."""

    planned: asyncio.Future[Plan]
    """Complete, and not committed yet: the next group can be planned on top of it."""
    landed: asyncio.Task[bool] = field(init=False)
    """Whether it was committed as planned."""


def _no_failure(_: str) -> None:
    """Where tests end the process."""


class GroupWriter:
    """The one writer of a process. An async context manager; leaving it finishes what was taken on."""

    def __init__(
        self,
        engine: AsyncEngine,
        tables: Tables,
        reads: Reads,
        on_commit: Callable[[Sequence[Change]], None],
        *,
        limits: WriterLimits | None = None,
        fail_at: FailAt = _no_failure,
    ) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        """Transactions are begun and committed at the driver: what SQLAlchemy adds to each statement of so few is more than they cost."""
        self._tables = tables
        self._reads = reads
        self._on_commit = on_commit
        self._limits = limits or WriterLimits()
        self._fail_at = fail_at
        self._waiting: deque[Write] = deque()
        self._weight = 0
        """Of those that wait, together."""
        self._wake = asyncio.Event()
        self._wanted = 1
        """So many have to wait for the writer to be woken, or enough to be planned ahead."""
        self._expected = 1
        """So many are likely to come at once, by those who wrote or waited when the last group landed."""
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.groups = 0
        """Transactions committed."""
        self.planned_again = 0
        """Groups whose plan, made ahead, did not hold."""

    async def __aenter__(self) -> Self:
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="group-commit")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def write(
        self,
        operation: Operation,
        *,
        actor: str,
        request_id: str,
        request_body: bytes,
        validate_only: bool,
        needs: Needs | None = None,
    ) -> WriteOutcome:
        """See Store.write."""
        if self._closing or self._task is None:
            raise Draining("the registry takes no more writes", retry_after=0.5)
        if len(self._waiting) >= self._limits.waiting_operations:
            raise ResourceExhausted(f"{len(self._waiting)} writes wait already", retry_after=1.0)
        done: asyncio.Future[WriteOutcome] = asyncio.get_running_loop().create_future()
        body_hash = hashlib.sha256(request_body).digest() if request_id else b""
        write = Write(operation, actor, request_id, body_hash, validate_only, needs, done)
        self._waiting.append(write)
        self._weight += write.weight
        if len(self._waiting) >= self._wanted or self._enough():
            self._wake.set()
        return await done

    async def _run(self) -> None:
        flight: _Flight | None = None
        try:
            while flight is not None or self._waiting or not self._closing:
                if flight is not None:
                    flight = await self._follow(flight)
                elif self._waiting:
                    await self._gather()
                    flight = self._start(self._take(self._limits.group_operations), None)
                else:
                    await self._woken(1)
        except asyncio.CancelledError:
            if flight is not None:
                flight.landed.cancel()
                await asyncio.wait((flight.landed,))
            raise

    async def _woken(self, wanted: int) -> None:
        """Waits until so many wait, or enough to be planned ahead, or the writer is closed."""
        self._wanted = wanted
        self._wake.clear()
        if len(self._waiting) < wanted and not self._enough() and not self._closing:
            await self._wake.wait()

    async def _gather(self) -> None:
        """Lets those come who were just answered."""
        wanted = min(self._expected - self._expected // _STRAGGLERS, self._limits.group_operations)
        self._expected = 1  # told anew by the next group
        if len(self._waiting) < wanted:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.linger_seconds):
                    await self._woken(wanted)

    def _take(self, count: int) -> list[Write]:
        taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), count))]
        self._weight -= sum(write.weight for write in taken)
        return [write for write in taken if not write.done.done()]

    def _start(self, writes: list[Write], plan: Plan | None) -> _Flight:
        flight = _Flight(asyncio.get_running_loop().create_future())
        flight.landed = asyncio.create_task(self._fly(flight, writes, plan), name="group-flight")
        return flight

    async def _follow(self, flight: _Flight) -> _Flight | None:
        """Plans the next group while this one is written, and starts it once this one has landed; None where none waits."""
        plan: Plan | None = None
        taken: list[Write] = []
        await asyncio.wait((flight.planned, flight.landed), return_when=asyncio.FIRST_COMPLETED)
        try:
            if flight.planned.done() and not flight.planned.cancelled() and await self._anything(flight):
                async with self._engine.connect() as reader:
                    plan = await flight.planned.result().ahead(reader)
                    await self._plan_ahead(flight, plan, taken)
        except Exception as error:
            # Nobody was told anything: they are planned anew, and hear there what is wrong.
            _log.debug("a plan made ahead was dropped: %s", error)
            plan = None
        if not await flight.landed:
            plan = None
        return self._start(taken, plan) if taken else None

    async def _anything(self, flight: _Flight) -> bool:
        """Waits until enough waits to be planned ahead; False where the group landed before."""
        while not self._enough() and not flight.landed.done():
            woken = asyncio.ensure_future(self._woken(self._limits.ahead_entries))
            await asyncio.wait((woken, flight.landed), return_when=asyncio.FIRST_COMPLETED)
            woken.cancel()
        return not flight.landed.done()

    def _enough(self) -> bool:
        return max(self._weight, len(self._waiting)) >= self._limits.ahead_entries

    async def _plan_ahead(self, flight: _Flight, plan: Plan, taken: list[Write]) -> None:
        """Plans what waits, and what comes, for as long as the group before is under way and this one has room: a portion at a time, so
        that it is ready soon after that has landed. What the next portion needs is read while this one is planned."""
        portion: list[Write] = []
        reading: asyncio.Task[None] | None = None
        try:
            while await self._anything(flight):
                portion = portion or self._portion(plan)
                if not portion:
                    return
                writes = self._take(len(portion))
                taken += writes
                await (reading if reading is not None else plan.prepare(writes))
                portion, reading = self._portion(plan, len(writes)) if self._enough() else [], None
                if portion:
                    reading = asyncio.create_task(plan.prepare(portion), name="group-reading")
                for write in writes:
                    await plan.add(write)
                await plan.rendering.advance()
        finally:
            if reading is not None:
                await asyncio.wait((reading,))
                if not reading.cancelled():
                    reading.exception()  # what was read for nothing may have failed

    def _portion(self, plan: Plan, coming: int = 0) -> list[Write]:
        """The writes that wait and are planned together next, `coming` of the group having been taken already and not planned yet."""
        limits = self._limits
        room = limits.group_operations - plan.operations - coming
        found, weight = [], 0
        for write in islice(self._waiting, max(0, room) if plan.entries < limits.group_entries else 0):
            found.append(write)
            weight += write.weight
            if weight >= limits.portion_entries:
                break
        return found

    async def _add(self, plan: Plan, writes: list[Write]) -> None:
        """Plans writes; those that do not fit any more are taken out of the list and wait again."""
        for number, write in enumerate(writes, start=1):
            await plan.add(write)
            if plan.entries >= self._limits.group_entries and number < len(writes):
                self._waiting.extendleft(reversed(writes[number:]))
                self._weight += sum(write.weight for write in writes[number:])
                del writes[number:]
                return

    async def _fly(self, flight: _Flight, writes: list[Write], plan: Plan | None) -> bool:
        """One transaction; when Postgres refuses what it holds, each write gets one of its own, so that only the one to
        blame fails."""
        try:
            return await self._transaction(flight, writes, plan)
        except Exception as error:
            failure = _failure(error)
            if len(writes) > 1 and not is_away(_root(error)):
                for write in writes:
                    if not write.done.done():
                        await self._fly(_Flight(asyncio.get_running_loop().create_future()), [write], None)
                return False
            if isinstance(failure, Internal):
                _log.error("a write failed", exc_info=error)
            for write in writes:
                write.fail(failure)
            return False
        finally:
            flight.planned.cancel()

    async def _transaction(self, flight: _Flight, writes: list[Write], plan: Plan | None) -> bool:
        """Plans what is not planned yet, flushes, commits, and tells."""
        if not writes:
            return True
        changes: list[Change] = []
        async with self._engine.connect() as connection:
            raw = driver(connection)
            transaction = raw.transaction()
            await transaction.start()
            try:
                self._fail_at("lock")
                plan = await self._locked(connection, writes, plan)
                if plan.changes_anything:
                    rendered = await plan.rendering.complete()
                    changes = rendered.changes
                    flight.planned.set_result(plan)
                    requests = list(plan.requests.values())
                    await flush.write(raw, self._tables.schema, rendered, requests, self._fail_at)
                    self._fail_at("commit")
                    await transaction.commit()
                    self._fail_at("committed")
                    self.groups += 1
                else:
                    await transaction.rollback()
            except BaseException:
                try:
                    await transaction.rollback()
                except BaseException as error:
                    # In no state to be given to anybody, and with the counter's lock. Why it came to that says more than this.
                    _log.debug("a transaction was given up with its connection: %s", error)
                    await connection.invalidate()
                raise
        # Durable from here on: nothing may make it look refused. The cache is voided before anybody is told.
        if changes:
            try:
                self._on_commit(changes)
            except Exception:
                _log.exception("a listener of commits failed; the commit stands")
        self._expected = plan.operations + len(self._waiting)
        plan.tell()
        return True

    async def _locked(self, connection: AsyncConnection, writes: list[Write], plan: Plan | None) -> Plan:
        """The plan, under the counter's lock: the one made ahead where it holds, a new one where it does not."""
        if plan is not None:
            value, last, _ = await lock(connection, self._tables.schema)
            if plan.holds_after(value, last):
                plan.group.connection = connection
                return plan
            self.planned_again += 1
        plan = await Plan.locked(connection, self._reads, self._tables, self._limits.replay_window)
        await plan.prepare(writes)
        await self._add(plan, writes)
        return plan


def _root(error: Exception) -> BaseException:
    return error.__cause__ if isinstance(error, TransactionLost) and error.__cause__ is not None else error


def _failure(error: Exception) -> Exception:
    """What the caller is told."""
    root = _root(error)
    if isinstance(root, AlphaPulseError):
        return root
    if is_away(root):
        return unavailable(root, _UNKNOWN)
    cause = cause_of(root)
    if isinstance(cause, asyncpg.IntegrityConstraintViolationError):
        detail = f" ({cause.detail})" if cause.detail else ""
        return AlreadyExists(
            f"{cause.message if hasattr(cause, 'message') else cause}{detail}",
            metadata={"constraint": cause.constraint_name or ""},
            hint="the database refused it; nothing was written",
        )
    if isinstance(cause, asyncpg.DataError):
        return InvalidArgument(f"the database cannot hold it: {str(cause).splitlines()[0]}")
    return Internal(f"{type(root).__name__}: {root}")
