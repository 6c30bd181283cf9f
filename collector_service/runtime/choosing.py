"""Which listings are subscribed to, and over which connection each comes."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import Final

import structlog

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.listings import VenueSymbol
from collector_service.source import Source

_log: Final = structlog.stdlib.get_logger(__name__)


def chosen(listings: Iterable[VenueSymbol], pairs: frozenset[str] | None, source: str) -> list[VenueSymbol]:
    """One listing for each pair that is wanted and trades, and one for each contract on it; where pairs are named, those without an end, and
    others by their own symbol. An index is no pair, and a pool is chosen by its address: naming pairs leaves none out."""
    found: dict[tuple[str, object], VenueSymbol] = {}
    for entry in listings:
        wanted = (
            pairs is None
            or entry.index is not None
            or entry.pool is not None
            or (entry.pair in pairs and not _expires(entry))
            or (entry.contract is not None and entry.symbol in pairs)
        )
        if wanted and entry.streamed and entry.status is ListingStatus.TRADING:
            found.setdefault((entry.pair, entry.contract or entry.pool), entry)
    names = {name for entry in found.values() for name in (entry.pair, entry.symbol)}
    missing = sorted((pairs or frozenset()) - names)
    if missing:
        log = _log.info if found else _log.warning
        log("pairs that do not trade at the venue", source=source, count=len(missing), first=missing[0])
    return list(found.values())


class Places:
    """The places for a source's connections: no more symbols at each than the venue allows, and of one path alone."""

    def __init__(self, source: Source) -> None:
        self._live = source.live
        self._size = source.limits.symbols_per_connection
        self._frees = source.live.leave is not None or source.live.replaces
        self._symbols: dict[str, int] = {}
        self._counts: list[int] = []
        self._room: dict[str, deque[int]] = {}
        self.paths: list[str] = []
        """Of each place, behind the WebSocket address."""

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._symbols

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def symbols(self) -> Collection[str]:
        """All that are subscribed to."""
        return self._symbols.keys()

    def put(self, entries: Iterable[VenueSymbol]) -> dict[int, list[VenueSymbol]]:
        """Finds a place for each, and answers what each place gets: the first that has room, or one after the last."""
        found: dict[int, list[VenueSymbol]] = {}
        for entry in entries:
            path = self._live.path if self._live.path_of is None else self._live.path_of(entry)
            room = self._room.setdefault(path, deque())
            if not room:
                room.append(self.add(path))
            place = room[0]
            found.setdefault(place, []).append(entry)
            self._symbols[entry.symbol] = place
            self._counts[place] += 1
            if self._counts[place] >= self._size:
                room.popleft()
        return found

    def add(self, path: str) -> int:
        """A place that nothing has yet."""
        self.paths.append(path)
        self._counts.append(0)
        return len(self.paths) - 1

    def take(self, symbols: Iterable[str]) -> None:
        """Symbols that are subscribed to no longer; what the venue cannot be told goes on taking room."""
        for symbol in symbols:
            place = self._symbols.pop(symbol, None)
            if place is None or not self._frees:
                continue
            if self._counts[place] == self._size:
                self._room[self.paths[place]].append(place)
            self._counts[place] -= 1


def _expires(entry: VenueSymbol) -> bool:
    return entry.contract is not None and entry.contract.kind is not AssetClass.PERPETUAL
