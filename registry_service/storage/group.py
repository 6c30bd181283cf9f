"""A group of writes while it is planned: on what is committed, or on top of the group before it, which is being committed.

Planning ahead keeps Postgres and this process busy at the same time. A plan made ahead supposes that the group before it
commits and that nobody else writes in between; whether that came true is seen under the counter's lock (`holds_after`).
Where it did not, the writes are planned again: nobody has been told anything of the first plan.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from alphapulse.domain.errors import AlphaPulseError, Internal, RequestIdReused
from registry_service.storage.database import driver
from registry_service.storage.flush import RequestRow
from registry_service.storage.model import Needs, Operation, WriteOutcome
from registry_service.storage.reads import Reads, one_of
from registry_service.storage.rendering import Rendering
from registry_service.storage.schema import Tables
from registry_service.storage.session import GroupState, StagedSession, TransactionLost

_log = logging.getLogger(__name__)
_TICK = timedelta(microseconds=1)


@dataclass(slots=True, eq=False)
class Write:
    """One write that waits for its outcome."""

    operation: Operation
    actor: str
    request_id: str
    body_hash: bytes
    validate_only: bool
    needs: Needs | None
    done: asyncio.Future[WriteOutcome]

    @property
    def weight(self) -> int:
        """About how many entries it writes."""
        return max(1, len(self.needs.ids)) if self.needs is not None else 1

    def fail(self, error: Exception) -> None:
        """Tells the caller, unless it was told or has gone."""
        if not self.done.done():
            self.done.set_exception(error)

    def succeed(self, outcome: WriteOutcome) -> None:
        """Tells the caller, unless it was told or has gone."""
        if not self.done.done():
            self.done.set_result(outcome)


class Plan:
    """Writes planned in order. Nobody is told of an outcome before `tell`."""

    def __init__(
        self,
        group: GroupState,
        reads: Reads,
        tables: Tables,
        replay_window: timedelta,
        earlier_requests: Mapping[str, RequestRow] | None = None,
    ) -> None:
        self.group = group
        self.rendering = Rendering(group, reads)
        self.requests: dict[str, RequestRow] = {}
        """What goes into the request log."""
        self._outcomes: list[tuple[Write, WriteOutcome | AlphaPulseError]] = []
        self._reads = reads
        self._tables = tables
        self._replay_window = replay_window
        self._known: dict[str, RequestRow] = dict(earlier_requests or {})
        """Answers of the request log, and of the group this plan is on top of."""
        self._supposed: datetime | None = None
        """The time of the commit this plan is on top of, where it was made ahead."""

    @classmethod
    async def locked(cls, connection: AsyncConnection, reads: Reads, tables: Tables, replay_window: timedelta) -> Plan:
        """An empty plan on what is committed. The connection's transaction holds the counter's lock from here on."""
        value, last, clock = await lock(connection, tables.schema)
        now = max(clock, last + _TICK)
        return cls(GroupState(connection, value, now), reads, tables, replay_window)

    async def ahead(self, connection: AsyncConnection) -> Plan:
        """An empty plan on top of this one, whose reads use a connection of their own."""
        now = max(await _clock(connection), self.group.now + _TICK)
        under = self.group.staged if self.group.staged.versions else self.group.under
        group = GroupState(connection, self.group.revision, now, under=under)
        plan = Plan(group, self._reads, self._tables, self._replay_window, self.requests)
        plan._supposed = self.group.now
        return plan

    def holds_after(self, value: int, last: datetime) -> bool:
        """Whether what was supposed came true: the counter and the time of the last commit, read under the lock. The time
        tells also of a commit that changed nothing but the request log."""
        return self.group.base_revision == value and self._supposed == last

    @property
    def writes(self) -> list[Write]:
        """Those that are planned."""
        return [write for write, _ in self._outcomes]

    @property
    def operations(self) -> int:
        """How many writes are planned."""
        return len(self._outcomes)

    @property
    def entries(self) -> int:
        """How many versions are staged."""
        return len(self.group.staged.versions)

    @property
    def changes_anything(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.group.staged.versions or self.requests)

    async def prepare(self, writes: Sequence[Write]) -> None:
        """Reads what writes that are about to be added need, at once for all of them."""
        ids = list({write.request_id: None for write in writes if write.request_id})
        if ids:
            log = self._tables.request_log
            query = select(log.c.request_id, log.c.body_hash, log.c.response, log.c.revision).where(
                one_of(log.c.request_id, ids), log.c.created_at > self.group.now - self._replay_window
            )
            async with self.group.reading:
                found = await self.group.connection.execute(query)
            for row in found:
                self._known.setdefault(row[0], RequestRow(row[0], row[1], row[2], row[3]))
        await self.group.prefetch([write.needs for write in writes if write.needs is not None], self._reads)

    async def add(self, write: Write) -> None:
        """Plans one write. Raises TransactionLost where the connection failed, which is no outcome of the write."""
        try:
            outcome: WriteOutcome | AlphaPulseError = self._replay(write) or await self._operate(write)
        except TransactionLost:
            raise
        except Exception as error:
            if self.group.lost is not None:
                raise TransactionLost from self.group.lost
            if not isinstance(error, AlphaPulseError):
                _log.exception("an operation failed")
                error = Internal(f"{type(error).__name__}: {error}")
            outcome = error
        self._outcomes.append((write, outcome))

    def tell(self) -> None:
        """Every writer hears its outcome: the group is durable."""
        for write, outcome in self._outcomes:
            if isinstance(outcome, WriteOutcome):
                write.succeed(outcome)
            else:
                write.fail(outcome)

    def _replay(self, write: Write) -> WriteOutcome | None:
        known = self.requests.get(write.request_id) or self._known.get(write.request_id) if write.request_id else None
        if known is None:
            return None
        if known.body_hash != write.body_hash:
            raise RequestIdReused(
                f"request_id {write.request_id!r} was used within the last {self._replay_window.total_seconds() / 3600:g} hours with another body",
                metadata={"request_id": write.request_id},
            )
        return WriteOutcome(known.response, known.revision, replayed=True)

    async def _operate(self, write: Write) -> WriteOutcome:
        group = self.group
        session = StagedSession(group, self._reads, write.actor, write.request_id)
        response = await write.operation(session)
        staged = session.finish()
        if write.validate_only:
            return WriteOutcome(response, group.revision, replayed=False)
        group.staged.absorb(staged)
        if write.request_id:
            self.requests[write.request_id] = RequestRow(write.request_id, write.body_hash, response, group.revision)
        return WriteOutcome(response, group.revision, replayed=False)


async def lock(connection: AsyncConnection, schema: str) -> tuple[int, datetime, datetime]:
    """Locks the counter: its value, the time of the last commit, and what time it is now."""
    # Where somebody else committed while this waited, Postgres reads the row again, and with it the clock.
    wanted = f'SELECT value, commit_time, clock_timestamp() FROM "{schema}".revision FOR UPDATE'  # noqa: S608
    row = await driver(connection).fetchrow(wanted)
    if row is None:
        raise Internal(f"the counter of the {schema} registry is not there")
    return row[0], row[1], row[2]


async def _clock(connection: AsyncConnection) -> datetime:
    # Times of commits are strictly later than the one before, also when the clock was set back (`max` above): known_at has
    # to find one place.
    clock: datetime = await driver(connection).fetchval("SELECT clock_timestamp()")
    return clock
