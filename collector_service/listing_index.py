"""What a source knows of its venue's listings: its spellings, and the keys behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from alphapulse.domain.ids import ListingId, mint
from collector_service.instruments import listing_of
from collector_service.listings import VenueSymbol

_KEY_BYTES: Final = 8


def unknown_key(venue: str, symbol: str) -> int:
    """The key that events of a symbol bear which no list names: the same in every process, and never a listing's."""
    return int.from_bytes(mint(f"unlisted|{venue}|{symbol}")[:_KEY_BYTES], "big")


class ListingIndex:
    """From a venue's spelling to the listing's key. Keys are minted here until the registry has said otherwise."""

    def __init__(self, venue: str) -> None:
        self.version = 0
        """Rises whenever a spelling may have another key."""
        self._venue = venue
        self._entries: dict[str, VenueSymbol] = {}
        self._ids: dict[str, ListingId] = {}
        self._keys: dict[str, int] = {}
        self._spellings: dict[str, str] = {}
        self._bearers: dict[str, dict[str, list[int]]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[VenueSymbol]:
        return iter(self._entries.values())

    def learn(self, entries: Iterable[VenueSymbol], registered: Mapping[str, ListingId] | None = None) -> None:
        """Adds lines of the venue's list. `registered` has the ids the registry gave, by symbol."""
        self.version += 1
        for entry in entries:
            listing_id = (registered or {}).get(entry.symbol) or listing_of(entry, self._venue).id
            assert listing_id is not None  # listing_of mints it
            self._bearers.clear()
            self._entries[entry.symbol] = entry
            self._ids[entry.symbol] = listing_id
            # An alias never hides a listing's own symbol.
            for spelling in entry.aliases:
                if spelling not in self._entries:
                    self._keys[spelling] = listing_id.key
                    self._spellings[spelling] = entry.symbol
            self._keys[entry.symbol] = listing_id.key
            self._spellings[entry.symbol] = entry.symbol

    def key(self, spelling: str) -> int | None:
        """The key behind a spelling, None for one that no list names."""
        return self._keys.get(spelling)

    def bearing(self, name: str, value: str) -> list[int]:
        """The keys of the listings that have this value in their `extras` under a name: one company may have several."""
        if name not in self._bearers:
            made = self._bearers[name] = {}
            for symbol, entry in self._entries.items():
                if name in entry.extras:
                    made.setdefault(entry.extras[name], []).append(self._ids[symbol].key)
        return self._bearers[name].get(value, [])

    def id_of(self, symbol: str) -> ListingId | None:
        """The listing's id by its symbol."""
        return self._ids.get(symbol)

    def entry(self, spelling: str) -> VenueSymbol | None:
        """The line of the list behind a spelling."""
        return self._entries.get(self._spellings.get(spelling, ""))

    def symbol_of_key(self, key: int) -> str | None:
        """The symbol behind a key; for reports, not for the data path."""
        return next((symbol for symbol, listing_id in self._ids.items() if listing_id.key == key), None)
