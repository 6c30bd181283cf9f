"""Planted disagreements between venues: when, where and how large follows from the seed alone, so that a test knows what must be
found."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

SLOT_SECONDS: Final = 2.5
"""One dislocation begins in each slot and ends within it."""
_MIN_BPS: Final = 180.0
_MAX_BPS: Final = 320.0
_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class Dislocation:
    """One venue's price of one pair is off by `bps` for a while, in seconds since the market opened."""

    venue: str
    pair: str
    start_s: float
    duration_s: float
    bps: float

    @property
    def end_s(self) -> float:
        """When it is over."""
        return self.start_s + self.duration_s


class DislocationSchedule:
    """All dislocations of a seed. Larger than the taker fees of any two of the venues together (at most about 100 bps)."""

    def __init__(self, seed: int, venues: Sequence[str], pairs: Sequence[str]) -> None:
        self._seed = seed
        self._venues = tuple(venues)
        self._pairs = tuple(pairs)
        self._of_slot = lru_cache(maxsize=_KEPT)(self._make)

    def of_slot(self, slot: int) -> Dislocation:
        """The dislocation of the slot-th slot."""
        return self._of_slot(slot)

    def active(self, time_s: float) -> Dislocation | None:
        """The one that holds at a time, if any."""
        if time_s < 0:
            return None
        found = self._of_slot(int(time_s // SLOT_SECONDS))
        return found if found.start_s <= time_s < found.end_s else None

    def until(self, time_s: float) -> Iterator[Dislocation]:
        """Those that begin before a time, in order."""
        slot = 0
        while (found := self._of_slot(slot)).start_s < time_s:
            yield found
            slot += 1

    def _make(self, slot: int) -> Dislocation:
        dice = random.Random(f"dislocation|{self._seed}|{slot}")  # noqa: S311 - a simulation, not a secret
        start = slot * SLOT_SECONDS + dice.uniform(0.1, 0.4)
        size = dice.uniform(_MIN_BPS, _MAX_BPS) * dice.choice((-1, 1))
        return Dislocation(dice.choice(self._venues), dice.choice(self._pairs), start, dice.uniform(1.2, 2.0), size)
