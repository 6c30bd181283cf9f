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
    asserted: list[IdentifierRow] = field(default_factory=list)
    _by_value: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Places in `asserted`, of as many as were there when a name was asked last: most operations never ask."""
    _by_target: dict[str, list[int]] = field(default_factory=dict)
    """Of as many as were there when a holder was asked: that is rarer still."""
    _by_key: dict[RowKey, int] = field(default_factory=dict)
    """The last of each key; of as many as were there when one was closed."""
    _valued: int = 0
    _targeted: int = 0
    _keyed: int = 0
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

    def put_all(self, versions: Sequence[StagedVersion]) -> None:
        """New current versions of entries that have neither parent nor sort key."""
        self.versions += versions
        self.current.update([((one.entity.kind, one.entity.entity_id), one.entity) for one in versions])

    def assert_rows(self, rows: Sequence[IdentifierRow]) -> None:
        """New assertions."""
        self.asserted += rows

    def by_value(self) -> Mapping[str, Sequence[int]]:
        """The places of assertions by the name's value, whatever its scheme and venue."""
        index, asserted = self._by_value, self.asserted
        begin, end = self._valued, len(asserted)
        values = [row.value for row in asserted[begin:]]
        places = dict(zip(values, zip(range(begin, end), strict=True), strict=True))
        if len(places) == len(values) and index.keys().isdisjoint(places):
            index.update(places)
        else:
            for at, value in enumerate(values, start=begin):
                index[value] = (*index.get(value, ()), at)
        self._valued = end
        return index

    def borne_by(self, target_id: str) -> Sequence[IdentifierRow]:
        """The assertions of a holder."""
        index, asserted = self._by_target, self.asserted
        for at in range(self._targeted, len(asserted)):
            index.setdefault(asserted[at].target_id, []).append(at)
        self._targeted = len(asserted)
        return [asserted[at] for at in index.get(target_id, ())]

    def close_row(self, row: IdentifierRow, revision: int) -> None:
        """The end of an assertion: of one staged here, or of a committed one."""
        index, asserted, key = self._by_key, self.asserted, row_key(row)
        for at in range(self._keyed, len(asserted)):
            index[row_key(asserted[at])] = at
        self._keyed = len(asserted)
        place = index.get(key)
        if place is None:
            self.closed[key] = (row, revision)
        else:
            asserted[place] = asserted[place]._replace(closed_revision=revision)
            self._reclosed = True

    def absorb(self, other: Staging) -> None:
        """Takes over what an operation that succeeded has staged."""
        self.versions += other.versions
        self.current |= other.current
        for parent, ids in other.by_parent.items():
            self.by_parent.setdefault(parent, {}).update(ids)
        self.by_sort_key |= other.by_sort_key
        # The revisions of an operation are its own, so none of its assertions is here yet.
        self.asserted += other.asserted
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

    def holds_any(self, keys: Sequence[EntityKey]) -> bool:
        """Whether there is a staged version of one of these."""
        return not all(layer.current.keys().isdisjoint(keys) for layer in self._layers)

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
        values = [key[1] for key in committed]
        indexes = [
            (index, layer.asserted)
            for layer in self._layers
            if not (index := layer.by_value()).keys().isdisjoint(values)
        ]
        if not indexes and not any(committed.values()):
            return found
        for key, rows in committed.items():
            scheme, value, venue = key
            staged: list[IdentifierRow] = []
            for index, asserted in indexes:
                if value in index:
                    staged += [row for at in index[value] if (row := asserted[at]).scheme == scheme]
            if rows or staged:
                rows = self._open(rows, staged)
                found[key] = [row for row in rows if row.venue == venue] if venue else rows
        return found

    def identifiers_of(self, target_id: str, committed: Sequence[IdentifierRow]) -> Sequence[IdentifierRow]:
        """The open assertions of a holder, but for what stands alone."""
        staged = [row for layer in self._layers for row in layer.borne_by(target_id)]
        return [row for row in self._open(committed, staged) if not stands_alone(row)]

    def _open(self, committed: Sequence[IdentifierRow], staged: Sequence[IdentifierRow]) -> Sequence[IdentifierRow]:
        """Of the assertions of one name or holder, those that nobody closed; of the staged ones of one key the last counts."""
        last = {row_key(row): row for row in staged}
        # A row of the group before may have been committed between two reads: then it is here twice.
        found = [row for row in committed if (key := row_key(row)) not in last and not self._is_closed(key)]
        return found + [row for key, row in last.items() if row.closed_revision is None and not self._is_closed(key)]

    def _is_closed(self, key: RowKey) -> bool:
        return any(key in layer.closed for layer in self._layers)
