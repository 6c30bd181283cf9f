"""What happens at a mock venue, before it is put into the venue's words.

Amounts are (mantissa, exponent), times nanoseconds since the Unix epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from collector_service.amounts import Amount
from collector_service.listings import VenueSymbol
from collector_service.spec import Channel


@dataclass(frozen=True, slots=True)
class MockInstrument:
    """One line of the mock's list, and the grid of its numbers."""

    entry: VenueSymbol
    """As the source reads the line that the mock wrote."""
    spelling: str
    """How streams write it."""
    price_decimals: int
    size_decimals: int
    lots: tuple[int, int] = (1, 90_000)
    """The least and the most that a level of its book has, in units of the last decimal."""
    levels: int = 8
    """A side of its book, where the venue tells all of it."""

    @property
    def symbol(self) -> str:
        """The listing's symbol."""
        return self.entry.symbol


class TradeEvent(Struct, frozen=True):
    """A trade; the aggressor as in the API: 1 the buyer, 2 the seller."""

    instrument: MockInstrument
    price: Amount
    size: Amount
    side: int
    number: int
    time_ns: int


class QuoteEvent(Struct, frozen=True):
    """The best bid and offer; None: that side is empty."""

    instrument: MockInstrument
    bid: Amount | None
    bid_size: Amount | None
    ask: Amount | None
    ask_size: Amount | None
    time_ns: int


class LevelEvent(Struct, frozen=True):
    """A level as it is now; size 0: it is gone."""

    side: int
    price: Amount
    size: Amount
    number: int = 0
    """The venue's number of the level."""
    offset: int = 0
    known: bool = False
    """The venue has told of it before, by its number."""


class BookEvent(Struct, frozen=True):
    """A whole book, or a change of one, with every number that a book machine may want."""

    instrument: MockInstrument
    whole: bool
    levels: tuple[LevelEvent, ...]
    first: int
    last: int
    previous: int
    checksum: int
    depth: int
    time_ns: int


class FigureEvent(Struct, frozen=True):
    """A figure of an instrument."""

    instrument: MockInstrument
    value: Amount
    time_ns: int


class StateEvent(Struct, frozen=True):
    """A trading status, by the venue's word."""

    instrument: MockInstrument
    word: str
    time_ns: int


class DepthEvent(Struct, frozen=True):
    """How many levels a side will be sent."""

    instrument: MockInstrument
    depth: int


class NumberEvent(Struct, frozen=True):
    """A connection's number of a channel and symbol."""

    instrument: MockInstrument
    channel: str
    number: int


class PingEvent(Struct, frozen=True):
    """The venue asks for an answer; what stands at each path of its template."""

    numbers: tuple[tuple[str, int], ...]


Event = TradeEvent | QuoteEvent | BookEvent | FigureEvent | StateEvent | DepthEvent | NumberEvent | PingEvent


def at_time(event: Event, time_ns: int) -> Event:
    """The event at another time, where it has one."""
    if isinstance(event, (DepthEvent, NumberEvent, PingEvent)) or event.time_ns == time_ns:
        return event
    return replace(event, time_ns=time_ns)


class Said(Struct, frozen=True):
    """One frame, and what it tells: pairs of record and event."""

    data: bytes
    kind: str = ""
    channel: Channel | None = None
    symbol: str = ""
    told: tuple[tuple[Any, Event], ...] = ()

    @property
    def book(self) -> BookEvent | None:
        """What it tells of a book."""
        return next((event for _, event in self.told if isinstance(event, BookEvent)), None)
