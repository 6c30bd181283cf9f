"""Where a source's listings belong, for relays among which the market is divided: each with its instrument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from collector_service.instruments import instrument_of
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol

_KEY_DIGITS: Final = 16


class ListingHomes:
    """By listing_key. What the registry said of a listing counts; where it said nothing, the instrument that is minted here, which is the same unless
    the registry found that two are one."""

    def __init__(self, venue: str) -> None:
        self.version = 0
        """Rises whenever a listing may have another home."""
        self._venue = venue
        self._homes: dict[int, int] = {}

    def home_of(self, listing_key: int) -> int:
        """The key of a listing's instrument; of a symbol that is in no list, the listing's own."""
        return self._homes.get(listing_key, listing_key)

    def learn(
        self, entries: Iterable[VenueSymbol], listings: ListingIndex, registered: Mapping[str, str] | None = None
    ) -> None:
        """Lines of the venue's list, which `listings` knows. `registered` has the ids of the instruments that the registry gave, by symbol."""
        for entry in entries:
            listing_id = listings.id_of(entry.symbol)
            instrument = (registered or {}).get(entry.symbol) or str(instrument_of(entry, self._venue).id)
            if listing_id is not None:
                self._homes[listing_id.key] = int(instrument[:_KEY_DIGITS], 16)
        self.version += 1
