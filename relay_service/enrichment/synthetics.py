"""Synthetics, computed when a component changes: once for each frame that touched one, in the order of their dependencies.

A value is handed on when it, its bid, its ask, its state or the cause of its state differs from what was handed on last, and
at least once an interval where the definition states one. What counts is the state after a frame's last row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.formula import Formula, parse
from alphapulse.domain.formula.recent import RecentValues
from alphapulse.records import SYNTHETIC_UPDATE, Rows
from relay_service.enrichment.definitions import VALUELESS, SyntheticDefinition, SyntheticState, TargetKind
from relay_service.enrichment.prices import Price, PriceReader
from relay_service.enrichment.rows import synthetic_row
from relay_service.kernel.slots import SlotTable

_FOREVER: Final = (1 << 63) - 1


@dataclass(slots=True)
class Outcome:
    """What an evaluation gave."""

    state: SyntheticState
    value: float = math.nan
    bid: float = math.nan
    ask: float = math.nan
    cause: int = 0
    """listing_key of the component at fault."""
    oldest_ns: int = 0
    """relay_in_ns of the oldest component used."""
    expires_ns: int = _FOREVER
    """When a component becomes stale."""
    provenance: int = 0
    """The least real of the components' provenances: simulated before replay before live."""

    def differs(self, other: Outcome) -> bool:
        """Whether a reader would see another value."""
        mine, theirs = (self.state, self.cause), (other.state, other.cause)
        return mine != theirs or not all(
            a == b or (a != a and b != b)
            for a, b in ((self.value, other.value), (self.bid, other.bid), (self.ask, other.ask))
        )


@dataclass(slots=True, eq=False)
class _Synthetic:
    """A compiled definition and its last outcome."""

    definition: SyntheticDefinition
    slot: int
    formula: Formula
    recent: RecentValues
    rank: int = 0
    outcome: Outcome | None = None
    handed_on: Outcome | None = None
    handed_on_ns: int = 0
    dependents: list[_Synthetic] = field(default_factory=list)

    def is_due(self, now_ns: int) -> bool:
        """Whether its interval is over; it begins anew where the clock was set back."""
        interval = self.definition.interval_ns
        return bool(interval) and not 0 <= now_ns - self.handed_on_ns < interval


class SyntheticEngine:
    """All active synthetics, and which of them a slot concerns."""

    def __init__(self, slots: SlotTable) -> None:
        self._slots = slots
        self._prices = PriceReader(slots)
        self._by_name: dict[str, _Synthetic] = {}
        self._of_slot: dict[int, tuple[_Synthetic, ...]] = {}
        self._instruments: set[str] = set()
        self._due: set[str] = set()
        self._rows: dict[int, bytes] = {}
        self.updates = 0
        """Rows handed on so far."""
        self.stirred = False
        """Whether the last passing of time may have changed what is computed later."""
        self._evaluated = 0

    def put(self, definition: SyntheticDefinition) -> int:
        """Add a synthetic or change it; its slot. Raises InvalidArgument for a formula that cannot be."""
        formula = parse(definition.formula, [component.variable for component in definition.components])
        slot = self._slots.add(definition.key)
        row = self._slots.table[slot]
        row["known"], row["asset_class"] = 1, int(AssetClass.SYNTHETIC)
        row["definition_version"] = definition.version
        self._by_name[definition.name] = _Synthetic(definition, slot, formula, RecentValues(definition.outlier_sigma))
        self._relink()
        self._due.add(definition.name)
        return slot

    def remove(self, name: str) -> None:
        """Compute a synthetic no longer: no snapshot holds it, and what is made of it is computed again without it."""
        gone = self._by_name.pop(name, None)
        if gone is not None:
            self._due.discard(name)
            self._due.update(other.definition.name for other in gone.dependents)
            self._rows.pop(gone.slot, None)
            self._slots.table["known"][gone.slot] = 0
            self._relink()

    def names(self) -> list[str]:
        """The synthetics that are computed."""
        return list(self._by_name)

    def relist(self, instrument_id: str, slot: int) -> None:
        """A listing of an instrument appeared: synthetics over the instrument look at it too."""
        if self._prices.join(instrument_id, slot) and instrument_id in self._instruments:
            self._relink()

    def unlist(self, instrument_id: str, slot: int) -> None:
        """A listing left its instrument."""
        if self._prices.leave(instrument_id, slot) and instrument_id in self._instruments:
            self._relink()

    def update(self, touched: Iterable[int], trigger: int, now_ns: int) -> list[tuple[int, bytes]]:
        """(slot, row) of the synthetics whose value changed because these slots did; rows are not yet numbered."""
        chosen: dict[str, _Synthetic] = {}
        for slot in touched:
            for synthetic in self._of_slot.get(slot, ()):
                chosen[synthetic.definition.name] = synthetic
        return self._evaluate(chosen, trigger, now_ns)

    def pass_time(self, now_ns: int) -> list[tuple[int, bytes]]:
        """(slot, row) of the synthetics that became stale, are due by their interval, or are new."""
        chosen: dict[str, _Synthetic] = {}
        for name, synthetic in self._by_name.items():
            outcome = synthetic.outcome
            if name in self._due or (outcome is not None and now_ns > outcome.expires_ns) or synthetic.is_due(now_ns):
                chosen[name] = synthetic
        evaluated, self.stirred = self._evaluated, bool(self._due)
        self._due.clear()
        rows = self._evaluate(chosen, 0, now_ns)
        self.stirred = self.stirred or self._evaluated > evaluated
        return rows

    def keep_rows(self, slots: list[int], rows: Rows) -> None:
        """Keep numbered rows as the last ones of their slots."""
        for slot, row in zip(slots, rows, strict=True):
            self._rows[slot] = row.tobytes()

    def forget_rows(self) -> None:
        """No slot has a last row."""
        self._rows.clear()

    def last_rows(self, slots: list[int]) -> Rows:
        """The last rows of these slots, of those that have one."""
        found = b"".join(self._rows[slot] for slot in slots if slot in self._rows)
        return np.frombuffer(bytearray(found), SYNTHETIC_UPDATE.dtype) if found else SYNTHETIC_UPDATE.new(0)

    def _evaluate(self, chosen: dict[str, _Synthetic], trigger: int, now_ns: int) -> list[tuple[int, bytes]]:
        for synthetic in list(chosen.values()):
            _with_dependents(synthetic, chosen)
        rows: list[tuple[int, bytes]] = []
        # By their keys, too: the order must not hang on that in which definitions came.
        for synthetic in sorted(chosen.values(), key=lambda one: (one.rank, one.definition.key)):
            outcome = synthetic.outcome = self._outcome_of(synthetic, now_ns)
            last = synthetic.handed_on
            if not outcome.provenance:
                if last is None:
                    continue  # nothing was ever heard of any component: there is nothing to tell, and no provenance to tell it with
                outcome.provenance = last.provenance  # its components are gone: what was handed on holds no longer
            if last is None or synthetic.is_due(now_ns) or outcome.differs(last):
                synthetic.handed_on, synthetic.handed_on_ns = outcome, now_ns
                definition = synthetic.definition
                rows.append(
                    (synthetic.slot, synthetic_row(definition.key, definition.version, outcome, trigger, now_ns))
                )
        self.updates += len(rows)
        return rows

    def _outcome_of(self, synthetic: _Synthetic, now_ns: int) -> Outcome:
        prices = [
            self._prices.read(component, now_ns)
            if component.kind is not TargetKind.SYNTHETIC
            else self._nested(component.target, component.max_age_ns)
            for component in synthetic.definition.components
        ]
        outcome = _gathered(prices, [component.max_age_ns for component in synthetic.definition.components], now_ns)
        if outcome.state is not SyntheticState.FRESH:
            return outcome
        self._evaluated += 1  # and with it what later values are held against
        outcome.value = synthetic.formula.evaluate([price.value for price in prices])
        if math.isnan(outcome.value):
            outcome.state = SyntheticState.UNDEFINED
            return outcome
        outcome.bid, outcome.ask = synthetic.formula.bid_ask(
            [price.bid for price in prices], [price.ask for price in prices]
        )
        outcome.state = _bounded(synthetic, outcome.value)
        return outcome

    def _nested(self, name: str, max_age_ns: int) -> Price:
        """A synthetic as a component: its value, with the age of its own oldest component."""
        inner = self._by_name.get(name)
        outcome = inner.outcome if inner is not None else None
        if inner is None or outcome is None:
            return Price(key=inner.definition.key if inner is not None else 0)
        state = outcome.state if outcome.state in VALUELESS else None
        cause = outcome.cause or inner.definition.key
        return Price(
            outcome.value, outcome.bid, outcome.ask, outcome.oldest_ns, cause, outcome.provenance, state,
            outcome.expires_ns,
        )  # fmt: skip

    def _relink(self) -> None:
        """Rebuild what depends on what. Definitions change rarely, prices all the time."""
        of_slot: dict[int, list[_Synthetic]] = {}
        self._instruments.clear()
        for synthetic in self._by_name.values():
            synthetic.dependents = []
        for synthetic in self._by_name.values():
            for component in synthetic.definition.components:
                if component.kind is TargetKind.SYNTHETIC:
                    inner = self._by_name.get(component.target)
                    if inner is not None:
                        inner.dependents.append(synthetic)
                elif component.kind is TargetKind.INSTRUMENT:
                    self._instruments.add(component.target)
                for slot in self._prices.slots_of(component):
                    of_slot.setdefault(slot, []).append(synthetic)
        watched = self._slots.table["watched"]
        watched[: self._slots.count] = 0
        watched[list(of_slot)] = 1
        self._of_slot = {slot: tuple(found) for slot, found in of_slot.items()}
        _rank(self._by_name.values())


def _with_dependents(synthetic: _Synthetic, chosen: dict[str, _Synthetic]) -> None:
    for other in synthetic.dependents:
        if other.definition.name not in chosen:
            chosen[other.definition.name] = other
            _with_dependents(other, chosen)


def _rank(synthetics: Iterable[_Synthetic]) -> None:
    """Number by depth: whatever a synthetic reads has a smaller rank. The registry refuses cycles; one seen between two changes ends all the same."""
    everything = list(synthetics)
    for synthetic in everything:
        synthetic.rank = 0
    for _ in range(len(everything)):
        moved = False
        for synthetic in everything:
            for other in synthetic.dependents:
                if other.rank <= synthetic.rank < len(everything):
                    other.rank, moved = synthetic.rank + 1, True
        if not moved:
            return


def _gathered(prices: list[Price], max_ages_ns: list[int], now_ns: int) -> Outcome:
    """The state that the components allow: the first one at fault is the cause, a missing one before a stale one."""
    outcome = Outcome(SyntheticState.FRESH)
    times = [price.time_ns for price in prices if price.time_ns]
    outcome.oldest_ns = min(times, default=0)
    outcome.provenance = max((price.provenance for price in prices), default=0)
    for price, max_age_ns in zip(prices, max_ages_ns, strict=True):
        if price.state is None and price.time_ns:
            outcome.expires_ns = min(outcome.expires_ns, price.time_ns + max_age_ns, price.expires_ns)
    for state in (SyntheticState.MISSING, SyntheticState.UNDEFINED, SyntheticState.STALE):
        for price, max_age_ns in zip(prices, max_ages_ns, strict=True):
            if price.fault(now_ns, max_age_ns) is state:
                outcome.state, outcome.cause, outcome.expires_ns = state, price.key, _FOREVER
                return outcome
    return outcome


def _bounded(synthetic: _Synthetic, value: float) -> SyntheticState:
    definition = synthetic.definition
    outlier = synthetic.recent.is_outlier(value)
    below = definition.min_value is not None and value < definition.min_value
    above = definition.max_value is not None and value > definition.max_value
    if below or above:
        return SyntheticState.OUT_OF_RANGE
    return SyntheticState.OUTLIER if outlier else SyntheticState.FRESH
