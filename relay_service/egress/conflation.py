"""Contracts that deliver less than every event: the latest of each listing and type, and every n-th."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from alphapulse.records import LAYOUTS
from relay_service.egress.rows import Selected
from relay_service.kernel.compiled import kernels

MAX_STRAYS: Final = 4096
"""Listings without a slot whose latest row of one type is held; events of further ones are declared missing."""


class _Held:
    """The latest row of each slot, of one type."""

    __slots__ = ("count", "places", "raw", "row_size")

    def __init__(self, row_size: int) -> None:
        self.row_size = row_size
        self.count = 0
        self.raw = np.empty(64 * row_size, np.uint8)
        self.places = np.full(1024, -1, np.int32)

    def put(self, data: bytes, slots: npt.NDArray[np.int32]) -> int:
        """Keep the rows; how many older ones they replaced."""
        self._reserve(len(slots), int(slots.max()) + 1)
        before = self.count
        self.count = int(
            kernels().conflate(np.frombuffer(data, np.uint8), self.row_size, slots, self.places, self.raw, before)
        )
        return len(slots) - (self.count - before)

    def _reserve(self, rows: int, slots: int) -> None:
        if slots > self.places.size:
            more = np.full(max(slots, 2 * self.places.size) - self.places.size, -1, np.int32)
            self.places = np.concatenate((self.places, more))
        need = (self.count + rows) * self.row_size
        if need > self.raw.size:
            raw = np.empty(max(need, 2 * self.raw.size), np.uint8)
            raw[: self.count * self.row_size] = self.raw[: self.count * self.row_size]
            self.raw = raw

    def take(self) -> bytes:
        """All of them; afterwards nothing is held."""
        data = self.raw[: self.count * self.row_size].tobytes()
        self.count = 0
        self.places.fill(-1)
        return data


class _Strays:
    """The latest row of each listing that the relay has no slot for. They are numbered as they come, up to a bound: anybody can make up keys."""

    __slots__ = ("_numbers", "held")

    def __init__(self, row_size: int) -> None:
        self.held = _Held(row_size)
        self._numbers: dict[int, int] = {}

    def put(self, selected: Selected, places: npt.NDArray[np.intp]) -> tuple[int, int]:
        """(older rows replaced, rows there is no room for) of the rows at these places."""
        rows = np.frombuffer(selected.data, LAYOUTS[selected.event_type].dtype)
        kept: list[int] = []
        slots: list[int] = []
        for place, key in zip(places.tolist(), rows["listing_key"][places].tolist(), strict=True):
            number = self._numbers.get(key)
            if number is None:
                number = len(self._numbers)
                if number >= MAX_STRAYS:
                    continue
                self._numbers[key] = number
            kept.append(place)
            slots.append(number)
        replaced = self.held.put(rows[kept].tobytes(), np.array(slots, np.int32)) if kept else 0
        return replaced, len(places) - len(kept)

    def take(self) -> bytes:
        """All of them; afterwards nothing is held."""
        self._numbers.clear()
        return self.held.take()


class Conflater:
    """Holds the latest row of each listing and type; its size is bounded by the number of the relay's slots and by MAX_STRAYS."""

    def __init__(self) -> None:
        self._held: dict[int, _Held] = {}
        self._strays: dict[int, _Strays] = {}
        self.replaced = 0
        """Rows that newer ones replaced since the last `take`."""
        self.lost = 0
        """Rows there was no room for since whoever declares them set this to 0."""
        self.since_ns = 0
        """When the oldest one held was put."""

    @property
    def size(self) -> int:
        """Bytes of the rows held."""
        helds = (*self._held.values(), *(one.held for one in self._strays.values()))
        return sum(held.count * held.row_size for held in helds)

    def put(self, selected: Selected) -> int:
        """Keep the rows; how many older ones they replaced."""
        if not self.size:
            self.since_ns = selected.now_ns
        slots, kind = selected.slots, selected.event_type
        held = self._held.get(kind)
        if held is None:
            held = self._held[kind] = _Held(selected.row_size)
        mixed = int(slots.min()) < 0
        replaced = self._put_mixed(held, selected, slots) if mixed else held.put(selected.data, slots)
        self.replaced += replaced
        return replaced

    def _put_mixed(self, held: _Held, selected: Selected, slots: npt.NDArray[np.int32]) -> int:
        replaced = 0
        slotted = np.flatnonzero(slots >= 0).astype(np.int32)
        if slotted.size:
            replaced = held.put(selected.only(slotted).data, slots[slotted])
        strays = self._strays.setdefault(selected.event_type, _Strays(selected.row_size))
        more, lost = strays.put(selected, np.flatnonzero(slots < 0))
        self.lost += lost
        return replaced + more

    def take(self) -> tuple[list[tuple[int, bytes]], int]:
        """((event type, rows in order of sequence) for each type held, rows replaced meanwhile); afterwards nothing is held."""
        runs = []
        for kind, held in self._held.items():
            strays = self._strays.get(kind)
            data = held.take() + (strays.take() if strays else b"")
            if data:
                rows = np.frombuffer(data, LAYOUTS[kind].dtype)
                runs.append((kind, rows[np.argsort(rows["sequence"], kind="stable")].tobytes()))
        replaced, self.replaced = self.replaced, 0
        return runs, replaced


class Sampler:
    """Lets every n-th row of each listing and type pass, the first one included."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._seen: dict[int, npt.NDArray[np.int64]] = {}

    def pick(self, selected: Selected) -> Selected | None:
        """The rows that pass; None where none does."""
        slots = selected.slots
        seen = self._seen.get(selected.event_type)
        need = int(slots.max()) + 2
        if seen is None or need > seen.size:
            more = np.zeros(max(need, 1024, 0 if seen is None else 2 * seen.size), np.int64)
            if seen is not None:
                more[: seen.size] = seen
            seen = self._seen[selected.event_type] = more
        places = np.empty(selected.count, np.int32)
        found = kernels().every_nth(slots, seen, self._every, places)
        return selected.only(places[:found]) if found else None
