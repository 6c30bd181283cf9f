"""A book that is told row by row: put one in at a place, change the one there, take it out. Rows are of market makers, so several may have one
price; what is handed on are prices with the sum of what stands there.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from alphapulse.domain.errors import InvalidArgument
from collector_service.amounts import Amount, price_key
from collector_service.book import LevelChange

Row = tuple[Amount, Amount]
"""(price, size)."""
ROWS: Final = 10
"""Rows a side that are asked for."""
_NOTHING: Final[Amount] = (0, 0)


class Operation(IntEnum):
    """What is done to a row; numbers are those of the wire."""

    INSERT = 0
    UPDATE = 1
    DELETE = 2


class OutOfStepError(Exception):
    """A row was named that cannot be there: something was missed."""


class Depth:
    """Both sides of one instrument. At first they are filled from their beginning on: until something else happens, or `settle` is called, that is
    the first image of the book, and no change of it."""

    def __init__(self, rows: int = ROWS) -> None:
        self.filling = True
        self.broken = False
        """Something was missed: what is told from now on fits nothing, until it begins anew."""
        self._rows = rows
        self._sides: dict[int, list[Row]] = {}

    def clear(self) -> None:
        """Empty, and to be filled anew."""
        self.filling, self.broken = True, False
        self._sides.clear()

    def apply(self, side: int, operation: int, position: int, row: Row) -> list[LevelChange] | None:
        """The change of the levels; None as long as the first image is being told. Raises OutOfStepError, and InvalidArgument for an operation
        that is none."""
        if self.broken:
            raise OutOfStepError("it has to begin anew")
        held = self._sides.setdefault(side, [])
        before = list(held)
        if operation == Operation.INSERT:
            appended = position == len(held)
            if position > len(held):
                raise OutOfStepError(f"row {position} of {len(held)}")
            held.insert(position, row)
            del held[self._rows :]
            if self.filling and appended:
                return None
        elif operation == Operation.UPDATE:
            if position >= len(held):
                raise OutOfStepError(f"row {position} of {len(held)}")
            held[position] = row
        elif operation == Operation.DELETE:
            if position < len(held):
                del held[position]
            elif position < self._rows:
                raise OutOfStepError(f"row {position} of {len(held)}")
        else:
            raise InvalidArgument.field("operation", str(operation), "operation", "0 inserts, 1 updates, 2 deletes")
        return _changes(side, before, held)

    def levels(self) -> list[LevelChange]:
        """The whole book."""
        return [change for side, rows in self._sides.items() for change in _changes(side, [], rows)]


def _changes(side: int, before: list[Row], after: list[Row]) -> list[LevelChange]:
    old, new = _summed(before), _summed(after)
    gone: list[LevelChange] = [(side, price, _NOTHING) for key, (price, _) in old.items() if key not in new]
    return gone + [(side, *level) for key, level in new.items() if old.get(key) != level]


def _summed(rows: list[Row]) -> dict[int, Row]:
    found: dict[int, Row] = {}
    for price, size in rows:
        if size[0]:
            key = price_key(price)
            found[key] = (price, _sum(found[key][1], size)) if key in found else (price, size)
    return found


def _sum(one: Amount, two: Amount) -> Amount:
    exponent = min(one[1], two[1])
    return sum(mantissa * 10 ** (power - exponent) for mantissa, power in (one, two)), exponent
