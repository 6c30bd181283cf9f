"""The journal: what was received, written at once, until it is in Parquet.

Parquet cannot be read before its end is written, so a recorder that died would lose everything since it began a file. A journal is a run of
the frames that the Unix sockets speak (`alphapulse.records.framing`), rows and notes in the order they came, each under its checksum: up
to where it was cut short it can be read whatever happened. What the process wrote survives its death; the machine's, what was synced.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from alphapulse.domain.errors import FailedPrecondition
from alphapulse.recording.notes import JOURNAL_DAMAGED, Missing, Note, Started, decode_note, encode_note
from alphapulse.records import (
    LAYOUTS,
    MAX_PAYLOAD,
    FrameDecoder,
    FrameFault,
    RecordLayout,
    RecordLayoutError,
    Rows,
    encode_frame,
    row_sizes,
)

NOTE: Final = 224
"""The frame type of notes; the sockets use 1-18 and 240-249."""
_BLOCK: Final = 1 << 20


class Entry(NamedTuple):
    """A piece of a journal."""

    time_ns: int
    """When it was received, nanoseconds since the Unix epoch."""
    item: Note | tuple[RecordLayout, Rows]


class Journal:
    """A journal that is being written. Errors are the operating system's: a full disk ends the recorder."""

    def __init__(self, path: Path) -> None:
        """Makes the file; one that is there already is an error."""
        self.path = path
        self.size = 0
        """Bytes written."""
        self._synced = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def note(self, note: Note, time_ns: int) -> None:
        """Write a note."""
        self._write(encode_frame(NOTE, encode_note(note), time_ns=time_ns))

    def rows(self, layout: RecordLayout, rows: Rows, time_ns: int) -> None:
        """Write rows."""
        most = MAX_PAYLOAD // layout.row_size
        for first in range(0, len(rows), most):
            self._write(encode_frame(layout.event_type, rows[first : first + most], time_ns=time_ns))

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            written = os.write(self._file, left)
            self.size += written
            left = left[written:]

    def sync(self) -> None:
        """Have the disk hold what is written."""
        if self._synced != self.size:
            size = self.size
            os.fdatasync(self._file)
            self._synced = size

    def close(self) -> None:
        """End it, synced."""
        try:
            os.fsync(self._file)
        finally:
            os.close(self._file)


def read_journal(path: Path, *, whole: bool = True) -> Iterator[Entry]:
    """What a journal holds, in order, up to where it ends. Bytes that are not what was written are a `Missing` in their place; so is an end inside a
    frame, unless the journal's writer died over it (not `whole`). Raises FailedPrecondition where rows are of another layout."""
    decoder = FrameDecoder()
    last_ns = 0
    with open(path, "rb", buffering=0) as file:
        while data := file.read(_BLOCK):
            for frame in decoder.feed(data):
                if isinstance(frame, FrameFault):
                    yield Entry(last_ns, Missing(JOURNAL_DAMAGED))
                    if frame.fatal:
                        return
                    continue
                last_ns = frame.time_ns
                payload = bytes(frame.payload)
                try:
                    if frame.type == NOTE:
                        note = decode_note(payload)
                        if isinstance(note, Started):
                            _require_layouts(path, note)
                        yield Entry(frame.time_ns, note)
                    elif frame.type in LAYOUTS:
                        layout = LAYOUTS[frame.type]
                        yield Entry(frame.time_ns, (layout, layout.from_bytes(payload)))
                except (msgspec.MsgspecError, RecordLayoutError):
                    yield Entry(frame.time_ns, Missing(JOURNAL_DAMAGED))
    if whole and decoder.finish() is not None:
        yield Entry(last_ns, Missing(JOURNAL_DAMAGED))


def _require_layouts(path: Path, started: Started) -> None:
    own = row_sizes()
    other = sorted(kind for kind, size in started.row_sizes.items() if own.get(kind) != size)
    if other:
        raise FailedPrecondition(
            f"{path}: was written with rows of another layout (event types {', '.join(map(str, other))})",
            hint="run the recorder once in the version that wrote it, then this one",
        )
