"""The state that a core keeps, as rows: what a snapshot begins with."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
import numpy.typing as npt

from alphapulse.records import LAYOUTS, QUOTE, SYNTHETIC_UPDATE, TRADE, TRADING_STATUS, Rows
from relay_service.enrichment.synthetics import SyntheticEngine
from relay_service.kernel.slots import SlotTable


def last_rows(
    table: SlotTable, synthetics: SyntheticEngine, event_type: int, slots: npt.NDArray[np.int32], but: Set[int]
) -> Rows:
    """The last rows of a type, of those of these slots that have one, by sequence: a copy, without those of the listing_keys in `but`. Types: quote,
    trade, trading status, synthetic."""
    known = table.table
    slots = slots[slots >= 0]
    if event_type == QUOTE.event_type:
        rows = table.quotes_of(slots)
    elif event_type == TRADE.event_type:
        rows = table.trades[slots[known["has_trade"][slots] != 0]]
    elif event_type == TRADING_STATUS.event_type:
        rows = table.statuses[slots[known["has_status"][slots] != 0]]
    elif event_type == SYNTHETIC_UPDATE.event_type:
        rows = synthetics.last_rows(slots.tolist())
    else:
        return LAYOUTS[event_type].new(0)
    if but:
        rows = rows[[key not in but for key in rows["listing_key"].tolist()]]
    ordered: Rows = rows[np.argsort(rows["sequence"], kind="stable")]
    return ordered
