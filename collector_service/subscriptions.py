"""What each connection of a source is subscribed to, and what is said when that changes while it is open.

A source has places for connections. Each holds some symbols, and one connection after the other takes it; while one is followed by another, it
has two.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from collector_service.listings import VenueSymbol


def place_of(connection: int) -> int:
    """The place that a connection has. Those of place n have the numbers 2n and 2n + 1, which take turns: however many places there will be,
    no number changes."""
    return connection >> 1


def first_of(place: int) -> int:
    """The number of the first connection of a place."""
    return place << 1


def partner_of(connection: int) -> int:
    """The number of the connection that a connection follows, or is followed by."""
    return connection ^ 1


class Subscriptions:
    """The symbols of each place, and which connections were told of theirs."""

    def __init__(self, places: Iterable[Sequence[VenueSymbol]] = ()) -> None:
        self._places = [list(entries) for entries in places]
        self._told: set[int] = set()
        self._left: dict[str, int] = {}
        """The places of what was unsubscribed from: it may still come until the connection is another one."""

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Sequence[VenueSymbol]]:
        return iter(self._places)

    def of(self, connection: int) -> Sequence[VenueSymbol]:
        """What a connection subscribes to; nothing where its place is not known."""
        place = place_of(connection)
        return self._places[place] if place < len(self._places) else ()

    def spellings(self, connection: int) -> set[str] | None:
        """All spellings of what a connection carries; None where its place is not known."""
        if place_of(connection) >= len(self._places):
            return None
        left = {spelling for spelling, place in self._left.items() if place == place_of(connection)}
        return left.union(*(spellings_of(entry) for entry in self.of(connection)))

    def told(self, connection: int) -> None:
        """A connection has subscribed to what its place has."""
        self._told.add(connection)

    def closed(self, connection: int) -> None:
        """A connection is gone."""
        self._told.discard(connection)
        place = place_of(connection)
        if not self.open_at(place):
            self._left = {spelling: at for spelling, at in self._left.items() if at != place}

    def open_at(self, place: int) -> list[int]:
        """The connections of a place that have subscribed; those that have not will do so by themselves."""
        first = first_of(place)
        return [one for one in (first, partner_of(first)) if one in self._told]

    def join(self, place: int, entries: Sequence[VenueSymbol]) -> None:
        """A place gets more symbols. The first place that is not there yet is made."""
        if place == len(self._places):
            self._places.append([])
        self._places[place] += entries
        for entry in entries:
            for spelling in spellings_of(entry):
                self._left.pop(spelling, None)

    def leave(self, symbols: Collection[str]) -> dict[int, list[VenueSymbol]]:
        """Takes symbols out; answers what each place has lost."""
        lost: dict[int, list[VenueSymbol]] = {}
        for place, entries in enumerate(self._places):
            gone = [entry for entry in entries if entry.symbol in symbols]
            if gone:
                lost[place] = gone
                self._places[place] = [entry for entry in entries if entry.symbol not in symbols]
                self._left |= {spelling: place for entry in gone for spelling in spellings_of(entry)}
        return lost

    def renew(self, line_of: Callable[[str], VenueSymbol | None]) -> None:
        """The lines are those of now, for whatever is subscribed to next."""
        self._places = [[line_of(entry.symbol) or entry for entry in entries] for entries in self._places]

    def has_left(self, spelling: str) -> bool:
        """Whether it was unsubscribed from: nothing is asked for its sake any more."""
        return spelling in self._left


def spellings_of(entry: VenueSymbol) -> tuple[str, ...]:
    """All that the venue calls it."""
    return (entry.symbol, *entry.aliases)
