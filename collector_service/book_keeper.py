"""The books of a source: what changes them goes through their machines, and what these deliver becomes rows. Where one connection takes the place of
another, both have books of their own for a while.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Container
from typing import Final

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.provenance import RecordFlag
from collector_service.amounts import Amount
from collector_service.book import BookMachine, BookUpdate, Delivery, LevelChange, MachineFactory, Result, Step
from collector_service.conditions import condition
from collector_service.handover import Handover
from collector_service.listing_index import ListingIndex
from collector_service.rows import RowSink

# As plain numbers: an operation on a flag of an enum costs more than all else of a row.
_SNAPSHOT_BEGIN: Final = int(RecordFlag.SNAPSHOT_BEGIN)
_LAST_OF_UPDATE: Final = int(RecordFlag.LAST_OF_UPDATE)


class BookKeeper(ABC):
    """The part of an emitter that has to do with books."""

    def __init__(self, listings: ListingIndex, sink: RowSink, new_book: MachineFactory) -> None:
        self.listings = listings
        self.sink = sink
        self.new_book = new_book
        """Makes the machine of a book that is met for the first time."""
        self.books: dict[str, BookMachine] = {}
        self.resyncs: list[tuple[str, str]] = []
        """Symbols whose book needs a snapshot, with the reason; taken by the session."""
        self.book_updates: Counter[str] = Counter()
        """Snapshots and updates delivered, by symbol."""
        self.book_steps: Counter[Step] = Counter()
        self.connection = 0
        """The connection whose message is being decoded; negative for the answer of a request."""
        self.handovers: dict[int, Handover] = {}
        """Where one connection takes the place of another, by the number of each of the two."""
        self.shares_books = False
        """Whether several connections have told of one book, which then takes those messages alone that come over its own."""
        self.last_trades: dict[str, int] = {}
        """The highest number of a trade that was given, by symbol; the time of one without a number is its number."""
        self._numbered: dict[str, dict[int, LevelChange]] = {}

    @abstractmethod
    def _identify(self, symbol: str) -> tuple[int, int]:
        """(key of its listing, flags of its rows), heard of from now on. Raises InvalidArgument."""

    def _forget_books(self) -> None:
        """Another conversation: its books begin anew."""
        for known in (self.books, self.handovers, self.last_trades, self._numbered, self.resyncs):
            known.clear()
        self.shares_books = False

    def set_depth(self, symbol: str, depth: int) -> None:
        """The venue says how many levels a side it sends."""
        self._machine(symbol).depth = depth

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
        update = BookUpdate(changes, first or last, last, previous, checksum, time_ns, offsets)
        self._change(symbol, update, whole=True)

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
        update = BookUpdate(changes, first or last, last, previous, checksum, time_ns, offsets)
        self._change(symbol, update, whole=False)

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

    def _change(self, symbol: str, update: BookUpdate, *, whole: bool) -> None:
        machine = self._machine(symbol)
        if machine.connection != self.connection and not self._heeds(machine):
            self.book_steps[Step.IGNORED] += 1
            return
        self._take(symbol, machine, machine.snapshot(update) if whole else machine.update(update))

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
