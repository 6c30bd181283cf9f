"""Files of the native layout: CSV, Parquet, JSON lines; each appears whole or not at all.

Every column is a text, in Parquet too: decimals and times keep all of their digits, identifiers the zeros they begin with.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Protocol, Self

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.interchange.file_bytes import COMPRESSION
from alphapulse.interchange.layout import ENTRY_KEY, names
from alphapulse.interchange.rows import bare_entry, rows_of

COLUMNS: Final = tuple(name for name in names() if name != ENTRY_KEY)
_GROUP_ROWS: Final = 50_000


class Writer(Protocol):
    """Writes entries to a stream of bytes."""

    def write(self, entries: Iterable[service.InstrumentEntry]) -> None:
        """Appends."""
        ...

    def finish(self) -> None:
        """Ends the file; the stream stays open."""
        ...


class CsvWriter:
    """A header and a row a listing."""

    def __init__(self, stream: Any) -> None:
        self._text = io.TextIOWrapper(stream, "utf-8", newline="", write_through=True)
        self._rows = csv.DictWriter(self._text, COLUMNS, restval="", lineterminator="\n")
        self._rows.writeheader()

    def write(self, entries: Iterable[service.InstrumentEntry]) -> None:
        """Appends."""
        for entry in entries:
            self._rows.writerows(rows_of(entry))

    def finish(self) -> None:
        """Ends the file."""
        self._text.flush()
        self._text.detach()


class ParquetWriter:
    """Row groups of 50,000 rows, compressed."""

    def __init__(self, stream: Any) -> None:
        self._schema = pa.schema([(name, pa.string()) for name in COLUMNS])
        self._file = pq.ParquetWriter(stream, self._schema, compression="zstd")
        self._rows: list[dict[str, str]] = []

    def write(self, entries: Iterable[service.InstrumentEntry]) -> None:
        """Appends."""
        for entry in entries:
            self._rows += rows_of(entry)
        if len(self._rows) >= _GROUP_ROWS:
            self._flush()

    def finish(self) -> None:
        """Ends the file."""
        if self._rows:
            self._flush()
        self._file.close()

    def _flush(self) -> None:
        columns = [pa.array([row.get(name) for row in self._rows], pa.string()) for name in COLUMNS]
        self._file.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._rows = []


class JsonWriter:
    """An InstrumentEntry a line, in the JSON of the API."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, entries: Iterable[service.InstrumentEntry]) -> None:
        """Appends."""
        self._stream.write(b"".join([msgspec.json.encode(bare_entry(one)) + b"\n" for one in entries]))

    def finish(self) -> None:
        """Nothing is held back."""


_WRITERS: Final[dict[str, type[CsvWriter | ParquetWriter | JsonWriter]]] = {
    "csv": CsvWriter,
    "parquet": ParquetWriter,
    "jsonl": JsonWriter,
}


def writer_for(file_format: str, stream: Any) -> Writer:
    """csv, parquet or jsonl."""
    return _WRITERS[file_format](stream)


class WholeFile:
    """A file that takes its name when it is complete; a context manager. An error leaves what was there before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._beside = path.with_name(f".{path.name}.{os.getpid()}")
        self.stream: Any = None

    def __enter__(self) -> Self:
        self._raw = pa.OSFile(str(self._beside), "wb")
        compression = COMPRESSION.get(self.path.suffix.lower())
        self.stream = self._raw if compression is None else pa.CompressedOutputStream(self._raw, compression)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.stream.close()
            self._raw.close()
            if kind is None:
                os.replace(self._beside, self.path)
        finally:
            self._beside.unlink(missing_ok=True)
