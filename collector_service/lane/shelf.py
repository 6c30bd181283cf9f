"""Books that the kernel keeps: what their machines lend it, and get back when they have to do with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np

from alphapulse.domain.errors import InvalidArgument
from collector_service.book import (
    Book,
    BookMachine,
    BookUpdate,
    ChecksumMachine,
    Level,
    OffsetMachine,
    PerChannelMachine,
    PreviousIdMachine,
    RangeSequenceMachine,
    Side,
    SnapshotOnlyMachine,
    SnapshotUpdatesMachine,
    Step,
    digits_of_top,
    levels_in_turn,
)
from collector_service.emitter import Emitter
from collector_service.lane import codes
from collector_service.lane.numbers import NumberTable

_LEAST_ROOM: Final = 64
_USUAL_ROOM: Final = 1_024
_FIRST_ARENA: Final = 1 << 17
"""Of which what no book has got yet is not in memory."""
_LARGEST: Final = 2**62
_FINEST: Final = -36
_PER_FRAME: Final = 16
"""Levels that are moved in the time that a frame takes on the ordinary path: a book that was given back sits out as many frames as its move cost."""
_PLAIN: Final = {
    PreviousIdMachine: codes.M_PREVIOUS,
    PerChannelMachine: codes.M_PER_CHANNEL,
    SnapshotUpdatesMachine: codes.M_SNAPSHOT_UPDATES,
    SnapshotOnlyMachine: codes.M_SNAPSHOT_ONLY,
    OffsetMachine: codes.M_OFFSET,
}
_TEXTS: Final[dict[Callable[[Book], str], int]] = {
    digits_of_top: codes.M_DIGITS_OF_TOP,
    levels_in_turn: codes.M_LEVELS_IN_TURN,
}


class Shelf:
    """A row of `books` for each symbol that was met; the levels of all of them in one arena."""

    def __init__(self, emitter: Emitter) -> None:
        self.books: Any = np.zeros((64, codes.BOOK_WIDTH), np.int64)
        self.keys: Any = np.zeros(_FIRST_ARENA, np.int64)
        self.sizes: Any = np.zeros(_FIRST_ARENA, np.int64)
        self.exponents: Any = np.zeros(_FIRST_ARENA, np.int16)
        self.numbers = NumberTable()
        self.symbols: list[str] = []
        self._numbers = self.books.data.cast("B").cast("q")
        """The books, for a look at one number."""
        self._emitter = emitter
        self._slots: dict[str, int] = {}
        self._machines: list[BookMachine | None] = []
        self._waits: list[int] = []
        self._used = 0
        self._free: dict[int, list[int]] = {}
        self._lent_empty: list[int] = []
        self.version = -1
        self._scales: tuple[str, ...] = ()

    def slot(self, symbol: str) -> int | None:
        """The row of a symbol; None for one that no list names."""
        found = self._slots.get(symbol)
        if found is not None:
            return found
        key = self._emitter.listings.key(symbol)
        if key is None:
            return None
        found = self._slots[symbol] = len(self.symbols)
        if found == len(self.books):
            self.books = np.concatenate((self.books, np.zeros_like(self.books)))
            self._numbers = self.books.data.cast("B").cast("q")
        self.symbols.append(symbol)
        self._machines.append(None)
        self._waits.append(0)
        self.books[found] = 0
        self.books[found, codes.B_KEY] = _signed(key)
        if self._scales:
            self._scale(found, symbol)
        return found

    def use_scales(self, names: tuple[str, ...]) -> None:
        """The decimals that listings have under these names are asked for from now on."""
        if names != self._scales:
            self._scales = names
            for slot, symbol in enumerate(self.symbols):
                self._scale(slot, symbol)

    def _scale(self, slot: int, symbol: str) -> None:
        for place, name in enumerate(self._scales, codes.B_SCALES):
            try:
                self.books[slot, place] = self._emitter.scale(symbol, name) + 1
            except InvalidArgument:
                self.books[slot, place] = 0

    def refresh(self) -> None:
        """Spellings may have other keys than when the lists were of `version`."""
        listings = self._emitter.listings
        self.version = listings.version
        for slot, symbol in enumerate(self.symbols):
            self.books[slot, codes.B_KEY] = _signed(listings.key(symbol) or 0)
            self._scale(slot, symbol)

    def lend(
        self,
        slot: int,
        hold: Callable[[Sequence[BookUpdate]], bool] | None = None,
        levels: int = _USUAL_ROOM,
        *,
        is_whole: bool = True,
    ) -> bool:
        """Takes a book from its machine, one that is empty with room for so many levels a side. False where that cannot be, or is not worth it. Where
        its snapshot was asked for, `hold` takes the updates that wait for it."""
        if self._waits[slot] > 0:
            self._waits[slot] -= 1
            return False
        symbol = self.symbols[slot]
        machine = self._emitter.books.get(symbol) or self._emitter.new_book()
        kind = machine_code(machine)
        if not machine.synced and not is_whole and kind != codes.M_SNAPSHOT_ONLY:
            return False  # it is not in step, and a change will not bring it there
        if not kind or (machine.held and (hold is None or not hold(machine.held))):
            return False
        numbers, at = self._numbers, slot * codes.BOOK_WIDTH
        if machine.synced and not self._take(self.books[slot], slot, machine):
            self._waits[slot] = (len(machine.book.bids) + len(machine.book.asks)) // _PER_FRAME
            return False
        if not machine.synced:
            numbers[at + codes.B_OWNER], numbers[at + codes.B_GRID] = codes.EMPTY, codes.NO_GRID
            numbers[at + codes.B_SIDES + 2] = numbers[at + codes.B_SIDES + 6] = 0
            self._lent_empty.append(slot)
            if numbers[at + codes.B_SIDES + 3] < levels:
                self.make_room(slot, levels)
        numbers[at + codes.B_MACHINE], numbers[at + codes.B_DEPTH] = kind, machine.depth
        numbers[at + codes.B_SEQUENCE], numbers[at + codes.B_FRESH] = machine.sequence, int(machine.fresh)
        numbers[at + codes.B_TEXTS] = numbers[at + codes.B_TEXTS + 2] = 0
        self._machines[slot] = machine
        machine.keeper = _Lent(self, slot)
        return True

    def prepare(self, slot: int, levels: int, hold: Callable[[Sequence[BookUpdate]], bool]) -> None:
        """A snapshot of about so many levels is to be read into the book."""
        if self.books[slot, codes.B_OWNER] == codes.AWAY:
            self.lend(slot, hold, max(levels, _USUAL_ROOM))
        if self.books[slot, codes.B_SIDES + 3] < levels:
            self.make_room(slot, levels)

    def give_back(self, slot: int, machine: BookMachine, book: Book) -> None:
        """Writes a book's levels where its machine keeps them."""
        row = self.books[slot]
        if self._machines[slot] is not machine or row[codes.B_OWNER] == codes.AWAY:
            return
        if row[codes.B_OWNER] == codes.IN_STEP:
            for number, side in ((0, book.bids), (1, book.asks)):
                side.fill(self._levels(row, number))
            if isinstance(machine, OffsetMachine):
                machine.numbers = self.numbers.of(int(row[codes.B_TAG]))
            self._waits[slot] = (len(book.bids) + len(book.asks)) // _PER_FRAME
        row[codes.B_OWNER], row[codes.B_TAG] = codes.AWAY, 0
        self._machines[slot] = None

    def give_all_back(self) -> None:
        """Every book goes to its machine."""
        for machine in self._machines:
            if machine is not None:
                _ = machine.book

    def settle(self, slots: Iterable[int]) -> None:
        """Tells machines and emitter what has become of the books and listings of these rows."""
        emitter, numbers = self._emitter, self._numbers
        delivered_in_all = ignored_in_all = 0
        for slot in self._lent_empty:
            # In the order in which they were met: so they are told again.
            if self.books[slot, codes.B_OWNER] == codes.IN_STEP:
                found = self._machines[slot]
                assert found is not None  # it lent the book
                emitter.books.setdefault(self.symbols[slot], found)
        for slot in slots:
            row = slot * codes.BOOK_WIDTH
            symbol = self.symbols[slot]
            delivered, ignored = numbers[row + codes.B_DELIVERED], numbers[row + codes.B_IGNORED]
            trade = numbers[row + codes.B_TRADE]
            numbers[row + codes.B_DIRTY] = 0
            if numbers[row + codes.B_HEARD]:
                emitter.heard.add(numbers[row + codes.B_KEY] & _UNSIGNED)
                numbers[row + codes.B_HEARD] = 0
            if trade:
                emitter.last_trades[symbol] = max(trade - 1, emitter.last_trades.get(symbol, 0))
                numbers[row + codes.B_TRADE] = 0
            if delivered:
                machine = self._machines[slot]
                assert machine is not None  # it lent the book
                was_waiting = not machine.synced
                machine.synced, machine.sequence = True, numbers[row + codes.B_SEQUENCE]
                machine.fresh = numbers[row + codes.B_FRESH] != 0
                machine.adopt_depth(numbers[row + codes.B_DEPTH])
                if was_waiting:
                    machine.drop_held()
                emitter.book_updates[symbol] += delivered
                delivered_in_all += numbers[row + codes.B_STEPS]
                numbers[row + codes.B_DELIVERED] = numbers[row + codes.B_STEPS] = 0
            if ignored:
                ignored_in_all += ignored
                numbers[row + codes.B_IGNORED] = 0
        if delivered_in_all:
            emitter.book_steps[Step.DELIVERED] += delivered_in_all
        if ignored_in_all:
            emitter.book_steps[Step.IGNORED] += ignored_in_all
        if self._lent_empty:
            self._forget_empty()

    def _forget_empty(self) -> None:
        """What no snapshot came for may be met by its machine next, which would not ask for it."""
        for slot in self._lent_empty:
            machine = self._machines[slot]
            if machine is not None and self.books[slot, codes.B_OWNER] == codes.EMPTY:
                machine.keeper, self._machines[slot] = None, None
                self.books[slot, codes.B_OWNER] = codes.AWAY
        self._lent_empty.clear()

    def make_room(self, slot: int, levels: int) -> None:
        """Room for so many levels a side."""
        room = _LEAST_ROOM
        while room < levels:
            room *= 2
        offsets = [self._allocate(room) for _ in range(2)]  # may move the arena
        numbers = self._numbers
        for side, offset in enumerate(offsets):
            at = slot * codes.BOOK_WIDTH + codes.B_SIDES + codes.SIDE_WIDTH * side
            old, first, count, had = numbers[at : at + codes.SIDE_WIDTH]
            to = (room - count) // 2
            for array in (self.keys, self.sizes, self.exponents) if count else ():
                array[offset + to : offset + to + count] = array[old + first : old + first + count]
            for number in (offset, to, count, room):
                numbers[at] = number
                at += 1
            if had:
                self._free.setdefault(had, []).append(old)

    def make_room_for_numbers(self, count: int) -> None:
        """Room for so many more numbers of levels."""
        self.numbers.make_room(count, self.books[:, codes.B_TAG].tolist())

    @property
    def bytes_used(self) -> int:
        """Of the arena, rooms that stand empty included."""
        return self._used * int(self.keys.itemsize + self.sizes.itemsize + self.exponents.itemsize)

    def _allocate(self, room: int) -> int:
        free = self._free.get(room)
        if free:
            return free.pop()
        while self._used + room > len(self.keys):
            for name in ("keys", "sizes", "exponents"):
                array = getattr(self, name)
                larger = np.zeros(2 * len(array), array.dtype)
                larger[: self._used] = array[: self._used]
                setattr(self, name, larger)
        at = self._used
        self._used += room
        return at

    def _take(self, row: Any, slot: int, machine: BookMachine) -> bool:
        book = machine.book
        sides = [_numbers(book.bids), _numbers(book.asks)]
        grid = 0
        for one in sides:
            if one is None:
                return False
            grid = min([grid, *one[1]])
        room = max(len(book.bids), len(book.asks))
        taken = []
        for sign, one in ((1, sides[0]), (-1, sides[1])):
            assert one is not None  # looked at above
            keys = [sign * price * 10 ** (exponent - grid) for price, exponent in zip(one[0], one[1], strict=True)]
            if any(abs(key) > _LARGEST for key in keys):
                return False
            taken.append(
                (keys[::-1], one[2][::-1], [(p << 8) | (s & 255) for p, s in zip(one[1], one[3], strict=True)][::-1])
            )
        if isinstance(machine, OffsetMachine):
            row[codes.B_TAG] = self.numbers.lend(machine.numbers, self.books[:, codes.B_TAG].tolist())
            if not row[codes.B_TAG]:
                return False
        if not row[codes.B_SIDES + 3] or room >= row[codes.B_SIDES + 3]:
            row[codes.B_SIDES + 2] = row[codes.B_SIDES + 6] = 0
            self.make_room(slot, 2 * room)
        for number, (keys, sizes, exponents) in enumerate(taken):
            at = codes.B_SIDES + codes.SIDE_WIDTH * number
            first = (int(row[at + 3]) - len(keys)) // 2
            row[at + 1], row[at + 2] = first, len(keys)
            start = int(row[at]) + first
            self.keys[start : start + len(keys)] = keys
            self.sizes[start : start + len(keys)] = sizes
            self.exponents[start : start + len(keys)] = exponents
        row[codes.B_OWNER], row[codes.B_GRID] = codes.IN_STEP, grid
        return True

    def _levels(self, row: Any, number: int) -> list[Level]:
        """Of one side, the best first."""
        grid = int(row[codes.B_GRID])
        offset, first, count, _ = row[codes.B_SIDES + 4 * number : codes.B_SIDES + 4 * number + 4].tolist()
        start, end = offset + first, offset + first + count
        found: list[Level] = []
        for key, size, both in zip(
            self.keys[start:end][::-1].tolist(),
            self.sizes[start:end][::-1].tolist(),
            self.exponents[start:end][::-1].tolist(),
            strict=True,
        ):
            price, finer = both >> 8, both & 255
            found.append(((abs(key) // 10 ** (price - grid), price), (size, finer - 256 if finer > 127 else finer)))
        return found


class _Lent:
    """The keeper of one machine's levels."""

    __slots__ = ("_shelf", "_slot")

    def __init__(self, shelf: Shelf, slot: int) -> None:
        self._shelf = shelf
        self._slot = slot

    def give_back(self, machine: BookMachine, book: Book, /) -> None:
        self._shelf.give_back(self._slot, machine, book)


_UNSIGNED: Final = 2**64 - 1


def _signed(key: int) -> int:
    return key - 2**64 if key >= 2**63 else key


def machine_code(machine: BookMachine) -> int:
    """How the kernel calls a machine; 0 for one it does not know."""
    if type(machine) is RangeSequenceMachine:
        return codes.M_RANGE if machine.contiguous else codes.M_RANGE_WITH_HOLES
    if type(machine) is ChecksumMachine:
        return _TEXTS.get(machine.text, 0)
    return _PLAIN.get(type(machine), 0)


def _numbers(side: Side) -> tuple[list[int], list[int], list[int], list[int]] | None:
    """Mantissas and exponents of prices and of sizes; None where the kernel cannot hold them."""
    levels = list(side)
    prices, exponents = [price[0] for price, _ in levels], [price[1] for price, _ in levels]
    sizes, size_exponents = [size[0] for _, size in levels], [size[1] for _, size in levels]
    if any(not _FINEST <= exponent <= 0 for exponent in (*exponents, *size_exponents)):
        return None
    if any(number > _LARGEST for number in (*prices, *sizes)):
        return None
    return prices, exponents, sizes, size_exponents
