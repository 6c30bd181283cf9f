"""Files read in blocks of rows: CSV, Parquet and JSON lines, larger than memory as well, plain or compressed (.gz, .bz2, .zst, .lz4).

    with open_reader(Path("instruments.csv")) as reader:
        for block in reader.blocks(skip=0): ...

A record that cannot be read is a broken row, with its line and the rule; the file goes on after it. A file that cannot be read
at all raises InvalidArgument, which names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol, Self

from alphapulse.domain.errors import InvalidArgument
from alphapulse.interchange.blocks import Block
from alphapulse.interchange.csv_reader import CsvReader, Dialect
from alphapulse.interchange.file_bytes import COMPRESSION
from alphapulse.interchange.jsonl_reader import FlatJsonReader, JsonReader
from alphapulse.interchange.parquet_reader import ParquetReader

__all__ = ["Dialect", "Reader", "format_of", "open_reader"]

FORMATS: Final = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


class Reader(Protocol):
    """A file as blocks."""

    columns: Sequence[str]
    """Names of its columns; none for a file of entries."""
    rounded: frozenset[str]
    """Columns of binary floating point numbers, which are exact in no decimal."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def blocks(self, skip: int = 0) -> Iterator[Block]:
        """The rows after the first `skip` ones."""
        ...

    def fraction(self) -> float:
        """How much of the file has been read, 0 to 1."""
        ...


def format_of(path: Path) -> str:
    """csv, parquet or jsonl, by the name of the file. InvalidArgument for another one."""
    suffixes = [one.lower() for one in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSION:
        suffixes.pop()
    found = FORMATS.get(suffixes[-1]) if suffixes else None
    if found is None:
        known = ", ".join(FORMATS)
        raise InvalidArgument.field(
            "file", str(path), "file-format", f"the name ends with one of {known}; or state the format"
        )
    return found


def open_reader(path: Path, file_format: str = "", dialect: Dialect | None = None, *, flat: bool = False) -> Reader:
    """The reader of a file. `flat`: objects of JSON lines are rows of columns, not entries of the API."""
    kind = file_format or format_of(path)
    if not path.is_file():
        raise InvalidArgument.field(
            "file", str(path), "file-missing", "there is no such file" if not path.exists() else "it is no file"
        )
    if kind == "parquet":
        return ParquetReader(path)
    if kind == "jsonl":
        return FlatJsonReader(path) if flat else JsonReader(path)
    if dialect is None and ".tsv" in path.suffixes:
        dialect = Dialect(delimiter="\t")
    return CsvReader(path, dialect or Dialect())
