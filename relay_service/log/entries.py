"""The bytes of an entry of the log: a header by which it is found, and records.

An entry's id in the stream is `<incarnation>-<sequence of its first event>`; a START has sequence 0, an END the sequence after the last event. All
numbers are little-endian.

    header   version u8, kind u8, reserved u16, records u32, last sequence u64, high before i64, high i64, offset u64; from version 2 on: the time of
             writing i64
    record   kind u8 (an event type, or 200 GAP, 201 HOLE, 202 INPUT), form u8, length of the name u16, count u32, size u32, relay_in_ns i64,
             first sequence u64; then of form 1 the frame; then the name and `size` bytes: rows, or JSON
    frame    the source's number of its first row u64, rows u32, missing before u64, duplicates u32, given flags u32, place u32, refused u32; then the
             place of each refused row u32

The name is that of a source, of an INPUT its kind and its own name with a zero byte between. Version 1 has no frames and no INPUT.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, Final

from alphapulse.records import LAYOUTS
from relay_service.log.records import LoggedGap, LoggedHole, LoggedInput, LoggedRows, Record
from relay_service.results import Frame, SourceGapRecord

VERSION: Final = 2
MAX_ENTRY_BYTES: Final = 128 << 10
"""Rows of one entry, about: what is read at once from the log."""
ENTRY_COST: Final = 96
"""Bytes an entry takes in Redis beside its own, about."""
_HEADER: Final = struct.Struct("<BBHIQqqQ")
_WRITTEN: Final = struct.Struct("<q")
_HEADER_SIZES: Final = {1: _HEADER.size, 2: _HEADER.size + _WRITTEN.size}
"""By version."""
_RECORD: Final = struct.Struct("<BBHIIqQ")
_FRAME: Final = struct.Struct("<QIQIIII")
_FRAMED: Final = 1
_GAP: Final = 200
_HOLE: Final = 201
_INPUT: Final = 202
_MASK: Final = (1 << 64) - 1


class EntryKind(IntEnum):
    """What an entry is there for."""

    EVENTS = 0
    START = 1
    """A life of the relay begins."""
    END = 2
    """It ended, and everything before was logged."""


_KINDS: Final = {int(kind): kind for kind in EntryKind}


class EntryUnreadableError(ValueError):
    """The bytes are no entry of this version; what it held is missing to whoever reads the log."""


class Entry:
    """One entry. The header is read at once, records when they are asked for."""

    __slots__ = (
        *(
            "_begin",
            "_count",
            "_data",
            "first",
            "high",
            "high_before",
            "incarnation",
            "kind",
            "last",
            "offset",
            "readable",
        ),
        "written_ns",
    )

    def __init__(self, incarnation: int, first: int, data: bytes) -> None:
        self.incarnation = incarnation
        self.first = first
        self._data = data
        self._begin = _HEADER_SIZES.get(data[0], 0) if data else 0
        self.readable = 0 < self._begin <= len(data)
        fields = _HEADER.unpack_from(data) if self.readable else (VERSION, 0, 0, 0, first, 0, 0, 0)
        self.written_ns = _WRITTEN.unpack_from(data, _HEADER.size)[0] if self.readable and data[0] > 1 else 0
        """When it was written, nanoseconds since the Unix epoch; 0: of version 1, which does not say."""
        _, kind, _, self._count, self.last, self.high_before, self.high, self.offset = fields
        self.kind = _KINDS.get(kind, EntryKind.EVENTS)

    @property
    def number(self) -> int:
        """Its id as one number."""
        return self.incarnation << 64 | self.first

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self._data)

    def records(self) -> Iterator[Record]:
        """What it holds. Raises EntryUnreadableError, also in the middle, where the rest cannot be read."""
        if not self.readable:
            raise EntryUnreadableError(f"entry {entry_id(self.number)} is of another version, or none of the relay's")
        data, at = self._data, self._begin
        try:
            for _ in range(self._count):
                kind, form, name_size, count, size, now_ns, first = _RECORD.unpack_from(data, at)
                at += _RECORD.size
                frame, place, at = _frame(data, at) if form == _FRAMED else (None, 0, at)
                name, body = data[at : at + name_size], data[at + name_size : at + name_size + size]
                at += name_size + size
                if at > len(data):
                    raise EntryUnreadableError(f"entry {entry_id(self.number)} is cut off")
                found = _decoded(kind, name.decode(), count, body, now_ns, first)
                yield found._replace(frame=frame, place=place) if frame and isinstance(found, LoggedRows) else found
            if at != len(data):
                raise EntryUnreadableError(f"entry {entry_id(self.number)} holds more than its {self._count} records")
        except (struct.error, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
            raise EntryUnreadableError(f"entry {entry_id(self.number)} cannot be read: {error}") from error


def entry_id(number: int) -> str:
    """The id in the stream of an entry's number."""
    return f"{number >> 64}-{number & _MASK}"


def encode_entry(
    kind: EntryKind, records: Sequence[Record], last: int, high_before: int, high: int, offset: int
) -> bytes:
    """The bytes of an entry.

    `last` is the sequence of the last event up to its end; `high_before` and `high` are the latest relay_in_ns in the log before it and up to its
    end; `offset` is how many bytes were ever logged up to its end. All three only rise through the log, so it can be searched by each.
    """
    parts = [
        _HEADER.pack(VERSION, kind, 0, len(records), last, high_before, high, offset),
        _WRITTEN.pack(time.time_ns()),
    ]
    for record in records:
        if isinstance(record, LoggedRows):
            parts += _encoded_rows(record)
            continue
        if isinstance(record, LoggedInput):
            name = f"{record.what}\0{record.name}".encode()
            head = _RECORD.pack(_INPUT, 0, len(name), 0, len(record.data), record.now_ns, record.first)
            parts += (head, name, record.data)
            continue
        if isinstance(record, LoggedGap):
            code, body, first = _GAP, json.dumps([record.number, *record.record]).encode(), record.last + 1
        else:
            code, body, first = _HOLE, json.dumps(list(record)).encode(), record.first
        parts += (_RECORD.pack(code, 0, 0, 0, len(body), 0, first), body)
    return b"".join(parts)


def _encoded_rows(record: LoggedRows) -> Sequence[bytes]:
    name, frame = record.source.encode(), record.frame
    head = (len(name), record.events, len(record.data), record.now_ns, record.first)
    if frame is None:
        return _RECORD.pack(record.event_type, 0, *head), name, record.data
    refused = frame.refused
    noted = _FRAME.pack(*frame[:-1], record.place, len(refused)) + struct.pack(f"<{len(refused)}I", *refused)
    return _RECORD.pack(record.event_type, _FRAMED, *head), noted, name, record.data


def _frame(data: bytes, at: int) -> tuple[Frame, int, int]:
    """(frame, place of the record's first row, where the record goes on)."""
    first, rows, missing, duplicates, given, place, count = _FRAME.unpack_from(data, at)
    at += _FRAME.size
    refused = struct.unpack_from(f"<{count}I", data, at)
    return Frame(first, rows, missing, duplicates, given, refused), place, at + 4 * count


def _decoded(kind: int, source: str, count: int, body: bytes, now_ns: int, first: int) -> Record:
    if kind == _GAP:
        number, *fields = _listed(body)
        return LoggedGap(number, SourceGapRecord(*fields))
    if kind == _HOLE:
        return LoggedHole(*_listed(body))
    if kind == _INPUT:
        what, _, name = source.partition("\0")
        return LoggedInput(first, what, name, body, now_ns)
    layout = LAYOUTS.get(kind)
    if layout is None or len(body) != count * layout.row_size:
        raise EntryUnreadableError(f"{count} rows of type {kind} in {len(body)} bytes are not of this relay's layout")
    return LoggedRows(first, count, kind, body, source, now_ns)


def _listed(body: bytes) -> list[Any]:
    found: list[Any] = json.loads(body)
    return found


def pieces(record: LoggedRows, max_bytes: int) -> Iterator[LoggedRows]:
    """The rows in pieces of at most so many bytes, but of one row at least."""
    if len(record.data) <= max_bytes:
        yield record
        return
    size = len(record.data) // record.events
    step = max(max_bytes // size, 1)
    for start in range(0, record.events, step):
        count = min(step, record.events - start)
        data = record.data[start * size : (start + count) * size]
        place = record.place + start
        yield record._replace(first=record.first + start, events=count, data=data, place=place)
