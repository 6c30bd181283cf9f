"""The price process that all simulated venues share: a function of seed and time, without memory, so that two processes agree."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from collector_service.simulation.dislocations import DislocationSchedule
from collector_service.simulation.pairs import COMMON, FIAT, PAIRS, REFERENCE, SimulatedPair

_WAVES: Final = ((0.5, 1.5), (4.0, 8.0), (30.0, 25.0), (300.0, 80.0))
"""(period in seconds, amplitude in bps) of the noises that make a price."""
_VENUE_WAVE: Final = (1.0, 1.0)
_QUIET: Final = 0.05
"""How much less money moves than coins."""


class Market:
    """Fair prices and what each venue makes of them. `start_ns` is when the market opened, nanoseconds since the Unix epoch."""

    def __init__(self, seed: int, start_ns: int, venues: Sequence[str] = tuple(PAIRS)) -> None:
        self.seed = seed
        self.start_ns = start_ns
        self.dislocations = DislocationSchedule(seed, venues, [pair.name for pair in COMMON])
        self._lattice = lru_cache(maxsize=1 << 14)(self._draw)

    def fair_price(self, pair: SimulatedPair, time_s: float) -> float:
        """The price all venues would show if they agreed."""
        return self._value(pair.base, time_s) / self._value(pair.quote, time_s)

    def venue_price(self, venue: str, pair: SimulatedPair, time_s: float) -> float:
        """The mid price on one venue: fair, its own noise of about a basis point, and what is planted."""
        period, amplitude = _VENUE_WAVE
        bps = amplitude * self._noise(f"{venue}|{pair.name}", period, time_s)
        planted = self.dislocations.active(time_s)
        if planted is not None and planted.venue == venue and planted.pair == pair.name:
            bps += planted.bps
        return self.fair_price(pair, time_s) * (1 + bps / 10_000)

    def _value(self, code: str, time_s: float) -> float:
        scale = _QUIET if code in FIAT or code == "USDT" else 1.0
        bps = sum(scale * amplitude * self._noise(code, period, time_s) for period, amplitude in _WAVES)
        return REFERENCE[code] * math.exp(bps / 10_000)

    def _noise(self, name: str, period: float, time_s: float) -> float:
        """Between -1 and 1, smooth in time."""
        place, part = divmod(time_s / period, 1.0)
        weight = part * part * (3 - 2 * part)
        before = self._lattice(name, period, int(place))
        return before + weight * (self._lattice(name, period, int(place) + 1) - before)

    def _draw(self, name: str, period: float, place: int) -> float:
        digest = hashlib.blake2b(f"{self.seed}|{name}|{period}|{place}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**63 - 1
