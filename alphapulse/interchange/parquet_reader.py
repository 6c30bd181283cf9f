"""Parquet as blocks. Numbers and times become their exact texts; what is binary floating point has none, and says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from alphapulse.interchange.blocks import Block, Cells
from alphapulse.interchange.file_bytes import BLOCK_ROWS, refused, require_distinct

_EPOCH: Final = datetime(1970, 1, 1)


class ParquetReader:
    """Parquet, a few rows of a row group at a time. Numbers and times become their exact texts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = pq.ParquetFile(path, pre_buffer=False, memory_map=False)
        except (OSError, pa.ArrowException) as error:
            raise refused(path, "file", str(path), "parquet-format", str(error)) from error
        schema = self._file.schema_arrow
        self.columns: Sequence[str] = tuple(schema.names)
        self.rounded = frozenset(one.name for one in schema if pa.types.is_floating(_value_type(one.type)))
        self._total = max(self._file.metadata.num_rows, 1)
        self._done = 0
        require_distinct(path, self.columns)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def fraction(self) -> float:
        """Of the rows."""
        return float(self._done / self._total)

    def blocks(self, skip: int = 0) -> Iterator[Block]:
        """The rows after the first `skip` ones; row groups before them are not read."""
        first, groups = 0, list(range(self._file.num_row_groups))
        while groups and first + (rows := self._file.metadata.row_group(groups[0]).num_rows) <= skip:
            first += rows
            groups.pop(0)
        self._done = first
        batches = self._file.iter_batches(BLOCK_ROWS, row_groups=groups, use_threads=False) if groups else ()
        try:
            for batch in batches:
                before, self._done = self._done, self._done + batch.num_rows
                if self._done <= skip:
                    continue
                if before < skip:
                    batch = batch.slice(skip - before)
                yield _block_of(batch, self._done - batch.num_rows)
        except (OSError, pa.ArrowException) as error:
            raise refused(self._path, "file", str(self._path), "parquet-format", str(error)) from error


def _block_of(batch: pa.RecordBatch, first: int) -> Block:
    columns = {name: texts(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    end = first + batch.num_rows
    return Block(columns, batch.num_rows, range(first, end), range(first + 1, end + 1))


def texts(column: pa.Array) -> Cells:
    """The texts of a column's cells. Times are ISO 8601, UTC where the column has a zone; nested values JSON."""
    kind = _value_type(column.type)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        found: list[str | None] = column.to_pylist()
        return found
    if pa.types.is_null(kind):
        return [None] * len(column)
    if pa.types.is_timestamp(kind):
        return _times(column)
    if pa.types.is_nested(kind):
        return [None if one is None else msgspec.json.encode(one).decode() for one in column.to_pylist()]
    if pa.types.is_decimal(kind):
        return [None if one is None else str(one) for one in column.to_pylist()]
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return [None if one is None else one.decode("utf-8", "surrogateescape") for one in column.to_pylist()]
    cast: list[str | None] = pc.cast(column, pa.string()).to_pylist()
    return cast


def _times(column: pa.Array) -> Cells:
    zone = column.type.tz
    nanos = (
        pc.cast(column, pa.timestamp("ns", zone)).cast(pa.int64())
        if column.type.unit != "ns"
        else column.cast(pa.int64())
    )
    suffix = "Z" if zone else ""
    found: list[str | None] = []
    for one in nanos.to_pylist():
        if one is None:
            found.append(None)
            continue
        seconds, rest = divmod(one, 1_000_000_000)
        text = (_EPOCH + timedelta(seconds=seconds)).isoformat()
        found.append(f"{text}.{rest:09d}{suffix}" if rest else f"{text}{suffix}")
    return found


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
