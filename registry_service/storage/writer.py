"""Group commit: the writes that wait are planned one after the other into one transaction, and become durable together.

The transaction locks the counter's row first. That serialises replicas and makes the next revisions known while planning;
revisions of one commit are dense, because an operation that is refused gives back what it took. The counter is raised last.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Self

import asyncpg
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alphapulse.domain.errors import (
    AlphaPulseError,
    AlreadyExists,
    Draining,
    Internal,
    InvalidArgument,
    RequestIdReused,
    ResourceExhausted,
)
from registry_service.storage import flush
from registry_service.storage.database import cause_of, driver, is_away, unavailable
from registry_service.storage.flush import FailAt, RequestRow
from registry_service.storage.model import Change, Operation, WriteOutcome
from registry_service.storage.reads import Reads, one_of
from registry_service.storage.schema import Tables
from registry_service.storage.session import GroupState, StagedSession, TransactionLost

_log = logging.getLogger(__name__)
_UNKNOWN: Final = (
    "Postgres was lost during the write, whose outcome is unknown: a retry with the same request_id is safe"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterLimits:
    """Bounds of the writer."""

    group_operations: int = 256
    """Operations in one transaction."""
    group_entries: int = 20_000
    """Entries staged in one transaction, after which the operations that remain get the next one."""
    waiting_operations: int = 20_000
    """Operations that may wait; one more is refused with RESOURCE_EXHAUSTED."""
    replay_window: timedelta = timedelta(hours=24)
    """How long a request_id gives its earlier answer."""


@dataclass(slots=True, eq=False)
class _Write:
    operation: Operation
    actor: str
    request_id: str
    body_hash: bytes
    validate_only: bool
    done: asyncio.Future[WriteOutcome]


@dataclass(slots=True)
class _Plan:
    """A group while it is planned."""

    group: GroupState
    outcomes: list[tuple[_Write, WriteOutcome]] = field(default_factory=list)
    requests: dict[str, RequestRow] = field(default_factory=dict)
    logged: dict[str, RequestRow] = field(default_factory=dict)
    """What the request log holds of the group's request ids."""


def _no_failure(_: str) -> None:
    """Where tests end the process."""


class GroupWriter:
    """The one task of a process that writes. An async context manager; leaving it finishes what was taken on."""

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
        self._engine = engine
        self._tables = tables
        self._reads = reads
        self._on_commit = on_commit
        self._limits = limits or WriterLimits()
        self._fail_at = fail_at
        self._waiting: deque[_Write] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.groups = 0
        """Transactions committed."""

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
        self, operation: Operation, *, actor: str, request_id: str, request_body: bytes, validate_only: bool
    ) -> WriteOutcome:
        """See Store.write."""
        if self._closing or self._task is None:
            raise Draining("the registry takes no more writes", retry_after=0.5)
        if len(self._waiting) >= self._limits.waiting_operations:
            raise ResourceExhausted(f"{len(self._waiting)} writes wait already", retry_after=1.0)
        done: asyncio.Future[WriteOutcome] = asyncio.get_running_loop().create_future()
        body_hash = hashlib.sha256(request_body).digest()
        self._waiting.append(_Write(operation, actor, request_id, body_hash, validate_only, done))
        self._wake.set()
        return await done

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                count = min(len(self._waiting), self._limits.group_operations)
                taken = [self._waiting.popleft() for _ in range(count)]
                await self._commit([write for write in taken if not write.done.done()])
            if self._closing:
                return

    async def _commit(self, writes: list[_Write]) -> None:
        """One transaction; when Postgres refuses what it holds, each write gets one of its own, so that only the one to
        blame fails."""
        if not writes:
            return
        try:
            await self._transaction(writes)
        except Exception as error:
            failure = _failure(error)
            if len(writes) > 1 and not is_away(_root(error)):
                for write in writes:
                    await self._commit([write] if not write.done.done() else [])
                return
            if isinstance(failure, Internal):
                _log.error("a write failed", exc_info=error)
            for write in writes:
                _fail(write, failure)

    async def _transaction(self, writes: list[_Write]) -> None:
        """Plans, flushes, commits. Operations that do not fit any more are taken out of `writes` and wait again."""
        async with self._engine.connect() as connection:
            self._fail_at("lock")
            plan = _Plan(await self._lock(connection))
            await self._read_requests(plan, writes)
            for number, write in enumerate(writes, start=1):
                await self._plan(plan, write)
                if len(plan.group.staged.versions) >= self._limits.group_entries:
                    self._waiting.extendleft(reversed(writes[number:]))
                    del writes[number:]
                    break
            changes = await flush.changes_of(plan.group, self._reads)
            if changes or plan.requests:
                raw = await driver(connection)
                requests = list(plan.requests.values())
                await flush.write(raw, self._tables.schema, plan.group, changes, requests, self._fail_at)
                self._fail_at("commit")
                await connection.commit()
                self._fail_at("committed")
                self.groups += 1
        # Durable from here on: nothing may make it look refused. The cache is voided before anybody is told.
        if changes:
            try:
                self._on_commit(changes)
            except Exception:
                _log.exception("a listener of commits failed; the commit stands")
        for write, outcome in plan.outcomes:
            if not write.done.done():
                write.done.set_result(outcome)

    async def _lock(self, connection: AsyncConnection) -> GroupState:
        counter = self._tables.revision
        locked = select(counter.c.value, counter.c.commit_time).with_for_update()
        row = (await connection.execute(locked)).one()
        clock: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
        # Strictly later than the commit before, also when the clock was set back: known_at has to find one place.
        now = max(clock, row.commit_time + timedelta(microseconds=1))
        return GroupState(connection, row.value, now)

    async def _read_requests(self, plan: _Plan, writes: Sequence[_Write]) -> None:
        ids = list({write.request_id: None for write in writes if write.request_id})
        if not ids:
            return
        log = self._tables.request_log
        query = select(log.c.request_id, log.c.body_hash, log.c.response, log.c.revision).where(
            one_of(log.c.request_id, ids), log.c.created_at > plan.group.now - self._limits.replay_window
        )
        for row in await plan.group.connection.execute(query):
            plan.logged[row[0]] = RequestRow(row[0], row[1], row[2], row[3])

    async def _plan(self, plan: _Plan, write: _Write) -> None:
        try:
            outcome = self._replay(plan, write) or await self._operate(plan, write)
        except TransactionLost:
            raise
        except Exception as error:
            if plan.group.lost is not None:
                raise TransactionLost from plan.group.lost
            if not isinstance(error, AlphaPulseError):
                _log.exception("an operation failed")
                error = Internal(f"{type(error).__name__}: {error}")
            _fail(write, error)
            return
        plan.outcomes.append((write, outcome))

    def _replay(self, plan: _Plan, write: _Write) -> WriteOutcome | None:
        known = plan.requests.get(write.request_id) or plan.logged.get(write.request_id) if write.request_id else None
        if known is None:
            return None
        if known.body_hash != write.body_hash:
            raise RequestIdReused(
                f"request_id {write.request_id!r} was used within {self._limits.replay_window} with another body",
                metadata={"request_id": write.request_id},
            )
        return WriteOutcome(known.response, known.revision, replayed=True)

    async def _operate(self, plan: _Plan, write: _Write) -> WriteOutcome:
        group = plan.group
        session = StagedSession(group, self._reads, write.actor, write.request_id)
        response = await write.operation(session)
        staged = session.finish()
        if write.validate_only:
            return WriteOutcome(response, group.revision, replayed=False)
        group.staged.absorb(staged)
        if write.request_id:
            plan.requests[write.request_id] = RequestRow(write.request_id, write.body_hash, response, group.revision)
        return WriteOutcome(response, group.revision, replayed=False)


def _fail(write: _Write, error: Exception) -> None:
    if not write.done.done():
        write.done.set_exception(error)


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


async def prune_requests(engine: AsyncEngine, tables: Tables, window: timedelta, batch: int = 5000) -> int:
    """Deletes what no replay can ask for any more, in short transactions; how many."""
    log, total = tables.request_log, 0
    while True:
        async with engine.begin() as connection:
            old = (
                select(log.c.request_id)
                .where(log.c.created_at < func.now() - window)
                .limit(batch)
                .with_for_update(skip_locked=True)
            )
            deleted = (await connection.execute(log.delete().where(log.c.request_id.in_(old)))).rowcount
        total += deleted
        if deleted < batch:
            return total


async def prune_forever(engine: AsyncEngine, tables: Tables, window: timedelta, every_seconds: float) -> None:
    """Prunes now and then until cancelled; a failure waits for the next time."""
    while True:
        with contextlib.suppress(DBAPIError, OSError, TimeoutError):
            await prune_requests(engine, tables, window)
        await asyncio.sleep(every_seconds)
