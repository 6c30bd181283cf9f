"""What a search looks at: names that are alike and identifiers that begin with a text, found by index. Ranking is not done here.

Names are found in up to two steps: those that begin with the text, hold it or are clearly alike (trigrams); where the caller finds nothing good
among them, those that are faintly alike. Each statement has a budget of time: when it is spent, what was found so far is the answer, and
`truncated` says so. So no text costs more than that, whatever it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from sqlalchemy import ColumnElement, Select, SmallInteger, Text, func, literal, or_, select, text, true, union_all
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from registry_service.storage import rows
from registry_service.storage.alike import words_of
from registry_service.storage.database import cause_of
from registry_service.storage.model import Entity, IdentifierRow
from registry_service.storage.reads import ALONE, array_of, known, text_array
from registry_service.storage.schema import Tables

CLEAR: Final = 0.3
"""Similarity of the whole name in the first step."""
STRETCH: Final = 0.6
"""Similarity of a stretch of the name in the first step."""
FAINT: Final = 0.08
"""Similarity of the whole name in the second step: two typos in a word of six letters leave about as much."""
MOST_NAMES: Final = 400
"""Names compared, of each step: those with the most trigrams in common."""
MOST_VALUES: Final = 500
"""Identifiers of one scheme that begin with a text."""
BUDGET_MS: Final = 1000
_SHORTEST_STRETCH: Final = 3
"""Letters that are looked for inside of names: fewer are in too many."""
_LAST: Final = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Found:
    """Entries whose names may be meant."""

    entities: Sequence[Entity]
    truncated: bool
    """Not everything that is as much alike is among them."""


class Search:
    """The statements of one schema; each method runs on the connection it is given, inside a transaction."""

    def __init__(self, tables: Tables, *, budget_ms: int = BUDGET_MS) -> None:
        self._entity = tables.entity
        self._identifier = tables.identifier
        self._budget_ms = budget_ms

    async def names(
        self, connection: AsyncConnection, statement: Select[Any], text: str, *, faint: bool, replaced_after: int | None
    ) -> Found:
        """The entries of `statement` (the columns of an entity, with the caller's filter) whose names are like the text.

        Current versions; with `replaced_after` also those that were current at that revision and are not any more.
        """
        entity = self._entity
        wanted = " ".join(words_of(text, keep_accents=True).core)
        if not wanted:
            return Found((), truncated=False)
        versions: list[ColumnElement[bool]] = [entity.c.revision_to.is_(None)]
        if replaced_after is not None:
            versions.append(entity.c.revision_to > replaced_after)
        found: dict[str, Entity] = {}
        truncated = False
        for version in versions:
            current = statement.where(version, entity.c.name != "")
            for part in self._parts(current, text, wanted, faint):
                read = await self._within_budget(connection, part, FAINT if faint else CLEAR)
                truncated |= read is None or len(read) >= MOST_NAMES
                for row in read or ():
                    found.setdefault(row[1], rows.entity(row))
        return Found(tuple(found.values()), truncated)

    async def starting(
        self, connection: AsyncConnection, starts: Sequence[tuple[int, str]], venues: Sequence[str], at_revision: int
    ) -> tuple[list[IdentifierRow], bool]:
        """Assertions known at a revision whose value begins with a text, by scheme; True where a scheme has more of them.

        `venues` restricts those that are spelled at one."""
        if self._identifier is None or not starts:
            return [], False
        table = self._identifier.alias("i")
        wanted = (
            func.unnest(
                array_of([scheme for scheme, _ in starts], SmallInteger()),
                array_of([start for _, start in starts], Text()),
                array_of([start + _LAST for _, start in starts], Text()),
            )
            .table_valued("scheme", "low", "high", name="wanted")
            .render_derived()
        )
        inner = select(table).where(
            table.c.scheme == wanted.c.scheme,
            table.c.value >= wanted.c.low.collate("C"),
            table.c.value < wanted.c.high.collate("C"),
            known(table, at_revision),
        )
        if venues:
            inner = inner.where(or_(table.c.venue == "", table.c.venue == func.any(text_array(venues))))
        inner = inner.order_by(table.c.scheme, table.c.value, table.c.venue).limit(MOST_VALUES).correlate(wanted)
        parts = [inner.where(text(which)).subquery() for which in (ALONE, f"NOT ({ALONE})")]
        both = union_all(*[select(part) for part in parts]).subquery()
        each = select(both).order_by(both.c.scheme, both.c.value, both.c.venue).limit(MOST_VALUES).lateral("each")
        columns = [each.c[column.name] for column in table.c if column.name != "seq"]
        read = (await connection.execute(select(*columns).select_from(wanted.join(each, true())))).all()
        counts = Counter(row[0] for row in read)
        return [rows.identifier(row) for row in read], any(count >= MOST_VALUES for count in counts.values())

    def _parts(self, statement: Select[Any], text: str, wanted: str, faint: bool) -> list[Select[Any]]:
        """The statements of a step, the quick one first: what it finds is kept when the other takes too long."""
        name, by_id = self._entity.c.name, self._entity.c.entity_id
        alike = func.similarity(name, wanted)
        if faint:
            return [statement.where(name.bool_op("%")(wanted)).order_by(alike.desc(), by_id).limit(MOST_NAMES)]
        nearest = func.greatest(alike, func.word_similarity(wanted, name) * 0.9)
        close: ColumnElement[bool] = name.bool_op("%")(wanted)
        if len(wanted) >= _SHORTEST_STRETCH:
            close = or_(close, literal(wanted).bool_op("<%")(name))
        parts = [statement.where(close).order_by(nearest.desc(), by_id).limit(MOST_NAMES)]
        start = text.replace("\0", "").strip()
        if len(start) >= 2 and start[:2].isalnum():
            # Two letters at the start of a word are a trigram; one alone is not worth the rows it finds. ILIKE, because
            # it is served by the index of trigrams.
            escaped = start.replace("/", "//").replace("%", "/%").replace("_", "/_")
            parts.insert(0, statement.where(name.ilike(f"{escaped}%", escape="/")).limit(MOST_NAMES))
        return parts

    async def _within_budget(
        self, connection: AsyncConnection, statement: Select[Any], similarity: float
    ) -> Sequence[Any] | None:
        """None where the time was up; the transaction is then rolled back."""
        settings = {
            "statement_timeout": self._budget_ms,
            "pg_trgm.similarity_threshold": similarity,
            "pg_trgm.word_similarity_threshold": STRETCH,
        }
        local = [func.set_config(name, str(value), True) for name, value in settings.items()]
        try:
            await connection.execute(select(*local))
            read: Sequence[Any] = (await connection.execute(statement)).all()
            return read
        except DBAPIError as error:
            if isinstance(cause_of(error), asyncpg.QueryCanceledError):
                await connection.rollback()
                return None
            raise
