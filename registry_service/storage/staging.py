"""What a group of writes has staged: an overlay that an operation adds to as a whole or not at all. Memory only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from registry_service.storage.model import ChangeKind, Entity, EntityKind, IdentifierKey, IdentifierRow

EntityKey = tuple[EntityKind, str]
RowKey = tuple[object, ...]


def row_key(row: IdentifierRow) -> RowKey:
    """What tells one assertion from another."""
    return (
        row.scheme,
        row.value,
        row.venue,
        row.level,
        row.target_id,
        row.recorded_revision,
        row.valid_from,
        row.valid_to,
    )


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
    by_name: dict[tuple[int, str], dict[RowKey, None]] = field(default_factory=dict)
    by_target: dict[str, dict[RowKey, None]] = field(default_factory=dict)
    closed: dict[RowKey, tuple[IdentifierRow, int]] = field(default_factory=dict)
    """Committed rows that end."""

    def put(self, version: StagedVersion) -> None:
        """A new current version."""
        entity = version.entity
        self.versions.append(version)
        self.current[entity.kind, entity.entity_id] = entity
        if entity.parent_id:
            self.by_parent.setdefault((entity.kind, entity.parent_id), {})[entity.entity_id] = None
        if entity.sort_key:
            self.by_sort_key[entity.kind, entity.sort_key] = entity.entity_id

    def assert_row(self, row: IdentifierRow) -> None:
        """A new assertion."""
        key = row_key(row)
        self.asserted[key] = row
        self.by_name.setdefault((row.scheme, row.value), {})[key] = None
        self.by_target.setdefault(row.target_id, {})[key] = None

    def close_row(self, row: IdentifierRow, revision: int) -> None:
        """The end of an assertion: of one staged here, or of a committed one."""
        key = row_key(row)
        staged = self.asserted.get(key)
        if staged is None:
            self.closed[key] = (row, revision)
        else:
            self.asserted[key] = staged._replace(closed_revision=revision)

    def absorb(self, other: Staging) -> None:
        """Takes over what an operation that succeeded has staged."""
        for version in other.versions:
            self.put(version)
        for row in other.asserted.values():
            self.assert_row(row)
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

    def identifiers(self, key: IdentifierKey, committed: Iterable[IdentifierRow]) -> list[IdentifierRow]:
        """The open assertions of a name."""
        staged = {row: None for layer in self._layers for row in layer.by_name.get((key.scheme, key.value), ())}
        found = self._open(committed, staged)
        return [row for row in found if not key.venue or row.venue == key.venue]

    def identifiers_of(self, target_id: str, committed: Iterable[IdentifierRow]) -> list[IdentifierRow]:
        """The open assertions of a holder."""
        staged = {row: None for layer in self._layers for row in layer.by_target.get(target_id, ())}
        return self._open(committed, staged)

    def _open(self, committed: Iterable[IdentifierRow], staged: Iterable[RowKey]) -> list[IdentifierRow]:
        found = [row for row in committed if not self._is_closed(row_key(row))]
        for key in staged:
            if not self._is_closed(key):
                row = next(layer.asserted[key] for layer in reversed(self._layers) if key in layer.asserted)
                if row.closed_revision is None:
                    found.append(row)
        return found

    def _is_closed(self, key: RowKey) -> bool:
        return any(key in layer.closed for layer in self._layers)
