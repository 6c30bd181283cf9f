"""The earlier events that an event rests on: the quotes of an opportunity, the components of a synthetic value, and what a flag speaks of.

They are looked for from the event backwards, all in one pass, no further than the bounds of time and bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from alphapulse.domain.ids import ListingId
from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import LAYOUTS, QUOTE, SYNTHETIC_UPDATE, TRADE, Rows
from relay_service.core import RelayCore
from relay_service.enrichment.definitions import PriceField
from relay_service.evidence.finding import Found, before, row_at, source_sequence
from relay_service.log.reader import LogReader
from relay_service.log.records import LoggedGap, LoggedRows

_LATE = int(RecordFlag.OUT_OF_ORDER)
_ORDER_BYTES: Final = 2 << 20
"""How far back an earlier report of an order is looked for: some thousand reports."""
_ORDER_PAGE: Final = 64
"""Entries read at once for it: those of reports are small."""


@dataclass(slots=True)
class Wanted:
    """What is looked for: the last event of each of these listings, and of them the freshest."""

    role: str
    event_type: int
    keys: set[int]
    usable: Callable[[Any], bool] = lambda row: True
    """Whether an event that is the last of its listing counts; else the listing has none."""
    skip: int = _LATE
    """Rows with any of these flags did not become the last of their listing."""
    found: list[Origin] = field(default_factory=list)

    def take(self, record: LoggedRows) -> None:
        """Look at a record that lies before all that were looked at."""
        if record.event_type != self.event_type or not self.keys:
            return
        if self.found and record.now_ns < self.found[0].record.now_ns:
            self.keys.clear()  # a fresher one is known already
            return
        layout = LAYOUTS[record.event_type]
        rows = layout.from_bytes(record.data, check=False)
        listed = rows["listing_key"]
        wanted = np.isin(listed, np.fromiter(self.keys, np.uint64, len(self.keys)))
        for place in np.flatnonzero(wanted)[::-1].tolist():
            key, row = int(listed[place]), rows[place]
            if key not in self.keys or int(row["flags"]) & self.skip:
                continue
            self.keys.discard(key)
            if self.usable(row):
                self.found.append(Origin(self.role, record, place))

    @property
    def best(self) -> Origin | None:
        """The freshest; of equally fresh ones the one of the lowest key, as the relay takes it."""
        fresh = [one for one in self.found if one.record.now_ns == self.found[0].record.now_ns]
        return min(fresh, key=lambda one: int(one.row["listing_key"][0]), default=None)


@dataclass(frozen=True, slots=True)
class Origin:
    """An earlier event."""

    role: str
    record: LoggedRows
    place: int
    note: str = ""

    @property
    def row(self) -> Rows:
        """Shape (1,)."""
        return row_at(self.record, self.place)

    @property
    def sequence(self) -> int:
        """The relay's."""
        return self.record.first + self.place

    @property
    def source_sequence(self) -> int:
        """The source's own; 0 where it is not known."""
        return source_sequence(self.record, self.place)


@dataclass(frozen=True, slots=True)
class Missing:
    """An earlier event that was not found."""

    role: str
    note: str


@dataclass(slots=True)
class Back:
    """What was met on the way back."""

    loss: LoggedGap | None = None
    """The last loss of a source."""
    complete: bool = False
    """Whether the way went as far as it was meant to: what was not found is not there."""


async def look_back(log: LogReader, found: Found, wanted: Sequence[Wanted], oldest_ns: int, lost_by: str = "") -> Back:
    """Look for what is wanted, and for the last loss of a source where one is named. Raises Unavailable."""
    back = Back()
    async for record in before(log, found, oldest_ns):
        if isinstance(record, LoggedGap):
            if lost_by and back.loss is None and record.record.source == lost_by and not record.record.listing_key:
                back.loss = record
        else:
            for one in wanted:
                one.take(record)
        if not any(one.keys for one in wanted) and (not lost_by or back.loss is not None):
            break
    return back


async def order_before(log: LogReader, found: Found) -> list[Origin | Missing]:
    """The last report of the same order before a report, as far back as is looked; none where its source does not name its orders. Raises
    Unavailable."""
    row = found.row[0]
    source, order = row["source_id"], row["client_order_id"]
    if not order:
        return []
    async for record in before(log, found, 0, _ORDER_BYTES, _ORDER_PAGE):
        if isinstance(record, LoggedGap) or record.event_type != found.record.event_type:
            continue
        rows = LAYOUTS[record.event_type].from_bytes(record.data, check=False)
        places = np.flatnonzero((rows["client_order_id"] == order) & (rows["source_id"] == source))
        if len(places):
            return [Origin("before", record, int(places[-1]))]
    return [Missing("before", f"no report of the order among the last {_ORDER_BYTES >> 20} MiB of the log before it")]


def legs_of(row: Any) -> list[Wanted]:
    """The quotes that an opportunity was made of."""
    return [
        Wanted("buy", QUOTE.event_type, {int(row["listing_key"])}),
        Wanted("sell", QUOTE.event_type, {int(row["sell_listing_key"])}),
    ]


def components_of(core: RelayCore, synthetic: Any) -> list[Wanted]:
    """What the components of a synthetic are read from."""
    found = []
    for component in synthetic.components:
        price = PriceField(component.price_field) if component.price_field else PriceField.MID
        kind = TRADE.event_type if price is PriceField.LAST else QUOTE.event_type
        if component.HasField("listing_id"):
            keys = {ListingId.parse(component.listing_id, "listing_id").key}
            found.append(Wanted(component.variable, kind, keys))
        elif component.HasField("instrument_id"):
            keys = set(core.replica.listing_keys(component.instrument_id))
            found.append(Wanted(component.variable, kind, keys, _USABLE[price]))
        else:
            held = core.replica.synthetics().values()
            keys = {one.listing_key for one in held if one.name == component.synthetic}
            found.append(Wanted(component.variable, SYNTHETIC_UPDATE.event_type, keys))
    return found


def _has_no(flags: RecordFlag) -> Callable[[Any], bool]:
    return lambda row: not int(row["flags"]) & int(flags | RecordFlag.OVERSIZE)


_USABLE = {
    PriceField.MID: _has_no(RecordFlag.BID_ABSENT | RecordFlag.ASK_ABSENT),
    PriceField.BID: _has_no(RecordFlag.BID_ABSENT),
    PriceField.ASK: _has_no(RecordFlag.ASK_ABSENT),
    PriceField.LAST: _has_no(RecordFlag.OVERSIZE),
}
