"""From a venue's words to rows: symbols become keys, texts become exact numbers, books go through their machines."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Container, Sequence
from typing import Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.provenance import Provenance, RecordFlag
from collector_service.amounts import Amount, at_one_exponent, fitted
from collector_service.book import BookMachine, BookUpdate, Delivery, LevelChange, MachineFactory, Result, Step
from collector_service.listings import ListingIndex, unknown_key
from collector_service.rows import RowSink

MAX_UNKNOWN: Final = 4_096
"""Symbols outside the list that are still carried, marked unknown; beyond it their messages are refused."""

_MAX_WORDS: Final = 256
# As plain numbers: an operation on a flag of an enum costs more than all else of a row.
_SNAPSHOT_BEGIN: Final = int(RecordFlag.SNAPSHOT_BEGIN)
_LAST_OF_UPDATE: Final = int(RecordFlag.LAST_OF_UPDATE)
_CROSSED: Final = int(RecordFlag.CROSSED)
_BID_ABSENT: Final = int(RecordFlag.BID_ABSENT)
_ASK_ABSENT: Final = int(RecordFlag.ASK_ABSENT)
_UNKNOWN_LISTING: Final = int(RecordFlag.UNKNOWN_LISTING)
_MAX_FIGURES: Final = 200_000
"""Figures that are remembered so as not to be given again."""


class Emitter:
    """What the routes of a source write to. Every method raises InvalidArgument for a number that is none."""

    def __init__(
        self, venue: str, listings: ListingIndex, sink: RowSink, provenance: Provenance, new_book: MachineFactory
    ) -> None:
        self.listings = listings
        self.sink = sink
        self.books: dict[str, BookMachine] = {}
        self.resyncs: list[tuple[str, str]] = []
        """Symbols whose book needs a snapshot, with the reason; taken by the session."""
        self.book_updates: Counter[str] = Counter()
        """Snapshots and updates delivered, by symbol."""
        self.book_steps: Counter[Step] = Counter()
        self.unknown_values: Counter[str] = Counter()
        """Words of enumerations that this source does not know, as `field=word`."""
        self.connection = 0
        """The connection whose message is being decoded."""
        self.replies: list[str] = []
        """What the venue wants to hear back on it; taken by the session."""
        self.losses: list[tuple[str, str]] = []
        """What was lost, as (reason, symbol): a source that knows tells it here; taken by the session."""
        self.requested = ""
        """The symbol of the snapshot that is being decoded."""
        self.new_book = new_book
        """Makes the machine of a book that is met for the first time."""
        self._venue = venue
        self._provenance = int(provenance)
        self._unknown: dict[str, int] = {}
        self._last_trades: dict[str, int] = {}
        self._numbered: dict[str, dict[int, LevelChange]] = {}
        self._learned: dict[tuple[int, object], tuple[str, str]] = {}
        self._figures: OrderedDict[tuple[str, int, int, int], Amount] = OrderedDict()
        self._scales: dict[tuple[str, str], int] = {}

    @property
    def unknown_symbols(self) -> Sequence[str]:
        """Symbols met outside the list."""
        return tuple(self._unknown)

    def trade(
        self, symbol: str, price: Amount, size: Amount, *, trade_id: int = 0, aggressor: int = 0, time_ns: int = 0
    ) -> None:
        """One trade. `aggressor` as in the API: 1 the buyer, 2 the seller, 0 not said."""
        key, flags = self._identify(symbol)
        cost, amount = fitted(price), fitted(size)
        if cost is None or amount is None:
            flags |= RecordFlag.OVERSIZE
        cost, amount = cost or (0, 0), amount or (0, 0)
        self._last_trades[symbol] = max(trade_id or time_ns, self._last_trades.get(symbol, 0))
        self.sink.trade(key, time_ns, flags, cost[0], amount[0], trade_id, cost[1], amount[1], aggressor)

    def has_seen_trade(self, symbol: str, trade_id: int) -> bool:
        """Whether a trade of this number or a later one of the symbol was already given: for venues that repeat. The time of a trade without
        a number is its number."""
        return self._last_trades.get(symbol, -1) >= trade_id

    def set_depth(self, symbol: str, depth: int) -> None:
        """The venue says how many levels a side it sends."""
        self._machine(symbol).depth = depth

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
        key, flags = self._identify(symbol)
        prices, price_flags = _two_sides(bid, ask, RecordFlag.BID_ABSENT, RecordFlag.ASK_ABSENT, zero_absent=True)
        sizes, size_flags = _two_sides(bid_size, ask_size, RecordFlag.BID_SIZE_ABSENT, RecordFlag.ASK_SIZE_ABSENT)
        flags |= price_flags | size_flags
        if not price_flags and prices[0] >= prices[1]:
            flags |= RecordFlag.CROSSED
        self.sink.quote(key, time_ns, flags, prices[0], sizes[0], prices[1], sizes[1], prices[2], sizes[2])

    def snapshot(
        self,
        symbol: str,
        changes: list[LevelChange],
        *,
        first: int = 0,
        last: int = 0,
        previous: int = 0,
        checksum: int | None = None,
        offsets: list[int] | None = None,
        time_ns: int = 0,
    ) -> None:
        """A whole book."""
        machine = self._machine(symbol)
        update = BookUpdate(changes, first or last, last, previous, checksum, time_ns, offsets)
        self._take(symbol, machine, machine.snapshot(update))

    def update(
        self,
        symbol: str,
        changes: list[LevelChange],
        *,
        first: int = 0,
        last: int = 0,
        previous: int = 0,
        checksum: int | None = None,
        offsets: list[int] | None = None,
        time_ns: int = 0,
    ) -> None:
        """A change of a book."""
        machine = self._machine(symbol)
        update = BookUpdate(changes, first or last, last, previous, checksum, time_ns, offsets)
        self._take(symbol, machine, machine.update(update))

    def level_of(
        self, symbol: str, number: int, side: int, price: Amount | None, size: Amount | None, *, whole: bool = False
    ) -> LevelChange | None:
        """The level that a venue calls by a number. One that was not told before needs its price; where no size is told, that of before holds.
        None for a number that nobody told where that says nothing: the level is gone anyway, or the book waits for its snapshot, which is
        `whole`. Raises InvalidArgument for any other number that nobody told."""
        levels = self._numbered.setdefault(symbol, {})
        known = levels.get(number)
        price = price or (known[1] if known is not None else None)
        size = size or (known[2] if known is not None else None)
        if price is None or size is None:
            machine = self.books.get(symbol)
            is_gone = size is not None and not size[0]
            if not whole and (is_gone or machine is None or not machine.synced):
                return None
            raise InvalidArgument.field("id", str(number), "level-unknown", "a level of the book, told before")
        found = (side, price, size)
        if found[2][0]:
            levels[number] = found
        else:
            levels.pop(number, None)
        return found

    def forget_levels(self, symbol: str) -> None:
        """A snapshot numbers its levels anew."""
        self._numbered.pop(symbol, None)

    def statistic(
        self, symbol: str, kind: int, value: Amount, *, effective_ns: int = 0, time_ns: int = 0, repeats: bool = False
    ) -> None:
        """A figure: `kind` as in the API's StatisticKind. Of one that the venue `repeats` what was given already is passed over."""
        if repeats:
            told = (symbol, kind, effective_ns, time_ns)
            if self._figures.get(told) == value:
                return
            if len(self._figures) >= _MAX_FIGURES:
                self._figures.popitem(last=False)
            self._figures[told] = value
        key, flags = self._identify(symbol)
        figure = fitted(value)
        if figure is None:
            flags |= RecordFlag.OVERSIZE
        mantissa, exponent = figure or (0, 0)
        self.sink.statistic(key, time_ns, flags, mantissa, effective_ns, exponent, kind)

    def status(self, symbol: str, state: int, *, time_ns: int = 0) -> None:
        """A trading status: `state` as in the API's TradingState; 0, which is a word nobody knows, is counted and not sent."""
        if state:
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
        self._learned[self.connection, number] = (channel, symbol)

    def learned(self, number: object) -> str:
        """The symbol a number stands for. Raises InvalidArgument."""
        found = self._learned.get((self.connection, number))
        if found is None:
            raise InvalidArgument.field(
                "channel", str(number)[:64], "channel-unknown", "a number told when it was subscribed to"
            )
        return found[1]

    def channel_of(self, number: object) -> str:
        """The channel a number stands for; empty where nobody told it."""
        return self._learned.get((self.connection, number), ("", ""))[0]

    def forget_learned(self, connection: int) -> None:
        """A connection is gone, and its numbers with it."""
        for key in [key for key in self._learned if key[0] == connection]:
            del self._learned[key]

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

    def lose_books(self, symbols: Container[str] | None = None) -> None:
        """The connection is gone: the books of these symbols, or all, are out of step."""
        for symbol, machine in self.books.items():
            if symbols is None or symbol in symbols:
                machine.reset()

    def republish_books(self, time_ns: int) -> None:
        """Every book in step as a snapshot, for a relay that missed something."""
        for symbol, machine in self.books.items():
            image = machine.image(time_ns)
            if image is not None:
                self._deliver(symbol, machine, image)

    def _machine(self, symbol: str) -> BookMachine:
        machine = self.books.get(symbol)
        if machine is None:
            self._identify(symbol)
            machine = self.books[symbol] = self.new_book()
        return machine

    def _take(self, symbol: str, machine: BookMachine, result: Result) -> None:
        self.book_steps[result.step] += 1
        for delivery in result.deliveries:
            self._deliver(symbol, machine, delivery)
        if result.deliveries:
            self.book_updates[symbol] += len(result.deliveries)
        if result.step is not Step.DELIVERED and result.step is not Step.IGNORED:
            self.resyncs.append((symbol, result.reason))

    def _deliver(self, symbol: str, machine: BookMachine, delivery: Delivery) -> None:
        key, base = self._identify(symbol)
        begin = base | _SNAPSHOT_BEGIN if delivery.snapshot else base
        flags = (begin, base, _LAST_OF_UPDATE | _condition(machine))
        self.sink.book_levels(key, delivery.time_ns, delivery.sequence, delivery.changes, flags)

    def _identify(self, symbol: str) -> tuple[int, int]:
        key = self.listings.key(symbol)
        if key is not None:
            return key, self._provenance
        known = self._unknown.get(symbol)
        if known is None:
            if len(self._unknown) >= MAX_UNKNOWN:
                raise InvalidArgument.field("symbol", symbol, "symbol-listed", "not in the venue's instrument list")
            known = self._unknown[symbol] = unknown_key(self._venue, symbol)
        return known, self._provenance | _UNKNOWN_LISTING


def _two_sides(
    bid: Amount | None, ask: Amount | None, no_bid: RecordFlag, no_ask: RecordFlag, *, zero_absent: bool = False
) -> tuple[tuple[int, int, int], int]:
    """(bid, ask, exponent) of two amounts, and the flags for what is absent or does not fit."""
    flags = 0
    one, two = bid, ask
    if one is None or (zero_absent and not one[0]):
        flags |= no_bid
        one = None
    if two is None or (zero_absent and not two[0]):
        flags |= no_ask
        two = None
    both = at_one_exponent(one or (0, two[1] if two else 0), two or (0, one[1] if one else 0))
    if both is None:
        return (0, 0, 0), flags | RecordFlag.OVERSIZE
    return both, flags


def _condition(machine: BookMachine) -> int:
    bid, ask = machine.book.bids.best_key(), machine.book.asks.best_key()
    if bid is not None and ask is not None:
        return _CROSSED if bid >= ask else 0
    return (_BID_ABSENT if bid is None else 0) | (_ASK_ABSENT if ask is None else 0)
