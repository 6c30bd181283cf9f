"""From a venue's words to rows: symbols become keys, texts become exact numbers, books go through their machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from alphapulse.api.marketdata.v1 import marketdata_pb2
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.provenance import Provenance, RecordFlag
from alphapulse.domain.wide import widened
from collector_service.amounts import Amount, fitted
from collector_service.book import MachineFactory
from collector_service.book_keeper import BookKeeper
from collector_service.channel_numbers import ChannelNumbers
from collector_service.conditions import two_sides
from collector_service.listing_index import ListingIndex, unknown_key
from collector_service.listings import VenueSymbol
from collector_service.notices import OVERRUN, Notice, Notices
from collector_service.rows import RowSink
from collector_service.told import Told

MAX_UNKNOWN: Final = 4_096
"""Symbols outside the list that are still carried, marked unknown; beyond it their messages are refused."""

_MAX_WORDS: Final = 256
# As plain numbers: an operation on a flag of an enum costs more than all else of a row.
_UNKNOWN_LISTING: Final = int(RecordFlag.UNKNOWN_LISTING)
_SIZE_ABSENT: Final = int(RecordFlag.SIZE_ABSENT)
_SIZE: Final = int(marketdata_pb2.AMOUNT_KIND_SIZE)
_PRICE: Final = int(marketdata_pb2.AMOUNT_KIND_PRICE)
_NOTHING: Final[Amount] = (0, 0)
_MAX_FIGURES: Final = 200_000
"""Figures that are remembered so as not to be given again."""


class Emitter(BookKeeper):
    """What the routes of a source write to. Every method raises InvalidArgument for a number that is none."""

    def __init__(
        self, venue: str, listings: ListingIndex, sink: RowSink, provenance: Provenance, new_book: MachineFactory
    ) -> None:
        super().__init__(listings, sink, new_book)
        self.channels = ChannelNumbers()
        self.unknown_values: Counter[str] = Counter()
        """Words of enumerations that this source does not know, as `field=word`."""
        self.heard: set[int] = set()
        """Keys of the listings that something was given of; taken by the session."""
        self.replies: list[str] = []
        """What the venue wants to hear back on it; taken by the session."""
        self.gaps: list[tuple[str, str]] = []
        """What a source with a memory of its own knows to be lost: (reason, symbol; empty: all of the source). Taken by the session."""
        self.refused: list[Exception] = []
        """Items of a message that could not be read and cost no other; taken by the session."""
        self.announced = 0
        """How often the venue has said that its list is another one now."""
        self.memory: Any = None
        """What the source's `new_memory` made."""
        self.subscribed: Sequence[VenueSymbol] = ()
        """The listings of the connection that was opened last."""
        self.requested = ""
        """The symbol of the snapshot that is being decoded."""
        self._venue = venue
        self._provenance = int(provenance)
        self._unknown: dict[str, int] = {}
        self._figures: Told[tuple[str, int, int, int], Amount] = Told(_MAX_FIGURES)
        self._scales: dict[tuple[str, str], int] = {}
        self.noted = False
        """Something of the message is remembered, or was refused: `begin` has to be called before the next."""
        self.notices = Notices(listings, sink, self._feed)

    @property
    def unknown_symbols(self) -> Sequence[str]:
        """Symbols met outside the list."""
        return tuple(self._unknown)

    @property
    def unlisted(self) -> int:
        """How many these are."""
        return len(self._unknown)

    def trade(
        self,
        symbol: str,
        price: Amount,
        size: Amount | None,
        *,
        trade_id: int = 0,
        aggressor: int = 0,
        time_ns: int = 0,
    ) -> None:
        """One trade, without a size where the venue gave none. `aggressor` as in the API: 1 the buyer, 2 the seller, 0 not said."""
        if self.handovers:
            handover = self.handovers.get(self.connection)
            if handover is not None and not handover.takes_trade(self.connection, symbol, trade_id, time_ns):
                return
        key, flags = self._identify(symbol)
        if size is None:
            flags |= _SIZE_ABSENT
            size = _NOTHING
        cost, amount = fitted(price), fitted(size)
        if cost is None or amount is None:
            if trade_id:
                self._wide_amounts(key, time_ns, flags, trade_id, ((_SIZE, size, amount), (_PRICE, price, cost)))
            flags |= RecordFlag.OVERSIZE
        cost, amount = cost or (0, 0), amount or (0, 0)
        self.last_trades[symbol] = max(trade_id or time_ns, self.last_trades.get(symbol, 0))
        self.sink.trade(key, time_ns, flags, cost[0], amount[0], trade_id, cost[1], amount[1], aggressor)

    def _wide_amounts(
        self, key: int, time_ns: int, flags: int, trade_id: int, amounts: Iterable[tuple[int, Amount, Amount | None]]
    ) -> None:
        """The amounts of a trade that its row cannot hold: before it, so that a reader has them when it comes."""
        for kind, amount, fitting in amounts:
            wide = widened(*amount) if fitting is None else None
            if wide is not None:
                self.sink.wide_amount(key, time_ns, flags & ~_SIZE_ABSENT, trade_id, *wide, kind)

    def has_seen_trade(self, symbol: str, trade_id: int) -> bool:
        """Whether a trade of this number or a later one of the symbol was already given: for venues that repeat. The time of a trade without
        a number is its number."""
        last = self.last_trades
        if self.handovers:
            handover = self.handovers.get(self.connection)
            # Each of the two repeats what it gave itself; which of them gave a trade first is found out by its number.
            last = last if handover is None else handover.highest[self.connection == handover.new]
        return last.get(symbol, -1) >= trade_id

    def quote(
        self,
        symbol: str,
        bid: Amount | None,
        bid_size: Amount | None,
        ask: Amount | None,
        ask_size: Amount | None,
        *,
        time_ns: int = 0,
    ) -> None:
        """One best bid and offer; None is what the venue did not give. A price of zero is an empty side."""
        if self.handovers and not self._takes("quotes", symbol):
            return
        key, flags = self._identify(symbol)
        prices, price_flags = two_sides(bid, ask, RecordFlag.BID_ABSENT, RecordFlag.ASK_ABSENT, zero_absent=True)
        sizes, size_flags = two_sides(bid_size, ask_size, RecordFlag.BID_SIZE_ABSENT, RecordFlag.ASK_SIZE_ABSENT)
        flags |= price_flags | size_flags
        if not price_flags and prices[0] >= prices[1]:
            flags |= RecordFlag.CROSSED
        self.sink.quote(key, time_ns, flags, prices[0], sizes[0], prices[1], sizes[1], prices[2], sizes[2])

    def statistic(
        self, symbol: str, kind: int, value: Amount, *, effective_ns: int = 0, time_ns: int = 0, repeats: bool = False
    ) -> None:
        """A figure: `kind` as in the API's StatisticKind. Of one that the venue `repeats` what was given already is passed over."""
        if repeats:
            told = (symbol, kind, effective_ns, time_ns)
            if self._figures.get(told) == value:
                return
            self.noted = True
            self._figures.put(told, value)
        if self.handovers and not self._takes(f"statistics {kind}", symbol):
            return
        key, flags = self._identify(symbol)
        figure = fitted(value)
        if figure is None:
            flags |= RecordFlag.OVERSIZE
        mantissa, exponent = figure or (0, 0)
        self.sink.statistic(key, time_ns, flags, mantissa, effective_ns, exponent, kind)

    def notice(self, symbol: str, notice: Notice, by: str = "", apart: str = "") -> None:
        """Something that was published, under the listing of its feed: see `Notices.tell`."""
        self.noted = True
        self.notices.tell(symbol, notice, by=by, apart=apart)

    def end_of_feed(self, symbol: str) -> None:
        """The end of an answer with the latest of a feed: one that has nothing in common with the one before leaves a hole."""
        if self.notices.overrun(symbol):
            self.gaps.append((OVERRUN, symbol))

    def refuse(self, error: Exception) -> None:
        """An item of a message cannot be read; the others can."""
        self.noted = True
        self.refused.append(error)

    def begin(self) -> None:
        """A message begins: what was noted of the one before is done with."""
        self.noted = False
        self.refused.clear()
        self._figures.begin()
        self.notices.begin()

    def undo(self) -> None:
        """A message gives nothing after all: what it told may be told again."""
        self._figures.undo()
        self.notices.undo()

    def status(self, symbol: str, state: int, *, time_ns: int = 0) -> None:
        """A trading status: `state` as in the API's TradingState; 0, which is a word nobody knows, is counted and not sent."""
        if state and (not self.handovers or self._takes("statuses", symbol)):
            key, flags = self._identify(symbol)
            self.sink.trading_status(key, time_ns, flags, 0, state)

    def unknown_value(self, field: str, value: object) -> int:
        """A word of an enumeration that this source does not know: counted, and carried as 0."""
        name = f"{field}={value}"[:64]
        self.unknown_values[
            name if name in self.unknown_values or len(self.unknown_values) < _MAX_WORDS else "(others)"
        ] += 1
        return 0

    def learn(self, number: object, channel: str, symbol: str) -> None:
        """On this connection a number stands for a channel and a symbol."""
        self.channels.learn(self.connection, number, channel, symbol)

    def learned(self, number: object) -> str:
        """The symbol a number stands for. Raises InvalidArgument."""
        return self.channels.symbol(self.connection, number)

    def channel_of(self, number: object) -> str:
        """The channel a number stands for; empty where nobody told it."""
        return self.channels.channel(self.connection, number)

    def scale(self, symbol: str, name: str) -> int:
        """Decimals of the venue's whole numbers, from the line of its list. Raises InvalidArgument where there is none."""
        found = self._scales.get((symbol, name))
        if found is None:
            entry = self.listings.entry(symbol)
            text = entry.extras.get(name, "") if entry is not None else ""
            if not (text.isdecimal() and text.isascii() and len(text) <= 2):
                raise InvalidArgument.field(
                    "symbol", symbol, "scale-unknown", f"the venue's list has to tell its {name}"
                )
            found = self._scales[symbol, name] = int(text)
        return found

    def reply(self, message: object) -> None:
        """Something the venue wants to hear back."""
        self.replies.append(msgspec.json.encode(message).decode())

    def begin_anew(self) -> None:
        """Another conversation: all that was learned and given is forgotten; what was counted stays."""
        self._forget_books()
        self.channels.clear()
        self._figures.clear()
        self.notices.clear()
        self.begin()
        self.gaps.clear()
        self.replies.clear()
        self.heard.clear()

    def _feed(self, symbol: str) -> tuple[int, int]:
        """As `_identify`, but not heard of: that nothing is published is no silence."""
        key = self.listings.key(symbol)
        return (key, self._provenance) if key is not None else self._identify(symbol)

    def _identify(self, symbol: str) -> tuple[int, int]:
        key = self.listings.key(symbol)
        if key is not None:
            self.heard.add(key)
            return key, self._provenance
        known = self._unknown.get(symbol)
        if known is None:
            if len(self._unknown) >= MAX_UNKNOWN:
                raise InvalidArgument.field("symbol", symbol, "symbol-listed", "not in the venue's instrument list")
            known = self._unknown[symbol] = unknown_key(self._venue, symbol)
        return known, self._provenance | _UNKNOWN_LISTING
