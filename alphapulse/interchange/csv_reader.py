"""CSV as blocks. The csv module of Python reads it: it tells the line of every record, and goes on after a broken one."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import pyarrow as pa

from alphapulse.domain.violations import FieldViolation
from alphapulse.interchange.blocks import Block, Cells
from alphapulse.interchange.file_bytes import BLOCK_ROWS, FileBytes, refused, require_distinct

FIELD_LIMIT: Final = 1 << 20
"""Characters of a CSV cell; a quote that is never closed ends there."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written."""

    delimiter: str = ","
    quote: str = '"'
    encoding: str = "utf-8-sig"
    header: Sequence[str] = ()
    """Names of the columns of a file without a header line."""
    skip_lines: int = 0
    """Lines before the header."""


class CsvReader:
    """CSV with a header line, one record a row. Cells stay the texts they are: the zeros a CUSIP begins with count."""

    rounded: frozenset[str] = frozenset()

    def __init__(self, path: Path, dialect: Dialect) -> None:
        self._path = path
        self._dialect = dialect
        self._bytes = FileBytes(path)
        try:
            text = io.TextIOWrapper(self._bytes.stream, dialect.encoding, errors="surrogateescape", newline="")
        except LookupError:
            raise refused(path, "csv.encoding", dialect.encoding, "encoding-unknown", "no such encoding") from None
        self._text = text
        csv.field_size_limit(FIELD_LIMIT)
        for _ in range(dialect.skip_lines):
            text.readline()
        self._records = csv.reader(text, delimiter=dialect.delimiter, quotechar=dialect.quote, strict=True)
        self.columns: Sequence[str] = tuple(dialect.header) or self._header()
        require_distinct(path, self.columns)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._text.close()
        self._bytes.close()

    def fraction(self) -> float:
        """Of the bytes on disk."""
        return self._bytes.fraction()

    def blocks(self, skip: int = 0) -> Iterator[Block]:
        """The rows after the first `skip` ones."""
        row = 0
        rows: list[list[str]] = []
        lines: list[int] = []
        broken: dict[int, list[FieldViolation]] = {}
        for line, record, violation in self._numbered():
            row += 1
            if row <= skip:
                continue
            if violation is not None:
                broken[len(rows)] = [violation]
            rows.append(record)
            lines.append(line)
            if len(rows) == BLOCK_ROWS:
                yield self._block(rows, lines, broken, row)
                rows, lines, broken = [], [], {}
        if rows:
            yield self._block(rows, lines, broken, row)

    def _block(
        self, rows: list[list[str]], lines: list[int], broken: dict[int, list[FieldViolation]], end: int
    ) -> Block:
        columns: dict[str, Cells] = dict(zip(self.columns, zip(*rows, strict=True), strict=True))
        return Block(columns, len(rows), range(end - len(rows), end), lines, broken)

    def _numbered(self) -> Iterator[tuple[int, list[str], FieldViolation | None]]:
        """(line, cells, what is wrong with the record) of each record that is not an empty line."""
        width, skipped = len(self.columns), self._dialect.skip_lines
        empty = [""] * width
        before = self._records.line_num
        while True:
            try:
                for record in self._records:
                    line, before = before + 1 + skipped, self._records.line_num
                    if len(record) == width:
                        yield line, record, None
                    elif record:
                        shown = self._dialect.delimiter.join(record)
                        rule = f"the header has {width} columns, this record {len(record)}"
                        yield line, empty, FieldViolation("record", shown, "csv-columns", rule)
                return
            except csv.Error as error:
                line, before = before + 1 + skipped, self._records.line_num
                last = before + skipped
                taken = (
                    f"; lines {line} to {last} were taken for one record: is a quote not closed?" if last > line else ""
                )
                yield line, empty, FieldViolation("record", "", "csv-format", f"not a record of CSV: {error}{taken}")
            except (OSError, pa.ArrowException) as error:
                raise refused(self._path, "file", str(self._path), "file-read", str(error)) from error

    def _header(self) -> tuple[str, ...]:
        try:
            names = tuple(one.strip() for one in next(self._records, ()))
        except (csv.Error, OSError, pa.ArrowException) as error:
            raise refused(self._path, "header", "", "csv-format", str(error)) from error
        if not names:
            raise refused(self._path, "header", "", "required", "the file is empty; the first line names the columns")
        return names
