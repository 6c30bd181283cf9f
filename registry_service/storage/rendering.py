"""A group's staging as the bytes of the bulk tables, made while the group before it is being written.

Postgres waits for nothing that could have been ready: rows are rendered as they are staged, some at a time so that other work of the
loop (the answers of Postgres among it) goes on between. What is staged later can only change a row that is rendered where an entry is put
twice, or an assertion closed, within the group; then all is rendered again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final

from alphapulse.domain.errors import Internal
from registry_service.storage import copying
from registry_service.storage.model import Change, ChangeKind, Entity, EntityKind, IdentifierRow
from registry_service.storage.reads import Reads
from registry_service.storage.session import GroupState
from registry_service.storage.staging import EntityKey, StagedVersion

_BREATH: Final = 64
"""Versions rendered between two chances for the rest of the loop."""
_made: Final = tuple.__new__
"""Makes a named tuple in half the time; its fields in the order of the class."""


@dataclass(slots=True)
class Rendered:
    """What a group writes."""

    revision: int
    """The last one it takes."""
    now: datetime
    """When it commits."""
    changes: list[Change] = field(default_factory=list)
    ends: dict[EntityKey, int] = field(default_factory=dict)
    """Committed versions that are replaced, and by which revision."""
    closed: list[tuple[IdentifierRow, int]] = field(default_factory=list)
    """Committed assertions that end."""
    entities: list[bytes] = field(default_factory=list)
    identifiers: list[bytes] = field(default_factory=list)
    log: list[bytes] = field(default_factory=list)


class Rendering:
    """Renders a group as it grows."""

    def __init__(self, group: GroupState, reads: Reads) -> None:
        self._group = group
        self._reads = reads
        self._begin()

    def _begin(self) -> None:
        self._versions = self._asserted = 0
        self._latest: dict[EntityKey, Entity] = {}
        self._rendered = Rendered(self._group.base_revision, self._group.now)

    async def advance(self) -> None:
        """Renders what was staged since the last call. Raises Internal where a put says CREATED of what exists, or UPDATED of what
        does not."""
        await self._read_missing()
        staged = self._group.staged
        while self._versions < len(staged.versions):
            if self._versions:
                await asyncio.sleep(0)
            self._render(staged.versions[self._versions : self._versions + _BREATH], {})

    async def complete(self) -> Rendered:
        """All of it. Raises what `advance` raises."""
        staged, group = self._group.staged, self._group
        await self.advance()
        if staged.is_rewritten:
            self._begin()
            self._render(staged.versions, _following(staged.versions))
        done = self._rendered
        done.revision = group.revision
        done.closed = list(staged.closed.values())
        return done

    def _render(self, versions: Sequence[StagedVersion], following: Mapping[int, int]) -> None:
        """The next versions; `following` has what replaces each within the group, by revision."""
        group, done = self._group, self._rendered
        changes = self._creations(versions) if not following else None
        records: list[tuple[Entity, int | None]] = []
        if changes is not None:
            records = [(version.entity, None) for version in versions]
        else:
            changes, latest = [], self._latest
            for version in versions:
                entity = version.entity
                key = (entity.kind, entity.entity_id)
                before = latest.get(key)
                if before is None and (before := group.before(key)) is not None:
                    done.ends[key] = entity.revision
                latest[key] = entity
                changes.append(_change(version, before, group.now))
                records.append((entity, following.get(entity.revision)))
        done.changes += changes
        done.log.append(copying.change_rows(changes))
        done.entities.append(copying.entity_rows(records))
        asserted = group.staged.asserted
        # One that was asserted and closed by one revision nobody could ever have known.
        rows = [row for row in asserted[self._asserted :] if row.closed_revision != row.recorded_revision]
        done.identifiers.append(copying.identifier_rows(rows))
        self._versions += len(versions)
        self._asserted = len(asserted)

    def _creations(self, versions: Sequence[StagedVersion]) -> list[Change] | None:
        """The changes of versions that are the first of their entries, as most are; None where one is not, or may not be."""
        group, now = self._group, self._group.now
        entities = {(one.entity.kind, one.entity.entity_id): one.entity for one in versions}
        under = group.under.current if group.under is not None else {}
        seen, known = self._latest.keys(), group.committed
        if (
            any(one.change is not ChangeKind.CREATED for one in versions)
            or len(entities) < len(versions)
            or not (seen.isdisjoint(entities) and under.keys().isdisjoint(entities))
            or any(known.get(key) is not None for key in entities)
        ):
            return None
        self._latest.update(entities)
        return [
            _made(Change, (revision, kind, own, created, body, b"", facets, parent, keys, actor, request, now))
            for (kind, own, body, revision, facets, _, parent, _, _), created, keys, actor, request in versions
        ]

    async def _read_missing(self) -> None:
        """The committed versions of entries that were put without having been read."""
        group = self._group
        missing: dict[EntityKind, dict[str, None]] = {}
        for version in islice(group.staged.versions, self._versions, None):
            key = (version.entity.kind, version.entity.entity_id)
            if not group.is_known(key):
                missing.setdefault(version.entity.kind, {})[version.entity.entity_id] = None
        for kind, ids in missing.items():
            await group.read_entities(self._reads, kind, list(ids))


def _following(versions: Sequence[StagedVersion]) -> dict[int, int]:
    """The revision that replaces each version which is put again within the group."""
    found: dict[int, int] = {}
    latest: dict[EntityKey, int] = {}
    for version in versions:
        entity = version.entity
        key = (entity.kind, entity.entity_id)
        if key in latest:
            found[latest[key]] = entity.revision
        latest[key] = entity.revision
    return found


def _change(version: StagedVersion, before: Entity | None, now: datetime) -> Change:
    entity = version.entity
    if (version.change is ChangeKind.CREATED) != (before is None):
        state = "does not exist" if before is None else "exists"
        raise Internal(f"{version.change.name} of {entity.kind.name} {entity.entity_id!r}, which {state}")
    # Both sides: a watcher also has to hear of what leaves its filter.
    facets = tuple(sorted({*entity.facets, *before.facets})) if before else entity.facets
    what = (entity.revision, entity.kind, entity.entity_id, version.change, entity.body)
    earlier = before.body if before else b""
    who = (version.actor, version.request_id, now)
    return _made(Change, (*what, earlier, facets, entity.parent_id, version.cache_keys, *who))
