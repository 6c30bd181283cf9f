"""Snapshots that watchers share: each page is read once, whoever asks first reads it, and the others take what was read.

Pages are pinned to a revision and versions never change, so a watcher that finds a page missing (its reader went away) reads it itself, at the
same revision. Nobody waits for a slow watcher: each goes through the pages at its own pace.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from registry_service.storage.model import Entity, EntityKind, Query
from registry_service.watch.model import SnapshotChunk, WatchSpec


class SnapshotSource(Protocol):
    """What snapshots are read from."""

    async def revision(self) -> int:
        """The last committed revision."""

    async def oldest_resumable(self) -> int:
        """The smallest revision after which the log is whole."""

    async def page(self, query: Query, *, after_id: str, limit: int, at_revision: int) -> Sequence[Entity]:
        """Entries in order of id, after one, as they were at a revision."""

    async def children(
        self, kind: EntityKind, parent_ids: Sequence[str], at_revision: int | None = None
    ) -> Mapping[str, Sequence[Entity]]:
        """Versions below each parent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotLimits:
    """Bounds of what is kept."""

    kept: int = 4
    """Snapshots kept to be shared among watchers that start about the same time."""
    kept_bytes: int = 64 << 20
    """Largest snapshot that is kept; the pages of a larger one are read by each watcher for itself."""
    kept_age: int = 2_000
    """Revisions after which a kept snapshot is not handed out any more: reading the log would cost more."""
    page: int = 1_000
    """Entries of a chunk."""


class Snapshots:
    """The snapshots of one process. `applied` tells how far it has seen the change log."""

    def __init__(self, source: SnapshotSource, applied: Callable[[], int], limits: SnapshotLimits) -> None:
        self._source = source
        self._applied = applied
        self._limits = limits
        self._kept: dict[tuple[Query, EntityKind | None], _Snapshot] = {}
        self._opening = asyncio.Lock()

    async def chunks(self, spec: WatchSpec) -> AsyncIterator[SnapshotChunk]:
        """Every matching entry, in order of id, all as of one revision; an empty chunk when nothing matches."""
        snapshot = await self._open(spec)
        after = ""
        for at in itertools.count():
            chunk = await snapshot.chunk(at, after)
            yield chunk
            if len(chunk.entities) < self._limits.page:
                return
            after = chunk.entities[-1].entity_id

    async def _open(self, spec: WatchSpec) -> _Snapshot:
        key = (spec.query, spec.child_kind)
        async with self._opening:
            kept = self._kept.get(key)
            if kept is not None and await self._usable(kept):
                return kept
            snapshot = _Snapshot(self._source, spec, await self._source.revision(), self._limits)
            self._kept.pop(key, None)
            self._kept[key] = snapshot
            while len(self._kept) > self._limits.kept:
                del self._kept[next(iter(self._kept))]
            return snapshot

    async def _usable(self, kept: _Snapshot) -> bool:
        """Young, and the log still holds what followed it: a watcher that began with an older one could not go on."""
        young = self._applied() - kept.revision <= self._limits.kept_age
        return young and not kept.overflowed and kept.revision >= await self._source.oldest_resumable()


class _Snapshot:
    """One snapshot, as far as it was read."""

    def __init__(self, source: SnapshotSource, spec: WatchSpec, revision: int, limits: SnapshotLimits) -> None:
        self.revision = revision
        self.overflowed = False
        self._source = source
        self._spec = spec
        self._limits = limits
        self._chunks: list[SnapshotChunk] = []
        self._size = 0
        self._reading = asyncio.Lock()

    async def chunk(self, at: int, after: str) -> SnapshotChunk:
        """The chunk of a number, which begins after an id."""
        if at < len(self._chunks):
            return self._chunks[at]
        if self.overflowed:
            return await self._read(after)
        async with self._reading:
            if at < len(self._chunks):
                return self._chunks[at]
            chunk = await self._read(after)
            # Twice: the entries and what will be encoded of them.
            if self._size + 2 * chunk.size > self._limits.kept_bytes:
                self.overflowed = True
            if not self.overflowed:
                self._size += 2 * chunk.size
                self._chunks.append(chunk)
            return chunk

    async def _read(self, after: str) -> SnapshotChunk:
        spec, revision = self._spec, self.revision
        entities = await self._source.page(spec.query, after_id=after, limit=self._limits.page, at_revision=revision)
        children: Mapping[str, Sequence[Entity]] = {}
        if spec.child_kind is not None and entities:
            ids = [entity.entity_id for entity in entities]
            children = await self._source.children(spec.child_kind, ids, revision)
        size = sum(len(one.body) for one in itertools.chain(entities, *children.values()))
        return SnapshotChunk(revision, entities, children, size)
