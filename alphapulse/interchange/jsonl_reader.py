"""JSON lines as blocks: entries of the API, or flat objects as others write them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import pyarrow as pa

from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.violations import FieldViolation
from alphapulse.interchange.blocks import Block
from alphapulse.interchange.file_bytes import BLOCK_ROWS, FileBytes, refused
from alphapulse.json_text import decoded, message_from

_LONGEST_LINE: Final = 16 << 20
_OF_THE_WHOLE: Final = frozenset({"json-syntax", "json-depth", "json-object", "json-type"})
"""Rules of `json_text` that a line breaks as a whole."""


class _LineReader:
    """A file of lines."""

    columns: Sequence[str] = ()
    rounded: frozenset[str] = frozenset()

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bytes = FileBytes(path)
        self._lines = io.BufferedReader(self._bytes.stream, 1 << 18)
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bytes.close()

    def fraction(self) -> float:
        """Of the bytes on disk."""
        return self._bytes.fraction()

    def _chunks(self, skip: int) -> Iterator[tuple[int, list[int], list[bytes]]]:
        """(row, line numbers, lines) of a block; empty lines are no rows."""
        row, lines, texts_ = 0, [], []
        try:
            while line := self._lines.readline(_LONGEST_LINE):
                self._number += 1
                if not line.strip():
                    continue
                row += 1
                if row <= skip:
                    continue
                lines.append(self._number)
                texts_.append(line)
                if len(lines) == BLOCK_ROWS:
                    yield row - len(lines), lines, texts_
                    lines, texts_ = [], []
        except (OSError, pa.ArrowException) as error:
            raise refused(self._path, "file", str(self._path), "file-read", str(error)) from error
        if lines:
            yield row - len(lines), lines, texts_


class JsonReader(_LineReader):
    """JSON lines of the API's InstrumentEntry."""

    def blocks(self, skip: int = 0) -> Iterator[Block]:
        """The rows after the first `skip` ones, as serialized entries."""
        for first, lines, raw in self._chunks(skip):
            broken: dict[int, list[FieldViolation]] = {}
            entries = []
            for at, line in enumerate(raw):
                try:
                    entry = message_from(decoded(line), service.InstrumentEntry)
                    entries.append(entry.SerializeToString())
                except InvalidArgument as error:
                    broken[at] = _told(error, line)
                    entries.append(b"")
            yield Block({}, len(lines), range(first, first + len(lines)), lines, broken, entries)


class FlatJsonReader(_LineReader):
    """JSON lines of flat objects, as others write them: a key is a column, that of an inner object `outer.inner`."""

    def blocks(self, skip: int = 0) -> Iterator[Block]:
        """The rows after the first `skip` ones. The columns are those of the block."""
        for first, lines, raw in self._chunks(skip):
            broken: dict[int, list[FieldViolation]] = {}
            rows: list[dict[str, str | None]] = []
            for at, line in enumerate(raw):
                try:
                    # The digits of a number as they stand there: no float in between.
                    rows.append(_row(decoded(line, number=str)))
                except InvalidArgument as error:
                    broken[at] = _told(error, line)
                    rows.append({})
            names = dict.fromkeys(name for row in rows for name in row)
            yield Block(
                {name: [row.get(name) for row in rows] for name in names},
                len(lines),
                range(first, first + len(lines)),
                lines,
                broken,
            )


def _told(error: InvalidArgument, line: bytes) -> list[FieldViolation]:
    """What is wrong with a line, by the paths of its fields; what is wrong with the whole of it shows it."""
    shown = line.decode("utf-8", "replace")
    return [
        FieldViolation("record", shown, "json-format", one.description.removeprefix("the request "))
        if one.field == "body" and one.rule in _OF_THE_WHOLE
        else one
        for one in error.violations
    ]


def _row(value: Any) -> dict[str, str | None]:
    """The cells of a line. Raises InvalidArgument for what is no object, and for one that names a column twice."""
    if not isinstance(value, dict):
        raise InvalidArgument.field("body", "", "json-object", "not an object")
    row: dict[str, str | None] = {}
    for name, one in _flat(value):
        if name in row:
            text = "two fields of the object give the column"
            raise InvalidArgument.field(name, one or "", "json-duplicate-field", text)
        row[name] = one
    return row


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str | None]]:
    for key, one in value.items():
        if isinstance(one, dict):
            yield from _flat(one, f"{prefix}{key}.")
        elif one is None or isinstance(one, str):
            yield prefix + key, one
        elif isinstance(one, bool):
            yield prefix + key, "true" if one else "false"
        elif isinstance(one, list):
            yield prefix + key, msgspec.json.encode(one).decode()
        else:
            yield prefix + key, str(one)
