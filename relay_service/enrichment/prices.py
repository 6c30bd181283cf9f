"""The price of a component, read from the kernel's slots."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from alphapulse.domain.provenance import PROVENANCE_MASK
from relay_service.enrichment.definitions import ComponentDefinition, PriceField, SyntheticState, TargetKind
from relay_service.kernel.slots import SlotTable

_FOREVER: Final = (1 << 63) - 1
_COLUMNS: Final = ("bid", "ask", "trade", "quote_time_ns", "trade_time_ns", "quote_flags", "key", "known")


@dataclass(slots=True)
class Price:
    """One component as the formula sees it."""

    value: float = math.nan
    bid: float = math.nan
    ask: float = math.nan
    time_ns: int = 0
    """relay_in_ns of what it was read from; 0: there is none yet."""
    key: int = 0
    """listing_key of what it was read from, or would have been."""
    provenance: int = 0
    """0: nothing was ever heard of it."""
    state: SyntheticState | None = None
    """Of a nested synthetic without a value."""
    expires_ns: int = _FOREVER
    """Of a nested synthetic: when a component of its own becomes stale."""

    def fault(self, now_ns: int, max_age_ns: int) -> SyntheticState | None:
        """Why it cannot be used."""
        if self.state is not None:
            return self.state
        if math.isnan(self.value):
            return SyntheticState.MISSING
        if now_ns - self.time_ns > max_age_ns:
            return SyntheticState.STALE
        return None


class PriceReader:
    """Reads prices of listings, and of instruments by their freshest listing."""

    def __init__(self, slots: SlotTable) -> None:
        self._slots = slots
        self._of_instrument: dict[str, list[int]] = {}
        self._table: Any = None
        self._columns: dict[str, Any] = {}

    def join(self, instrument_id: str, slot: int) -> bool:
        """A listing belongs to an instrument; True when that is news."""
        held = self._of_instrument.setdefault(instrument_id, [])
        if slot in held:
            return False
        held.append(slot)
        # Of equally fresh ones the first counts: that must not hang on the order in which definitions came.
        held.sort(key=self._key_of)
        return True

    def leave(self, instrument_id: str, slot: int) -> bool:
        """A listing belongs to an instrument no longer; True when that is news."""
        held = self._of_instrument.get(instrument_id, [])
        if slot not in held:
            return False
        held.remove(slot)
        return True

    def _key_of(self, slot: int) -> int:
        return int(self._slots.table["key"][slot])

    def slots_of(self, component: ComponentDefinition) -> list[int]:
        """The slots a component may be read from; a listing gets one before the registries define it."""
        if component.kind is TargetKind.LISTING:
            return [self._slots.add(int(component.target))]
        if component.kind is TargetKind.INSTRUMENT:
            return list(self._of_instrument.get(component.target, ()))
        return []

    def read(self, component: ComponentDefinition, now_ns: int) -> Price:
        """The price of a listing, or of the listing of an instrument whose price is the freshest."""
        if component.kind is TargetKind.LISTING:
            key = int(component.target)
            return self._price(self._slots.slot_of(key), component.price)
        best = Price(key=int(component.target[:16], 16))
        for slot in self._of_instrument.get(component.target, ()):
            price = self._price(slot, component.price)
            if not math.isnan(price.value) and (math.isnan(best.value) or price.time_ns > best.time_ns):
                best = price
            elif math.isnan(best.value) and price.provenance:
                best.provenance = price.provenance
        return best

    def _price(self, slot: int, field: PriceField) -> Price:
        table = self._slots.table
        if table is not self._table:
            self._table = table
            self._columns = {name: table[name] for name in _COLUMNS}
        columns = self._columns
        bid, ask = float(columns["bid"][slot]), float(columns["ask"][slot])
        time_ns = int(columns["quote_time_ns"][slot])
        if field is PriceField.LAST:
            value, time_ns = float(columns["trade"][slot]), int(columns["trade_time_ns"][slot])
        elif field is PriceField.BID:
            value = bid
        elif field is PriceField.ASK:
            value = ask
        else:
            value = (bid + ask) / 2
        provenance = self._provenance(slot, field)
        return Price(value, bid, ask, time_ns, int(columns["key"][slot]), provenance)

    def _provenance(self, slot: int, field: PriceField) -> int:
        if field is PriceField.LAST and self._table["has_trade"][slot]:
            return int(self._slots.trades["flags"][slot]) & PROVENANCE_MASK
        return int(np.uint32(self._columns["quote_flags"][slot])) & PROVENANCE_MASK
