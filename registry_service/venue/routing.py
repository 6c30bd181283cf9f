"""Splitting an order over venues: exact, on whole numbers of a common grid.

Wanted is, in this order: the largest size placed; the lowest sum of size times penalty; the fewest venues. A venue takes nothing, or a
multiple of its lot from its smallest to its largest size. In a best plan all but one venue lie near a bound: with M the least
common multiple of the lots, moving M from a dearer venue to a cheaper one costs less, so every venue cheaper than some "pivot" is within
M of its largest size, and every dearer one within M of its smallest. Those plans are searched, and branches that cannot win are left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

BUDGET: Final = 50_000
"""Steps of the search after which the best plan so far is given."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What a venue may take, in units of the grid."""

    penalty: Fraction
    """Of one unit; lower is better."""
    lot: int
    low: int
    """Smallest size other than 0; a multiple of the lot."""
    high: int
    """Largest size; a multiple of the lot, below `low` when the venue can take nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much each slot takes, in the order given."""

    sizes: tuple[int, ...]
    optimal: bool
    """False when the search was cut short."""


def plan(slots: Sequence[Slot], size: int, most_venues: int = 0, budget: int = BUDGET) -> Plan:
    """The best plan for an order of `size` on at most `most_venues` (0: any number)."""
    usable = [at for at, slot in enumerate(slots) if 0 < slot.low <= min(slot.high, size)]
    order = sorted(usable, key=lambda at: (slots[at].penalty, at))
    search = _Search([slots[at] for at in order], size, most_venues or len(order), budget)
    for pivot in range(len(order)):
        search.with_pivot(pivot)
    sizes = [0] * len(slots)
    for at, taken in zip(order, search.best_sizes, strict=True):
        sizes[at] = taken
    return Plan(tuple(sizes), not search.cut)


class _Search:
    def __init__(self, slots: Sequence[Slot], size: int, most: int, budget: int) -> None:
        self._slots = slots
        # What no lot can reach is not worth a search.
        divisor = math.gcd(*(slot.lot for slot in slots)) if slots else 1
        self._size = size // divisor * divisor
        self._most = min(most, len(slots))
        self._step = math.lcm(*(slot.lot for slot in slots)) if slots else 1
        self._budget = budget // max(1, len(slots))
        self.left = self._budget
        self.cut = False
        self.best_sizes: tuple[int, ...] = (0,) * len(slots)
        self._best = (0, Fraction(0), 0)
        """(placed, cost, venues) of the best plan."""
        # Two plans to measure others by: the cheapest venues filled, the largest venues filled.
        by_size = sorted(range(len(slots)), key=lambda at: (-slots[at].high, at))
        for chosen in (range(len(slots)), sorted(by_size[: self._most])):
            self._fill(chosen)

    def _fill(self, order: Iterable[int]) -> None:
        sizes, placed, venues = [0] * len(self._slots), 0, 0
        for at in order:
            slot = self._slots[at]
            taken = min(slot.high, self._size - placed) // slot.lot * slot.lot
            if taken >= slot.low and venues < self._most:
                sizes[at], placed, venues = taken, placed + taken, venues + 1
        cost = sum((slot.penalty * taken for slot, taken in zip(self._slots, sizes, strict=True)), Fraction(0))
        self._offer((placed, cost, venues), sizes)

    def _offer(self, found: tuple[int, Fraction, int], sizes: Sequence[int]) -> None:
        best_placed, best_cost, best_venues = self._best
        if (-found[0], found[1], found[2]) < (-best_placed, best_cost, best_venues):
            self._best, self.best_sizes = found, tuple(sizes)

    def with_pivot(self, pivot: int) -> None:
        """Searches the plans in which this slot is the one between the bounds."""
        self.left = self._budget
        others = [at for at in range(len(self._slots)) if at != pivot]
        # reach[place][count]: the most that `count` of the slots from a place on can take.
        reach: list[list[int]] = [[0] * (self._most + 1)]
        for at in reversed(others):
            slot = self._slots[at]
            most = slot.high if at < pivot else min(slot.high, slot.low + self._step - slot.lot)
            after = reach[-1]
            row = [max(after[count], after[count - 1] + most if count else 0) for count in range(self._most + 1)]
            reach.append(row)
        reach.reverse()
        self._descend(pivot, others, reach, 0, [0] * len(self._slots), 0, Fraction(0), 1)
        self.cut = self.cut or self.left <= 0

    def _descend(
        self,
        pivot: int,
        others: Sequence[int],
        reach: Sequence[Sequence[int]],
        place: int,
        sizes: list[int],
        placed: int,
        cost: Fraction,
        venues: int,
    ) -> None:
        self.left -= 1
        if self.left <= 0:
            return
        most = reach[place][self._most - venues]
        if self._cannot_win(pivot, others[place:], placed, most, cost, venues):
            return
        if place == len(others):
            self._finish(pivot, sizes, placed, cost, venues)
            return
        at = others[place]
        slot = self._slots[at]
        for taken in self._choices(slot, self._size - placed, cheap=at < pivot, may=venues < self._most):
            if self.left <= 0:
                break
            sizes[at] = taken
            self._descend(
                *(pivot, others, reach, place + 1, sizes),
                placed + taken,
                cost + slot.penalty * taken,
                venues + (taken > 0),
            )
        sizes[at] = 0

    def _choices(self, slot: Slot, room: int, *, cheap: bool, may: bool) -> Iterator[int]:
        """What a slot may take: near its largest size, or near its smallest, or nothing. One by one: with lots far apart there are many."""
        if not may:
            yield 0
        elif cheap:
            top = min(slot.high, room // slot.lot * slot.lot)
            yield from range(top, max(slot.low, slot.high - self._step + slot.lot) - 1, -slot.lot)
            yield 0
        else:
            yield 0
            yield from range(slot.low, min(slot.high, slot.low + self._step - slot.lot, room) + 1, slot.lot)

    def _finish(self, pivot: int, sizes: list[int], placed: int, cost: Fraction, venues: int) -> None:
        slot = self._slots[pivot]
        taken = min(slot.high, self._size - placed) // slot.lot * slot.lot
        if taken >= slot.low:
            sizes[pivot] = taken
            self._offer((placed + taken, cost + slot.penalty * taken, venues), sizes)
            sizes[pivot] = 0

    def _cannot_win(self, pivot: int, rest: Sequence[int], placed: int, most: int, cost: Fraction, venues: int) -> bool:
        """Whether even the best way on, with sizes of any fineness on any number of venues, is no better than the best plan."""
        best_placed, best_cost, best_venues = self._best
        possible = min(self._size, placed + most + self._slots[pivot].high)
        if possible != best_placed:
            return possible < best_placed
        least, wanted = cost, best_placed - placed
        for at in sorted([*rest, pivot]):
            taken = min(wanted, self._slots[at].high)
            least, wanted = least + self._slots[at].penalty * taken, wanted - taken
            if not wanted:
                break
        return least > best_cost or (least == best_cost and venues >= best_venues)
