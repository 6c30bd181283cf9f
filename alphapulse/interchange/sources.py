"""What can be imported: anything that gives entries in an order of its own, the same each time it is read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

import grpc

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.violations import FieldViolation
from alphapulse.interchange.blocks import Entry
from alphapulse.interchange.csv_reader import Dialect
from alphapulse.interchange.encoding import EntryEncoder
from alphapulse.interchange.layout import Kind, kind_of, known, names
from alphapulse.interchange.mapping import Mapping
from alphapulse.interchange.readers import Reader, format_of, open_reader


class OpenSource(Protocol):
    """A source while it is read; a context manager."""

    @property
    def notes(self) -> Sequence[str]:
        """What concerns the whole of it, such as columns that are passed over."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def entries(self, skip: int = 0) -> Iterator[Entry]:
        """The entries that begin after the first `skip` rows; `skip` is the `next_row` of one that was given before."""
        ...

    def fraction(self) -> float:
        """How much of it has been read, 0 to 1."""
        ...

    def column(self, name: str) -> str:
        """What the source calls a column of the native layout."""
        ...


class EntrySource(Protocol):
    """Something to import."""

    @property
    def name(self) -> str:
        """For reports and rejects."""
        ...

    @property
    def files(self) -> Sequence[Path]:
        """The files it is read from."""
        ...

    def open(self) -> OpenSource:
        """Opens it. InvalidArgument says why it cannot be read, all reasons at once."""
        ...


@runtime_checkable
class Prepared(Protocol):
    """A source that asks the registry before it can give entries."""

    async def prepare(self, channel: grpc.aio.Channel) -> None:
        """Called once, before it is opened."""
        ...


def provenance(source: str, licence: str) -> str:
    """Where rows come from, and under which terms, in the one text the registry keeps with each of them."""
    return f"{source} [{licence}]" if licence else source


@dataclass(frozen=True, slots=True)
class FileSource:
    """A CSV, Parquet or JSON lines file, in the native layout or through a mapping."""

    path: Path
    mapping: Mapping | None = None
    file_format: str = ""
    """csv, parquet or jsonl; empty: by the file's name."""
    source: str = ""
    """Of rows that state none. Empty: the mapping's; without one the file's name, unless the file has a `source` column."""
    licence: str = ""

    @property
    def name(self) -> str:
        """Its path, as it was given."""
        return str(self.path)

    @property
    def files(self) -> Sequence[Path]:
        """The one."""
        return (self.path,)

    def open(self) -> OpenSource:
        """Opens it and checks its columns."""
        mapping = self.mapping
        dialect: Dialect | None = mapping.dialect if mapping is not None else None
        reader = open_reader(self.path, self.file_format, dialect, flat=mapping is not None)
        try:
            return OpenFile(self, reader)
        except BaseException:
            reader.__exit__()
            raise

    def stated(self, columns: Sequence[str]) -> str:
        """The source of rows that state none."""
        given = self.source or (self.mapping.source if self.mapping is not None else "")
        if not given and ("source" in columns or self._holds_entries()):
            return ""
        licence = self.licence or (self.mapping.licence if self.mapping is not None else "")
        return provenance(given or self.path.name, licence)

    def _holds_entries(self) -> bool:
        return self.mapping is None and (self.file_format or format_of(self.path)) == "jsonl"


@dataclass(slots=True)
class OpenFile:
    """A file being read."""

    of: FileSource
    reader: Reader
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        mapping = self.of.mapping
        columns = self.reader.columns
        if mapping is not None:
            self.notes += mapping.check(columns, self.reader.rounded, self.of.path)
        elif columns:
            _check_native(columns, self.reader.rounded, self.of.path)

    def __enter__(self) -> Self:
        self.reader.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.__exit__()

    def entries(self, skip: int = 0) -> Iterator[Entry]:
        """The entries after the first `skip` rows."""
        mapping = self.of.mapping
        columns = tuple(self.reader.columns) if mapping is None else mapping.produces
        encoder = EntryEncoder(columns, self.of.stated(columns))
        left_out: deque[int] = deque()
        for block in self.reader.blocks(skip):
            native = block if mapping is None else mapping.apply(block)
            left_out += native.passed_over
            yield from (_counted(one, left_out) for one in encoder.entries(native))
        yield from (_counted(one, left_out) for one in encoder.rest())
        if left_out:
            yield Entry(left_out[0], left_out[-1] + 1, 0, b"", passed_over=len(left_out))

    def fraction(self) -> float:
        """Of the file."""
        return self.reader.fraction()

    def column(self, name: str) -> str:
        """By the mapping."""
        return name if self.of.mapping is None else self.of.mapping.foreign(name)


def _counted(entry: Entry, left_out: deque[int]) -> Entry:
    """The entry with the rows that were left out before its end, which are taken from `left_out`."""
    count = 0
    while left_out and left_out[0] < entry.next_row:
        left_out.popleft()
        count += 1
    return replace(entry, passed_over=count) if count else entry


def _check_native(columns: Sequence[str], rounded: frozenset[str], path: Path) -> None:
    found = []
    for name in columns:
        if not known(name):
            close = get_close_matches(name.lower(), names(), 1)
            hint = f"; {close[0]} is one" if close else ""
            rule = f"{path}: not a column of the native layout{hint}. A mapping names foreign columns, and those to pass over"
            found.append(FieldViolation("column", name, "column-unknown", rule))
        elif name in rounded and kind_of(name) is Kind.DECIMAL:
            rule = f"{path}: binary floating point is no exact decimal: write it as text or decimal, or let a mapping say `floats: shortest`"
            found.append(FieldViolation("column", name, "column-float", rule))
    if found:
        raise InvalidArgument.of(found)
