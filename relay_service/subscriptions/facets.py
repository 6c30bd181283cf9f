"""What filters look at of each listing's definition, as numbers: a column of codes a facet, the values behind the codes beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Slots = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]


class Facets(NamedTuple):
    """Of one listing; empty where it has none."""

    isins: tuple[str, ...] = ()
    underlying: str = ""
    chain: str = ""
    sector: str = ""
    currency: str = ""
    symbol: str = ""


FACETS: Final = Facets._fields


class SlotView(Protocol):
    """Of `relay_service.core`'s slot table, what filters need."""

    @property
    def count(self) -> int:
        """Slots in use."""
        ...

    @property
    def table(self) -> Any:
        """A structured array with the fields key, known, venue, instrument, asset_class."""
        ...

    @property
    def venues(self) -> Any:
        """The codes behind `venue`, in its `texts`."""
        ...

    @property
    def instruments(self) -> Any:
        """The ids behind `instrument`, in its `texts`."""
        ...

    def slot_of(self, key: int) -> int:
        """The slot of a listing key, or -1."""


class Definitions(Protocol):
    """Of the replica of the registries, what filters need."""

    def listing(self, slot: int) -> Any | None:
        """The Listing, where the registries know one."""

    def instrument(self, slot: int) -> Any | None:
        """Its Instrument."""

    def synthetic(self, slot: int) -> Any | None:
        """The Synthetic, where the slot is one's."""


class _Column:
    """Codes by slot; code 0 is the facet's empty value."""

    def __init__(self, empty: Any) -> None:
        self.codes = np.zeros(1024, np.int32)
        self.values: list[Any] = [empty]
        self._code = {empty: 0}

    def put(self, slot: int, value: Any) -> None:
        code = self._code.get(value)
        if code is None:
            code = self._code[value] = len(self.values)
            self.values.append(value)
        self.codes[slot] = code

    def reserve(self, count: int) -> None:
        if count > self.codes.size:
            self.codes = np.concatenate(
                (self.codes, np.zeros(max(count, 2 * self.codes.size) - self.codes.size, np.int32))
            )


class FacetTable:
    """The facets of all slots, kept up to date from the first one on: read when a filter first asks, hundreds of thousands would be a standstill."""

    def __init__(
        self, slots: SlotView, definitions: Definitions, read: Callable[[Any | None, Any | None], Facets]
    ) -> None:
        self._slots = slots
        self._definitions = definitions
        self._read = read
        self._columns = {name: _Column(Facets._field_defaults[name]) for name in FACETS}
        self.refresh(np.arange(slots.count, dtype=np.int32))

    def column(self, name: str) -> tuple[npt.NDArray[np.int32], list[Any]]:
        """The codes by slot and the values behind them."""
        column = self._columns[name]
        column.reserve(self._slots.count)
        return column.codes, column.values

    def refresh(self, changed: Slots) -> None:
        """Read the definitions of these slots again."""
        for column in self._columns.values():
            column.reserve(self._slots.count)
        columns = tuple(self._columns.values())
        for slot in changed.tolist():
            found = self._read(self._definitions.listing(slot), self._definitions.instrument(slot))
            for column, value in zip(columns, found, strict=True):
                column.put(slot, value)
