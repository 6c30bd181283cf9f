"""Which filters want which rows of one group: found in one compiled pass, whatever their number, and the rows of all gathered in another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from relay_service.kernel.compiled import kernels
from relay_service.kernel.selection import SUMS
from relay_service.results import RowGroup, Slots
from relay_service.subscriptions.compiled import CompiledFilter
from relay_service.subscriptions.matches import MatchTable

Places = npt.NDArray[np.int32]
"""Places of rows in a group, ascending."""

_NO_SLOTS: Final = np.zeros(0, np.int32)
_FIRST_PAIRS: Final = 1024


class FilterClass:
    """All subscriptions with one filter."""

    __slots__ = ("compiled", "members", "number", "replaying", "wanted")

    def __init__(self, number: int, compiled: CompiledFilter) -> None:
        self.number = number
        """Its bit."""
        self.compiled = compiled
        self.wanted = compiled.wanted
        self.members: list[Any] = []
        """The subscriptions that take live events; whoever uses the index puts them there."""
        self.replaying = 0
        """Subscriptions that will be members once they have taken what is older."""


class Hits:
    """The classes that want rows of a group. Valid until the next group is looked at: the places lie in memory that is used again."""

    __slots__ = ("_parts", "parted", "whole")

    def __init__(self, whole: Sequence[FilterClass], parts: Parts | None = None) -> None:
        self.whole = whole
        """The classes that want all rows."""
        self._parts = parts
        self.parted = parts is not None
        """Whether there are classes that want some rows."""

    def __bool__(self) -> bool:
        return bool(self.whole) or self._parts is not None

    def __iter__(self) -> Iterator[tuple[FilterClass, Places | None]]:
        """Each class with the places of its rows; None: it wants them all."""
        for held in self.whole:
            yield held, None
        for held, begin, end in self.some():
            yield held, self.places[begin:end]

    @property
    def places(self) -> Places:
        """The places of the rows that `some` classes want, class by class, ascending within each."""
        return _NO_SLOTS if self._parts is None else self._parts.places

    def some(self) -> Iterator[tuple[FilterClass, int, int]]:
        """The classes that want some of the rows, with begin and end of theirs in `places`; none is empty."""
        parts = self._parts
        if parts is None:
            return
        begin, classes = 0, parts.classes
        for number, end in zip(parts.numbers.tolist(), parts.ends.tolist(), strict=True):
            yield classes[number], begin, end
            begin = end

    def gather(self, group: RowGroup) -> bytes:
        """The rows at `places`, one behind the other, as they are now."""
        return b"" if self._parts is None else self._parts.gather(group, self._parts.places)


NO_HITS: Final = Hits(())


class Parts(NamedTuple):
    """What `Divider` found: no object for each class, of which there may be as many as rows."""

    numbers: npt.NDArray[np.int32]
    """Of the classes, in no order."""
    ends: npt.NDArray[np.int32]
    """Beside each where its rows end in `places`; they begin where those of the one before end."""
    places: Places
    classes: Sequence[Any]
    """By number."""
    gather: Callable[[RowGroup, Places], bytes]


class Divider:
    """The memory that the compiled passes work in, and the calls of them."""

    def __init__(self) -> None:
        self._kernels = kernels()
        self._sums = np.zeros(SUMS, np.int64)
        self._pairs = np.zeros(_FIRST_PAIRS, np.int64)
        self._listed = np.zeros(_FIRST_PAIRS, np.int32)
        self._out = np.zeros(0, np.uint8)
        self.resize(0)

    def resize(self, filters: int) -> None:
        """There may be so many filters."""
        self._counts, self._hits, self._ends, self._whole = (np.zeros(filters, np.int32) for _ in range(4))

    def divide(
        self,
        table: MatchTable,
        allowed: npt.NDArray[np.uint64],
        slots: Slots,
        others: Slots | None,
        classes: Sequence[Any],
    ) -> Hits:
        """Who wants which rows; `allowed`: the bits of the classes that may want any, `classes` by their bits."""
        sums = self._sums
        while True:
            self._kernels.divide(
                table.bits,
                table.near,
                allowed,
                slots,
                _NO_SLOTS if others is None else others,
                self._counts,
                self._hits,
                self._ends,
                self._whole,
                self._pairs,
                self._listed,
                sums,
            )
            pairs, parted, whole = sums.tolist()
            if pairs <= len(self._pairs):
                break
            room = max(pairs, 2 * len(self._pairs))
            self._pairs, self._listed = np.zeros(room, np.int64), np.zeros(room, np.int32)
        all_of_them = [classes[number] for number in self._whole[:whole].tolist()]
        if not parted:
            return Hits(all_of_them)
        ends = self._ends[:parted]
        places = self._listed[: ends[-1]]
        return Hits(all_of_them, Parts(self._hits[:parted], ends, places, classes, self.gather))

    def gather(self, group: RowGroup, places: Places) -> bytes:
        """The rows at these places, one behind the other."""
        size = len(group.raw) // len(group.slots)
        need = len(places) * size
        if need > len(self._out):
            self._out = np.zeros(2 * need, np.uint8)
        out = self._out[:need]
        self._kernels.gather(group.raw, size, places, out)
        return out.tobytes()
