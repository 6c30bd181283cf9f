"""Several reads on one connection: what a look-up needs is read with one connection taken and given back, not one a statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from registry_service.storage.model import Entity, EntityKind, IdentifierKey, IdentifierRow
from registry_service.storage.reads import Reads


class ConnectedReader:
    """Implements Reader: the reads of a store, bound to a connection."""

    def __init__(self, connection: AsyncConnection, reads: Reads) -> None:
        self._connection = connection
        self._reads = reads

    async def get(self, kind: EntityKind, ids: Sequence[str], at_revision: int | None = None) -> Mapping[str, Entity]:
        """See Store.get."""
        return await self._reads.get(self._connection, kind, ids, at_revision)

    async def families(
        self, kind: EntityKind, ids: Sequence[str], child_kind: EntityKind, at_revision: int | None = None
    ) -> tuple[Mapping[str, Entity], Mapping[str, Sequence[Entity]]]:
        """Versions by id and those below each in order of id."""
        return await self._reads.families(self._connection, kind, ids, child_kind, at_revision)

    async def identifiers(
        self, keys: Sequence[IdentifierKey], at_revision: int | None = None, *, most: int | None = None
    ) -> Mapping[IdentifierKey, Sequence[IdentifierRow]]:
        """See Store.identifiers; `most` bounds the assertions of one scheme and value."""
        return await self._reads.identifiers(self._connection, keys, at_revision, most)

    async def with_facets(
        self, kind: EntityKind, every: str, one_of: Sequence[str], at_revision: int
    ) -> Sequence[Entity]:
        """Versions that have one facet and another of some, in order of id."""
        return await self._reads.with_facets(self._connection, kind, every, one_of, at_revision)
