"""The fields of predicates at some slots: each is gathered once, whatever the number of predicates that ask for it there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from alphapulse.domain.decimal import EXPONENT_MIN
from alphapulse.domain.predicate import CATALOGUE, Subject
from relay_service.subscriptions.columns import NONE, Table
from relay_service.subscriptions.facets import FEES, FacetTable, Mask, Slots, SlotView

_FEW: Final = 4096
"""Slots whose gathered fields are kept for the next predicate: those of a change. Those of a whole table would be megabytes a field."""
_SLOT_WORDS: Final = {"status": "listing_status", "asset_class": "asset_class"}
"""Words that the slot table holds itself."""
_SLOT_NAMES: Final = {"venue": ("venue", "venues"), "instrument_id": ("instrument", "instruments")}
"""Texts that the slot table numbers itself: the column, and the names behind its numbers."""
_FACETS: Final = {"underlying_id": "underlying", "base_id": "base", "quote_id": "quote", "settlement_id": "settlement"}
"""Fields whose facet has another name."""


class Numbers(NamedTuple):
    """Exact decimals, one a slot."""

    mantissas: npt.NDArray[Any]
    at: npt.NDArray[Any]
    """Their exponents, less EXPONENT_MIN."""
    known: Mask
    """False where the number is missing."""


class Codes(NamedTuple):
    """Texts as codes, one a slot; 0 where the text is missing."""

    codes: npt.NDArray[Any]
    code_of: Callable[[str], int]
    """The code of a text; 0 where no definition has it."""


class Gathered:
    """The fields at these slots as they were when each was first asked for."""

    def __init__(self, slots: Slots, view: SlotView, facets: FacetTable) -> None:
        self.slots = slots
        self._view = view
        self._facets = facets
        self._numbers: dict[str, Numbers] = {}
        self._words: dict[str, npt.NDArray[Any]] = {}
        self._codes: dict[str, Codes] = {}

    def numbers(self, name: str) -> Numbers:
        """A NUMBER or TIME."""
        found = self._numbers.get(name)
        if found is None:
            mantissas, exponents = _decimals(self._facets.listings, name, self.slots)
            if name in FEES:  # a listing's own, else its venue's
                lacking = exponents == NONE
                of_venue = _decimals(self._facets.venues, name, self._venue_numbers)
                mantissas = np.where(lacking, of_venue[0], mantissas)
                exponents = np.where(lacking, of_venue[1], exponents)
            found = self._numbers[name] = Numbers(mantissas, exponents - EXPONENT_MIN, exponents != NONE)
        return found

    def words(self, name: str) -> npt.NDArray[Any]:
        """A WORD or FLAG; 0 where it is missing."""
        found = self._words.get(name)
        if found is None:
            if name in _SLOT_WORDS:
                found = self._view.table[_SLOT_WORDS[name]][self.slots]
            elif CATALOGUE[name].subject is Subject.VENUE:
                found = self._facets.venues.packed[name][self._venue_numbers]
            else:
                found = self._facets.listings.packed[name][self.slots]
            self._words[name] = found
        return found

    def codes(self, name: str) -> Codes:
        """A TEXT or ID."""
        found = self._codes.get(name)
        if found is None:
            found = self._codes[name] = self._read_codes(name)
        return found

    def _read_codes(self, name: str) -> Codes:
        if name in _SLOT_NAMES:
            column, names = _SLOT_NAMES[name]
            find = getattr(self._view, names).find
            return Codes(self._view.table[column][self.slots] + 1, lambda text: find(text) + 1)
        if CATALOGUE[name].subject is Subject.VENUE:
            held, at = self._facets.venues.columns[name], self._venue_numbers
        else:
            held, at = self._facets.listings.columns[_FACETS.get(name, name)], self.slots
        codes = held.code_of
        return Codes(held.codes[at], lambda text: codes.get(text, 0))

    @property
    def _venue_numbers(self) -> npt.NDArray[Any]:
        numbers: npt.NDArray[Any] = self._view.table["venue"][self.slots]
        return numbers


class Gatherer:
    """Gathers for all predicates of a relay: those asked about the same few slots in turn share what was gathered."""

    def __init__(self, view: SlotView, facets: FacetTable) -> None:
        self._view = view
        self._facets = facets
        self._last: Gathered | None = None
        self._version = -1

    def at(self, slots: Slots) -> Gathered:
        """The fields at these slots. Shared while the array is the very same and no definition was read since."""
        last = self._last
        if last is not None and last.slots is slots and self._version == self._facets.version:
            return last
        made = Gathered(slots, self._view, self._facets)
        self._last = made if slots.size <= _FEW else None
        self._version = self._facets.version
        return made


def _decimals(table: Table, name: str, at: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """(mantissas, exponents)."""
    packed = table.packed
    return packed[name][at], packed[f"{name}_exponent"][at]
