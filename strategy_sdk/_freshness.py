"""What a gap makes of what a strategy holds: the three policies, and which listings' books and quotes are stale."""

from __future__ import annotations

from enum import Enum
from typing import Final

import numpy as np

from alphapulse.domain.errors import DataLoss
from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import BOOK_LEVEL, QUOTE
from strategy_sdk._batch import Gap, Runs


class GapPolicy(Enum):
    """What a stream does after a gap. The gap itself is always handed over first."""

    CONTINUE = "continue"
    """Go on."""
    RESYNC = "resync"
    """Go on, and hold the listings concerned stale (`MarketStream.is_stale`) until each has a new quote or book snapshot."""
    HALT = "halt"
    """Hand over nothing more: the stream raises DataLoss."""


def halted_by(gap: Gap) -> DataLoss:
    """What a stream of policy HALT raises."""
    return DataLoss(
        f"subscription {gap.subscription_id} has a gap ({gap.reason}, {gap.count or 'unknown'} events) and the policy is to halt",
        metadata={"subscription_id": str(gap.subscription_id), "gap_reason": gap.reason, "count": str(gap.count)},
        hint="subscribe anew to go on, or choose CONTINUE or RESYNC",
    )


_SNAPSHOT_BEGIN: Final = int(RecordFlag.SNAPSHOT_BEGIN)


class Freshness:
    """Which listings wait for a new quote or book snapshot after a gap."""

    def __init__(self) -> None:
        self._all = False
        self._fresh: set[int] = set()
        self._stale: set[int] = set()

    def gap(self, gap: Gap) -> None:
        """The listing of the gap is stale; all are where it names none."""
        if gap.listing_key:
            self._stale.add(gap.listing_key)
            self._fresh.discard(gap.listing_key)
        else:
            self._all = True
            self._fresh.clear()

    def renewed_by(self, runs: Runs) -> None:
        """Listings with a new quote or a new book snapshot in these rows are fresh."""
        if not self._all and not self._stale:
            return
        for layout, rows in runs:
            if layout is QUOTE:
                keys = np.unique(rows["listing_key"]).tolist()
            elif layout is BOOK_LEVEL:
                keys = np.unique(rows["listing_key"][rows["flags"] & _SNAPSHOT_BEGIN != 0]).tolist()
            else:
                continue
            self._stale.difference_update(keys)
            if self._all:
                self._fresh.update(keys)

    def is_stale(self, listing_key: int) -> bool:
        """Whether what is held of the listing is from before a gap."""
        return listing_key in self._stale or (self._all and listing_key not in self._fresh)
