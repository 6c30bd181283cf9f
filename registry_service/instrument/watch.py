"""WatchInstruments: snapshot, bookmarks and changes as bytes, put together from what is stored serialized.

Without a filter every change is delivered. With one, a watch knows which instruments belong to it: an instrument that
begins to match later (a first listing on a venue, a corrected sector) is sent whole, as a part of a snapshot, before the
change that let it in; one that ceases to match is sent a last time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, Final

from registry_service.instrument.convert import common, service, stamp
from registry_service.instrument.facets import filter_query, holds
from registry_service.instrument.framing import chunk, entry, number, text
from registry_service.instrument.lookup import parsed
from registry_service.resources import RegistryResources
from registry_service.storage.model import Change, Entity, EntityKind, Query, Store
from registry_service.watch.model import Delta, Mark, SnapshotChunk, WatchSpec

_KINDS: Final = frozenset({EntityKind.INSTRUMENT, EntityKind.LISTING, EntityKind.COLLISION_CASE})
_AFTER: Final = {EntityKind.INSTRUMENT: 3, EntityKind.LISTING: 4, EntityKind.COLLISION_CASE: 5}
_BEFORE: Final = {EntityKind.INSTRUMENT: 6, EntityKind.LISTING: 7, EntityKind.COLLISION_CASE: 8}
_MESSAGE_BYTES: Final = 1 << 20
"""About the size at which a message is sent and the next begun."""


class Watches:
    """Serves WatchInstruments."""

    def __init__(self, resources: RegistryResources) -> None:
        self._resources = resources

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
            matches=lambda change: change.kind in _KINDS,
        )
        started_whole = not request.resume_token and not request.skip_snapshot
        members = Members(self._resources.store, query, started_whole) if filter_bytes else None
        events = self._resources.hub.watch(spec, resume_token=request.resume_token, skip_snapshot=request.skip_snapshot)
        async for event in events:
            match event:
                case SnapshotChunk():
                    if members is not None:
                        members.seen(event.entities)
                    for message in _snapshot(event):
                        yield message
                case Mark():
                    yield _bookmark(event)
                case Delta() if members is None:
                    for message in _grouped(3, 1, map(encode_change, event.changes)):
                        yield message
                case Delta():
                    async for message in members.delivered(event.changes):
                        yield message


class Members:
    """The instruments that belong to a filtered watch."""

    def __init__(self, store: Store, query: Query, started_whole: bool) -> None:
        self._store = store
        self._query = query
        self._started_whole = started_whole
        self._known: dict[str, bool] = {}

    def seen(self, entities: Sequence[Entity]) -> None:
        """These are in the snapshot."""
        self._known.update(dict.fromkeys([one.entity_id for one in entities], True))

    async def delivered(self, changes: Sequence[Change]) -> AsyncIterator[bytes]:
        """The messages of those changes that belong to the watch."""
        waiting: list[bytes] = []
        for change in changes:
            belongs, joined = await self._judge(change)
            if joined is not None:
                for message in _grouped(3, 1, waiting):
                    yield message
                waiting = []
                yield chunk(1, chunk(1, joined))
            if belongs:
                waiting.append(encode_change(change))
        for message in _grouped(3, 1, waiting):
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
        found = await self._entry(owner, change.revision)
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
            found = None if self._started_whole else await self._entry(instrument_id, revision)
            known = self._known[instrument_id] = found is not None and self._matches(*found)
        return known

    async def _entry(self, instrument_id: str, revision: int) -> tuple[Entity, Sequence[Entity]] | None:
        held = (await self._store.get(EntityKind.INSTRUMENT, [instrument_id], revision)).get(instrument_id)
        if held is None:
            return None
        return held, (await self._store.children(EntityKind.LISTING, [instrument_id], revision)).get(instrument_id, ())

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
    parts.append(chunk(11, stamp(change.commit_time).SerializeToString()))
    return b"".join(parts)


def _snapshot(event: SnapshotChunk) -> Iterator[bytes]:
    whole = event.encoded(lambda one: b"".join(_entries(one)))
    if len(whole) <= _MESSAGE_BYTES:
        yield chunk(1, whole)
        return
    yield from _grouped(1, 1, (entry(one, event.children.get(one.entity_id, ())) for one in event.entities))


def _entries(event: SnapshotChunk) -> Iterator[bytes]:
    for one in event.entities:
        yield chunk(1, entry(one, event.children.get(one.entity_id, ())))


def _grouped(outer: int, inner: int, items: Iterable[bytes]) -> Iterator[bytes]:
    """Messages with one field `outer` that repeats `inner`, about _MESSAGE_BYTES each."""
    parts: list[bytes] = []
    size = 0
    for one in items:
        parts.append(chunk(inner, one))
        size += len(one)
        if size >= _MESSAGE_BYTES:
            yield chunk(outer, b"".join(parts))
            parts, size = [], 0
    if parts:
        yield chunk(outer, b"".join(parts))


def _bookmark(mark: Mark) -> bytes:
    bookmark = common.Bookmark(
        revision=mark.revision, resume_token=mark.resume_token, snapshot_complete=mark.snapshot_complete
    )
    return chunk(2, bookmark.SerializeToString())
