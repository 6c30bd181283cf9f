"""All filters of all subscribers as one table of bits: a batch goes through once, whatever the number of filters that do not want it.

Equal filters share one bit, so that a thousand subscribers of one filter cost one selection and one copy of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphapulse.domain.domains import domain_of
from relay_service.kernel.tables import table_of
from relay_service.results import RowGroup
from relay_service.subscriptions.compiled import CompiledFilter
from relay_service.subscriptions.facets import Slots
from relay_service.subscriptions.hits import NO_HITS, Divider, FilterClass, Hits, Places
from relay_service.subscriptions.wanted import Filter

_BITS: Final = 64
_ONE: Final = np.uint64(1)


def _table(rows: int, words: int) -> npt.NDArray[np.uint64]:
    """No bit is set; the first row begins at a cache line, and where they fit none of the others lies in more of them than it has to."""
    return table_of(rows * words, np.dtype(np.uint64)).reshape(rows, words)


def _words_of(match: npt.NDArray[np.uint64]) -> Any:
    """The same memory: of a memoryview single words are read faster."""
    buffer: Any = match
    return memoryview(buffer)


class FilterIndex:
    """`acquire` and `release` filters, tell `definitions_changed` and `venues_changed`, and `select` for each group."""

    def __init__(self, compile_filter: Callable[[Filter], CompiledFilter], slot_count: Callable[[], int]) -> None:
        self._compile = compile_filter
        self._slot_count = slot_count
        self._classes: dict[Filter, FilterClass] = {}
        self._by_number: list[FilterClass | None] = []
        self._match = _table(1024, 1)
        self._evaluated = 0
        self._words = _words_of(self._match)
        self._allowed: dict[tuple[int, str], tuple[npt.NDArray[np.uint64], list[int]]] = {}
        """By type and source: the classes that may want such events, and the same as numbers, a word each."""
        self._divider = Divider()
        self._divider.resize(_BITS)

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
            self._widen(number // _BITS + 1)
        made = FilterClass(number, self._compile(wanted))
        self._by_number[number] = self._classes[wanted] = made
        self._allowed.clear()
        if made.compiled.takes_unslotted:
            self._match[0, number // _BITS] |= self._bit(made)
        self._write(made, np.arange(self._evaluated, dtype=np.int32))
        return made

    def release(self, held: FilterClass) -> None:
        """Forget a class without members."""
        if held.members or held.replaying or self._classes.get(held.wanted) is not held:
            return
        del self._classes[held.wanted]
        self._by_number[held.number] = None
        self._match[:, held.number // _BITS] &= ~self._bit(held)
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
        allowed, words = self._allowed.get((group.event_type, source)) or self._allow(group.event_type, source)
        if not words:
            return NO_HITS
        slots, others = group.slots, group.other_slots
        if len(slots) == 1 and others is None:
            return self._select_one(words, slots.item())
        if self._slot_count() > self._evaluated:
            self._evaluate_new()
        return self._divider.divide(self._match, allowed, slots, others, self._by_number)

    def select_for(self, held: FilterClass, group: RowGroup, source: str) -> tuple[bool, Places | None]:
        """(whether a class wants any row of the group, the places of these rows; None: all): what `select` gives, for one class."""
        allowed, _ = self._allowed.get((group.event_type, source)) or self._allow(group.event_type, source)
        if not allowed[held.number // _BITS] & self._bit(held):
            return False, None
        self._evaluate_new()
        alone = np.zeros_like(allowed)
        alone[held.number // _BITS] = self._bit(held)
        hits = self._divider.divide(self._match, alone, group.slots, group.other_slots, self._by_number)
        for _, places in hits:
            return True, None if places is None else places.copy()
        return False, None

    def _select_one(self, allowed: list[int], slot: int) -> Hits:
        """`select` for one row: cheaper without the compiled code, whose call costs more than the row."""
        if slot >= self._evaluated:
            self._evaluate_new()
        found: list[FilterClass] = []
        for word, mask in enumerate(allowed):
            bits = self._words[slot + 1, word] & mask
            while bits:
                lowest = bits & -bits
                found.append(self._of(word * _BITS + lowest.bit_length() - 1))
                bits ^= lowest
        return Hits(found) if found else NO_HITS

    def _of(self, number: int) -> FilterClass:
        held = self._by_number[number]
        assert held is not None  # only bits of living classes are allowed
        return held

    def concerns(self, held: FilterClass, source: str, listing_slot: int | None) -> bool:
        """Whether events of this source, and of this listing's slot where it is not None, could be wanted."""
        if source and held.wanted.sources and source not in held.wanted.sources:
            return False
        return listing_slot is None or listing_slot < 0 or bool(self._column(held)[listing_slot])

    def matching(self, held: FilterClass) -> Slots:
        """The slots that match now, ascending."""
        self._evaluate_new()
        return np.flatnonzero(self._column(held)).astype(np.int32)

    def _column(self, held: FilterClass) -> npt.NDArray[np.bool_]:
        bits: npt.NDArray[np.bool_] = (
            self._match[1 : self._evaluated + 1, held.number // _BITS] & self._bit(held)
        ) != 0
        return bits

    @staticmethod
    def _bit(held: FilterClass) -> np.uint64:
        return _ONE << np.uint64(held.number % _BITS)

    def _write(self, held: FilterClass, slots: Slots) -> None:
        """Set the bit of a class at these slots."""
        word, bit = held.number // _BITS, self._bit(held)
        column = self._match[:, word]
        at = slots + 1
        before = column[at]
        column[at] = np.where(held.compiled.mask(slots), before | bit, before & ~bit)

    def _evaluate_new(self) -> None:
        count = self._slot_count()
        if count <= self._evaluated:
            return
        if count + 1 > len(self._match):
            more = _table(max(count + 1, 2 * len(self._match)), self._match.shape[1])
            more[: len(self._match)] = self._match
            self._match, self._words = more, _words_of(more)
        fresh = np.arange(self._evaluated, count, dtype=np.int32)
        self._evaluated = count
        for held in self._classes.values():
            self._write(held, fresh)

    def _widen(self, words: int) -> None:
        if words <= self._match.shape[1]:
            return
        more = _table(len(self._match), words)
        more[:, : self._match.shape[1]] = self._match
        self._match, self._words = more, _words_of(more)
        self._divider.resize(words * _BITS)

    def _allow(self, event_type: int, source: str) -> tuple[npt.NDArray[np.uint64], list[int]]:
        """Which classes want this type of this source at all; no words where none does. Events without a source pass every filter by source."""
        allowed = np.zeros(self._match.shape[1], np.uint64)
        domain = domain_of(event_type)
        for held in self._classes.values():
            wanted = held.wanted
            typed = wanted.domain is domain and (not wanted.event_types or event_type in wanted.event_types)
            if typed and (not source or not wanted.sources or source in wanted.sources):
                allowed[held.number // _BITS] |= self._bit(held)
        result = (allowed, allowed.tolist() if allowed.any() else [])
        self._allowed[event_type, source] = result
        return result
