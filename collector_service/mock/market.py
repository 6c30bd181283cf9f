"""What happens at a mock venue: a seeded market of books, trades and quotes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from msgspec.structs import replace

from collector_service.mock import events as happened
from collector_service.mock.books import OPENED_NS, MockBook
from collector_service.mock.frames import FrameWriter
from collector_service.mock.numbers import as_read, unit_ns
from collector_service.mock.paths import template_paths
from collector_service.mock.plans import is_told, records_of
from collector_service.mock.world import World
from collector_service.spec import fields, records
from collector_service.spec.source import SourceSpec

_STEP_NS: Final = 1_001_000_000
"""So that numbers which are times rise, whatever their unit."""
_MIDS: Final = (6_400_000, 310_000, 15_000, 4_200_000)
"""In ticks."""
_LEAST_NS: Final = 1_000_000
_FIRST_TRADE: Final = 1_000
_CLOSE: Final = 20_000
"""In a world half of what is between two levels is one part of the price in so many: half a basis point."""


class MockMarket:
    """The books of some instruments, and what happens around them. Times rise with every event."""

    def __init__(
        self,
        spec: SourceSpec,
        instruments: Iterable[happened.MockInstrument],
        dice: random.Random,
        world: World | None = None,
    ) -> None:
        """Without a world time goes on by itself, and prices stay about where they are."""
        self.time_ns = OPENED_NS if world is None else world.now_ns
        self._world = world
        self._spec = spec
        self._dice = dice
        self._trade_numbers: Counter[str] = Counter()
        self.instruments = {one.symbol: one for one in instruments}
        self.books: dict[str, MockBook] = {}
        self.reopen()

    def reopen(self) -> None:
        """Begins anew, with other books."""
        self.books = {
            symbol: self._book(one, self._mid(one) or _MIDS[place % len(_MIDS)])
            for place, (symbol, one) in enumerate(self.instruments.items())
        }

    def now(self) -> int:
        """The next moment."""
        self.time_ns = (
            self.time_ns + _STEP_NS if self._world is None else max(self.time_ns + _LEAST_NS, self._world.now_ns)
        )
        return self.time_ns

    def follow(self, symbol: str) -> None:
        """Brings a book to the price that the world has for it."""
        mid = self._mid(self.instruments[symbol])
        if mid:
            self.books[symbol].aim(mid)

    def _mid(self, instrument: happened.MockInstrument) -> int:
        """In ticks; 0 where the world says nothing of it."""
        entry = instrument.entry
        found = self._world.mid(entry.base, entry.quote) if self._world is not None else None
        return round(found * 10**instrument.price_decimals) if found is not None else 0

    def trade(self, instrument: happened.MockInstrument) -> happened.TradeEvent:
        """A trade at the best price of one side."""
        side = self._dice.choice((records.BID, records.ASK))
        book = self.books[instrument.symbol]
        price, (lots, _) = book.best(records.ASK if side == records.BID else records.BID)
        self._trade_numbers[instrument.symbol] += 1
        size = book.size(max(1, lots // self._dice.randint(2, 20)))
        number = _FIRST_TRADE + self._trade_numbers[instrument.symbol]
        return happened.TradeEvent(instrument, price, size, side, number, self.now())

    def quote(self, instrument: happened.MockInstrument) -> happened.QuoteEvent:
        """The book's best bid and offer."""
        book = self.books[instrument.symbol]
        (bid, bid_size), (ask, ask_size) = book.best(records.BID), book.best(records.ASK)
        return happened.QuoteEvent(instrument, bid, bid_size, ask, ask_size, self.now())

    def state(self, instrument: happened.MockInstrument, word: str) -> happened.StateEvent:
        """A trading status, by the venue's word."""
        return happened.StateEvent(instrument, word, self.now())

    def sample(
        self, record: Any, writer: FrameWriter, instrument: happened.MockInstrument | None = None
    ) -> happened.Event | None:
        """An event for a record, of an instrument or of the first, that changes no book. Without an instrument it is to be written and not to be
        sent: what it says of a book may not be so."""
        probes = instrument is None
        instrument = instrument or next(iter(self.instruments.values()))
        book = self.books[instrument.symbol]
        match record:
            case records.Trade():
                return self.trade(instrument)
            case records.Quote():
                return self.quote(instrument)
            case records.BookSnapshot():
                return book.whole(self.now())
            case records.BookUpdate():
                level = book.whole(self.now()).levels[0]
                gone = [replace(level, size=(0, 0))] if probes else []
                return book.told([level] if is_told(record, [level]) else gone, self.now())
            case records.Statistic():
                return happened.FigureEvent(instrument, (self._dice.randint(1, 10_000), -4), self.now())
            case records.Status():
                return self.state(instrument, next(iter(record.state.words)))
            case records.BookDepth():
                return happened.DepthEvent(instrument, book.depth or 1_000)
            case records.Learn():
                number = writer.number_of(record.channel, instrument.symbol)
                return happened.NumberEvent(instrument, record.channel, number)
            case records.Reply():
                paths = template_paths(record.template)
                return happened.PingEvent(tuple((path, self._dice.randint(1, 10**12)) for path in paths))
        return None

    def _book(self, instrument: happened.MockInstrument, mid: int) -> MockBook:
        extras = instrument.entry.extras
        told = [
            record
            for record in records_of(self._spec.dialects[-1])
            if isinstance(record, (records.BookSnapshot, records.BookUpdate))
        ]
        levels = next((levels for record in told for levels in record.levels if levels.size is not None), None)

        def written(price: tuple[int, int], size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
            return (
                (price, size)
                if levels is None
                else (as_read(levels.price, price, extras), as_read(levels.size, size, extras))
            )

        apart = 1 if self._world is None else max(1, mid // _CLOSE)
        kept = self._spec.dialects[-1].books or self._spec.books
        book = MockBook(instrument, kept, self._dice, mid, written, apart)
        for record in told:
            if (
                record.time is not None
                and not isinstance(record.time, fields.Written)
                and record.last is not None
                and record.last.strip("?") == record.time.path.strip("?")
            ):
                book.unit = max(book.unit, unit_ns(record.time))
            book.paired |= len({levels.path for levels in record.levels}) < len(record.levels) and all(
                isinstance(levels.side, int) and not levels.where for levels in record.levels
            )
            book.single |= isinstance(record, records.BookUpdate) and record.first in (None, record.last)
        return book
