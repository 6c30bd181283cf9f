"""The truth of one registry in Postgres: implements `Store`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

from sqlalchemy import ColumnElement, Row, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from registry_service.storage import pruning
from registry_service.storage.database import translated
from registry_service.storage.flush import FailAt
from registry_service.storage.model import (
    Change,
    Entity,
    EntityKind,
    IdentifierKey,
    IdentifierRow,
    Needs,
    Operation,
    Query,
    SearchMatch,
    WriteOutcome,
)
from registry_service.storage.queries import Queries
from registry_service.storage.reader import ConnectedReader
from registry_service.storage.reads import Reads
from registry_service.storage.schema import tables
from registry_service.storage.writer import GroupWriter, WriterLimits

_PRUNE_SECONDS = 300.0


def _nothing(_: str) -> None:
    """No failure."""


class PostgresStore:
    """One registry's truth. An async context manager over a migrated schema; the engine stays the caller's."""

    def __init__(
        self, engine: AsyncEngine, service: str, *, limits: WriterLimits | None = None, fail_at: FailAt = _nothing
    ) -> None:
        self._engine = engine
        self._plain = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._tables = tables(service)
        self._reads = Reads(self._tables)
        self._queries = Queries(self._tables, self._reads)
        self._limits = limits or WriterLimits()
        self._listeners: list[Callable[[Sequence[Change]], None]] = []
        self._writer = GroupWriter(
            engine, self._tables, self._reads, self._committed, limits=self._limits, fail_at=fail_at
        )
        self._pruning: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._writer.__aenter__()
        forgetting = pruning.prune_forever(self._engine, self._tables, self._limits.replay_window, _PRUNE_SECONDS)
        self._pruning = asyncio.create_task(forgetting, name="prune-requests")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pruning is not None:
            self._pruning.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pruning
        await self._writer.__aexit__(kind, error, trace)

    @property
    def groups(self) -> int:
        """Write transactions committed by this process."""
        return self._writer.groups

    def on_commit(self, listener: Callable[[Sequence[Change]], None]) -> None:
        """Calls `listener` with the changes of each commit of this process, before any writer is told."""
        self._listeners.append(listener)

    async def write(
        self,
        operation: Operation,
        *,
        actor: str,
        request_id: str = "",
        request_body: bytes = b"",
        validate_only: bool = False,
        needs: Needs | None = None,
    ) -> WriteOutcome:
        """See Store.write. Raises what the operation raises, RequestIdReused, StoreUnavailable, AlreadyExists (a constraint
        of the database), ResourceExhausted, Draining."""
        return await self._writer.write(
            operation,
            actor=actor,
            request_id=request_id,
            request_body=request_body,
            validate_only=validate_only,
            needs=needs,
        )

    async def revision(self) -> int:
        """The last committed revision."""
        return int((await self._counter()).value)

    async def oldest_resumable(self) -> int:
        """The smallest revision after which the change log is whole."""
        return int((await self._counter()).pruned_to)

    async def epoch(self) -> str:
        """Tells this database from any other, also from one it was copied or recovered from as far as Postgres knows."""
        async with self._connect() as connection:
            counter = self._tables.revision
            oid: ColumnElement[int] = literal_column("(SELECT oid FROM pg_database WHERE datname = current_database())")
            timeline: ColumnElement[int] = literal_column("(SELECT timeline_id FROM pg_control_checkpoint())")
            row = (await connection.execute(select(counter.c.epoch, oid, timeline))).one()
        return f"{row[0]}-{row[1]}-{row[2]}"

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[ConnectedReader]:
        """Several reads on one connection. Each names its revision, so that no transaction has to begin and end around them."""
        with translated():
            async with self._plain.connect() as connection:
                yield ConnectedReader(connection, self._reads)

    async def get(self, kind: EntityKind, ids: Sequence[str], at_revision: int | None = None) -> Mapping[str, Entity]:
        """Versions current now, or at a revision."""
        async with self._connect() as connection:
            return await self._reads.get(connection, kind, ids, at_revision)

    async def children(
        self, kind: EntityKind, parent_ids: Sequence[str], at_revision: int | None = None
    ) -> Mapping[str, Sequence[Entity]]:
        """Versions below each parent, each list in order of id."""
        async with self._connect() as connection:
            return await self._reads.children(connection, kind, parent_ids, at_revision)

    async def by_sort_key(self, kind: EntityKind, keys: Sequence[int]) -> Mapping[int, Entity]:
        """Current versions with these sort keys."""
        async with self._connect() as connection:
            return await self._reads.by_sort_key(connection, kind, keys)

    async def identifiers(
        self, keys: Sequence[IdentifierKey], at_revision: int | None = None, *, most: int | None = None
    ) -> Mapping[IdentifierKey, Sequence[IdentifierRow]]:
        """See Store.identifiers."""
        async with self._connect() as connection:
            return await self._reads.identifiers(connection, keys, at_revision, most)

    async def revision_at(self, time: datetime) -> int:
        """The last revision committed at or before a time. Final for a time that has passed; one to come is answered with
        what is committed now."""
        async with self._connect() as connection:
            return await self._queries.revision_at(connection, time)

    async def page(self, query: Query, *, after_id: str, limit: int, at_revision: int) -> Sequence[Entity]:
        """Entries in order of id (bytes), after one."""
        async with self._connect() as connection:
            return await self._queries.page(connection, query, after_id, limit, at_revision)

    async def count(self, query: Query, at_revision: int) -> int:
        """How many match."""
        async with self._connect() as connection:
            return await self._queries.count(connection, query, at_revision)

    async def search(self, text: str, query: Query, limit: int) -> Sequence[SearchMatch]:
        """Entries by name, the best first."""
        async with self._connect() as connection:
            return await self._queries.search(connection, text, query, limit)

    async def names_like(
        self, text: str, query: Query, *, faint: bool = False, replaced_after: int | None = None
    ) -> tuple[Sequence[Entity], bool]:
        """See Store.names_like."""
        async with self._connect() as connection:
            found = await self._queries.names_like(connection, text, query, faint=faint, replaced_after=replaced_after)
        return found.entities, found.truncated

    async def identifiers_starting(
        self, starts: Sequence[tuple[int, str]], venues: Sequence[str], at_revision: int
    ) -> tuple[Sequence[IdentifierRow], bool]:
        """See Store.identifiers_starting."""
        async with self._connect() as connection:
            return await self._queries.identifiers_starting(connection, starts, venues, at_revision)

    async def versions(self, kind: EntityKind, ids: Sequence[str], at_revision: int) -> Mapping[str, Sequence[Entity]]:
        """See Store.versions."""
        async with self._connect() as connection:
            return await self._queries.versions(connection, kind, ids, at_revision)

    async def due(self, kind: EntityKind, time: datetime, limit: int) -> Sequence[str]:
        """See Store.due."""
        async with self._connect() as connection:
            return await self._queries.due(connection, kind, time, limit)

    async def next_due(self, kind: EntityKind) -> datetime | None:
        """See Store.next_due."""
        async with self._connect() as connection:
            return await self._queries.next_due(connection, kind)

    async def changes(self, after_revision: int, limit: int) -> Sequence[Change]:
        """Rows of the change log in order."""
        async with self._connect() as connection:
            return await self._queries.changes(connection, after_revision, limit)

    async def changes_of(
        self, entity_ids: Sequence[str], *, before_revision: int | None, limit: int
    ) -> Sequence[Change]:
        """Rows of these entries and those below them, newest first."""
        async with self._connect() as connection:
            return await self._queries.changes_of(connection, entity_ids, before_revision, limit)

    async def snapshot(self, query: Query, chunk: int = 1000) -> AsyncIterator[tuple[int, Sequence[Entity]]]:
        """Every matching entry in chunks as of one revision; an empty chunk when nothing matches. Versions never change, so
        each chunk is a short read of its own: a slow reader holds no transaction open."""
        revision, after = await self.revision(), ""
        while True:
            found = await self.page(query, after_id=after, limit=chunk, at_revision=revision)
            if found or not after:
                yield revision, found
            if len(found) < chunk:
                return
            after = found[-1].entity_id

    async def prune_change_log(self, keep_after: int, batch: int = 10_000) -> int:
        """Deletes the rows up to a revision; watches then resume from there on at the earliest. How many."""
        with translated():
            return await pruning.prune_change_log(self._engine, self._tables, keep_after, batch)

    async def _counter(self) -> Row[int, int]:
        async with self._connect() as connection:
            counter = self._tables.revision
            return (await connection.execute(select(counter.c.value, counter.c.pruned_to))).one()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[AsyncConnection]:
        with translated():
            async with self._engine.connect() as connection:
                yield connection

    def _committed(self, changes: Sequence[Change]) -> None:
        for listener in self._listeners:
            listener(changes)
