"""Pruning: of the change log rows older than a retention go, in short transactions, and what `known_at` needs of them stays; of the request log what
no replay can ask for any more.

Watches resume from `revision.pruned_to` on at the earliest; before it they are told SNAPSHOT_REQUIRED. Versions and assertions are never touched:
every look-up at an earlier `known_at` answers as before, because the time of each commit moves to `pruned_commit` in the transaction that deletes its
rows. Only the histories (who wrote what with which request) begin later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, Protocol, Self

from sqlalchemy import func, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapulse.domain.errors import AlphaPulseError
from registry_service.storage.schema import Tables

_log = logging.getLogger(__name__)
_EVERY_SECONDS: Final = 300.0
_MOVE: Final = """
WITH gone AS (
    DELETE FROM "{schema}".change_log WHERE revision IN (
        SELECT revision FROM "{schema}".change_log WHERE revision <= :keep_after ORDER BY revision LIMIT :batch
    ) RETURNING revision, commit_time
), kept AS (
    INSERT INTO "{schema}".pruned_commit AS p (commit_time, revision)
    SELECT commit_time, max(revision) FROM gone GROUP BY commit_time
    ON CONFLICT (commit_time) DO UPDATE SET revision = greatest(p.revision, excluded.revision)
)
SELECT count(*) FROM gone
"""


async def prune_change_log(engine: AsyncEngine, tables: Tables, keep_after: int, batch: int = 10_000) -> int:
    """Deletes the rows up to a revision, `batch` in a transaction; how many."""
    counter, total = tables.revision, 0
    async with engine.connect() as connection:
        # First the mark, then the rows: who reads the mark never finds less than it says.
        mark = func.greatest(counter.c.pruned_to, func.least(keep_after, counter.c.value))
        await connection.execute(update(counter).values(pruned_to=mark))
        await connection.commit()
        move = text(_MOVE.format(schema=tables.schema))
        while True:
            moved: int = (await connection.execute(move, {"keep_after": keep_after, "batch": batch})).scalar_one()
            await connection.commit()
            total += moved
            if moved < batch:
                return total


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


class PrunableStore(Protocol):
    """What is pruned."""

    async def revision_at(self, time: datetime) -> int:
        """The last revision committed at or before a time."""

    async def prune_change_log(self, keep_after: int, batch: int = 10_000) -> int:
        """Deletes the rows up to a revision."""


class ChangeLogPruning:
    """Prunes now and then while open. An async context manager."""

    def __init__(self, store: PrunableStore, retention: timedelta, every_seconds: float = _EVERY_SECONDS) -> None:
        self._store = store
        self._retention = retention
        self._every_seconds = every_seconds
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="prune-change-log")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def prune(self) -> int:
        """Deletes what is older than the retention; how many rows."""
        return await self._store.prune_change_log(await self._store.revision_at(datetime.now(UTC) - self._retention))

    async def _run(self) -> None:
        while True:
            try:
                await self.prune()
            except (AlphaPulseError, DBAPIError, OSError, TimeoutError) as error:
                _log.warning("the change log could not be pruned, the next time it is tried again: %s", error)
            await asyncio.sleep(self._every_seconds)
