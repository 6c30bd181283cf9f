"""Simulated venues: mocks, made of the specifications of sources, over prices of one seeded process, with planted dislocations.

What they say never happened; every event made of it is marked SIMULATED.
"""

from __future__ import annotations

from collector_service.simulation.dislocations import Dislocation, DislocationSchedule
from collector_service.simulation.market import Market
from collector_service.simulation.pairs import COMMON, PAIRS, SimulatedPair
from collector_service.simulation.venue import SimulatedVenue, can_be_simulated

__all__ = [
    "COMMON",
    "PAIRS",
    "Dislocation",
    "DislocationSchedule",
    "Market",
    "SimulatedPair",
    "SimulatedVenue",
    "can_be_simulated",
]
