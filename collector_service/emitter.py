"""From a venue's words to rows: symbols become keys, texts become exact numbers, books go through their machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.provenance import Provenance, RecordFlag
from collector_service.amounts import Amount, fitted
from collector_service.book import BookMachine, BookUpdate, Delivery, LevelChange, MachineFactory, Result, Step
from collector_service.conditions import condition, two_sides
from collector_service.handover import Handover
from collector_service.listing_index import ListingIndex, unknown_key
from collector_service.listings import VenueSymbol
from collector_service.notices import OVERRUN, Notice, Notices
from collector_service.rows import RowSink
from collector_service.told import Told

MAX_UNKNOWN: Final = 4_096
"""Symbols outside the list that are still carried, marked unknown; beyond it their messages are refused."""

_MAX_WORDS: Final = 256
# As plain numbers: an operation on a flag of an enum costs more than all else of a row.
_SNAPSHOT_BEGIN: Final = int(RecordFlag.SNAPSHOT_BEGIN)
_LAST_OF_UPDATE: Final = int(RecordFlag.LAST_OF_UPDATE)
_UNKNOWN_LISTING: Final = int(RecordFlag.UNKNOWN_LISTING)
_SIZE_ABSENT: Final = int(RecordFlag.SIZE_ABSENT)
_NOTHING: Final[Amount] = (0, 0)
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
        """The connection whose message is being decoded; negative for the answer of a request."""
        self.heard: set[int] = set()
        """Keys of the listings that something was given of; taken by the session."""
        self.handovers: dict[int, Handover] = {}
        """Where one connection takes the place of another, by the number of each of the two."""
        self.shares_books = False
        """Whether several connections have told of one book, which then takes those messages alone that come over its own."""
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
        self.last_trades: dict[str, int] = {}
        """The highest number of a trade that was given, by symbol; the time of one without a number is its number."""
        self.subscribed: Sequence[VenueSymbol] = ()
        """The listings of the connection that was opened last."""
        self.requested = ""
        """The symbol of the snapshot that is being decoded."""
        self.new_book = new_book
        """Makes the machine of a book that is met for the first time."""
        self._venue = venue
        self._provenance = int(provenance)
        self._unknown: dict[str, int] = {}
        self._numbered: dict[str, dict[int, LevelChange]] = {}
        self._learned: dict[tuple[int, object], tuple[str, str]] = {}
        self._figures: Told[tuple[str, int, int, int], Amount] = Told(_MAX_FIGURES)
        self._scales: dict[tuple[str, str], int] = {}
        self.retold = 0
        """How often a number of a connection has come to stand for something else, or for nothing."""
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
            flags |= RecordFlag.OVERSIZE
        cost, amount = cost or (0, 0), amount or (0, 0)
        self.last_trades[symbol] = max(trade_id or time_ns, self.last_trades.get(symbol, 0))
        self.sink.trade(key, time_ns, flags, cost[0], amount[0], trade_id, cost[1], amount[1], aggressor)

    def has_seen_trade(self, symbol: str, trade_id: int) -> bool:
        """Whether a trade of this number or a later one of the symbol was already given: for venues that repeat. The time of a trade without
        a number is its number."""
        last = self.last_trades
        if self.handovers:
            handover = self.handovers.get(self.connection)
            # Each of the two repeats what it gave itself; which of them gave a trade first is found out by its number.
            last = last if handover is None else handover.highest[self.connection == handover.new]
        return last.get(symbol, -1) >= trade_id

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
        if self.handovers and not self._takes("quotes", symbol):
            return
        key, flags = self._identify(symbol)
        prices, price_flags = two_sides(bid, ask, RecordFlag.BID_ABSENT, RecordFlag.ASK_ABSENT, zero_absent=True)
        sizes, size_flags = two_sides(bid_size, ask_size, RecordFlag.BID_SIZE_ABSENT, RecordFlag.ASK_SIZE_ABSENT)
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
        if machine.connection != self.connection and not self._heeds(machine):
            self.book_steps[Step.IGNORED] += 1
            return
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
        if machine.connection != self.connection and not self._heeds(machine):
            self.book_steps[Step.IGNORED] += 1
            return
        update = BookUpdate(changes, first or last, last, previous, checksum, time_ns, offsets)
        self._take(symbol, machine, machine.update(update))

    def level_of(
        self, symbol: str, number: int, side: int, price: Amount | None, size: Amount | None, *, whole: bool = False
    ) -> LevelChange | None:
        """The level that a venue calls by a number. One that was not told before needs its price; where no size is told, that of before holds.
        None for a number that nobody told where that says nothing: the level is gone anyway, or the book waits for its snapshot, which is
        `whole`. Raises InvalidArgument for any other number that nobody told."""
        levels = self._levels(symbol)
        known = levels.get(number)
        price = price or (known[1] if known is not None else None)
        size = size or (known[2] if known is not None else None)
        if price is None or size is None:
            machine = self._beside(symbol) or self.books.get(symbol)
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
        self._levels(symbol).clear()

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
        key, told = (self.connection, number), (channel, symbol)
        if self._learned.get(key, told) != told:
            self.retold += 1
        self._learned[key] = told

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

    def number_of(self, connection: int, channel: str, spellings: Container[str]) -> object:
        """The number that a connection told last for a channel of one of these symbols; None where it told none."""
        found = (
            number
            for (at, number), (told, symbol) in reversed(self._learned.items())
            if at == connection and told == channel and symbol in spellings
        )
        return next(found, None)

    def forget_learned(self, connection: int) -> None:
        """A connection is gone, and its numbers with it."""
        for key in [key for key in self._learned if key[0] == connection]:
            del self._learned[key]
            self.retold += 1

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

    def republish_books(self, time_ns: int, keys: Container[int] | None = None) -> None:
        """Every book in step as a snapshot, for a relay that missed something; those of these listings, where they are named."""
        for symbol, machine in self.books.items():
            if keys is not None and self.listings.key(symbol) not in keys:
                continue
            image = machine.image(time_ns)
            if image is not None:
                self._deliver(symbol, machine, image)

    def begin_anew(self) -> None:
        """Another conversation: all that was learned and given is forgotten; what was counted stays."""
        for known in (self.books, self.handovers, self.last_trades, self._numbered, self._learned):
            known.clear()
        self.retold += 1
        self._figures.clear()
        self.notices.clear()
        self.shares_books = False
        self.begin()
        for waiting in (self.resyncs, self.gaps, self.replies):
            waiting.clear()
        self.heard.clear()

    def begin_handover(self, handover: Handover) -> None:
        """The messages of both connections are taken from now on."""
        for highest in handover.highest:
            highest.update(self.last_trades)
        self.handovers[handover.old] = self.handovers[handover.new] = handover

    def end_handover(self, handover: Handover, *, to_new: bool) -> list[str]:
        """One of the two remains: what the other one built is forgotten. Answers the symbols whose book was in step and is not now."""
        lost: list[str] = []
        if to_new:
            for symbol, machine in list(self.books.items()):
                if machine.connection == handover.old:
                    machine.connection = handover.new
                if symbol in handover.symbols and symbol not in handover.replaced:
                    was_synced = machine.synced
                    self._replace(handover, symbol, handover.books.get(symbol) or self.new_book())
                    if was_synced and not self.books[symbol].synced:
                        lost.append(symbol)
        else:
            for symbol, machine in handover.replaced.items():
                self.books[symbol] = machine
                self._numbered[symbol] = handover.replaced_levels[symbol]
                if not self._deliver_image(symbol, machine):
                    lost.append(symbol)
        del self.handovers[handover.old], self.handovers[handover.new]
        return lost

    def behind(self, handover: Handover) -> bool:
        """Whether a book in step has no successor that is."""
        return any(
            machine.synced and symbol in handover.symbols and symbol not in handover.replaced
            for symbol, machine in self.books.items()
        )

    def _takes(self, kind: str, symbol: str) -> bool:
        handover = self.handovers.get(self.connection)
        return handover is None or handover.takes(self.connection, kind, symbol)

    def _levels(self, symbol: str) -> dict[int, LevelChange]:
        """The numbered levels of a symbol, as the connection numbers them."""
        if self.handovers:
            handover = self.handovers.get(self.connection)
            if handover is not None and handover.new == self.connection:
                return handover.levels.setdefault(symbol, {})
            if handover is not None and symbol in handover.replaced_levels:
                return handover.replaced_levels[symbol]
        return self._numbered.setdefault(symbol, {})

    def _beside(self, symbol: str) -> BookMachine | None:
        """The machine of a connection that does not serve the symbol's book, where the message is for that one."""
        if not self.handovers:
            return None
        handover = self.handovers.get(self.connection)
        if handover is None:
            # The answer of a request is for the book that waits for it.
            waiting = (one.books.get(symbol) for one in self.handovers.values() if self.connection < 0)
            return next((machine for machine in waiting if machine is not None and not machine.synced), None)
        if handover.new == self.connection:
            if symbol not in handover.books:
                handover.books[symbol] = self.new_book()
            return handover.books[symbol]
        return handover.replaced.get(symbol)

    def _take_beside(self, symbol: str, machine: BookMachine, result: Result) -> None:
        """What a book that is not the source's has become: one that is in step, and no older than the source's, takes its place."""
        handover = next((one for one in self.handovers.values() if one.books.get(symbol) is machine), None)
        if handover is None:
            return  # the book of a connection that is about to be closed
        if result.step is Step.WAITING or result.step is Step.RESYNC:
            self.resyncs.append((symbol, ""))
        now = self.books.get(symbol)
        if machine.synced and (now is None or not now.synced or machine.sequence >= now.sequence):
            self._replace(handover, symbol, machine)

    def _replace(self, handover: Handover, symbol: str, machine: BookMachine) -> None:
        """The new connection's book is the source's from now on: whoever follows it is given it whole."""
        handover.replaced[symbol] = self.books.get(symbol) or self.new_book()
        handover.replaced_levels[symbol] = self._numbered.get(symbol, {})
        handover.books[symbol] = self.books[symbol] = machine
        self._numbered[symbol] = handover.levels.setdefault(symbol, {})
        self._deliver_image(symbol, machine)

    def _deliver_image(self, symbol: str, machine: BookMachine) -> bool:
        """The whole book, for whoever followed another one; False where it is out of step."""
        image = machine.image(self.sink.received_ns)
        if image is None:
            return False
        self._deliver(symbol, machine, image)
        self.book_updates[symbol] += 1
        return True

    def _machine(self, symbol: str) -> BookMachine:
        machine = self._beside(symbol) or self.books.get(symbol)
        if machine is None:
            self._identify(symbol)
            machine = self.books[symbol] = self.new_book()
        return machine

    def _heeds(self, machine: BookMachine) -> bool:
        """Whether a book takes what another connection than before tells of it. Where several tell of one, each is a little ahead of the others
        or behind: a book in step goes on with the one that it has."""
        if self.connection < 0:
            return True
        if machine.synced and machine.connection >= 0:
            self.shares_books = True
            return False
        machine.connection = self.connection
        return True

    def _take(self, symbol: str, machine: BookMachine, result: Result) -> None:
        if self.handovers and machine is not self.books.get(symbol):
            self._take_beside(symbol, machine, result)
            return
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
        flags = (begin, base, _LAST_OF_UPDATE | condition(machine))
        self.sink.book_levels(key, delivery.time_ns, delivery.sequence, delivery.changes, flags)

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
