"""What filters look at of each listing's definition, and of each venue, as numbers: see `columns`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from relay_service.subscriptions.columns import Layout, Table

Slots = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]


class Facets(NamedTuple):
    """The texts of one listing and its instrument; empty where it has none."""

    isins: tuple[str, ...] = ()
    underlying: str = ""
    chain: str = ""
    sector: str = ""
    currency: str = ""
    symbol: str = ""
    source: str = ""
    country: str = ""
    industry: str = ""
    instrument_currency: str = ""
    issuer_lei: str = ""
    base: str = ""
    quote: str = ""
    settlement: str = ""
    series: str = ""
    protocol: str = ""


class VenueFacets(NamedTuple):
    """The texts of one venue; empty where it has none."""

    venue_country: str = ""
    venue_operating_mic: str = ""


RULES: Final = ("tick_size", "lot_size", "min_size", "max_size", "min_notional", "max_notional", "multiplier")
FEES: Final = ("maker_bps", "taker_bps")
LISTED: Final = ("listed_from", "listed_to")
TERMS: Final = ("strike", "expiry", "coupon", "maturity", "pool_fee_pips")
LISTING_LAYOUT: Final = Layout(
    (*RULES, "contract_size", *FEES, *LISTED, *TERMS),
    ("primary", "instrument_status", "option_kind", "exercise_style", "inverse"),
)
"""Of a listing and its instrument; fees are the listing's own."""
VENUE_LAYOUT: Final = Layout(FEES, ("venue_type", "venue_status", "venue_always_open"))
"""Of a venue; fees are those of its schedule now."""


class SlotView(Protocol):
    """Of `relay_service.core`'s slot table, what filters need."""

    @property
    def count(self) -> int:
        """Slots in use."""
        ...

    @property
    def table(self) -> Any:
        """A structured array with the fields key, known, venue, instrument, asset_class, listing_status."""
        ...

    @property
    def venues(self) -> Any:
        """The codes behind `venue`, in its `texts`; `find` gives the number of one, or -1."""
        ...

    @property
    def instruments(self) -> Any:
        """The ids behind `instrument`, in its `texts`; `find` gives the number of one, or -1."""
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

    def venue(self, code: str) -> Any | None:
        """A Venue by its code."""

    def venue_fees(self, code: str) -> Any:
        """What holds of its fee schedules now: `maker` and `taker`, each an ExactDecimal or None."""


class Reader(Protocol):
    """From messages to facets; `definitions` has the one that is used."""

    def listing(self, listing: Any | None, instrument: Any | None) -> tuple[Facets, bytes]:
        """The texts, and a row of LISTING_LAYOUT."""

    def venue(self, venue: Any | None, fees: Any) -> tuple[VenueFacets, bytes]:
        """The texts, and a row of VENUE_LAYOUT."""


class FacetTable:
    """The facets of all slots, kept up to date from the first one on: read when a filter first asks, hundreds of thousands would be a standstill."""

    def __init__(self, slots: SlotView, definitions: Definitions, reader: Reader) -> None:
        self._slots = slots
        self._definitions = definitions
        self._reader = reader
        self._listings = Table(Facets._field_defaults, LISTING_LAYOUT)
        self._venues = Table(VenueFacets._field_defaults, VENUE_LAYOUT)
        self._venues_read = 0
        self.version = 0
        """Rises whenever anything is read again."""
        self.refresh(np.arange(slots.count, dtype=np.int32))

    def column(self, name: str) -> tuple[npt.NDArray[np.int32], list[Any]]:
        """The codes by slot and the values behind them."""
        column = self.listings.columns[name]
        return column.codes, column.values

    @property
    def listings(self) -> Table:
        """A row a slot."""
        self._listings.reserve(self._slots.count)
        return self._listings

    @property
    def venues(self) -> Table:
        """A row for each number of `SlotView.venues`."""
        codes = self._slots.venues.texts
        if len(codes) > self._venues_read:
            fresh = codes[self._venues_read :]
            self._venues_read = len(codes)
            self._venues.reserve(len(codes))
            self._read_venues(fresh)
        return self._venues

    def refresh(self, changed: Slots) -> None:
        """Read the definitions of these slots again."""
        self.version += 1
        table, read, definitions = self.listings, self._reader.listing, self._definitions
        for slot in changed.tolist():
            table.put(slot, *read(definitions.listing(slot), definitions.instrument(slot)))

    def refresh_venues(self, codes: Sequence[str]) -> Slots:
        """Read these venues again; the slots of what is listed there."""
        find = self._slots.venues.find
        listed = [code for code in codes if 0 <= find(code) < self._venues_read]
        self._read_venues(listed)
        numbers = np.array([find(code) for code in codes], np.int32)
        on_them = np.isin(self._slots.table["venue"][: self._slots.count], numbers[numbers >= 0])
        return np.flatnonzero(on_them).astype(np.int32)

    def _read_venues(self, codes: Iterable[str]) -> None:
        self.version += 1
        for code in codes:
            found = self._reader.venue(self._definitions.venue(code), self._definitions.venue_fees(code))
            self._venues.put(self._slots.venues.find(code), *found)
