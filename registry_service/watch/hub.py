"""Watches for many clients: a snapshot, then every later change once and in order, or an error that says where to go on.

A watcher reads snapshot and log at its own pace, and joins the live changes only when it has read up to
`feed.applied_revision`: the comparison and the joining happen without an await in between, so there is neither a hole nor
a double, and a slow start costs no queue.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from alphapulse.domain.errors import Draining, ResumeTokenInvalid, SnapshotRequired, SubscriberTooSlow
from registry_service.storage.model import Change, Entity, EntityKind, Query
from registry_service.watch.feed import Feed
from registry_service.watch.model import Delta, Mark, SnapshotChunk, WatchEvent, WatchSpec
from registry_service.watch.tokens import TokenCodec

_log = logging.getLogger(__name__)
_LOG_PAGE: Final = 1000
_DELTA_CHANGES: Final = 1000
_FEED_SECONDS: Final = 30.0


class WatchSource(Protocol):
    """What the hub reads: the store, and how far back its log goes."""

    async def changes(self, after_revision: int, limit: int) -> Sequence[Change]:
        """Rows in order."""

    async def oldest_resumable(self) -> int:
        """The smallest revision after which the log is whole."""

    async def revision(self) -> int:
        """The last committed revision."""

    def snapshot(self, query: Query, chunk: int = 1000) -> AsyncIterator[tuple[int, Sequence[Entity]]]:
        """Chunks of entries, all of one revision."""

    async def children(
        self, kind: EntityKind, parent_ids: Sequence[str], at_revision: int | None = None
    ) -> Mapping[str, Sequence[Entity]]:
        """Versions below each parent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubLimits:
    """Bounds of what watchers cost."""

    queue_changes: int = 20_000
    """Undelivered changes at which a watcher is cut."""
    queue_bytes: int = 32 << 20
    """Their bytes, at which it is cut."""
    mark_seconds: float = 5.0
    """The longest time without a word: a mark then says how far it is."""
    kept_snapshots: int = 4
    """Snapshots kept to be shared among watchers that start about the same time."""
    kept_snapshot_bytes: int = 64 << 20
    """Largest snapshot that is kept."""
    kept_snapshot_age: int = 2_000
    """Revisions after which a kept snapshot is not handed out any more: reading the log would cost more."""


@dataclass(slots=True, eq=False)
class _Watcher:
    queue: deque[Change] = field(default_factory=deque)
    queued_bytes: int = 0
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    cut: bool = False
    seen: int = 0
    """The last live revision looked at, matching or not."""


@dataclass(frozen=True, slots=True)
class _KeptSnapshot:
    revision: int
    chunks: tuple[SnapshotChunk, ...]


class Hub:
    """The watches of one process."""

    def __init__(self, source: WatchSource, feed: Feed, tokens: TokenCodec, limits: HubLimits | None = None) -> None:
        self._source = source
        self._feed = feed
        self._tokens = tokens
        self._limits = limits or HubLimits()
        self._watchers: dict[_Watcher, Callable[[Change], bool]] = {}
        self._kept: dict[tuple[Query, EntityKind | None], _KeptSnapshot] = {}
        self._closing = False
        feed.listen(self._live)

    @property
    def watchers(self) -> int:
        """How many watches are live now."""
        return len(self._watchers)

    def close(self) -> None:
        """Ends every watch with Draining, which carries the resume token."""
        self._closing = True
        for watcher in self._watchers:
            watcher.ready.set()

    async def watch(
        self, spec: WatchSpec, *, resume_token: str = "", skip_snapshot: bool = False
    ) -> AsyncIterator[WatchEvent]:
        """Snapshot chunks, a mark with snapshot_complete, then deltas and marks without end.

        With a resume token: deltas from there on. Raises ResumeTokenInvalid, SnapshotRequired (the log no longer goes
        back so far), SubscriberTooSlow (metadata resume_token), Draining (metadata resume_token), StoreUnavailable.
        """
        if resume_token:
            position = await self._resume(spec, resume_token)
        elif skip_snapshot:
            position = self._feed.applied_revision
            yield self._mark(spec, position, complete=True)
        else:
            position = 0
            async for chunk in self._snapshot(spec):
                position = chunk.revision
                yield chunk
            yield self._mark(spec, position, complete=True)
        matches = spec.matches or matcher(spec)
        async for event in self._follow(spec, matches, position):
            yield event

    async def _follow(
        self, spec: WatchSpec, matches: Callable[[Change], bool], position: int
    ) -> AsyncIterator[WatchEvent]:
        while True:
            # Snapshot and log may be ahead of what the feed has applied: joining then would deliver those changes twice.
            await self._feed.wait_applied(position, timeout=_FEED_SECONDS)
            if position == self._feed.applied_revision:
                break
            page = await self._source.changes(position, _LOG_PAGE)
            self._check_whole(spec, position, page)
            position = page[-1].revision
            if found := tuple(change for change in page if matches(change)):
                yield Delta(found)
            yield self._mark(spec, position)
        # No await between the comparison above and here: the live changes join exactly after `position`.
        watcher = _Watcher(seen=position)
        self._watchers[watcher] = matches
        try:
            async for event in self._drain(spec, watcher, position):
                yield event
        finally:
            self._watchers.pop(watcher, None)

    async def _drain(self, spec: WatchSpec, watcher: _Watcher, position: int) -> AsyncIterator[WatchEvent]:
        while True:
            try:
                if self._closing:
                    watcher.ready.set()
                async with asyncio.timeout(self._limits.mark_seconds):
                    await watcher.ready.wait()
            except TimeoutError:
                # The timer may fire in the very turn in which changes came: then they go first.
                if not watcher.ready.is_set():
                    position = watcher.seen
                    yield self._mark(spec, position)
                    continue
            token = self._tokens.resume(spec.filter_bytes, position)
            if watcher.cut:
                raise SubscriberTooSlow(
                    f"the watcher fell behind by {self._limits.queue_changes} changes or {self._limits.queue_bytes} bytes",
                    metadata={"resume_token": token},
                    hint="watch again with the resume token",
                    retry_after=1.0,
                )
            if self._closing:
                raise Draining("the registry is going away", metadata={"resume_token": token}, retry_after=0.5)
            changes = self._take(watcher)
            position = changes[-1].revision if watcher.queue else watcher.seen
            yield Delta(changes)
            yield self._mark(spec, position)

    def _take(self, watcher: _Watcher) -> tuple[Change, ...]:
        count = min(len(watcher.queue), _DELTA_CHANGES)
        changes = tuple(watcher.queue.popleft() for _ in range(count))
        watcher.queued_bytes -= sum(map(_size, changes))
        if not watcher.queue:
            watcher.ready.clear()
        return changes

    def _live(self, changes: Sequence[Change]) -> None:
        for watcher, matches in self._watchers.items():
            if watcher.cut:
                continue
            try:
                found = [change for change in changes if matches(change)]
            except Exception:
                # The rule of one watcher must not stop the feed for all: this one ends, and says where to go on.
                _log.exception("the rule of a watch failed")
                watcher.cut = True
                watcher.ready.set()
                continue
            watcher.seen = changes[-1].revision
            if not found:
                continue
            watcher.queue.extend(found)
            watcher.queued_bytes += sum(map(_size, found))
            watcher.ready.set()
            if len(watcher.queue) > self._limits.queue_changes or watcher.queued_bytes > self._limits.queue_bytes:
                watcher.cut = True
                watcher.queue.clear()

    async def _resume(self, spec: WatchSpec, token: str) -> int:
        position = self._tokens.read_resume(token, spec.filter_bytes)
        if position > self._feed.applied_revision and position > await self._source.revision():
            raise ResumeTokenInvalid(
                f"resume_token names revision {position}, which this registry has not reached",
                hint="the token comes from another deployment, or the database was restored: watch again without it",
            )
        oldest = await self._source.oldest_resumable()
        if position < oldest:
            raise SnapshotRequired.since(self._tokens.resume(spec.filter_bytes, oldest))
        await self._feed.wait_applied(position)
        return position

    def _check_whole(self, spec: WatchSpec, position: int, page: Sequence[Change]) -> None:
        if not page or page[0].revision != position + 1:
            oldest = page[0].revision - 1 if page else self._feed.applied_revision
            raise SnapshotRequired.since(self._tokens.resume(spec.filter_bytes, oldest))

    async def _snapshot(self, spec: WatchSpec) -> AsyncIterator[SnapshotChunk]:
        key = (spec.query, spec.child_kind)
        kept = self._kept.get(key)
        if kept is not None and self._feed.applied_revision - kept.revision <= self._limits.kept_snapshot_age:
            for chunk in kept.chunks:
                yield chunk
            return
        chunks: list[SnapshotChunk] | None = []
        size = 0
        async for revision, entities in self._source.snapshot(spec.query):
            children: Mapping[str, Sequence[Entity]] = {}
            if spec.child_kind is not None and entities:
                ids = [entity.entity_id for entity in entities]
                children = await self._source.children(spec.child_kind, ids, revision)
            chunk = SnapshotChunk(revision, entities, children)
            if chunks is not None:
                chunks.append(chunk)
                size += sum(len(e.body) for e in itertools.chain(entities, *children.values()))
                if size * 2 > self._limits.kept_snapshot_bytes:
                    chunks = None
            yield chunk
        if chunks:
            self._keep(key, _KeptSnapshot(chunks[0].revision, tuple(chunks)))

    def _keep(self, key: tuple[Query, EntityKind | None], snapshot: _KeptSnapshot) -> None:
        self._kept.pop(key, None)
        self._kept[key] = snapshot
        while len(self._kept) > self._limits.kept_snapshots:
            del self._kept[next(iter(self._kept))]

    def _mark(self, spec: WatchSpec, revision: int, *, complete: bool = False) -> Mark:
        return Mark(revision, self._tokens.resume(spec.filter_bytes, revision), complete)


def matcher(spec: WatchSpec) -> Callable[[Change], bool]:
    """Whether a change belongs to the spec: its kind, and every facet group has one of its facets, before or after."""
    query, groups = spec.query, [frozenset(group) for group in spec.query.facet_groups]
    ids, parents = frozenset(query.ids), frozenset(query.parent_ids)

    def matches(change: Change) -> bool:
        if change.kind not in spec.kinds:
            return False
        if ids and change.entity_id not in ids and change.parent_id not in ids:
            return False
        if parents and change.parent_id not in parents:
            return False
        return holds(change.facets, groups)

    return matches


def holds(facets: Iterable[str], groups: Iterable[frozenset[str]]) -> bool:
    """Whether every group shares a facet with `facets`."""
    held = frozenset(facets)
    return all(not group.isdisjoint(held) for group in groups)


def _size(change: Change) -> int:
    return len(change.after) + len(change.before) + 256
