"""JSON lines as blocks: entries of the API, or flat objects as others write them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import pyarrow as pa
from google.protobuf.json_format import ParseDict, ParseError

from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.violations import FieldViolation
from alphapulse.interchange.blocks import Block
from alphapulse.interchange.file_bytes import BLOCK_ROWS, FileBytes, refused

_LONGEST_LINE: Final = 16 << 20
_NOT_JSON: Final = (
    msgspec.DecodeError,
    UnicodeDecodeError,
    ParseError,
    ValueError,
    TypeError,
    AttributeError,
    RecursionError,
)


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
                    value = msgspec.json.decode(line)
                    if not isinstance(value, dict):
                        raise ParseError("not an object")
                    entry = ParseDict(value, service.InstrumentEntry())
                    entries.append(entry.SerializeToString())
                except _NOT_JSON as error:
                    shown = line.decode("utf-8", "replace")
                    broken[at] = [FieldViolation("record", shown, "json-format", str(error)[:500])]
                    entries.append(b"")
            yield Block({}, len(lines), range(first, first + len(lines)), lines, broken, entries)


class FlatJsonReader(_LineReader):
    """JSON lines of flat objects, as others write them: a key is a column, that of an inner object `outer.inner`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        # The digits of a number as they stand there: no float in between.
        self._decoder = msgspec.json.Decoder(float_hook=str)

    def blocks(self, skip: int = 0) -> Iterator[Block]:
        """The rows after the first `skip` ones. The columns are those of the block."""
        for first, lines, raw in self._chunks(skip):
            broken: dict[int, list[FieldViolation]] = {}
            rows: list[dict[str, str | None]] = []
            for at, line in enumerate(raw):
                try:
                    value = self._decoder.decode(line)
                    if not isinstance(value, dict):
                        raise ParseError("not an object")
                    rows.append(dict(_flat(value)))
                except _NOT_JSON as error:
                    shown = line.decode("utf-8", "replace")
                    broken[at] = [FieldViolation("record", shown, "json-format", str(error)[:500])]
                    rows.append({})
            names = dict.fromkeys(name for row in rows for name in row)
            yield Block(
                {name: [row.get(name) for row in rows] for name in names},
                len(lines),
                range(first, first + len(lines)),
                lines,
                broken,
            )


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
