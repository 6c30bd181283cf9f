"""The session an operation is planned against: committed state under the counter's lock, overlaid with what is staged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from alphapulse.domain.errors import Internal
from registry_service.storage.database import FAILURES
from registry_service.storage.model import ChangeKind, Entity, EntityKind, IdentifierKey, IdentifierRow, Needs
from registry_service.storage.reads import Reads
from registry_service.storage.staging import EntityKey, Overlay, StagedVersion, Staging

_T = TypeVar("_T")
_made: Final = tuple.__new__
"""Makes a named tuple in half the time."""


class TransactionLost(Exception):  # noqa: N818 - internal: names what happened to the group
    """A read of the session failed: the transaction is gone, and with it the whole group."""


@dataclass(slots=True)
class GroupState:
    """What all operations of one transaction share. The counter's lock is held, so what was read stays true."""

    connection: AsyncConnection
    base_revision: int
    now: datetime
    staged: Staging = field(default_factory=Staging)
    under: Staging | None = None
    """What the group before this one has staged, which is being committed: it counts as committed here."""
    committed: dict[EntityKey, Entity | None] = field(default_factory=dict)
    children: dict[EntityKey, Sequence[Entity]] = field(default_factory=dict)
    """Committed entries below a parent; the key is of the children's kind and the parent's id."""
    sort_keys: dict[tuple[EntityKind, int], Entity | None] = field(default_factory=dict)
    names: dict[IdentifierKey, Sequence[IdentifierRow]] = field(default_factory=dict)
    borne: dict[str, Sequence[IdentifierRow]] = field(default_factory=dict)
    """Committed assertions of a holder, but for what stands alone."""
    lost: Exception | None = None
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the connection reads: what is needed next is read while operations are planned, which may read, too."""

    @property
    def revision(self) -> int:
        """The last revision taken by what is staged."""
        return self.base_revision + len(self.staged.versions)

    async def prefetch(self, needs: Sequence[Needs], reads: Reads) -> None:
        """Reads what operations are going to ask for: a statement of each sort, however many they are."""
        if not needs:
            return
        wanted: dict[EntityKind, dict[str, None]] = {}
        for one in needs:
            wanted.setdefault(one.kind, {}).update(dict.fromkeys(one.ids))
        for kind, ids in wanted.items():
            await self.read_entities(reads, kind, list(ids))
        keys: dict[EntityKind, dict[int, None]] = {}
        parents: dict[EntityKind, dict[str, None]] = {}
        for one in needs:
            if one.child_kind is not None:
                keys.setdefault(one.child_kind, {}).update(dict.fromkeys(one.sort_keys))
                parents.setdefault(one.child_kind, {}).update(dict.fromkeys(one.ids))
                # What does not exist has nothing below it.
                unknown = [each for each in one.ids if self.committed[one.kind, each] is None]
                self.children.update(dict.fromkeys([(one.child_kind, each) for each in unknown], ()))
        for kind, numbers in keys.items():
            await self.read_sort_keys(reads, kind, list(numbers))
        for kind, ids in parents.items():
            await self.read_children(reads, kind, list(ids))
        await self.read_names(reads, list({name: None for one in needs for name in one.names}))
        holders: dict[str, None] = {}
        for one in needs:
            for each in one.bearers:
                if self.committed.get((one.kind, each)) is not None:
                    below = self.children.get((one.child_kind, each), ()) if one.child_kind is not None else ()
                    holders.update(dict.fromkeys([each, *[child.entity_id for child in below]]))
        await self.read_borne(reads, list(holders))

    async def read_entities(self, reads: Reads, kind: EntityKind, ids: Sequence[str]) -> None:
        """Fills `committed` with what is not there yet."""
        missing = [one for one in ids if (kind, one) not in self.committed]
        if missing:
            async with self.reading:
                read = await reads.get(self.connection, kind, missing, None)
            for one in missing:
                self.committed[kind, one] = read.get(one)

    async def read_sort_keys(self, reads: Reads, kind: EntityKind, keys: Sequence[int]) -> None:
        """Fills `sort_keys` with what is not there yet."""
        missing = [key for key in keys if (kind, key) not in self.sort_keys]
        if missing:
            async with self.reading:
                read = await reads.by_sort_key(self.connection, kind, missing)
            for key in missing:
                entity = self.sort_keys[kind, key] = read.get(key)
                if entity is not None:
                    self.committed[kind, entity.entity_id] = entity

    async def read_children(self, reads: Reads, kind: EntityKind, parent_ids: Sequence[str]) -> None:
        """Fills `children` with what is not there yet."""
        missing = [one for one in parent_ids if (kind, one) not in self.children]
        if missing:
            async with self.reading:
                read = await reads.children(self.connection, kind, missing, None)
            for parent_id, entities in read.items():
                self.children[kind, parent_id] = entities
                for entity in entities:
                    self.committed[kind, entity.entity_id] = entity

    async def read_names(self, reads: Reads, keys: Sequence[IdentifierKey]) -> None:
        """Fills `names` with what is not there yet."""
        missing = [key for key in keys if key not in self.names]
        if missing:
            async with self.reading:
                self.names.update(await reads.identifiers(self.connection, missing, None))

    async def read_borne(self, reads: Reads, target_ids: Sequence[str]) -> None:
        """Fills `borne` with what is not there yet."""
        missing = [one for one in target_ids if one not in self.borne]
        if missing:
            async with self.reading:
                self.borne.update(await reads.identifiers_of(self.connection, missing))

    def before(self, key: EntityKey) -> Entity | None:
        """The current version of an entry when this group began; it has to have been read, or staged by the group before."""
        return (self.under.current.get(key) if self.under is not None else None) or self.committed.get(key)

    def is_known(self, key: EntityKey) -> bool:
        """Whether `before` can tell."""
        return key in self.committed or (self.under is not None and key in self.under.current)


class StagedSession:
    """Implements WriteSession for one operation. `finish` checks the rules and gives what it staged."""

    def __init__(self, group: GroupState, reads: Reads, actor: str, request_id: str) -> None:
        self._group = group
        self._reads = reads
        self._actor = actor
        self._request_id = request_id
        self._own = Staging()
        layers = (group.staged, self._own) if group.under is None else (group.under, group.staged, self._own)
        self._overlay = Overlay(*layers)
        self._first = group.revision + 1
        self._taken = 0
        self._used: set[int] = set()

    @property
    def now(self) -> datetime:
        """The time of this commit, UTC."""
        return self._group.now

    async def get(self, kind: EntityKind, ids: Sequence[str]) -> Mapping[str, Entity]:
        """The current versions."""
        cache, current = self._group.committed, self._overlay.current
        missing = [one for one in ids if (kind, one) not in cache and current(kind, one) is None]
        if missing:
            await self._read(self._group.read_entities(self._reads, kind, missing))
        found: dict[str, Entity] = {}
        places = [(kind, one) for one in ids]
        if not (self._overlay.holds_any(places) or any(map(cache.get, places))):
            return found
        for entity_id in ids:
            entity = current(kind, entity_id) or cache.get((kind, entity_id))
            if entity is not None:
                found[entity_id] = entity
        return found

    async def children(self, kind: EntityKind, parent_ids: Sequence[str]) -> Mapping[str, Sequence[Entity]]:
        """The current versions below each parent, in order of id."""
        await self._read(self._group.read_children(self._reads, kind, parent_ids))
        found: dict[str, list[Entity]] = {}
        for parent_id in parent_ids:
            committed = self._group.children[kind, parent_id]
            merged = {e.entity_id: e for e in committed if self._overlay.current(kind, e.entity_id) is None}
            merged |= {e.entity_id: e for e in self._overlay.with_parent(kind, parent_id)}
            found[parent_id] = [merged[entity_id] for entity_id in sorted(merged)]
        return found

    async def by_sort_key(self, kind: EntityKind, keys: Sequence[int]) -> Mapping[int, Entity]:
        """The current versions with these sort keys."""
        await self._read(self._group.read_sort_keys(self._reads, kind, keys))
        found = {}
        for key in keys:
            staged = self._overlay.with_sort_key(kind, key)
            committed = self._group.sort_keys[kind, key]
            if staged is not None:
                found[key] = staged
            elif committed is not None and self._overlay.current(kind, committed.entity_id) is None:
                found[key] = committed
        return found

    async def identifiers(self, keys: Sequence[IdentifierKey]) -> Mapping[IdentifierKey, Sequence[IdentifierRow]]:
        """What we know now of these names."""
        names = self._group.names
        await self._read(self._group.read_names(self._reads, keys))
        return self._overlay.identifiers({key: names[key] for key in keys})

    async def identifiers_of(self, target_ids: Sequence[str]) -> Mapping[str, Sequence[IdentifierRow]]:
        """What we know now of these holders, but for what stands alone."""
        borne = self._group.borne
        await self._read(self._group.read_borne(self._reads, target_ids))
        return {target: self._overlay.identifiers_of(target, borne[target]) for target in target_ids}

    def next_revision(self) -> int:
        """Takes the next revision."""
        self._taken += 1
        return self._first + self._taken - 1

    def put(self, entity: Entity, change: ChangeKind, cache_keys: Iterable[str] = ()) -> None:
        """Stages a new version. Raises Internal when its revision was not taken, or is used already."""
        self._check_taken(entity.revision, "put of", entity.entity_id)
        if entity.revision in self._used:
            raise Internal(f"revision {entity.revision} is used by two puts; the second is of {entity.entity_id!r}")
        self._used.add(entity.revision)
        self._own.put(StagedVersion(entity, change, tuple(cache_keys), self._actor, self._request_id))

    def put_all(self, entities: Sequence[Entity], change: ChangeKind, cache_keys: Sequence[tuple[str, ...]]) -> None:
        """Stages new versions of entries that have neither parent nor sort key. Raises Internal as `put` does."""
        revisions = {one.revision for one in entities}
        if (
            len(revisions) < len(entities)
            or not self._used.isdisjoint(revisions)
            or not (
                self._first <= min(revisions, default=self._first)
                and max(revisions, default=0) < self._first + self._taken
            )
        ):
            for entity, keys in zip(entities, cache_keys, strict=True):
                self.put(entity, change, keys)
            return
        self._used |= revisions
        actor, request = self._actor, self._request_id
        self._own.put_all(
            [
                _made(StagedVersion, (entity, change, keys, actor, request))
                for entity, keys in zip(entities, cache_keys, strict=True)
            ]
        )

    def assert_identifiers(self, rows: Sequence[IdentifierRow]) -> None:
        """Stages assertions."""
        for row in rows:
            if not self._first <= row.recorded_revision < self._first + self._taken:
                self._check_taken(row.recorded_revision, "assertion of", row.value)
        self._own.assert_rows(rows)

    def close_identifier(self, row: IdentifierRow, closed_revision: int) -> None:
        """Stages the end of what we knew."""
        self._check_taken(closed_revision, "end of", row.value)
        # One that an earlier operation of the group asserted is only hidden here; absorbing closes it there.
        self._own.close_row(row, closed_revision)

    def finish(self) -> Staging:
        """What this operation staged, in order of revision. Raises Internal when a revision taken was not used."""
        if len(self._used) != self._taken:
            raise Internal(f"{self._taken} revisions were taken and {len(self._used)} put")
        self._own.versions.sort(key=lambda version: version.entity.revision)
        return self._own

    def _check_taken(self, revision: int, verb: str, what: str) -> None:
        if not self._first <= revision < self._first + self._taken:
            raise Internal(f"{verb} {what!r} uses revision {revision}, which this operation has not taken")

    async def _read(self, reading: Awaitable[_T]) -> _T:
        try:
            return await reading
        except FAILURES as error:
            # Postgres aborts a transaction at its first error: nothing of the group can go on.
            self._group.lost = error
            raise TransactionLost from error
