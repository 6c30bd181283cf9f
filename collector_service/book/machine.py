"""What every book machine is: snapshot and updates in, deliveries out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import Enum
from typing import ClassVar, Final, Protocol

import msgspec

from collector_service.amounts import Amount
from collector_service.book.levels import Book, Level

BID: Final = 1
ASK: Final = 2

LevelChange = tuple[int, Amount, Amount]
"""(side, price, size now): side as in the API's BookSide, size 0 removes the level."""


class BookUpdate(msgspec.Struct, frozen=True, gc=False):
    """A venue's snapshot or update of one book, its numbers parsed. What a venue does not send is 0 or None."""

    changes: list[LevelChange]
    """In the venue's order: later ones hold over earlier ones."""
    first: int = 0
    last: int = 0
    """The venue's numbers of the first and the last change in it."""
    previous: int = 0
    """The venue's number of the update before."""
    checksum: int | None = None
    time_ns: int = 0
    offsets: list[int] | None = None
    """A number for each change: an older one does not replace a newer one."""


class Step(Enum):
    """What became of a snapshot or an update."""

    DELIVERED = "delivered"
    """The book changed; the deliveries say how."""
    WAITING = "waiting"
    """Kept or passed over until a snapshot comes."""
    IGNORED = "ignored"
    """Already contained in what the book holds."""
    RESYNC = "resync"
    """The book is out of step: a new snapshot is needed."""


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A change of the book from one consistent state to the next."""

    changes: Sequence[LevelChange]
    snapshot: bool
    sequence: int
    time_ns: int


class Result(msgspec.Struct, frozen=True, gc=False):
    """What became of a snapshot or an update, what is to be delivered, and why a snapshot is needed."""

    step: Step
    deliveries: tuple[Delivery, ...] = ()
    reason: str = ""


class Keeper(Protocol):
    """Keeps the levels of books in step, by the rules of their machines, faster than these: see `collector_service.lane`."""

    def give_back(self, machine: BookMachine, book: Book, /) -> None:
        """Writes the levels into a book that is empty or out of date: they are the machine's again."""
        ...


class BookMachine(ABC):
    """Keeps one instrument's book in step. `synced` is True while the book equals the venue's."""

    notices_loss: ClassVar[bool] = True
    """Whether an update that never arrived is found out by the next one."""

    def __init__(self, depth: int = 0) -> None:
        self.keeper: Keeper | None = None
        """Who keeps the levels in the machine's place; None: the machine does."""
        self.synced = False
        self.sequence = 0
        self.connection = -1
        """The connection whose messages it takes; negative before the first."""
        self.fresh = False
        """Nothing has followed the snapshot yet."""
        self._book = Book()
        self._depth = depth

    @property
    def book(self) -> Book:
        """The levels. Whoever kept them gives them back."""
        if self.keeper is not None:
            keeper, self.keeper = self.keeper, None
            keeper.give_back(self, self._book)
        return self._book

    @property
    def held(self) -> Sequence[BookUpdate]:
        """Updates that wait for a snapshot."""
        return ()

    @property
    def depth(self) -> int:
        """Levels a side that the venue sends; 0: all."""
        return self._depth

    @depth.setter
    def depth(self, depth: int) -> None:
        if depth != self._depth:
            _ = self.book  # who keeps it would not know
            self._depth = depth

    def drop_held(self) -> None:
        """Who keeps the levels has applied what was held, or found it void."""
        return

    def adopt_depth(self, depth: int) -> None:
        """Who keeps the levels was told another depth, and holds to it."""
        self._depth = depth

    @abstractmethod
    def snapshot(self, update: BookUpdate) -> Result:
        """A whole book."""

    @abstractmethod
    def update(self, update: BookUpdate) -> Result:
        """A change of the book."""

    def reset(self) -> None:
        """Out of step from now on, until a snapshot comes."""
        self.synced = False
        self.connection = -1
        self.book.clear()

    def image(self, time_ns: int) -> Delivery | None:
        """The whole book as a snapshot, for whoever missed what came before; None while it is out of step."""
        if not self.synced:
            return None
        return Delivery(_changes_of(self.book), snapshot=True, sequence=self.sequence, time_ns=time_ns)

    def _load(self, update: BookUpdate) -> Delivery:
        self.book.clear()
        self._apply(update.changes)
        self.sequence = update.last
        self.synced = True
        return Delivery(_changes_of(self.book), snapshot=True, sequence=update.last, time_ns=update.time_ns)

    def _advance(self, update: BookUpdate) -> Delivery:
        changes: Sequence[LevelChange] = update.changes
        gone = self._apply(changes)
        self.sequence = update.last
        return Delivery([*changes, *gone] if gone else changes, False, update.last, update.time_ns)

    def _apply(self, changes: Sequence[LevelChange]) -> list[LevelChange]:
        """Applies the changes; answers the levels that fell out of the depth, as removals."""
        bids, asks = self.book.bids, self.book.asks
        for side, price, size in changes:
            (bids if side == BID else asks).set(price, size)
        if not self._depth:
            return []
        return [
            *((BID, price, (0, 0)) for price in bids.truncate(self._depth)),
            *((ASK, price, (0, 0)) for price in asks.truncate(self._depth)),
        ]


def _changes_of(book: Book) -> list[LevelChange]:
    def listed(side: int, levels: Sequence[Level]) -> list[LevelChange]:
        return [(side, price, size) for price, size in levels]

    return [*listed(BID, list(book.bids)), *listed(ASK, list(book.asks))]


MachineFactory = Callable[[], BookMachine]
