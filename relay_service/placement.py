"""Whose a listing is, where the market is divided among relays: by the instrument that the registries name, not by what a collector believes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from alphapulse.domain.errors import FieldViolation, WrongPartition
from alphapulse.domain.ids import ListingId
from alphapulse.domain.partitions import Partition, partition_of
from alphapulse.records import RecordLayout

if TYPE_CHECKING:
    from relay_service.core import RelayCore

_HOME_DIGITS: Final = 16
MOST_NAMED: Final = 100
"""Divided synthetics that are named; how many there are is counted."""


class Placement:
    """What one of several partitions knows of listings that are none of its own. Kept by the replica as definitions come and go.

    A listing whose events were taken goes on being taken when its instrument changes, as two that were one are found to be: its collector learns of
    that later, and refusing it meanwhile would lose what nobody else gets. It is in no snapshot then, where another partition may know it better.
    """

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.elsewhere: set[int] = set()
        """Keys of the listings that are defined and belong to another partition."""
        self._strays: set[int] = set()
        """Those of them that nothing was heard of here."""

    def defined(self, listing_key: int, instrument_id: str, *, heard: bool) -> None:
        """A definition came; `heard`: events of the listing were taken."""
        if self.partition.holds(home_of(listing_key, instrument_id)):
            self.gone(listing_key)
            return
        self.elsewhere.add(listing_key)
        if not heard:
            self._strays.add(listing_key)

    def gone(self, listing_key: int) -> None:
        """The listing is this partition's, or defined no longer: it is taken where it comes."""
        self.elsewhere.discard(listing_key)
        self._strays.discard(listing_key)

    def without_strays(
        self, layout: RecordLayout, raw: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.uint8], tuple[int, ...]]:
        """(the rows that may be taken, the places of the others, ascending) of n >= 1 rows as bytes; the same bytes where all may be."""
        rows = raw.view(layout.dtype)
        keys = rows["listing_key"].tolist()
        strays = self._strays
        if strays.isdisjoint(keys):
            return raw, ()
        places = tuple(place for place, key in enumerate(keys) if key in strays)
        return np.delete(rows, places).view(np.uint8), places


def check_partition(field: str, told: Any, own: Partition) -> None:
    """Whether a hello, with its Partition message, is meant for this relay. Raises WrongPartition."""
    theirs = f"{told.index}/{told.count or 1}"
    if theirs == str(own):
        return
    text = f"this relay is partition {own}: each of the {own.count} is told apart, and none of them is the whole"
    raise WrongPartition(
        str(violation := FieldViolation(field, theirs, "partition", text)),
        violations=(violation,),
        metadata={"partition": str(own), "told": theirs},
    )


def home_of(listing_key: int, instrument_id: str) -> int:
    """The home of a listing, as `alphapulse.domain.partitions` has it."""
    return int(instrument_id[:_HOME_DIGITS], 16) if instrument_id else listing_key


def divided_synthetics(core: RelayCore) -> list[str]:
    """Names of the synthetics whose components lie in several partitions, in order: none of the relays has all their prices."""
    if core.placement is None:
        return []
    count = core.placement.partition.count
    held = {one.name: one for one in core.replica.synthetics().values()}

    def homes(name: str, above: frozenset[str]) -> set[int]:
        found: set[int] = set()
        if name in above or name not in held:
            return found
        for component in held[name].components:
            if component.HasField("instrument_id"):
                found.add(partition_of(home_of(0, component.instrument_id), count))
            elif component.HasField("listing_id"):
                key = ListingId.parse(component.listing_id, "listing_id").key
                listing = core.replica.listing(core.slots.slot_of(key))
                if listing is not None:
                    found.add(partition_of(home_of(key, listing.instrument_id), count))
            else:
                found |= homes(component.synthetic, above | {name})
        return found

    return sorted(name for name in held if len(homes(name, frozenset())) > 1)
