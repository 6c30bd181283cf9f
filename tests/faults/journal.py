"""What a process sent or saw, written before it goes on: an entry is one system call, so that a SIGKILL leaves all but the last whole."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from alphapulse.records import LAYOUTS, Rows

_SIZES: Final = struct.Struct("<II")

Entry = dict[str, Any]
"""What was noted: `kind` and what belongs to it; `runs` of rows as [(event type, rows)]."""
Runs = list[tuple[int, Rows]]


class Journal:
    """Appends entries to a file; what a killed process left half written at its end is cut off."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        whole = Reading(path)
        for _ in whole.entries():
            pass
        os.ftruncate(self._file, whole.place)
        os.lseek(self._file, 0, os.SEEK_END)

    def write(self, kind: str, runs: Runs = (), **values: Any) -> None:  # type: ignore[assignment]
        """One entry."""
        head: dict[str, Any] = {"kind": kind, **values}
        body = b""
        if runs:
            head["runs"] = [(event_type, len(rows)) for event_type, rows in runs]
            body = b"".join(rows.tobytes() for _, rows in runs)
        text = json.dumps(head, separators=(",", ":")).encode()
        os.write(self._file, _SIZES.pack(len(text), len(body)) + text + body)

    def close(self) -> None:
        """Nothing more is written."""
        os.close(self._file)


class Reading:
    """Reads a journal, also one that still grows."""

    def __init__(self, path: Path) -> None:
        self.place = 0
        """Bytes read: where the next entry begins."""
        self._path = path

    def entries(self) -> Iterator[Entry]:
        """The whole entries behind the place, which moves on."""
        try:
            with self._path.open("rb") as file:
                file.seek(self.place)
                data = file.read()
        except FileNotFoundError:
            return
        at = 0
        while len(data) - at >= _SIZES.size:
            text, body = _SIZES.unpack_from(data, at)
            start = at + _SIZES.size
            if start + text + body > len(data):
                return
            entry: Entry = json.loads(data[start : start + text])
            entry["runs"] = list(_runs(entry.get("runs", ()), data, start + text))
            at = start + text + body
            self.place += _SIZES.size + text + body
            yield entry


def _runs(described: list[tuple[int, int]], data: bytes, at: int) -> Iterator[tuple[int, Rows]]:
    for event_type, count in described:
        layout = LAYOUTS[event_type]
        yield event_type, np.frombuffer(data, layout.dtype, count, at)
        at += count * layout.row_size
