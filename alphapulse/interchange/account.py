"""What became of the rows of an import: counts, and the files for rows that were refused."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

from alphapulse.domain.violations import FieldViolation

REJECTS_HEADER: Final = ("file", "line", "column", "value", "rule", "description")
SHOWN_ROWS: Final = 1_000
"""Rows told in a report one by one; the counts count all."""


@dataclass(slots=True)
class Counts:
    """Entries by what became of them."""

    created: int = 0
    """New."""
    extended: int = 0
    """Registered before; identifiers, listings or empty fields were added, or its listing's rules were changed by their own source."""
    changed: int = 0
    """Told by a dry run alone: extended, and a value of a listing becomes another one."""
    unchanged: int = 0
    """All of it was there, with these values."""
    differing: int = 0
    """All of it was there, and the row holds another value than the registry, which keeps its own."""
    conflicts: int = 0
    """A collision case was opened, or was open already; nothing was overwritten."""
    refused: int = 0
    """Not taken; the rejects file says why."""

    @property
    def total(self) -> int:
        """Entries decided."""
        return sum(asdict(self).values())

    @classmethod
    def of(cls, values: dict[str, Any]) -> Counts:
        """From their JSON."""
        return cls(**{one.name: int(values.get(one.name, 0)) for one in fields(cls)})


@dataclass(frozen=True, slots=True)
class Row:
    """One entry worth telling."""

    file: str
    line: int
    outcome: str
    """The name of a field of Counts."""
    name: str
    instrument_id: str = ""
    case_id: str = ""
    details: Sequence[str] = ()
    """What is added, changed, kept or wrong, in words."""


@dataclass(slots=True)
class Report:
    """What an import did, or a dry run would do."""

    dry_run: bool = False
    complete: bool = False
    """Whether every row was decided; an interrupted import goes on where it stopped."""
    counts: Counts = field(default_factory=Counts)
    rows: list[Row] = field(default_factory=list)
    """At most SHOWN_ROWS: conflicts, refused and differing ones, and in a dry run all that changes something."""
    passed_over: int = 0
    """Rows of files that a mapping's `where` left out."""
    notes: list[str] = field(default_factory=list)
    """What concerns whole files, such as columns that were ignored."""
    rejects: str = ""
    """Path of the file with the refused rows; empty where there is none."""
    revision_token: str = ""
    """Names a revision that holds all that was written."""

    def tell(self, row: Row) -> None:
        """Adds a row, up to the bound; half of the room is for conflicts and refused rows alone."""
        room = SHOWN_ROWS if row.outcome in ("conflicts", "refused") else SHOWN_ROWS // 2
        if len(self.rows) < room:
            self.rows.append(row)


class Rejects:
    """The CSV file of refused rows: a line for each violation. It is made when the first row is refused.

    `offset` is what of an earlier, interrupted run counts; the rest of the file is cut off."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self._offset = offset
        self._file: Any = None

    def __enter__(self) -> Self:
        if self._offset == 0:
            self.path.unlink(missing_ok=True)
        elif self.path.exists():
            with open(self.path, "r+b") as file:
                file.truncate(self._offset)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def offset(self) -> int:
        """Bytes written so far."""
        return self._offset

    def add(self, file: str, line: int, violations: Iterable[FieldViolation]) -> None:
        """Writes the violations of one entry."""
        if self._file is None:
            self._open()
        writer = csv.writer(self._file)
        writer.writerows((file, line, one.field, one.value, one.rule, one.description) for one in violations)

    def flush(self) -> None:
        """Hands what was written to the system; `offset` counts it then."""
        if self._file is not None:
            self._file.flush()
            self._offset = self._file.buffer.tell()

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a+", newline="", encoding="utf-8", errors="backslashreplace")
        if self._offset == 0:
            csv.writer(self._file).writerow(REJECTS_HEADER)
