"""What a group of writes has staged: an overlay that an operation adds to as a whole or not at all. Memory only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

from registry_service.storage.model import (
    ChangeKind,
    Entity,
    EntityKind,
    IdentifierKey,
    IdentifierRow,
    stands_alone,
)

EntityKey = tuple[EntityKind, str]
RowKey = tuple[object, ...]


row_key: Callable[[IdentifierRow], RowKey] = itemgetter(
    *map(
        IdentifierRow._fields.index,
        ("scheme", "value", "venue", "level", "target_id", "recorded_revision", "valid_from", "valid_to"),
    )
)
"""What tells one assertion from another."""


class StagedVersion(NamedTuple):
    """One `put`."""

    entity: Entity
    change: ChangeKind
    cache_keys: tuple[str, ...]
    actor: str
    request_id: str


@dataclass(slots=True)
class Staging:
    """Versions and assertions in the order they were staged, with the indexes that reads need."""

    versions: list[StagedVersion] = field(default_factory=list)
    current: dict[EntityKey, Entity] = field(default_factory=dict)
    by_parent: dict[tuple[EntityKind, str], dict[str, None]] = field(default_factory=dict)
    by_sort_key: dict[tuple[EntityKind, int], str] = field(default_factory=dict)
    asserted: dict[RowKey, IdentifierRow] = field(default_factory=dict)
    _by_name: dict[tuple[object, object], list[RowKey]] = field(default_factory=dict)
    _by_target: dict[object, list[RowKey]] = field(default_factory=dict)
    _unnamed: list[RowKey] = field(default_factory=list)
    """Asserted since names were asked: most operations never ask."""
    _untargeted: list[RowKey] = field(default_factory=list)
    """Asserted since holders were asked: that is rarer still."""
    closed: dict[RowKey, tuple[IdentifierRow, int]] = field(default_factory=dict)
    """Committed rows that end."""
    _reclosed: bool = False

    @property
    def is_rewritten(self) -> bool:
        """Whether an entry was put twice, or an assertion of an earlier operation closed."""
        return self._reclosed or len(self.current) != len(self.versions)

    def put(self, version: StagedVersion) -> None:
        """A new current version."""
        entity = version.entity
        self.versions.append(version)
        self.current[entity.kind, entity.entity_id] = entity
        if entity.parent_id:
            self.by_parent.setdefault((entity.kind, entity.parent_id), {})[entity.entity_id] = None
        if entity.sort_key:
            self.by_sort_key[entity.kind, entity.sort_key] = entity.entity_id

    def assert_rows(self, rows: Sequence[IdentifierRow]) -> None:
        """New assertions."""
        asserted, unnamed, untargeted = self.asserted, self._unnamed, self._untargeted
        for row in rows:
            key = row_key(row)
            if key not in asserted:
                unnamed.append(key)
                untargeted.append(key)
            asserted[key] = row

    def by_name(self) -> Mapping[tuple[object, object], Sequence[RowKey]]:
        """The assertions by scheme and value, at any venue."""
        if self._unnamed:
            index = self._by_name
            for key in self._unnamed:
                index.setdefault((key[0], key[1]), []).append(key)
            self._unnamed.clear()
        return self._by_name

    def borne_by(self, target_id: str) -> Sequence[RowKey]:
        """The assertions of a holder."""
        if self._untargeted:
            for key in self._untargeted:
                self._by_target.setdefault(key[4], []).append(key)
            self._untargeted.clear()
        return self._by_target.get(target_id, ())

    def close_row(self, row: IdentifierRow, revision: int) -> None:
        """The end of an assertion: of one staged here, or of a committed one."""
        key = row_key(row)
        staged = self.asserted.get(key)
        if staged is None:
            self.closed[key] = (row, revision)
        else:
            self.asserted[key] = staged._replace(closed_revision=revision)
            self._reclosed = True

    def absorb(self, other: Staging) -> None:
        """Takes over what an operation that succeeded has staged."""
        self.versions += other.versions
        self.current |= other.current
        for parent, ids in other.by_parent.items():
            self.by_parent.setdefault(parent, {}).update(ids)
        self.by_sort_key |= other.by_sort_key
        # The revisions of an operation are its own, so none of its assertions is here yet.
        self._unnamed += other.asserted
        self._untargeted += other.asserted
        self.asserted |= other.asserted
        for row, revision in other.closed.values():
            self.close_row(row, revision)


class Overlay:
    """Layers of staging seen as one, the last on top."""

    def __init__(self, *layers: Staging) -> None:
        self._layers = layers

    def current(self, kind: EntityKind, entity_id: str) -> Entity | None:
        """The staged current version."""
        for layer in reversed(self._layers):
            found = layer.current.get((kind, entity_id))
            if found is not None:
                return found
        return None

    def with_parent(self, kind: EntityKind, parent_id: str) -> Iterator[Entity]:
        """Staged current versions below a parent."""
        ids = {i: None for layer in self._layers for i in layer.by_parent.get((kind, parent_id), ())}
        for entity_id in ids:
            found = self.current(kind, entity_id)
            if found is not None and found.parent_id == parent_id:
                yield found

    def with_sort_key(self, kind: EntityKind, key: int) -> Entity | None:
        """The staged current version with this sort key."""
        for layer in reversed(self._layers):
            entity_id = layer.by_sort_key.get((kind, key))
            if entity_id is not None:
                found = self.current(kind, entity_id)
                if found is not None and found.sort_key == key:
                    return found
        return None

    def identifiers(
        self, committed: Mapping[IdentifierKey, Sequence[IdentifierRow]]
    ) -> dict[IdentifierKey, Sequence[IdentifierRow]]:
        """The open assertions of names."""
        found: dict[IdentifierKey, Sequence[IdentifierRow]] = dict.fromkeys(committed, ())
        indexes = [index for layer in self._layers if (index := layer.by_name())]
        for key, rows in committed.items():
            name = key[:2]
            staged = [row for index in indexes if name in index for row in index[name]] if indexes else ()
            if rows or staged:
                rows, venue = self._open(rows, staged), key[2]
                found[key] = [row for row in rows if row.venue == venue] if venue else rows
        return found

    def identifiers_of(self, target_id: str, committed: Sequence[IdentifierRow]) -> Sequence[IdentifierRow]:
        """The open assertions of a holder, but for what stands alone."""
        staged = [key for layer in self._layers for key in layer.borne_by(target_id)]
        return [row for row in self._open(committed, staged) if not stands_alone(row)]

    def _open(self, committed: Sequence[IdentifierRow], staged: Sequence[RowKey]) -> Sequence[IdentifierRow]:
        if not committed and not staged:
            return ()
        # A row of the group before may have been committed between two reads: then it is here twice.
        keys = [row_key(row) for row in committed]
        found = [
            row
            for row, key in zip(committed, keys, strict=True)
            if not self._is_closed(key) and not self._is_staged(key)
        ]
        for key in dict.fromkeys(staged):
            if not self._is_closed(key):
                row = next(layer.asserted[key] for layer in reversed(self._layers) if key in layer.asserted)
                if row.closed_revision is None:
                    found.append(row)
        return found

    def _is_staged(self, key: RowKey) -> bool:
        return any(key in layer.asserted for layer in self._layers)

    def _is_closed(self, key: RowKey) -> bool:
        return any(key in layer.closed for layer in self._layers)
