"""A recording back as rows: the bytes that were received, merged over types, days and files in the order of their sequence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from alphapulse.domain.errors import InvalidArgument
from alphapulse.recording.columns import FOLDERS, STORED, rows_of
from alphapulse.recording.folder import DAY_NS, DEFINITIONS, GAPS, Folder, Part
from alphapulse.recording.notes import Missing
from alphapulse.records import LAYOUTS, RecordLayout, Rows

_BATCH_ROWS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class RecordedGap:
    """What a recording says it lacks."""

    recorded_ns: int
    """The recorder's time, nanoseconds since the Unix epoch."""
    relay_id: str
    """The life of the relay whose stream told it."""
    missing: Missing


@dataclass(frozen=True, slots=True)
class RecordedDefinition:
    """What a listing was."""

    recorded_ns: int
    """The recorder's time, nanoseconds since the Unix epoch."""
    relay_id: str
    listing_key: int
    definition_version: int
    definition: bytes
    """A serialized alphapulse.api.relay.v1.ListingDefinition."""


def read_rows(
    folder: Path, event_types: Iterable[int] = (), *, start_ns: int | None = None, end_ns: int | None = None
) -> Iterator[tuple[RecordLayout, Rows]]:
    """The recorded rows as runs of one type, in the order of the relay's sequence; lives of the relay one after the other.

    `event_types` are numbers of EventType (none: all). `start_ns` (included) and `end_ns` (not included) bound the relay's time
    (relay_in_ns). Files are opened as they are reached, so memory holds a batch of rows a type. Raises InvalidArgument where there is no such
    folder, an unknown type is asked for, or a file is no part of a recording.
    """
    if not folder.is_dir():
        raise InvalidArgument.field("folder", str(folder), "recording-folder", "there is no such folder")
    wanted = sorted(set(event_types)) or sorted(LAYOUTS)
    unknown = [number for number in wanted if number not in LAYOUTS]
    if unknown:
        shown = ", ".join(map(str, unknown))
        raise InvalidArgument.field("event_types", shown, "event-type", f"one of {', '.join(map(str, LAYOUTS))}")
    first_day = None if start_ns is None else start_ns // DAY_NS
    last_day = None if end_ns is None else (end_ns - 1) // DAY_NS
    parts = [
        _Stream(LAYOUTS[number], part)
        for number in wanted
        for part in Folder(folder).parts(FOLDERS[number], first_day, last_day)
    ]
    for layout, rows in _in_order(parts):
        kept = rows
        if start_ns is not None:
            kept = kept[kept["relay_in_ns"] >= start_ns]
        if end_ns is not None:
            kept = kept[kept["relay_in_ns"] < end_ns]
        if len(kept):
            yield layout, kept


def read_gaps(folder: Path) -> list[RecordedGap]:
    """What is missing, in the order it was told."""
    return [
        RecordedGap(row.pop("recorded_ns"), row.pop("relay_id"), Missing(**row))
        for row in _records(Folder(folder), GAPS)
    ]


def read_definitions(folder: Path) -> Iterator[RecordedDefinition]:
    """What listings were, in the order it was told: each again whenever it changed and whenever a recorder connected."""
    for row in _records(Folder(folder), DEFINITIONS):
        yield RecordedDefinition(**{name: row[name] for name in RecordedDefinition.__slots__})


def _records(folder: Folder, kind: str) -> Iterator[dict[str, Any]]:
    # A day's files are in the order of the journals they were made of, if they are of one relay; across relays the names are not.
    for path in sorted(folder.files(kind), key=lambda one: (one.parent.name, one.stem.rpartition("-")[2], one.name)):
        for batch in _open(path).iter_batches():
            yield from batch.to_pylist()


def _open(path: Path) -> Any:
    try:
        return pq.ParquetFile(path, pre_buffer=False, memory_map=False)
    except (OSError, pa.ArrowException) as error:
        raise InvalidArgument.field("folder", str(path), "parquet-format", str(error)) from error


class _Stream:
    """The rows of a file, a batch at a time."""

    def __init__(self, layout: RecordLayout, part: Part) -> None:
        self.layout = layout
        self.part = part
        self.rows = layout.new(0)
        """What of the present batch is not given out."""
        self._batches: Iterator[Any] | None = None
        self._file: Any = None

    def fill(self) -> bool:
        """Hold rows; False at the end of the file."""
        if self._batches is None:
            self._file = _open(self.part.path)
            held = frozenset(self._file.schema_arrow.names)
            columns = [one for one in STORED[self.layout.event_type].values() if one in held]
            self._batches = self._file.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False)
        while not len(self.rows):
            batch = next(self._batches, None)
            if batch is None:
                self._file.close()
                return False
            self.rows = rows_of(self.layout, batch)
        return True

    @property
    def last_sequence(self) -> int:
        """Of the rows held."""
        return int(self.rows[-1]["sequence"])

    def take(self, up_to: int) -> Rows:
        """The rows held up to a sequence."""
        count = int(np.searchsorted(self.rows["sequence"], np.uint64(up_to), side="right"))
        taken, self.rows = self.rows[:count], self.rows[count:]
        return taken


def _in_order(streams: list[_Stream]) -> Iterator[tuple[RecordLayout, Rows]]:
    """Each life of a relay for itself, by its start."""
    lives: dict[tuple[int, str], list[_Stream]] = {}
    for stream in streams:
        lives.setdefault(stream.part.order[:2], []).append(stream)
    for _, mine in sorted(lives.items()):
        yield from _merged(sorted(mine, key=lambda one: (one.part.first_sequence, one.part.again)))


def _merged(waiting: list[_Stream]) -> Iterator[tuple[RecordLayout, Rows]]:
    """Files in the order of their first sequences, merged. Up to the lowest of the last sequences held nothing can come in between any more, unless a
    file that is not open yet begins before it: that one is opened first."""
    waiting = waiting[::-1]
    open_streams: list[_Stream] = []
    while True:
        open_streams = [one for one in open_streams if one.fill()]
        if not open_streams and not waiting:
            return
        bound = min((one.last_sequence for one in open_streams), default=None)
        if waiting and (bound is None or waiting[-1].part.first_sequence <= bound):
            open_streams.append(waiting.pop())
            continue
        assert bound is not None  # nothing waits and nothing is open: that was the end
        yield from _interleaved([(one.layout, one.take(bound)) for one in open_streams])


def _interleaved(parts: list[tuple[RecordLayout, Rows]]) -> Iterator[tuple[RecordLayout, Rows]]:
    """Rows that rise by sequence in each part, as runs that rise across the parts."""
    parts = [(layout, rows) for layout, rows in parts if len(rows)]
    if len(parts) == 1:
        yield parts[0]
        return
    sequences = np.concatenate([rows["sequence"] for _, rows in parts])
    owners = np.repeat(np.arange(len(parts)), [len(rows) for _, rows in parts])
    order = owners[np.argsort(sequences, kind="stable")]
    ends = np.append(np.flatnonzero(order[1:] != order[:-1]) + 1, len(order))
    places = [0] * len(parts)
    begin = 0
    for end in ends.tolist():
        owner = int(order[begin])
        layout, rows = parts[owner]
        first = places[owner]
        places[owner] = first + end - begin
        yield layout, rows[first : places[owner]]
        begin = end
