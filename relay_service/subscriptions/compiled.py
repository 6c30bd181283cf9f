"""A filter as a mask over slots: everything but event types and sources, which do not depend on the listing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from relay_service.subscriptions.facets import Definitions, FacetTable, Mask, Slots, SlotView
from relay_service.subscriptions.gathered import Gatherer
from relay_service.subscriptions.predicates import PredicateMask
from relay_service.subscriptions.synthetics import Family, SyntheticTree
from relay_service.subscriptions.wanted import Filter


class _Choice:
    """Which of the texts behind a column of codes are wanted; a text is looked at once."""

    def __init__(self, accept: Callable[[Any], bool]) -> None:
        self._accept = accept
        self._wanted = np.zeros(1, np.bool_)  # the last one is for code -1: nothing

    def of(self, codes: npt.NDArray[Any], texts: Sequence[Any]) -> Mask:
        known = self._wanted.size - 1
        if len(texts) > known:
            more = [self._accept(text) for text in texts[known:]]
            self._wanted = np.concatenate((self._wanted[:-1], np.array([*more, False], np.bool_)))
        found: Mask = self._wanted[codes]
        return found


class CompiledFilter:
    """Tells for any slots whether they match. `registry_enabled` False: no listing is known, and all of them pass that need no definition."""

    def __init__(
        self,
        wanted: Filter,
        slots: SlotView,
        definitions: Definitions,
        facets: FacetTable,
        gatherer: Gatherer,
        *,
        registry_enabled: bool,
    ) -> None:
        self.wanted = wanted
        self._slots = slots
        self._facets = facets
        self._gatherer = gatherer
        self._unknown = wanted.include_unknown or not registry_enabled
        self._keys = np.array(sorted(wanted.listing_keys), np.uint64)
        self._indexed = [
            (name, texts, _Choice(chosen.__contains__))
            for name, texts, chosen in (
                ("venue", "venues", wanted.venues),
                ("instrument", "instruments", wanted.instrument_ids),
            )
            if chosen
        ]
        self._classes = np.array(sorted(wanted.asset_classes), np.uint8)
        self._choices = [(name, _Choice(accept)) for name, accept in _facet_rules(wanted)]
        self._predicate = PredicateMask(wanted.predicate) if wanted.predicate else None
        self._tree = SyntheticTree(slots, definitions, wanted.synthetic_ids) if wanted.synthetic_ids else None
        self._set_family(self._tree.resolve() if self._tree else None)

    @property
    def takes_unslotted(self) -> bool:
        """Whether events of listings that the relay has no slot for pass."""
        return self._unknown and not self._keys.size

    @property
    def looks_at_venues(self) -> bool:
        """Whether a change of a venue, such as its fees, can change what matches."""
        return self._predicate is not None and self._predicate.looks_at_venues

    def resolves_anew(self, changed: Slots) -> bool:
        """Whether a change of these slots changes which components its synthetics have: then every slot has to be looked at again."""
        if self._tree is None:
            return False
        family = self._tree.resolve(changed)
        if family == self._family:
            return False
        self._set_family(family)
        return True

    def _set_family(self, family: Family | None) -> None:
        self._family = family
        self._relatives = _Choice(family.instruments.__contains__) if family else None

    def mask(self, slots: Slots) -> Mask:
        """One truth value a slot."""
        table = self._slots.table
        known = table["known"][slots] != 0
        passed: Mask = np.ones(slots.size, np.bool_)
        if self._keys.size:
            passed &= np.isin(table["key"][slots], self._keys)
        defined: Mask = known.copy()
        for name, texts, choice in self._indexed:
            defined &= choice.of(table[name][slots], getattr(self._slots, texts).texts)
        if self._classes.size:
            defined &= np.isin(table["asset_class"][slots], self._classes)
        for name, choice in self._choices:
            codes, values = self._facets.column(name)
            defined &= choice.of(codes[slots], values)
        if self._predicate is not None:
            defined &= self._predicate.of(self._gatherer.at(slots))
        if self._family is not None:
            defined &= self._related(table, slots, self._family)
        if self._unknown:
            defined |= ~known
        return passed & defined

    def _related(self, table: Any, slots: Slots, family: Family) -> Mask:
        keys = np.array(sorted(family.keys), np.uint64)
        related: Mask = np.isin(table["key"][slots], keys)
        if family.instruments and self._relatives is not None:
            related |= self._relatives.of(table["instrument"][slots], self._slots.instruments.texts)
        return related


def _facet_rules(wanted: Filter) -> list[tuple[str, Callable[[Any], bool]]]:
    rules: list[tuple[str, Callable[[Any], bool]]] = []
    if wanted.isin_prefixes:
        prefixes = tuple(wanted.isin_prefixes)
        rules.append(("isins", lambda isins: any(isin.startswith(prefixes) for isin in isins)))
    for name, chosen in (
        ("underlying", wanted.underlying_ids),
        ("chain", wanted.chains),
        ("sector", wanted.sectors),
        ("currency", wanted.currencies),
        ("symbol", wanted.symbols),
    ):
        if chosen:
            rules.append((name, chosen.__contains__))
    return rules
