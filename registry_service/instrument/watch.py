"""WatchInstruments: snapshot, bookmarks and changes as bytes, put together from what is stored serialized.

Without a filter every change is delivered. With one, a watch knows which instruments belong to it: an instrument that
begins to match later (a first listing on a venue, a corrected sector) is sent whole, as a part of a snapshot, before the
change that let it in; one that ceases to match is sent a last time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from registry_service.framing import chunk, number, text
from registry_service.instrument.convert import service
from registry_service.instrument.framing import entry
from registry_service.instrument.lookups.lookup import parsed
from registry_service.instrument.queries.facets import filter_query, holds
from registry_service.resources import RegistryResources
from registry_service.storage.model import Change, Entity, EntityKind, Query, Store
from registry_service.watch.encoding import CHANGES, SNAPSHOT, bookmark, grouped, timestamp
from registry_service.watch.model import Delta, Mark, SnapshotChunk, WatchSpec
from registry_service.watch.serving import events

_KINDS: Final = frozenset({EntityKind.INSTRUMENT, EntityKind.LISTING, EntityKind.COLLISION_CASE})
_AFTER: Final = {EntityKind.INSTRUMENT: 3, EntityKind.LISTING: 4, EntityKind.COLLISION_CASE: 5}
_BEFORE: Final = {EntityKind.INSTRUMENT: 6, EntityKind.LISTING: 7, EntityKind.COLLISION_CASE: 8}
_KEPT: Final = 4096
"""Versions of instruments kept for filtered watches: those a commit touched are asked for by every watch at about the same time."""

_Held = tuple[Entity, Sequence[Entity]]


class Watches:
    """Serves WatchInstruments."""

    def __init__(self, resources: RegistryResources) -> None:
        self._resources = resources
        self._versions = Versions(resources.store)

    async def watch(self, raw: bytes, context: Any) -> AsyncIterator[bytes]:
        """The messages of one watch."""
        request = parsed(service.WatchInstrumentsRequest, raw)
        query = filter_query(request.filter)
        filter_bytes = request.filter.SerializeToString(deterministic=True)
        spec = WatchSpec(
            query=query,
            kinds=_KINDS,
            filter_bytes=filter_bytes,
            child_kind=EntityKind.LISTING,
            matches=_of_this_registry,
        )
        started_whole = not request.resume_token and not request.skip_snapshot
        members = Members(self._versions, query, started_whole) if filter_bytes else None
        async for event in events(self._resources.hub, spec, request, context):
            match event:
                case SnapshotChunk():
                    if members is not None:
                        members.seen(event.entities)
                    for message in event.encoded(_snapshot):
                        yield message
                case Mark():
                    for message in event.encoded(bookmark):
                        yield message
                case Delta() if members is None:
                    for message in event.encoded(_changes):
                        yield message
                case Delta():
                    async for message in members.delivered(event):
                        yield message


class Versions:
    """Instruments with their listings as of a revision: read once however many watches ask."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[tuple[str, int], asyncio.Future[_Held | None]] = OrderedDict()

    async def held(self, instrument_id: str, revision: int) -> _Held | None:
        """The version of an instrument at a revision; None when there was none."""
        key = (instrument_id, revision)
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = asyncio.ensure_future(self._read(instrument_id, revision))
            found.add_done_callback(lambda done: self._forget(key, done))
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        # One watch that ends must not end the reading for the others.
        return await asyncio.shield(found)

    def _forget(self, key: tuple[str, int], done: asyncio.Future[_Held | None]) -> None:
        if (done.cancelled() or done.exception() is not None) and self._kept.get(key) is done:
            del self._kept[key]

    async def _read(self, instrument_id: str, revision: int) -> _Held | None:
        held = (await self._store.get(EntityKind.INSTRUMENT, [instrument_id], revision)).get(instrument_id)
        if held is None:
            return None
        return held, (await self._store.children(EntityKind.LISTING, [instrument_id], revision)).get(instrument_id, ())


class Members:
    """The instruments that belong to a filtered watch."""

    def __init__(self, versions: Versions, query: Query, started_whole: bool) -> None:
        self._versions = versions
        self._query = query
        self._started_whole = started_whole
        self._known: dict[str, bool] = {}

    def seen(self, entities: Sequence[Entity]) -> None:
        """These are in the snapshot."""
        self._known.update(dict.fromkeys([one.entity_id for one in entities], True))

    async def delivered(self, delta: Delta) -> AsyncIterator[bytes]:
        """The messages of those changes that belong to the watch."""
        waiting: list[bytes] = []
        for at, change in enumerate(delta.changes):
            belongs, joined = await self._judge(change)
            if joined is not None:
                for message in grouped(CHANGES, waiting):
                    yield message
                waiting = []
                yield chunk(SNAPSHOT, chunk(1, joined))
            if belongs:
                waiting.append(delta.encoded(_EncodedChanges)[at])
        for message in grouped(CHANGES, waiting):
            yield message

    async def _judge(self, change: Change) -> tuple[bool, bytes | None]:
        """Whether a change is delivered, and the entry that has to go before it."""
        if change.kind is EntityKind.COLLISION_CASE:
            touched = [one.partition(":")[2] for one in change.facets if one.startswith("instrument:")]
            return any([await self._member(one, change.revision - 1) for one in touched]), None
        owner = change.entity_id if change.kind is EntityKind.INSTRUMENT else change.parent_id
        before = await self._member(owner, change.revision - 1)
        if before and change.kind is EntityKind.LISTING:
            return True, None
        found = await self._versions.held(owner, change.revision)
        now = found is not None and self._matches(*found)
        self._known[owner] = now
        if not now or before:
            return before, None
        if change.kind is EntityKind.INSTRUMENT and not change.before:
            return True, None
        assert found is not None
        return True, entry(*found)

    async def _member(self, instrument_id: str, revision: int) -> bool:
        known = self._known.get(instrument_id)
        if known is None:
            # After a whole snapshot what is not known is no member; after a resume token it has to be looked up.
            found = None if self._started_whole else await self._versions.held(instrument_id, revision)
            known = self._known[instrument_id] = found is not None and self._matches(*found)
        return known

    def _matches(self, held: Entity, listings: Sequence[Entity]) -> bool:
        query = self._query
        if not holds(frozenset(held.facets), query.facet_groups):
            return False
        if query.expires_from is not None and (held.expires_at is None or held.expires_at < query.expires_from):
            return False
        if query.expires_to is not None and (held.expires_at is None or held.expires_at >= query.expires_to):
            return False
        wanted = query.child_facet_groups
        return not wanted or any(holds(frozenset(one.facets), wanted) for one in listings)


def encode_change(change: Change) -> bytes:
    """An InstrumentChange from the stored bytes of the versions before and after."""
    parts = [number(1, change.revision), number(2, int(change.change)), chunk(_AFTER[change.kind], change.after)]
    if change.before:
        parts.append(chunk(_BEFORE[change.kind], change.before))
    parts += [text(9, change.actor), text(10, change.request_id)]
    parts.append(chunk(11, timestamp(change.commit_time)))
    return b"".join(parts)


def _of_this_registry(change: Change) -> bool:
    return change.kind in _KINDS


def _snapshot(event: SnapshotChunk) -> tuple[bytes, ...]:
    return tuple(grouped(SNAPSHOT, (entry(one, event.children.get(one.entity_id, ())) for one in event.entities)))


def _changes(delta: Delta) -> tuple[bytes, ...]:
    return tuple(grouped(CHANGES, map(encode_change, delta.changes)))


class _EncodedChanges:
    """The changes of a piece, each encoded when the first watch of its filter delivers it."""

    def __init__(self, delta: Delta) -> None:
        self._changes = delta.changes
        self._encoded: dict[int, bytes] = {}

    def __getitem__(self, at: int) -> bytes:
        if at not in self._encoded:
            self._encoded[at] = encode_change(self._changes[at])
        return self._encoded[at]
