"""All filters of all subscribers as one table of bits: a batch goes through once, whatever the number of filters that do not want it.

Equal filters share one bit, so that a thousand subscribers of one filter cost one selection and one copy of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from alphapulse.domain.domains import domain_of
from relay_service.results import RowGroup
from relay_service.subscriptions.compiled import CompiledFilter
from relay_service.subscriptions.facets import Slots
from relay_service.subscriptions.hits import NO_HITS, Divider, FilterClass, Hits, Places
from relay_service.subscriptions.matches import BITS, MANY_NEAR, MatchTable, bit
from relay_service.subscriptions.wanted import Filter

_MOST_ALONE: Final = 4096
"""Combinations of filters that are remembered of one type and source."""


class _Allowed(NamedTuple):
    """Of one type and source: the classes that may want such events."""

    bits: npt.NDArray[np.uint64]
    words: list[int]
    """The same as numbers; none where no class does."""
    alone: dict[int, Hits]
    """What `select` gives for a single row, by the word beside its listing's bits."""


class FilterIndex:
    """`acquire` and `release` filters, tell `definitions_changed` and `venues_changed`, and `select` for each group."""

    def __init__(self, compile_filter: Callable[[Filter], CompiledFilter], slot_count: Callable[[], int]) -> None:
        self._compile = compile_filter
        self._slot_count = slot_count
        self._classes: dict[Filter, FilterClass] = {}
        self._by_number: list[FilterClass | None] = []
        self._table = MatchTable()
        self._evaluated = 0
        self._allowed: dict[tuple[int, str], _Allowed] = {}
        """By type and source; begun anew with each class that comes or goes."""
        self._divider = Divider()
        self._divider.resize(BITS)

    def __iter__(self) -> Iterator[FilterClass]:
        return iter(self._classes.values())

    def acquire(self, wanted: Filter) -> FilterClass:
        """The class of a filter, compiled when it is the first of its kind."""
        found = self._classes.get(wanted)
        if found is not None:
            return found
        self._evaluate_new()
        number = next((k for k, held in enumerate(self._by_number) if held is None), len(self._by_number))
        if number == len(self._by_number):
            self._by_number.append(None)
            self._widen(number // BITS + 1)
        made = FilterClass(number, self._compile(wanted))
        self._by_number[number] = self._classes[wanted] = made
        self._allowed.clear()
        if made.compiled.takes_unslotted:
            self._table.set(number, np.zeros(1, np.int32), True)
        self._write(made, np.arange(self._evaluated, dtype=np.int32))
        return made

    def release(self, held: FilterClass) -> None:
        """Forget a class without members."""
        if held.members or held.replaying or self._classes.get(held.wanted) is not held:
            return
        del self._classes[held.wanted]
        self._by_number[held.number] = None
        self._table.clear(held.number)
        self._allowed.clear()

    def definitions_changed(self, slots: Slots) -> None:
        """Evaluate all filters again for these slots; and for all slots where a synthetic's components changed."""
        self._evaluate_new()
        everything = np.arange(self._evaluated, dtype=np.int32)
        for held in self._classes.values():
            self._write(held, everything if held.compiled.resolves_anew(slots) else slots)

    def venues_changed(self, slots: Slots) -> None:
        """Evaluate the filters that look at venues again for these slots, which are listed on venues that changed."""
        self._evaluate_new()
        for held in self._classes.values():
            if held.compiled.looks_at_venues:
                self._write(held, slots)

    def select(self, group: RowGroup, source: str) -> Hits:
        """The classes that want rows of the group, each with the places of these rows."""
        allowed = self._allowed.get((group.event_type, source)) or self._allow(group.event_type, source)
        if not allowed.words:
            return NO_HITS
        slots, others = group.slots, group.other_slots
        if len(slots) == 1 and others is None:
            return self._select_one(allowed, slots.item())
        if self._slot_count() > self._evaluated:
            self._evaluate_new()
        return self._divider.divide(self._table, allowed.bits, slots, others, self._by_number)

    def select_for(self, held: FilterClass, group: RowGroup, source: str) -> tuple[bool, Places | None]:
        """(whether a class wants any row of the group, the places of these rows; None: all): what `select` gives, for one class."""
        allowed = (self._allowed.get((group.event_type, source)) or self._allow(group.event_type, source)).bits
        if not allowed[held.number // BITS] & bit(held.number):
            return False, None
        self._evaluate_new()
        alone = np.zeros_like(allowed)
        alone[held.number // BITS] = bit(held.number)
        hits = self._divider.divide(self._table, alone, group.slots, group.other_slots, self._by_number)
        for _, places in hits:
            return True, None if places is None else places.copy()
        return False, None

    def _select_one(self, allowed: _Allowed, slot: int) -> Hits:
        """`select` for one row: cheaper without the compiled code, whose call costs more than the row."""
        if slot >= self._evaluated:
            self._evaluate_new()
        near = self._table.near_words[slot + 1]
        known = allowed.alone.get(near)
        if known is not None:
            return known
        numbers = self._table.numbers(slot + 1, allowed.words)
        hits = Hits([self._of(number) for number in numbers]) if numbers else NO_HITS
        if near != MANY_NEAR and len(allowed.alone) < _MOST_ALONE:
            allowed.alone[near] = hits
        return hits

    def _of(self, number: int) -> FilterClass:
        held = self._by_number[number]
        assert held is not None  # only bits of living classes are allowed
        return held

    def concerns(self, held: FilterClass, source: str, listing_slot: int | None) -> bool:
        """Whether events of this source, and of this listing's slot where it is not None, could be wanted."""
        if source and held.wanted.sources and source not in held.wanted.sources:
            return False
        if listing_slot is None or listing_slot < 0:
            return True
        self._evaluate_new()
        return self._table.matches(listing_slot + 1, held.number)

    def matching(self, held: FilterClass) -> Slots:
        """The slots that match now, ascending."""
        self._evaluate_new()
        return np.flatnonzero(self._column(held)).astype(np.int32)

    def _column(self, held: FilterClass) -> npt.NDArray[np.bool_]:
        return self._table.column(held.number)[1 : self._evaluated + 1]

    def _write(self, held: FilterClass, slots: Slots) -> None:
        """Set the bit of a class at these slots."""
        self._table.set(held.number, slots + 1, held.compiled.mask(slots))

    def _evaluate_new(self) -> None:
        count = self._slot_count()
        if count <= self._evaluated:
            return
        self._table.reserve(count + 1)
        fresh = np.arange(self._evaluated, count, dtype=np.int32)
        self._evaluated = count
        for held in self._classes.values():
            self._write(held, fresh)

    def _widen(self, words: int) -> None:
        self._table.widen(words)
        self._divider.resize(words * BITS)

    def _allow(self, event_type: int, source: str) -> _Allowed:
        """Which classes want this type of this source at all; no words where none does. Events without a source pass every filter by source."""
        allowed = np.zeros(self._table.bits.shape[1], np.uint64)
        domain = domain_of(event_type)
        for held in self._classes.values():
            wanted = held.wanted
            typed = wanted.domain is domain and (not wanted.event_types or event_type in wanted.event_types)
            if typed and (not source or not wanted.sources or source in wanted.sources):
                allowed[held.number // BITS] |= bit(held.number)
        result = _Allowed(allowed, allowed.tolist() if allowed.any() else [], {})
        self._allowed[event_type, source] = result
        return result
