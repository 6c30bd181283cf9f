"""Groups of listings whose quotes compare directly, each a run of slots in one array."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from relay_service.kernel import state
from relay_service.kernel.slots import SlotTable
from relay_service.kernel.tables import table_of

_FIRST_CAPACITY: Final = 4


class GroupTable:
    """Which listings are compared with which. A slot is in at most one group."""

    def __init__(self, block: npt.NDArray[np.int64], slots: SlotTable, capacity: int = 256) -> None:
        self._block = block
        self._slots = slots
        self._members = np.zeros(4 * capacity, np.int32)
        self._used = 0
        self._open = np.zeros(capacity, np.int32)
        self._numbers: dict[tuple[str, str, float], int] = {}
        self.table: npt.NDArray[np.void] = table_of(capacity, state.GROUP)
        """Shape (capacity,), dtype `state.GROUP`."""
        self._publish()

    @property
    def count(self) -> int:
        """Groups in use."""
        return int(self._block[state.GROUP_COUNT])

    def members(self, group: int) -> npt.NDArray[np.int32]:
        """The slots of a group, by listing_key: of equal prices the first counts, and that must not hang on the order in which definitions came."""
        start, count = int(self.table["start"][group]), int(self.table["count"][group])
        return self._members[start : start + count].copy()

    def place(self, slot: int, instrument_id: str, currency: str, multiplier: float) -> None:
        """Put a listing into the group of its instrument, price currency and multiplier, out of any other."""
        group = self._group_of((instrument_id, currency, multiplier))
        before = int(self._slots.table["group"][slot])
        if before == group:
            return
        if before >= 0:
            self.remove(slot)
        row = self.table[group]
        if row["count"] == row["capacity"]:
            self._move(group)
        self._insert(row, slot)
        self._slots.table["group"][slot] = group

    def _insert(self, row: np.void, slot: int) -> None:
        start, count = int(row["start"]), int(row["count"])
        held = self._members[start : start + count]
        self._forget_members(held)
        keys = self._slots.table["key"]
        place = start + int(np.searchsorted(keys[held], keys[slot]))
        self._members[place + 1 : start + count + 1] = self._members[place : start + count].copy()
        self._members[place] = slot
        row["count"] = count + 1

    def remove(self, slot: int) -> None:
        """Take a listing out of its group, if it is in one; its opportunity is looked at again at the next tick."""
        group = int(self._slots.table["group"][slot])
        if group < 0:
            return
        left = self.members(group)
        self._forget_members(left)
        left = left[left != slot]
        start = int(self.table["start"][group])
        self._members[start : start + len(left)] = left
        self.table["count"][group] = len(left)
        self._slots.table["group"][slot] = -1
        self._expire(group)

    def _forget_members(self, slots: npt.NDArray[np.int32]) -> None:
        """The kernel looks at the group of these itself at their next quotes, and names the members in their slots anew."""
        if len(slots):
            self._slots.table["member_count"][slots] = 0

    def reconsider(self, slots: npt.NDArray[np.int64] | int) -> None:
        """Definitions in the groups of these slots changed: an open opportunity is looked at again at the next tick."""
        if isinstance(slots, int):
            group = int(self._slots.table["group"][slots])
            if group >= 0:
                self._expire(group)
            return
        groups = self._slots.table["group"][slots]
        groups = groups[groups >= 0]
        self.table["expires_ns"][groups[self.table["open_index"][groups] >= 0]] = 0

    def _expire(self, group: int) -> None:
        if self.table["open_index"][group] >= 0:
            self.table["expires_ns"][group] = 0

    def _group_of(self, key: tuple[str, str, float]) -> int:
        group = self._numbers.get(key)
        if group is not None:
            return group
        group = self.count
        if group == len(self.table):
            self._grow()
        self._numbers[key] = group
        self._block[state.GROUP_COUNT] = group + 1
        row = self.table[group]
        row["instrument_key"] = int(key[0][:16], 16)
        row["multiplier"] = key[2]
        row["open_index"] = -1
        row["start"], row["count"], row["capacity"] = self._reserve(_FIRST_CAPACITY), 0, _FIRST_CAPACITY
        return group

    def _reserve(self, capacity: int) -> int:
        """The start of a free run in the members array."""
        start, self._used = self._used, self._used + capacity
        if self._used > len(self._members):
            self._members = np.concatenate([self._members, np.zeros(max(len(self._members), capacity), np.int32)])
            self._publish()
        return start

    def _move(self, group: int) -> None:
        """A run twice as long; the old one is given up: all together they are shorter than the new ones."""
        held = self.members(group)
        capacity = 2 * int(self.table["capacity"][group])
        start = self._reserve(capacity)
        self._members[start : start + len(held)] = held
        self.table["start"][group], self.table["capacity"][group] = start, capacity

    def _grow(self) -> None:
        held = self.table
        self.table = table_of(2 * len(held), state.GROUP)
        self.table[: len(held)] = held
        self._open = np.concatenate([self._open, np.zeros(len(self._open), np.int32)])
        self._publish()

    def _publish(self) -> None:
        self._block[state.GROUPS] = self.table.ctypes.data
        self._block[state.MEMBERS] = self._members.ctypes.data
        self._block[state.OPEN_GROUPS] = self._open.ctypes.data
