"""Watch responses of venues and synthetics as bytes, put together from what is stored serialized: no message is built.

Both have one layout. A response: snapshot = 1, bookmark = 2, changes = 3, each of which repeats its items as field 1. A change: revision = 1,
kind = 2, the entry = 3, the entry before = 4, actor = 5, request id = 6, commit time = 7. A test holds that the API has it so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from registry_service.framing import chunk, number, text
from registry_service.storage.model import Change
from registry_service.watch.model import Delta, Mark, SnapshotChunk, WatchEvent

MESSAGE_BYTES: Final = 1 << 20
"""About the size at which a message is sent and the next begun."""
SNAPSHOT, BOOKMARK, CHANGES = 1, 2, 3
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def messages(event: WatchEvent) -> tuple[bytes, ...]:
    """The responses of a piece; encoded once for all its watchers."""
    match event:
        case SnapshotChunk():
            return event.encoded(_snapshot)
        case Mark():
            return event.encoded(bookmark)
        case Delta():
            return event.encoded(_changes)


def bookmark(mark: Mark) -> tuple[bytes, ...]:
    """The response of a mark: revision = 1, resume token = 2, snapshot complete = 3."""
    parts = (number(1, mark.revision), text(2, mark.resume_token), number(3, int(mark.snapshot_complete)))
    return (chunk(BOOKMARK, b"".join(parts)),)


def grouped(outer: int, items: Iterable[bytes]) -> Iterator[bytes]:
    """Messages with one field `outer` that repeats the items as its field 1, about MESSAGE_BYTES each."""
    parts: list[bytes] = []
    size = 0
    for one in items:
        parts.append(chunk(1, one))
        size += len(one)
        if size >= MESSAGE_BYTES:
            yield chunk(outer, b"".join(parts))
            parts, size = [], 0
    if parts:
        yield chunk(outer, b"".join(parts))


def timestamp(time: datetime) -> bytes:
    """A google.protobuf.Timestamp of an aware datetime, to the microsecond."""
    since = time - _EPOCH
    seconds = since.days * 86_400 + since.seconds
    return number(1, seconds % 2**64) + number(2, since.microseconds * 1000)


def _snapshot(event: SnapshotChunk) -> tuple[bytes, ...]:
    return tuple(grouped(SNAPSHOT, (one.body for one in event.entities)))


def _changes(delta: Delta) -> tuple[bytes, ...]:
    return tuple(grouped(CHANGES, map(_change, delta.changes)))


def _change(row: Change) -> bytes:
    parts = [number(1, row.revision), number(2, int(row.change)), chunk(3, row.after)]
    if row.before:
        parts.append(chunk(4, row.before))
    parts += [text(5, row.actor), text(6, row.request_id), chunk(7, timestamp(row.commit_time))]
    return b"".join(parts)
