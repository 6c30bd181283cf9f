"""Point reads: by id, parent, sort key and identifier. Used by the store, and by the write session inside its transaction.

They are what every cold look-up and every write waits for, so they are written as SQL and go to the driver: building and
wrapping a statement cost more than answering it. Names are looked up one by one below what is asked for (LATERAL, OFFSET 0),
so that no statistics of the table lead to a plan that reads all of it; many of them a scheme at a time, by a function that forbids such plans.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import asyncpg
from sqlalchemy import ARRAY, ColumnElement, FromClause, Text, bindparam, func, or_
from sqlalchemy.ext.asyncio import AsyncConnection

from alphapulse.domain.errors import Internal
from registry_service.storage import rows
from registry_service.storage.database import doubt, driver
from registry_service.storage.model import Entity, EntityKind, IdentifierKey, IdentifierRow
from registry_service.storage.schema import Tables

_SEPARATOR: Final = "\x1f"
"""The unit separator of ASCII, which hardly stands in a name."""
_GROUP: Final = "\x1d"
"""ASCII's separator of groups: between the values of schemes."""
_LISTS: Final = f"string_to_array($1, ',')::smallint[], string_to_array($2, chr({ord(_GROUP)}))"
_MANY: Final = 16
"""Names that are looked up a scheme at a time."""
_ENTITY: Final = "kind, entity_id, revision_from, body, facets, name, parent_id, sort_key, expires_at"
_ASSERTION: Final = ", ".join(
    f"i.{name}"
    for name in (
        *("scheme", "value", "venue", "level", "target_kind", "target_id", "instrument_id"),
        *("valid_from", "valid_to", "source", "recorded_revision", "closed_revision", "shared", "seq"),
    )
)


ALONE: Final = (
    "i.closed_revision IS NULL AND i.valid_to IS NULL AND NOT i.shared "
    "AND i.level IN (2, 3) AND i.scheme IN (1, 2, 3, 4, 10, 11, 12)"
)
"""Whether an assertion `i` stands alone (`model.stands_alone`): then it is in the index `identifier_one_holder`, and otherwise in
`identifier_other` and `identifier_target`. Spelled as there, so that Postgres sees which index answers."""


class Reads:
    """The statements of one schema; each method runs one on the connection it is given."""

    def __init__(self, tables: Tables) -> None:
        self.entity_columns = [tables.entity.c[name] for name in _ENTITY.split(", ")]
        self._schema = tables.schema
        self._keeps_identifiers = tables.identifier is not None

    async def get(
        self, connection: AsyncConnection, kind: EntityKind, ids: Sequence[str], at_revision: int | None
    ) -> dict[str, Entity]:
        """Versions by id."""
        if not ids:
            return {}
        texts, value = _texts(2, ids)
        query, more = self._entities(f"kind = $1 AND entity_id = ANY({texts})", at_revision)
        return {row[1]: rows.entity(row) for row in await _fetch(connection, query, int(kind), value, *more)}

    async def children(
        self, connection: AsyncConnection, kind: EntityKind, parent_ids: Sequence[str], at_revision: int | None
    ) -> dict[str, list[Entity]]:
        """Versions by parent, each list in order of id; every parent asked for is there."""
        found: dict[str, list[Entity]] = {parent: [] for parent in parent_ids}
        if not found:
            return found
        texts, value = _texts(2, list(found))
        query, more = self._entities(f"kind = $1 AND parent_id = ANY({texts}) AND parent_id <> ''", at_revision)
        for row in await _fetch(connection, f"{query} ORDER BY entity_id", int(kind), value, *more):
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
        texts, value = _texts(2, list(below))
        parents, more = self._entities(f"kind = $1 AND entity_id = ANY({texts})", at_revision)
        of_child = f"kind = ${3 + len(more)} AND parent_id = ANY({texts}) AND parent_id <> ''"
        children, _ = self._entities(of_child, at_revision)
        for row in await _fetch(
            connection, f"{parents} UNION ALL {children}", int(kind), value, *more, int(child_kind)
        ):
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
        query, _ = self._entities("kind = $1 AND sort_key = ANY($2::bigint[]) AND sort_key <> 0", None)
        return {row[7]: rows.entity(row) for row in await _fetch(connection, query, int(kind), list(keys))}

    async def with_facets(
        self, connection: AsyncConnection, kind: EntityKind, every: str, one_of: Sequence[str], at_revision: int
    ) -> list[Entity]:
        """Versions that have one facet and another of some, in order of id. Current ones and those replaced since are asked for
        apart: each has its indexes."""
        texts, value = _texts(2, one_of)
        query = (
            f'SELECT {_ENTITY} FROM "{self._schema}".entity WHERE kind = $1 AND facets @> ARRAY[$4::text] '  # noqa: S608
            f"AND facets && {texts} AND revision_from <= $3 AND"
        )
        both = f"{query} revision_to IS NULL UNION ALL {query} revision_to > $3"
        found = [rows.entity(row) for row in await _fetch(connection, both, int(kind), value, at_revision, every)]
        return sorted(found, key=lambda one: one.entity_id)

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
        if len(found) >= _MANY and at_revision is None and most is None and (lists := _lists(found)) is not None:
            query = f'SELECT {_ASSERTION} FROM "{self._schema}".assertions_named({_LISTS}) i'  # noqa: S608
            return _by_key(found, await _fetch(connection, query, *lists))
        texts, value = _texts(2, [key[1] for key in found])
        schemes = "string_to_array($1, ',')::smallint[]"
        condition, more = _known(at_revision)
        bounded = f"ORDER BY i.seq LIMIT {int(most)}" if most is not None else "OFFSET 0"
        named = (
            f"SELECT * FROM {self._identifier()} i WHERE i.scheme = wanted.scheme "  # noqa: S608
            f'AND i.value = wanted.value COLLATE "C" AND {condition} AND'
        )
        below = f"SELECT * FROM ({named} {ALONE} UNION ALL {named} NOT ({ALONE})) i {bounded}"  # noqa: S608
        wanted = f"unnest({schemes}, {texts}) AS wanted(scheme, value)"
        query = f"SELECT {_ASSERTION} FROM {wanted} CROSS JOIN LATERAL ({below}) i"  # noqa: S608
        read = await _fetch(connection, query, ",".join([str(key[0]) for key in found]), value, *more)
        return _by_key(found, read)

    async def identifiers_of(
        self, connection: AsyncConnection, target_ids: Sequence[str]
    ) -> dict[str, list[IdentifierRow]]:
        """What we know now of these holders, but for what stands alone; every holder asked for is there."""
        found: dict[str, list[IdentifierRow]] = {target: [] for target in target_ids}
        if not found:
            return found
        texts, value = _texts(1, list(found))
        condition, _ = _known(None)
        query = f"SELECT {_ASSERTION} FROM {self._identifier()} i WHERE i.target_id = ANY({texts})"  # noqa: S608
        query = f"{query} AND {condition} AND NOT ({ALONE}) ORDER BY i.seq"
        for row in await _fetch(connection, query, value):
            found[row[5]].append(rows.identifier(row))
        return found

    def _entities(self, condition: str, at_revision: int | None) -> tuple[str, tuple[int, ...]]:
        """The versions at a revision, which is $3 where it is one, and not what is current. Those that are current still, and those
        replaced since, are asked for apart: each has its indexes."""
        query = f'SELECT {_ENTITY} FROM "{self._schema}".entity WHERE {condition}'  # noqa: S608
        if at_revision is None:
            return f"{query} AND revision_to IS NULL", ()
        written = f"{query} AND revision_from <= $3 AND"
        return f"{written} revision_to IS NULL UNION ALL {written} revision_to > $3", (at_revision,)

    def _identifier(self) -> str:
        if not self._keeps_identifiers:
            raise Internal(f"the {self._schema} registry keeps no identifiers")
        return f'"{self._schema}".identifier'


async def _fetch(connection: AsyncConnection, query: str, *values: object) -> list[asyncpg.Record]:
    try:
        found: list[asyncpg.Record] = await driver(connection).fetch(query, *values)
    except asyncpg.PostgresError:
        raise
    except BaseException:
        doubt(connection)
        raise
    return found


def _by_key(
    found: dict[IdentifierKey, Sequence[IdentifierRow]], read: Sequence[asyncpg.Record]
) -> dict[IdentifierKey, Sequence[IdentifierRow]]:
    """The rows that were read, by what was asked for, in the order they were recorded."""
    if read:
        by_name: dict[tuple[int, str], dict[int, IdentifierRow]] = {}
        for row in sorted(read, key=lambda row: row[13]):
            by_name.setdefault((row[0], row[1]), {})[row[13]] = rows.identifier(row)
        for key in found:
            bearers = by_name.get((key.scheme, key.value), {}).values()
            found[key] = [bearer for bearer in bearers if not key.venue or bearer.venue == key.venue]
    return found


def _lists(keys: Iterable[IdentifierKey]) -> tuple[str, str] | None:
    """The schemes, and of each its values, as the texts that `_LISTS` takes apart; None where a value holds a separator, or nothing."""
    by_scheme: dict[int, list[str]] = {}
    for scheme, value, _ in keys:
        by_scheme.setdefault(scheme, []).append(value)
    if any(not min(values) for values in by_scheme.values()):
        return None
    joined = [_SEPARATOR.join(values) for values in by_scheme.values()]
    whole = _GROUP.join(joined)
    separators = sum(map(len, by_scheme.values())) - len(by_scheme)
    if whole.count(_SEPARATOR) != separators or whole.count(_GROUP) != len(by_scheme) - 1:
        return None
    return ",".join(map(str, by_scheme)), whole


def _known(at_revision: int | None) -> tuple[str, tuple[int, ...]]:
    """Whether an assertion is what is known now, or was at the revision $3."""
    if at_revision is None:
        return "i.closed_revision IS NULL", ()
    condition = "i.recorded_revision <= $3 AND (i.closed_revision IS NULL OR i.closed_revision > $3)"
    return condition, (at_revision,)


def _texts(place: int, values: Sequence[str]) -> tuple[str, Any]:
    """A text[] at a place of the parameters, and its value. It is sent as one text that Postgres takes apart: the driver looks at every
    element of an array, which costs it more than all else about a name. As an array after all where a value holds the separator, or
    nothing does."""
    joined = _SEPARATOR.join(values)
    if not joined or joined.count(_SEPARATOR) != len(values) - 1:
        return f"${place}::text[]", list(values)
    return f"string_to_array(${place}, chr({ord(_SEPARATOR)}))", joined


def known(table: FromClause, at_revision: int | None) -> ColumnElement[bool]:
    """Whether an assertion is what is known now, or was at a revision."""
    if at_revision is None:
        return table.c.closed_revision.is_(None)
    return (table.c.recorded_revision <= at_revision) & or_(
        table.c.closed_revision.is_(None), table.c.closed_revision > at_revision
    )


def array_of(values: Sequence[Any], of: Any) -> Any:
    """One parameter however many values: one statement for the plan cache."""
    return bindparam(None, list(values), type_=ARRAY(of), unique=True)


def one_of(column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """column = ANY(values), as one parameter."""
    return column == func.any(array_of(values, Text()))


def text_array(values: Sequence[str]) -> Any:
    """A text[] parameter."""
    return array_of(values, Text())


Lookup = Mapping[IdentifierKey, Sequence[IdentifierRow]]
