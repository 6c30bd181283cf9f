"""Contracts that deliver less than every event: the latest of each listing and type, and every n-th."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alphapulse.records import LAYOUTS
from relay_service.egress.rows import Selected
from relay_service.subscriptions.selection import conflate, every_nth


class _Held:
    """The latest row of each slot, of one type."""

    __slots__ = ("count", "places", "raw", "row_size")

    def __init__(self, row_size: int) -> None:
        self.row_size = row_size
        self.count = 0
        self.raw = np.empty(64 * row_size, np.uint8)
        self.places = np.full(1024, -1, np.int32)

    def put(self, selected: Selected) -> int:
        """Keep the rows; how many older ones they replaced."""
        slots = selected.slots
        self._reserve(selected.count, int(slots.max()) + 1)
        raw = np.frombuffer(selected.data, np.uint8)
        before = self.count
        self.count = int(conflate(raw, self.row_size, slots, self.places, self.raw, before))
        return selected.count - (self.count - before)

    def _reserve(self, rows: int, slots: int) -> None:
        if slots > self.places.size:
            more = np.full(max(slots, 2 * self.places.size) - self.places.size, -1, np.int32)
            self.places = np.concatenate((self.places, more))
        need = (self.count + rows) * self.row_size
        if need > self.raw.size:
            raw = np.empty(max(need, 2 * self.raw.size), np.uint8)
            raw[: self.count * self.row_size] = self.raw[: self.count * self.row_size]
            self.raw = raw

    def take(self, event_type: int) -> bytes:
        """All of them in order of sequence; afterwards nothing is held."""
        rows = self.raw[: self.count * self.row_size].view(LAYOUTS[event_type].dtype)
        data = rows[np.argsort(rows["sequence"], kind="stable")].tobytes()
        self.count = 0
        self.places.fill(-1)
        return data


class Conflater:
    """Holds the latest row of each listing and type; its size is bounded by the number of listings."""

    def __init__(self) -> None:
        self._held: dict[int, _Held] = {}
        self.replaced = 0
        """Rows that newer ones replaced since the last `take`."""
        self.since_ns = 0
        """When the oldest one held was put."""

    @property
    def size(self) -> int:
        """Bytes of the rows held."""
        return sum(held.count * held.row_size for held in self._held.values())

    def put(self, selected: Selected) -> int:
        """Keep the rows; how many older ones they replaced."""
        if not self.size:
            self.since_ns = selected.now_ns
        held = self._held.get(selected.event_type)
        if held is None:
            held = self._held[selected.event_type] = _Held(selected.row_size)
        replaced = held.put(selected)
        self.replaced += replaced
        return replaced

    def take(self) -> tuple[list[tuple[int, bytes]], int]:
        """((event type, rows) for each type held, rows replaced meanwhile); afterwards nothing is held."""
        runs = [(kind, held.take(kind)) for kind, held in self._held.items() if held.count]
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
        found = every_nth(slots, seen, self._every, places)
        return selected.only(places[:found]) if found else None
