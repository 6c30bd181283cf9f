"""A journal becomes Parquet: a file each event type and day, one of definitions, one of gaps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from alphapulse.domain.ids import source_id
from alphapulse.recording.columns import FOLDERS, SCHEMAS, encoding_of, table_of
from alphapulse.recording.folder import DAY_NS, DEFINITIONS, FORMAT, GAPS, JOURNAL_KEY, Folder
from alphapulse.recording.journal import read_journal
from alphapulse.recording.notes import JOURNAL_DAMAGED, NO_POINT, Defined, Missing, Note, Point, Sources, Started
from alphapulse.recording.tables import DEFINITION_COLUMNS, GAP_COLUMNS, definition_row, gap_row, table_of_records
from alphapulse.records import RecordLayout, Rows

GROUP_ROWS: Final = 1 << 16
"""Rows of a row group, at most."""
HELD_BYTES: Final = 64 << 20
"""Bytes of rows that wait for their row group, at most."""
_HELD_RECORDS: Final = 1 << 12


@dataclass(slots=True)
class Written:
    """What a journal held."""

    relay_id: str = ""
    """Empty: it was cut short before it said."""
    last_sequence: int = 0
    """Up to here the relay's events are recorded or declared missing."""
    point: Point = NO_POINT
    """Where the relay goes on after what it held."""
    wanted: str = ""
    """The subscription's filter as JSON of the API."""
    sources: list[str] = field(default_factory=list)
    """Names of sources that are known."""
    rows: int = 0
    gaps: int = 0
    definitions: int = 0
    files: list[Path] = field(default_factory=list)


def write_parts(folder: Folder, journal: Path, names: Iterable[str] = (), *, whole: bool) -> Written:
    """Write what a journal holds as Parquet; `whole` where its writer closed it. `names` are sources known from before. Done again after an
    interruption it writes the same files under the same names. Memory is bounded by HELD_BYTES and a row group a file."""
    # Names may come after the first rows of their source: the relay tells them with its heartbeats.
    sources = {source_id(name): name for name in names}
    for entry in read_journal(journal, whole=whole):
        if isinstance(entry.item, Sources):
            sources |= {source_id(name): name for name in entry.item.names}
    writing = _Writing(folder, journal.stem, sources)
    writing.written.sources = sorted(sources.values())
    try:
        for entry in read_journal(journal, whole=whole):
            if isinstance(entry.item, tuple):
                writing.rows(*entry.item)
            else:
                writing.note(entry.item, entry.time_ns)
        return writing.finish()
    except BaseException:
        writing.abandon()
        raise


class _Writing:
    """The files of one journal."""

    def __init__(self, folder: Folder, journal: str, sources: Mapping[int, str]) -> None:
        self._folder = folder
        self._journal = journal
        self._sources = sources
        self.written = Written()
        self._metadata: dict[bytes, bytes] = {}
        self._events: dict[tuple[int, int], _Events] = {}
        self._records: dict[tuple[str, int], _Records] = {}
        self._done: list[_File] = []
        self._made = 0
        self._held = 0

    def note(self, note: Note, time_ns: int) -> None:
        """Take a note."""
        written = self.written
        match note:
            case Started():
                written.relay_id = note.relay_id
                written.last_sequence = note.after_sequence
                written.wanted = note.wanted
                self._metadata = {
                    b"alphapulse.recording": str(FORMAT).encode(),
                    JOURNAL_KEY: self._journal.encode(),
                    b"alphapulse.relay_id": note.relay_id.encode(),
                    b"alphapulse.filter": note.wanted.encode(),
                }
            case Missing():
                if note.reason == JOURNAL_DAMAGED:
                    after = written.last_sequence
                    note = Missing(JOURNAL_DAMAGED, after_relay_id=written.relay_id, after_sequence=after)
                written.point = written.point.missing(note)
                written.gaps += 1
                self._record(GAPS, GAP_COLUMNS, gap_row(written.relay_id, note, time_ns))
            case Defined():
                written.definitions += 1
                row = definition_row(written.relay_id, note.definition, time_ns)
                self._record(DEFINITIONS, DEFINITION_COLUMNS, row)
            case Point():
                written.point = note
            case Sources():
                pass  # read before

    def rows(self, layout: RecordLayout, rows: Rows) -> None:
        """Take rows of one type, in order."""
        if not len(rows):
            return
        self.written.rows += len(rows)
        last = int(rows["sequence"].max())
        self.written.last_sequence = max(self.written.last_sequence, last)
        self.written.point = self.written.point.rows(len(rows), last)
        days = rows["relay_in_ns"] // DAY_NS
        for day in np.unique(days).tolist():
            mine = rows[days == day]
            for run in np.split(mine, np.flatnonzero(mine["sequence"][1:] <= mine["sequence"][:-1]) + 1):
                self._add(layout, day, run)
        if self._held > HELD_BYTES:
            for file in self._events.values():
                self._held -= file.flush(self._sources)

    def _add(self, layout: RecordLayout, day: int, run: Rows) -> None:
        """Rows that rise by their sequence. Those of a file do, so that readers can merge files; what does not go on begins another."""
        key = layout.event_type, day
        file = self._events.get(key)
        first = int(run[0]["sequence"])
        if file is not None and first <= file.last_sequence:
            self._close(self._events.pop(key))
            file = None
        if file is None:
            name = FOLDERS[layout.event_type]
            metadata = {**self._metadata, b"alphapulse.event_type": name.encode()}
            file = self._events[key] = _Events(layout, self._new(name), metadata, day, first)
        self._held += file.add(run)
        if file.held_rows >= GROUP_ROWS:
            self._held -= file.flush(self._sources, full=True)

    def _record(self, kind: str, columns: Any, row: dict[str, Any]) -> None:
        day = row["recorded_ns"] // DAY_NS
        file = self._records.get((kind, day))
        if file is None:
            described = columns.with_metadata(self._metadata)
            file = self._records[kind, day] = _Records(kind, self._new(kind), described, day, int(self._journal))
        file.add(row)

    def _new(self, kind: str) -> Path:
        self._made += 1
        return self._folder.unfinished / f"{kind}-{self._made}"

    def _close(self, file: _File) -> None:
        if isinstance(file, _Events):
            self._held -= file.flush(self._sources)
        file.close()
        self._done.append(file)

    def finish(self) -> Written:
        """Close every file and give it its name."""
        for events in self._events.values():
            self._close(events)
        for records in self._records.values():
            self._close(records)
        taken: set[Path] = set()
        for file in self._done:
            relay_id = self.written.relay_id
            target = self._folder.free_name(file.kind, file.day, relay_id, file.number, self._journal, taken)
            self._folder.publish(file.path, target)
            taken.add(target)
        self.written.files = sorted(taken)
        return self.written

    def abandon(self) -> None:
        """Let go of the files that are open."""
        for file in (*self._events.values(), *self._records.values()):
            file.writer.close()


class _File:
    """A file of Parquet that is being written."""

    def __init__(self, kind: str, path: Path, schema: Any, day: int, number: int, **how: Any) -> None:
        self.kind = kind
        self.path = path
        self.day = day
        self.number = number
        """What its name ends with."""
        self.writer: Any = pq.ParquetWriter(str(path), schema, **how)

    def close(self) -> None:
        """Write the end of it."""
        self.writer.close()


class _Events(_File):
    """Rows of one type and day."""

    def __init__(self, layout: RecordLayout, path: Path, metadata: Mapping[bytes, bytes], day: int, first: int) -> None:
        schema = SCHEMAS[layout.event_type].with_metadata(metadata)
        super().__init__(FOLDERS[layout.event_type], path, schema, day, first, **encoding_of(layout))
        self.last_sequence = -1
        self.held_rows = 0
        self._layout = layout
        self._held: list[Rows] = []

    def add(self, rows: Rows) -> int:
        """Hold rows for the next row group; their bytes."""
        self._held.append(rows)
        self.held_rows += len(rows)
        self.last_sequence = int(rows[-1]["sequence"])
        return int(rows.nbytes)

    def flush(self, sources: Mapping[int, str], full: bool = False) -> int:
        """Write what is held, or as much of it as makes full row groups; the bytes that are no longer held."""
        if not self._held:
            return 0
        rows = np.concatenate(self._held)
        count = len(rows) - len(rows) % GROUP_ROWS if full else len(rows)
        self._held, self.held_rows = [rows[count:].copy()], len(rows) - count
        self.writer.write_table(table_of(self._layout, rows[:count], sources), row_group_size=GROUP_ROWS)
        return count * self._layout.row_size


class _Records(_File):
    """Gaps or definitions of one day."""

    def __init__(self, kind: str, path: Path, schema: Any, day: int, number: int) -> None:
        super().__init__(kind, path, schema, day, number, compression="zstd")
        self._schema = schema
        self._held: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        """Take one."""
        self._held.append(row)
        if len(self._held) >= _HELD_RECORDS:
            self._flush()

    def _flush(self) -> None:
        self.writer.write_table(table_of_records(self._held, self._schema))
        self._held = []

    def close(self) -> None:
        """Write what is held and the end of it."""
        if self._held:
            self._flush()
        super().close()
