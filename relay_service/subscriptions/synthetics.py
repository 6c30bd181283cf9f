"""Which listings the synthetics of a filter are made of, down through synthetics of synthetics."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from relay_service.subscriptions.convert import components
from relay_service.subscriptions.facets import Definitions, Slots, SlotView


class Family(NamedTuple):
    """Some synthetics and all they are made of."""

    keys: frozenset[int]
    """The keys of the synthetics and of the listings they name."""
    instruments: frozenset[str]
    """Instruments they name: any listing of them belongs."""


class SyntheticTree:
    """Finds the family of some synthetic ids among the definitions of now."""

    def __init__(self, slots: SlotView, definitions: Definitions, ids: frozenset[str]) -> None:
        self._slots = slots
        self._definitions = definitions
        self._ids = ids
        self._by_name: dict[str, int] = {}
        self._seen = 0

    def resolve(self, changed: Slots | None = None) -> Family:
        """The family now. `changed`: slots whose definition may name another synthetic than before."""
        self._learn_names(changed)
        keys = {int(one[:16], 16) for one in self._ids}
        instruments: set[str] = set()
        waiting = [self._slots.slot_of(key) for key in keys]
        visited: set[int] = set()
        while waiting:
            slot = waiting.pop()
            if slot < 0 or slot in visited:
                continue
            visited.add(slot)
            synthetic = self._definitions.synthetic(slot)
            if synthetic is None:
                continue
            listed, named, below = components(synthetic)
            keys |= listed
            instruments |= named
            for name in below:
                child = self._by_name.get(name, -1)
                if child >= 0:
                    keys.add(int(self._slots.table["key"][child]))
                    waiting.append(child)
        return Family(frozenset(keys), frozenset(instruments))

    def _learn_names(self, changed: Slots | None) -> None:
        fresh = np.arange(self._seen, self._slots.count)
        self._seen = self._slots.count
        for slot in (*fresh.tolist(), *(() if changed is None else changed.tolist())):
            synthetic = self._definitions.synthetic(slot)
            if synthetic is not None:
                self._by_name[synthetic.name] = slot
