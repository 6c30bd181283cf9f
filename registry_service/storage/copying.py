"""Rows of the bulk tables in Postgres's binary COPY format, made here rather than by the driver.

The driver asks of every element of every array what it is, and that was a quarter of what a registration cost. Here a row is one
join of ready pieces, and what is the same in many rows (facets, sources) is encoded once. The format: COPY in the manual of
Postgres, "Binary Format"; the types: their `*_recv` functions. Columns are those of `ENTITY`, `CHANGE` and `IDENTIFIER`, in that order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import Final

import numpy as np

from registry_service.storage.model import Change, Entity, IdentifierRow

ENTITY: Final = (
    *("kind", "entity_id", "revision_from", "revision_to", "body", "facets"),
    *("name", "parent_id", "sort_key", "expires_at"),
)
CHANGE: Final = (
    *("revision", "kind", "entity_id", "change", "after", "before", "facets"),
    *("parent_id", "cache_keys", "actor", "request_id", "commit_time"),
)
IDENTIFIER: Final = (
    *("scheme", "value", "venue", "level", "target_kind", "target_id", "instrument_id"),
    *("valid_from", "valid_to", "source", "recorded_revision", "closed_revision", "shared"),
)

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_TEXT_OID: Final = 25
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_LENGTH: Final = Struct(">i").pack
_SHORT: Final = tuple([_LENGTH(length) for length in range(256)])
"""The lengths that most texts have."""
_BIGINT: Final = Struct(">iq").pack
_ARRAY: Final = Struct(">iiiIii").pack
"""Length of the field, dimensions, whether it holds nulls, type of the elements, how many, the first's number."""
_ARRAY_HEAD: Final = 24
"""Bytes before the length of its first element."""
# The number of fields and the first of them; small integers stand together with the length of the text behind them.
_ENTITY_HEAD: Final = Struct(">hihi").pack
_CHANGE_HEAD: Final = Struct(">hiqihi").pack
_IDENTIFIER_HEAD: Final = Struct(">hihi").pack
_TWO_SMALL: Final = Struct(">ihih").pack
_SMALL: Final = Struct(">ihi").pack
_EMPTY: Final = _SHORT[0]
_OF_NO_PARENT: Final = _EMPTY + _BIGINT(8, 0) + _NULL
"""parent_id, sort_key and expires_at of most instruments."""
_UNSEEN: Final[tuple[str, ...]] = ("",)
_SHARED: Final = {False: b"\0\0\0\1\0", True: b"\0\0\0\1\1"}


def framed(rows: Sequence[bytes]) -> memoryview:
    """What COPY reads: rows of one table between its header and its trailer."""
    return memoryview(b"".join([_HEADER, *rows, _TRAILER]))


def entity_rows(rows: Iterable[tuple[Entity, int | None]]) -> bytes:
    """Of the table `entity`: versions, and the revision that replaced each."""
    parts: list[bytes] = []
    last, raw_facets = _UNSEEN, b""
    for entity, revision_to in rows:
        kind, entity_id, body, revision, facets, name, parent_id, sort_key, expires_at = entity
        if facets is not last:  # those of one shape are one tuple
            last, raw_facets = facets, _kept_array(facets)
        raw_id = entity_id.encode()
        parts += (
            _ENTITY_HEAD(len(ENTITY), 2, kind, len(raw_id)),
            raw_id,
            _BIGINT(8, revision),
            _NULL if revision_to is None else _BIGINT(8, revision_to),
            _LENGTH(len(body)),
            body,
            raw_facets,
            _text(name),
        )
        if parent_id or sort_key or expires_at is not None:
            parts += (_text(parent_id), _BIGINT(8, sort_key), _time(expires_at))
        else:
            parts.append(_OF_NO_PARENT)
    return b"".join(parts)


def change_rows(rows: Sequence[Change]) -> bytes:
    """Of the table `change_log`."""
    parts: list[bytes] = []
    keys = _arrays([row.cache_keys for row in rows])
    last, raw_facets = _UNSEEN, b""
    writer, raw_writer = ("", ""), b""
    for one, raw_keys in zip(rows, keys, strict=True):
        revision, kind, entity_id, change, after, before, facets, parent_id, _, actor, request_id, time = one
        if facets is not last:
            last, raw_facets = facets, _kept_array(facets)
        if (actor, request_id) != writer or not raw_writer:  # all of one request have the same
            writer, raw_writer = (actor, request_id), _text(actor) + _text(request_id)
        raw_id = entity_id.encode()
        parts += (
            _CHANGE_HEAD(len(CHANGE), 8, revision, 2, kind, len(raw_id)),
            raw_id,
            _SMALL(2, change, len(after)),
            after,
            _LENGTH(len(before)),
            before,
            raw_facets,
            _text(parent_id) if parent_id else _EMPTY,
            raw_keys,
            raw_writer,
            _time(time),
        )
    return b"".join(parts)


def identifier_rows(rows: Iterable[IdentifierRow]) -> bytes:
    """Of the table `identifier`."""
    parts: list[bytes] = []
    said: tuple[object, ...] = ()
    holder, raw_bearer, begin, middle, end = "", b"", b"", b"", b""
    revision = -1
    for row in rows:
        scheme, name, venue, level, kind, target_id, instrument_id, start, stop, source, recorded, closed, shared = row
        # The names of one instrument mostly differ in nothing else, and those of many in nothing but the holder.
        same = (level, kind, start, stop, source, closed, shared)
        if same != said:
            said, holder = same, ""
            begin, middle = _TWO_SMALL(2, level, 2, kind), _time(start) + _time(stop) + _kept_text(source)
            end = (_NULL if closed is None else _BIGINT(8, closed)) + _SHARED[shared]
        if target_id is not holder or recorded != revision or instrument_id is not target_id:
            holder, revision, raw_id = target_id, recorded, _text(target_id)
            raw_owner = raw_id if instrument_id is target_id else _text(instrument_id)
            raw_bearer = b"".join((begin, raw_id, raw_owner, middle, _BIGINT(8, recorded), end))
        value = name.encode()
        parts += (
            _IDENTIFIER_HEAD(len(IDENTIFIER), 2, scheme, len(value)),
            value,
            _kept_text(venue) if venue else _EMPTY,
            raw_bearer,
        )
    return b"".join(parts)


def _text(value: str) -> bytes:
    raw = value.encode()
    size = len(raw)
    return (_SHORT[size] if size < 256 else _LENGTH(size)) + raw


def _array(values: tuple[str, ...]) -> bytes:
    """Of type text[]; an empty one has no dimension."""
    if not values:
        return _LENGTH(12) + Struct(">iiI").pack(0, 0, _TEXT_OID)
    raw = [value.encode() for value in values]
    try:
        body = b"".join([_SHORT[len(one)] + one for one in raw])
    except IndexError:
        body = b"".join([_LENGTH(len(one)) + one for one in raw])
    return _ARRAY(20 + len(body), 1, 0, _TEXT_OID, len(values), 1) + body


def _arrays(rows: Sequence[tuple[str, ...]]) -> Sequence[bytes]:
    """Of type text[] each. Where the texts of each place are of one length, the arrays are a table whose columns are written at once."""
    if len(set(map(len, rows))) != 1 or not rows[0]:
        return list(map(_array, rows))
    columns = list(zip(*rows, strict=True))
    texts = ["".join(column) for column in columns]
    if any(len(set(map(len, column))) > 1 for column in columns) or not all(map(str.isascii, texts)):
        return list(map(_array, rows))
    first = _array(rows[0])
    table = np.tile(np.frombuffer(first, np.uint8), (len(rows), 1))
    at = _ARRAY_HEAD
    for text in texts:
        size = len(text) // len(rows)
        table[:, at + 4 : at + 4 + size] = np.frombuffer(text.encode(), np.uint8).reshape(len(rows), size)
        at += 4 + size
    raw, size = table.tobytes(), len(first)
    return [raw[at : at + size] for at in range(0, len(raw), size)]


@lru_cache(4096)
def _kept_array(values: tuple[str, ...]) -> bytes:
    return _array(values)


@lru_cache(4096)
def _kept_text(value: str) -> bytes:
    return _text(value)


@lru_cache(1024)
def _time(value: datetime | None) -> bytes:
    """Microseconds since the year 2000."""
    return _NULL if value is None else _BIGINT(8, (value - _EPOCH) // _MICROSECOND)
