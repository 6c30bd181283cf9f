"""What a venue's instrument list says that it did not say before."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from alphapulse.domain.instruments import ListingStatus
from collector_service.listings import VenueSymbol
from collector_service.source import InstrumentList

_BELIEVED_SHARE: Final = 0.5
"""A list that lacks more than this part of what was listed before is taken for a broken answer, not for a mass delisting."""


@dataclass(frozen=True, slots=True)
class ListNews:
    """What is to be registered, and what was not believed."""

    changed: tuple[VenueSymbol, ...]
    """Lines that are new or differ, and those that are gone, with status DELISTED."""
    doubted: tuple[str, ...] = ()
    """Symbols that are gone from the list and are not taken as delisted."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of listings that the registry has and the list has not."""

    ended: tuple[str, ...] = ()
    """Symbols of those that were delisted."""
    doubted: tuple[str, ...] = ()
    """Symbols of those that stay as they are, since too much is gone at once."""


def ended_of(gone: Collection[str], over: Collection[str], alive: int) -> Ended:
    """Of listings that are gone, and of those that had to go, which are believed to have ended, where so many were alive."""
    if len(gone) > _BELIEVED_SHARE * (alive - len(over)):
        return Ended(tuple(sorted(over)), tuple(sorted(gone)))
    return Ended((*sorted(over), *sorted(gone)))


def news_of(listed: InstrumentList, known: Mapping[str, VenueSymbol]) -> ListNews:
    """Compares a list with what is known, by symbol. Of a symbol that is listed twice the first line counts.

    A symbol that is gone is delisted, unless lines could not be read, since one of them may be its own, or too much is gone at once.
    """
    lines: dict[str, VenueSymbol] = {}
    for entry in listed.entries:
        lines.setdefault(entry.symbol, entry)
    changed = [entry for symbol, entry in lines.items() if known.get(symbol) != entry]
    alive = [entry for entry in known.values() if entry.status is not ListingStatus.DELISTED]
    gone = [entry for entry in alive if entry.symbol not in lines]
    if gone and (listed.refused or len(gone) > _BELIEVED_SHARE * len(alive)):
        return ListNews(tuple(changed), tuple(entry.symbol for entry in gone))
    return ListNews((*changed, *(replace(entry, status=ListingStatus.DELISTED) for entry in gone)))
