"""Reads over many entries: pages pinned to a revision, counts, search by name, the change log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Interval, Select, exists, func, literal, or_, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.selectable import FromClause

from registry_service.storage import rows
from registry_service.storage.alike import GOOD, WORTH_SHOWING, likeness, words_of
from registry_service.storage.model import Change, Entity, EntityKind, IdentifierRow, Query, SearchMatch
from registry_service.storage.reads import Reads, one_of, text_array
from registry_service.storage.schema import Tables
from registry_service.storage.search import Found, Search

_BISECT: Final = """
WITH RECURSIVE span (low, high) AS (
    SELECT (SELECT min(revision) - 1 FROM {log}), (SELECT max(revision) FROM {log})
    UNION ALL
    SELECT CASE WHEN one.commit_time <= :time THEN one.revision ELSE span.low END,
           CASE WHEN one.commit_time <= :time THEN span.high ELSE middle - 1 END
    FROM span CROSS JOIN LATERAL (SELECT (low + high + 1) / 2) halves (middle)
    LEFT JOIN LATERAL (
        SELECT revision, commit_time FROM {log}
        WHERE revision >= middle AND revision <= high ORDER BY revision LIMIT 1
    ) one ON true
    WHERE low < high
)
SELECT one.revision FROM span JOIN {log} one ON one.revision = span.low WHERE span.low = span.high
"""
"""The last revision with a commit time at or before `:time`: commit times rise with revisions, so the log is halved until one is left. None
where the log begins later."""


class Queries:
    """The statements of one schema; each method runs one on the connection it is given."""

    def __init__(self, tables: Tables, reads: Reads) -> None:
        self._tables = tables
        self._reads = reads
        self._search = Search(tables)
        self._bisect = text(_BISECT.format(log=f'"{tables.schema}".change_log'))

    async def page(
        self, connection: AsyncConnection, query: Query, after_id: str, limit: int, at_revision: int
    ) -> list[Entity]:
        """Current entries and those replaced after the revision are asked for apart: each has its indexes."""
        entity = self._tables.entity
        parts = []
        for version in self._versions(at_revision):
            part = self._matching(query, at_revision).where(version, entity.c.entity_id > after_id)
            parts.append(part.order_by(entity.c.entity_id).limit(limit).subquery().select())
        both = union_all(*parts).subquery()
        statement = select(both).order_by(both.c.entity_id).limit(limit)
        return [rows.entity(row) for row in await connection.execute(statement)]

    async def count(self, connection: AsyncConnection, query: Query, at_revision: int) -> int:
        """How many match at the revision."""
        total = 0
        for version in self._versions(at_revision):
            part = self._matching(query, at_revision).where(version).subquery()
            total += (await connection.execute(select(func.count()).select_from(part))).scalar_one()
        return total

    async def search(self, connection: AsyncConnection, text: str, query: Query, limit: int) -> list[SearchMatch]:
        """Entries by name as they are now, ranked by likeness."""
        wanted = words_of(text)
        matches: dict[str, SearchMatch] = {}
        for faint in (False, True):
            found = await self.names_like(connection, text, query, faint=faint)
            for one in found.entities:
                score, _ = likeness(wanted, words_of(one.name))
                if score >= WORTH_SHOWING:
                    matches[one.entity_id] = SearchMatch(one, score)
            if any(match.score >= GOOD for match in matches.values()):
                break
        ranked = sorted(matches.values(), key=lambda one: (-one.score, len(one.entity.name), one.entity.entity_id))
        return ranked[:limit]

    async def names_like(
        self,
        connection: AsyncConnection,
        text: str,
        query: Query,
        *,
        faint: bool = False,
        replaced_after: int | None = None,
    ) -> Found:
        """Entries whose names may be meant, not ranked. See Search.names."""
        statement = self._matching(query, None)
        return await self._search.names(connection, statement, text, faint=faint, replaced_after=replaced_after)

    async def identifiers_starting(
        self, connection: AsyncConnection, starts: Sequence[tuple[int, str]], venues: Sequence[str], at_revision: int
    ) -> tuple[list[IdentifierRow], bool]:
        """Assertions whose value begins with a text. See Search.starting."""
        return await self._search.starting(connection, starts, venues, at_revision)

    async def versions(
        self, connection: AsyncConnection, kind: EntityKind, ids: Sequence[str], at_revision: int
    ) -> dict[str, list[Entity]]:
        """Every version up to a revision, by id, the oldest first."""
        entity = self._tables.entity
        current = entity.c.revision_to.is_(None)
        every = select(*self._reads.entity_columns).where(
            entity.c.kind == int(kind), one_of(entity.c.entity_id, ids), entity.c.revision_from <= at_revision
        )
        both = union_all(every.where(current), every.where(~current)).subquery()
        statement = select(both).order_by(both.c.entity_id, both.c.revision_from)
        found: dict[str, list[Entity]] = {}
        for row in await connection.execute(statement):
            found.setdefault(row[1], []).append(rows.entity(row))
        return found

    async def due(self, connection: AsyncConnection, kind: EntityKind, time: datetime, limit: int) -> list[str]:
        """Ids of current entries whose expires_at has come, the earliest first."""
        entity = self._tables.entity
        statement = (
            select(entity.c.entity_id)
            .where(entity.c.kind == int(kind), entity.c.revision_to.is_(None), entity.c.expires_at <= time)
            .order_by(entity.c.expires_at, entity.c.entity_id)
            .limit(limit)
        )
        return list((await connection.execute(statement)).scalars())

    async def next_due(self, connection: AsyncConnection, kind: EntityKind) -> datetime | None:
        """The earliest expires_at of the current entries."""
        entity = self._tables.entity
        statement = select(func.min(entity.c.expires_at)).where(
            entity.c.kind == int(kind), entity.c.revision_to.is_(None), entity.c.expires_at.is_not(None)
        )
        earliest: datetime | None = (await connection.execute(statement)).scalar_one()
        return earliest

    async def changes(self, connection: AsyncConnection, after_revision: int, limit: int) -> list[Change]:
        """Rows in order."""
        log = self._tables.change_log
        statement = select(log).where(log.c.revision > after_revision).order_by(log.c.revision).limit(limit)
        return [rows.change(row) for row in await connection.execute(statement)]

    async def changes_of(
        self, connection: AsyncConnection, entity_ids: Sequence[str], before_revision: int | None, limit: int
    ) -> list[Change]:
        """Rows of these entries and those below them, newest first."""
        entity, log = self._tables.entity, self._tables.change_log
        current, kinds = entity.c.revision_to.is_(None), entity.c.kind.in_([int(kind) for kind in EntityKind])
        own, below = one_of(entity.c.entity_id, entity_ids), one_of(entity.c.parent_id, entity_ids)
        # A revision wrote one version and one row of the log, so the versions say which rows are theirs.
        parts = [
            select(entity.c.revision_from).where(which)
            for which in (kinds & own & current, kinds & own & ~current, below & (entity.c.parent_id != ""))
        ]
        versions = func.array(union_all(*parts).scalar_subquery())
        statement = select(log).where(log.c.revision == func.any(versions)).order_by(log.c.revision.desc()).limit(limit)
        if before_revision is not None:
            statement = statement.where(log.c.revision < before_revision)
        return [rows.change(row) for row in await connection.execute(statement)]

    async def revision_at(self, connection: AsyncConnection, time: datetime) -> int:
        """The last revision with a commit time at or before `time`."""
        counter = self._tables.revision
        # A commit under way may have taken an earlier time than `time` and not be seen yet: the answer would change
        # later. Waiting for its lock makes it final; what comes after takes a later time.
        recent = select(func.clock_timestamp() - time < literal("1 minute").cast(Interval()))
        if (await connection.execute(recent)).scalar_one():
            await connection.execute(select(counter.c.value).with_for_update(read=True))
        found = (await connection.execute(self._bisect, {"time": time})).scalar_one_or_none()
        if found is None:
            # Before all that the log still holds: the times of pruned commits are kept.
            pruned = self._tables.pruned_commit
            earlier = select(pruned.c.revision).where(pruned.c.commit_time <= time)
            newest = earlier.order_by(pruned.c.commit_time.desc()).limit(1)
            found = (await connection.execute(newest)).scalar_one_or_none()
        return int(found or 0)

    def _versions(self, at_revision: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        entity = self._tables.entity
        written = entity.c.revision_from <= at_revision
        return written & entity.c.revision_to.is_(None), written & (entity.c.revision_to > at_revision)

    def _matching(self, query: Query, at_revision: int | None) -> Select[Any]:
        entity = self._tables.entity
        statement = select(*self._reads.entity_columns).where(entity.c.kind == int(query.kind))
        for group in query.facet_groups:
            statement = statement.where(entity.c.facets.overlap(text_array(group)))
        if query.ids:
            statement = statement.where(one_of(entity.c.entity_id, query.ids))
        if query.parent_ids:
            statement = statement.where(one_of(entity.c.parent_id, query.parent_ids))
        if query.expires_from is not None:
            statement = statement.where(entity.c.expires_at >= query.expires_from)
        if query.expires_to is not None:
            statement = statement.where(entity.c.expires_at < query.expires_to)
        if query.child_kind is not None and query.child_facet_groups:
            statement = statement.where(self._has_child(query, at_revision))
        return statement

    def _has_child(self, query: Query, at_revision: int | None) -> ColumnElement[bool]:
        """One child holds all groups."""
        assert query.child_kind is not None
        parent: FromClause = self._tables.entity
        child = self._tables.entity.alias("child")
        inner = select(literal(1)).where(
            child.c.kind == int(query.child_kind), child.c.parent_id == parent.c.entity_id, child.c.parent_id != ""
        )
        for group in query.child_facet_groups:
            inner = inner.where(child.c.facets.overlap(text_array(group)))
        if at_revision is None:
            inner = inner.where(child.c.revision_to.is_(None))
        else:
            alive = or_(child.c.revision_to.is_(None), child.c.revision_to > at_revision)
            inner = inner.where(child.c.revision_from <= at_revision, alive)
        return exists(inner.correlate(parent))
