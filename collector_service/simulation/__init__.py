"""Simulated venues: they speak the venues' own protocols over prices of one seeded process, with planted dislocations.

What they say never happened; every event made of it is marked SIMULATED. How the protocols are read is not decided here, but in
`collector_service.sources`: the two are written apart from each other, so that each tests the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from collector_service.simulation.binance import BinanceProtocol
from collector_service.simulation.coinbase import CoinbaseProtocol
from collector_service.simulation.dislocations import Dislocation, DislocationSchedule
from collector_service.simulation.kraken import KrakenProtocol
from collector_service.simulation.market import Market
from collector_service.simulation.mocked import MockedVenue, can_be_mocked
from collector_service.simulation.pairs import COMMON, PAIRS, SimulatedPair, pairs_of
from collector_service.simulation.venue import Protocol, SimulatedVenue

PROTOCOLS: Final[Mapping[str, Callable[[], Protocol]]] = MappingProxyType(
    {"BINANCE": BinanceProtocol, "COINBASE": CoinbaseProtocol, "KRAKEN": KrakenProtocol}
)
"""Venues that can be simulated, by source."""


def simulated_venue(source: str, market: Market, rate: float) -> SimulatedVenue:
    """A venue of a market, sending about `rate` frames a second: one of those that are written by hand, `PROTOCOLS`."""
    return SimulatedVenue(source, PROTOCOLS[source](), market, pairs_of(source), rate)


__all__ = [
    "COMMON",
    "PAIRS",
    "PROTOCOLS",
    "Dislocation",
    "DislocationSchedule",
    "Market",
    "MockedVenue",
    "Protocol",
    "SimulatedPair",
    "SimulatedVenue",
    "can_be_mocked",
    "pairs_of",
    "simulated_venue",
]
