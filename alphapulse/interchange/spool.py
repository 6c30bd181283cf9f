"""Entries put off, on disk: refused because they refer to something that is not registered yet, and may come later in the files."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from alphapulse.interchange.blocks import Entry

_HEAD: Final = struct.Struct("<IQI")


class Spool:
    """A file of (file number, line, entry). `offset` is what of an earlier run counts; the rest is cut off."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset
        self._file: Any = None

    def add(self, file: int, entry: Entry) -> None:
        """Appends an entry."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab")
        self.offset += self._file.write(_HEAD.pack(file, entry.line, len(entry.body)) + entry.body)

    def trim(self) -> None:
        """Cuts off what does not count."""
        if self.path.exists():
            with open(self.path, "r+b") as file:
                file.truncate(self.offset)

    def flush(self) -> None:
        """Hands what was added to the system."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Closes the file; it stays."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def entries(self, skip: int = 0) -> Iterator[tuple[int, Entry]]:
        """(file number, entry) of what was added, after the first `skip`; an entry's rows are its places in the spool."""
        if not self.offset:
            return
        with open(self.path, "rb") as source:
            place = 0
            while source.tell() < self.offset:
                file, line, length = _HEAD.unpack(source.read(_HEAD.size))
                body = source.read(length)
                if place >= skip:
                    yield file, Entry(place, place + 1, line, body)
                place += 1
