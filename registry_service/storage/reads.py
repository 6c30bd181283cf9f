"""Point reads: by id, parent, sort key and identifier. Used by the store, and by the write session inside its transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    SmallInteger,
    Table,
    Text,
    bindparam,
    cast,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from alphapulse.domain.errors import Internal
from registry_service.storage import rows
from registry_service.storage.model import Entity, EntityKind, IdentifierKey, IdentifierRow
from registry_service.storage.schema import Tables

_SEPARATOR: Final = "\x1f"
"""The unit separator of ASCII, which hardly stands in a name."""


class Reads:
    """The statements of one schema; each method runs one on the connection it is given."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        entity = tables.entity
        self.entity_columns = [
            entity.c.kind,
            entity.c.entity_id,
            entity.c.revision_from,
            entity.c.body,
            entity.c.facets,
            entity.c.name,
            entity.c.parent_id,
            entity.c.sort_key,
            entity.c.expires_at,
        ]

    async def get(
        self, connection: AsyncConnection, kind: EntityKind, ids: Sequence[str], at_revision: int | None
    ) -> dict[str, Entity]:
        """Versions by id."""
        if not ids:
            return {}
        entity = self._tables.entity
        query = self._entities(kind, at_revision).where(entity.c.entity_id == func.any(texts_of(ids)))
        return {row[1]: rows.entity(row) for row in await connection.execute(query)}

    async def children(
        self, connection: AsyncConnection, kind: EntityKind, parent_ids: Sequence[str], at_revision: int | None
    ) -> dict[str, list[Entity]]:
        """Versions by parent, each list in order of id; every parent asked for is there."""
        found: dict[str, list[Entity]] = {parent: [] for parent in parent_ids}
        if not found:
            return found
        entity = self._tables.entity
        query = (
            self._entities(kind, at_revision)
            .where(entity.c.parent_id == func.any(array_of(list(found), Text())), entity.c.parent_id != "")
            .order_by(entity.c.entity_id)
        )
        for row in await connection.execute(query):
            found[row[6]].append(rows.entity(row))
        return found

    async def families(
        self,
        connection: AsyncConnection,
        kind: EntityKind,
        ids: Sequence[str],
        child_kind: EntityKind,
        at_revision: int | None,
    ) -> tuple[dict[str, Entity], dict[str, list[Entity]]]:
        """Versions by id, and those below each in order of id, by one statement; every id asked for is in the second."""
        found: dict[str, Entity] = {}
        below: dict[str, list[Entity]] = {one: [] for one in ids}
        if not ids:
            return found, below
        entity, wanted = self._tables.entity, list(below)
        parents = self._entities(kind, at_revision).where(entity.c.entity_id == func.any(array_of(wanted, Text())))
        children = self._entities(child_kind, at_revision).where(
            entity.c.parent_id == func.any(array_of(wanted, Text())), entity.c.parent_id != ""
        )
        for row in await connection.execute(union_all(parents, children)):
            one = rows.entity(row)
            if one.kind == kind:
                found[one.entity_id] = one
            else:
                below[one.parent_id].append(one)
        for several in below.values():
            if len(several) > 1:
                several.sort(key=lambda one: one.entity_id)
        return found, below

    async def by_sort_key(
        self, connection: AsyncConnection, kind: EntityKind, keys: Sequence[int]
    ) -> dict[int, Entity]:
        """Current versions by sort key."""
        if not keys:
            return {}
        entity = self._tables.entity
        query = self._entities(kind, None).where(
            entity.c.sort_key == func.any(array_of(keys, BigInteger())), entity.c.sort_key != 0
        )
        return {row[7]: rows.entity(row) for row in await connection.execute(query)}

    async def identifiers(
        self,
        connection: AsyncConnection,
        keys: Sequence[IdentifierKey],
        at_revision: int | None,
        most: int | None = None,
    ) -> dict[IdentifierKey, Sequence[IdentifierRow]]:
        """Assertions known by key, in the order they were recorded; every key asked for is there. `most` bounds those of one scheme and value: the
        first recorded are read."""
        found: dict[IdentifierKey, Sequence[IdentifierRow]] = dict.fromkeys(keys, ())
        if not found:
            return found
        table = self._identifier_table()
        wanted = (
            func.unnest(
                cast(texts_of([str(key[0]) for key in found]), ARRAY(SmallInteger())),
                texts_of([key[1] for key in found]),
            )
            .table_valued("scheme", "value", name="wanted")
            .render_derived()
        )
        named = (table.c.scheme == wanted.c.scheme) & (table.c.value == wanted.c.value.collate("C"))
        query = select(*_identifier_columns(table)).where(known(table, at_revision))
        if most is None:
            query = query.select_from(wanted.join(table, named)).order_by(table.c.seq)
        else:
            first = query.where(named).order_by(table.c.seq).limit(most).correlate(wanted).lateral("first")
            query = select(first).select_from(wanted.join(first, literal(True)))
        by_name: dict[tuple[int, str], dict[int, IdentifierRow]] = {}
        for row in await connection.execute(query):
            by_name.setdefault((row[0], row[1]), {})[row[13]] = rows.identifier(row)
        if by_name:
            for key in found:
                bearers = by_name.get((key.scheme, key.value), {}).values()
                found[key] = [bearer for bearer in bearers if not key.venue or bearer.venue == key.venue]
        return found

    async def identifiers_of(
        self, connection: AsyncConnection, target_ids: Sequence[str]
    ) -> dict[str, list[IdentifierRow]]:
        """What we know now of these holders; every holder asked for is there."""
        found: dict[str, list[IdentifierRow]] = {target: [] for target in target_ids}
        if not found:
            return found
        table = self._identifier_table()
        query = (
            select(*_identifier_columns(table))
            .where(table.c.target_id == func.any(array_of(list(found), Text())), known(table, None))
            .order_by(table.c.seq)
        )
        for row in await connection.execute(query):
            found[row[5]].append(rows.identifier(row))
        return found

    def _entities(self, kind: EntityKind, at_revision: int | None) -> Select[Any]:
        entity = self._tables.entity
        query = select(*self.entity_columns).where(entity.c.kind == int(kind))
        if at_revision is None:
            return query.where(entity.c.revision_to.is_(None))
        return query.where(
            entity.c.revision_from <= at_revision,
            or_(entity.c.revision_to.is_(None), entity.c.revision_to > at_revision),
        )

    def _identifier_table(self) -> Table:
        if self._tables.identifier is None:
            raise Internal(f"the {self._tables.schema} registry keeps no identifiers")
        return self._tables.identifier


def _identifier_columns(table: Table) -> list[ColumnElement[Any]]:
    columns = [column for column in table.c if column.name != "seq"]
    return [*columns, table.c.seq]


def known(table: Table, at_revision: int | None) -> ColumnElement[bool]:
    """Whether an assertion is what is known now, or was at a revision."""
    if at_revision is None:
        return table.c.closed_revision.is_(None)
    return (table.c.recorded_revision <= at_revision) & or_(
        table.c.closed_revision.is_(None), table.c.closed_revision > at_revision
    )


def array_of(values: Sequence[Any], of: Any) -> Any:
    """One parameter however many values: one statement for the plan cache."""
    return bindparam(None, list(values), type_=ARRAY(of), unique=True)


def texts_of(values: Sequence[str]) -> Any:
    """A text[] sent as one text that Postgres takes apart: the driver looks at every element of an array, which costs it more
    than all else about a name. An array after all where a value holds the separator, or nothing does."""
    joined = _SEPARATOR.join(values)
    if not joined or joined.count(_SEPARATOR) != len(values) - 1:
        return array_of(values, Text())
    return func.string_to_array(bindparam(None, joined, type_=Text(), unique=True), func.chr(ord(_SEPARATOR)))


def one_of(column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """column = ANY(values), as one parameter."""
    return column == func.any(array_of(values, Text()))


def text_array(values: Sequence[str]) -> Any:
    """A text[] parameter."""
    return array_of(values, Text())


Lookup = Mapping[IdentifierKey, Sequence[IdentifierRow]]
