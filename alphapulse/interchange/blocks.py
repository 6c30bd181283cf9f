"""What readers hand on and encoders take: some rows of a file as columns of texts; and rows made into entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from alphapulse.domain.violations import FieldViolation

Cells = Sequence[str | None]


@dataclass(slots=True)
class Block:
    """Consecutive rows of a file."""

    columns: dict[str, Cells]
    """Cells by column; every sequence has `count` of them. None or an empty text: the cell is empty."""
    count: int
    rows: Sequence[int]
    """Number of each row in its file, from 0, the header not counted; they rise."""
    lines: Sequence[int]
    """Where each row begins in the file: its line, from 1; of Parquet its row, from 1."""
    broken: dict[int, list[FieldViolation]] = field(default_factory=dict)
    """Rows (by their place in the block) that could not be read, or not be mapped; nothing of them is sent."""
    entries: list[bytes] | None = None
    """Of files that hold entries instead of columns: the serialized InstrumentEntry of each row, empty for a broken one."""
    passed_over: Sequence[int] = ()
    """Numbers of the file's rows that a mapping left out of these."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One InstrumentEntry, made of one row or of several."""

    row: int
    """Number of its first row in the file."""
    next_row: int
    """Number of the first row that is no longer its own."""
    line: int
    body: bytes
    """The serialized InstrumentEntry; empty where `violations` say why there is none."""
    violations: Sequence[FieldViolation] = ()
    passed_over: int = 0
    """Rows up to `next_row` that a mapping left out, since the entry before."""

    @property
    def is_rest(self) -> bool:
        """Whether it is no entry at all, but the rows left out at the end of a file."""
        return self.line == 0
