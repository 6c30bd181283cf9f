"""The slots of listings and synthetics: one row of state each, found by listing_key, grown by doubling."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alphapulse.records import QUOTE, TRADE, TRADING_STATUS, Rows
from relay_service.kernel import state
from relay_service.kernel.compiled import kernels
from relay_service.kernel.tables import table_of

_SPREAD = 0x9E3779B97F4A7C15
_MASK64 = (1 << 64) - 1
_PORTION: Final = 1024
_QUOTE_COLUMNS: Final = {
    "listing_key": "key",
    "sequence": "quote_sequence",
    "venue_time_ns": "quote_venue_time_ns",
    "collector_time_ns": "quote_collector_time_ns",
    "relay_in_ns": "quote_time_ns",
    "relay_out_ns": "quote_relay_out_ns",
    "source_id": "quote_source_id",
    "definition_version": "quote_definition_version",
    "flags": "quote_flags",
    "bid_price": "bid_price",
    "bid_size": "bid_size",
    "ask_price": "ask_price",
    "ask_size": "ask_size",
    "price_exponent": "price_exponent",
    "size_exponent": "size_exponent",
}
"""Where the table holds each field of a last quote: all of a row that is not the same in every row."""


class Names:
    """Texts numbered in the order they came."""

    __slots__ = ("_numbers", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        """The text of each number."""
        self._numbers: dict[str, int] = {}

    def number_of(self, text: str) -> int:
        """The number of a text, given on first sight."""
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return number

    def find(self, text: str) -> int:
        """The number of a text, or -1."""
        return self._numbers.get(text, -1)


def words_of(block: npt.NDArray[np.int64]) -> memoryview[int]:
    """The block for single words: they are read and written twice as fast as through the array."""
    buffer: Any = block
    return memoryview(buffer)


def signed(value: int) -> int:
    """The signed integer of the same 64 bits."""
    return value - (1 << 64) if value >= 1 << 63 else value


def place_of(key: int, mask: int) -> int:
    """Where the search for a key begins: as in `lookup.find`, where the product is signed and shifted arithmetically."""
    return (signed(key * _SPREAD & _MASK64) >> 31) & mask


class SlotTable:
    """Every listing and synthetic by slot. Arrays are replaced when they grow: read them through this object each time."""

    def __init__(self, block: npt.NDArray[np.int64], capacity: int = 1024) -> None:
        self._block = block
        self._words = words_of(block)
        self.table: npt.NDArray[np.void] = _new_slots(capacity)
        """Shape (capacity,), dtype `state.SLOT`; rows from `count` on are not in use."""
        self.trades: Rows = np.zeros(capacity, TRADE.dtype)
        """Shape (capacity,): the last trade, where table["has_trade"]."""
        self.statuses: Rows = np.zeros(capacity, TRADING_STATUS.dtype)
        """Shape (capacity,): the last trading status, where table["has_status"]."""
        self.venues: Names = Names()
        """Codes behind table["venue"]."""
        self.instruments: Names = Names()
        """Ids behind table["instrument"]."""
        self._hash(2 * capacity)
        self._publish()

    @property
    def count(self) -> int:
        """Slots in use."""
        return int(self._words[state.SLOT_COUNT])

    @property
    def capacity(self) -> int:
        """Slots there is room for."""
        return len(self.table)

    def slot_of(self, key: int) -> int:
        """The slot of a listing_key, or -1."""
        place = self._place(key)
        return int(self._slot_at[place]) if self._key_at[place] else -1

    def slots_of(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
        """The slots of many listing_keys, -1 where there is none."""
        return np.fromiter((self.slot_of(int(key)) for key in keys), np.int32, len(keys))

    def quotes_of(self, slots: npt.NDArray[np.integer[Any]]) -> Rows:
        """The last quotes of those of these slots that have one, in their order: rows made anew of what the table holds of them."""
        slots = slots[self.table["quote_sequence"][slots] != 0]
        rows = QUOTE.new(len(slots))
        for begin in range(0, len(slots), _PORTION):  # each slot is fetched once, and no copy of all of them made
            part = slice(begin, begin + _PORTION)
            held = self.table[slots[part]]
            for name, column in _QUOTE_COLUMNS.items():
                rows[name][part] = held[column]
        return rows

    def add(self, key: int) -> int:
        """The slot of a listing_key, taken when it has none. A key is never 0."""
        if not key:
            raise ValueError("listing_key=0: no listing has this key")
        place = self._place(key)
        if self._key_at[place]:
            return int(self._slot_at[place])
        if self.count >= self.capacity or 2 * (self.count + 1) > len(self._hash_table):
            self.grow()
            place = self._place(key)
        slot = self.count
        self._key_at[place] = key
        self._slot_at[place] = slot
        self.table["key"][slot] = key
        self._block[state.SLOT_COUNT] = slot + 1
        return slot

    def grow(self) -> None:
        """Room for twice as many."""
        count, capacity = self.count, 2 * self.capacity
        self.table = _extended(self.table, _new_slots(capacity), count)
        self.trades = _extended(self.trades, np.zeros(capacity, TRADE.dtype), count)
        self.statuses = _extended(self.statuses, np.zeros(capacity, TRADING_STATUS.dtype), count)
        self._hash(2 * capacity)
        self._publish()
        kernels().rehash(self._block)

    def _hash(self, size: int) -> None:
        self._hash_table = table_of(size, state.HASHED)
        self._key_at, self._slot_at = self._hash_table["key"], self._hash_table["slot"]

    def _place(self, key: int) -> int:
        mask = len(self._hash_table) - 1
        place = place_of(key, mask)
        keys = self._key_at
        while (found := int(keys[place])) and found != key:
            place = (place + 1) & mask
        return place

    def _publish(self) -> None:
        block = self._block
        for place, array in self._addressed():
            block[place] = array.ctypes.data
        block[state.SLOT_CAPACITY] = self.capacity
        block[state.HASH_MASK] = len(self._hash_table) - 1

    def _addressed(self) -> tuple[tuple[int, npt.NDArray[Any]], ...]:
        return (
            (state.SLOTS, self.table),
            (state.HASH, self._hash_table),
            (state.TRADES, self.trades),
            (state.STATUSES, self.statuses),
        )


def _new_slots(capacity: int) -> npt.NDArray[np.void]:
    table = table_of(capacity, state.SLOT)
    for name in ("group", "venue", "instrument"):
        table[name] = -1
    for name in ("bid", "ask", "trade", "taker_fee_bps"):
        table[name] = np.nan
    return table


def _extended(old: npt.NDArray[Any], new: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    new[:count] = old[:count]
    return new
