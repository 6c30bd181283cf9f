"""Watches for many clients: a snapshot, then every later change once and in order, or an error that says where to go on.

A watcher reads snapshot and log at its own pace, and joins the live changes only when it has read up to
`feed.applied_revision`: the comparison and the joining happen without an await in between, so there is neither a hole nor
a double, and a slow start costs no queue. What watchers of one spec are given is read, matched and encoded once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from alphapulse.domain.errors import AlphaPulseError, Draining, ResumeTokenInvalid, SnapshotRequired, SubscriberTooSlow
from alphapulse.runtime.deadline import seconds_to_wait
from registry_service.storage.model import Change
from registry_service.watch.feed import Feed
from registry_service.watch.groups import Cut, Group, Watcher
from registry_service.watch.model import Mark, WatchEvent, WatchSpec
from registry_service.watch.pages import LogPages
from registry_service.watch.snapshots import SnapshotLimits, Snapshots, SnapshotSource
from registry_service.watch.tokens import TokenCodec

_log = logging.getLogger(__name__)
_FEED_SECONDS: Final = 10.0
"""How long the feed may be behind a position; less where the call's deadline comes before."""


class WatchSource(SnapshotSource, Protocol):
    """What the hub reads: the store, and how far back its log goes."""

    async def changes(self, after_revision: int, limit: int) -> Sequence[Change]:
        """Rows in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubLimits:
    """Bounds of what watchers cost."""

    queue_changes: int = 20_000
    """Undelivered changes at which a watcher is cut."""
    queue_bytes: int = 32 << 20
    """Their bytes, at which it is cut."""
    mark_seconds: float = 5.0
    """The longest time without a word: a mark then says how far it is."""
    snapshots: SnapshotLimits = field(default_factory=SnapshotLimits)
    """Bounds of what is kept of snapshots."""


class Hub:
    """The watches of one process."""

    def __init__(self, source: WatchSource, feed: Feed, tokens: TokenCodec, limits: HubLimits | None = None) -> None:
        self._source = source
        self._feed = feed
        self._tokens = tokens
        self._limits = limits or HubLimits()
        self._groups: dict[WatchSpec, Group] = {}
        self._snapshots = Snapshots(source, lambda: feed.applied_revision, self._limits.snapshots)
        self._pages = LogPages(source)
        self._closing = False
        self.cuts = 0
        """Watchers cut because they did not keep up, since the start."""
        feed.listen(self._live, self._lost)

    @property
    def watchers(self) -> int:
        """How many watches are live now."""
        return sum(len(group.watchers) for group in self._groups.values())

    def close(self) -> None:
        """Ends every watch with Draining, which carries the resume token."""
        self._closing = True
        for group in self._groups.values():
            for watcher in group.watchers:
                watcher.ready.set()

    async def watch(
        self, spec: WatchSpec, *, resume_token: str = "", skip_snapshot: bool = False
    ) -> AsyncIterator[WatchEvent]:
        """Snapshot chunks, a mark with snapshot_complete, then deltas and marks without end.

        With a resume token: deltas from there on. Raises ResumeTokenInvalid, SnapshotRequired (the log no longer goes
        back so far, or is another database's), SubscriberTooSlow (metadata resume_token), Draining (metadata resume_token),
        ConsistencyNotReached (this process is behind the position and does not catch up within the call's deadline),
        StoreUnavailable.
        """
        if resume_token:
            position = await self._resume(spec, resume_token)
        elif skip_snapshot:
            position = self._feed.applied_revision
            yield self._mark(spec, position, complete=True)
        else:
            position = 0
            async for chunk in self._snapshots.chunks(spec):
                position = chunk.revision
                yield chunk
            yield self._mark(spec, position, complete=True)
        async for event in self._follow(spec, position):
            yield event

    async def _follow(self, spec: WatchSpec, position: int) -> AsyncIterator[WatchEvent]:
        while True:
            # Snapshot and log may be ahead of what the feed has applied: joining then would deliver those changes twice.
            await self._feed.wait_applied(position, timeout=seconds_to_wait(_FEED_SECONDS))
            if position == self._feed.applied_revision:
                break
            page = await self._pages.after(spec, position)
            if page is None:
                raise await self._snapshot_required(spec)
            position = page.upto
            for delta in page.deltas:
                yield delta
            yield self._mark(spec, position)
        # No await between the comparison above and here: the live changes join exactly after `position`.
        group, watcher = self._join(spec)
        try:
            async for event in self._drain(group, spec, watcher, position):
                yield event
        finally:
            group.watchers.discard(watcher)
            if not group.watchers and self._groups.get(spec) is group:
                del self._groups[spec]

    def _join(self, spec: WatchSpec) -> tuple[Group, Watcher]:
        group = self._groups.get(spec)
        if group is None:
            group = self._groups[spec] = Group(spec, self._mark)
        watcher = Watcher()
        group.watchers.add(watcher)
        return group, watcher

    async def _drain(self, group: Group, spec: WatchSpec, watcher: Watcher, position: int) -> AsyncIterator[WatchEvent]:
        while True:
            try:
                if self._closing:
                    watcher.ready.set()
                async with asyncio.timeout(self._limits.mark_seconds):
                    await watcher.ready.wait()
            except TimeoutError:
                # The timer may fire in the very turn in which changes came: then they go first.
                if not watcher.ready.is_set():
                    position = self._feed.applied_revision
                    yield group.mark(position)
                    continue
            if watcher.cut is Cut.LOST:
                raise await self._snapshot_required(spec)
            if watcher.cut is not None or self._closing:
                raise self._end(watcher, self._tokens.resume(spec.filter_bytes, position))
            delta = watcher.take()
            # What the feed has applied was looked at for this watcher: with nothing waiting it is all delivered.
            position = delta.changes[-1].revision if watcher.queue else self._feed.applied_revision
            yield delta
            yield group.mark(position)

    def _end(self, watcher: Watcher, token: str) -> AlphaPulseError:
        """Why a watch ends, with where to go on."""
        told = {"resume_token": token}
        if watcher.cut is Cut.SLOW:
            bounds = f"{self._limits.queue_changes} changes or {self._limits.queue_bytes} bytes"
            return SubscriberTooSlow(
                f"the watcher fell behind by {bounds}",
                metadata=told,
                hint="watch again with the resume token",
                retry_after=1.0,
            )
        if watcher.cut is not None:
            return SubscriberTooSlow(
                "the watch could not be served on",
                metadata=told,
                hint="watch again with the resume token",
                retry_after=1.0,
            )
        return Draining("the registry is going away", metadata=told, retry_after=0.5)

    def _live(self, changes: Sequence[Change]) -> None:
        limits = self._limits
        for group in list(self._groups.values()):
            try:
                pieces = group.pieces(changes)
            except Exception:
                # The rule of one spec must not stop the feed for all: its watchers end, and are told where to go on.
                _log.exception("the rule of a watch failed")
                for watcher in group.watchers:
                    watcher.end(Cut.FAULT)
                continue
            if pieces:
                self.cuts += group.deliver(pieces, limits.queue_changes, limits.queue_bytes)

    def _lost(self) -> None:
        """The log was pruned over this process's head: what the watchers missed is known to nobody."""
        for group in self._groups.values():
            for watcher in group.watchers:
                watcher.end(Cut.LOST)

    async def _resume(self, spec: WatchSpec, token: str) -> int:
        position = self._tokens.read_resume(token, spec.filter_bytes)
        if position > self._feed.applied_revision and position > await self._source.revision():
            raise ResumeTokenInvalid(
                f"resume_token names revision {position}, which this registry has not reached",
                hint="the token comes from another deployment, or the database was restored: watch again without it",
            )
        if position < await self._source.oldest_resumable():
            raise await self._snapshot_required(spec)
        return position

    async def _snapshot_required(self, spec: WatchSpec) -> SnapshotRequired:
        oldest = await self._source.oldest_resumable()
        return SnapshotRequired.since(self._tokens.resume(spec.filter_bytes, oldest))

    def _mark(self, spec: WatchSpec, revision: int, *, complete: bool = False) -> Mark:
        return Mark(revision, self._tokens.resume(spec.filter_bytes, revision), complete)
