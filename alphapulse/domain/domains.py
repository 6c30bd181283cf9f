"""The relay's domains: streams of events that are apart in numbers, queues, limits and log, so that a flood of one leaves the others alone."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Domain(IntEnum):
    """Which of the streams an event belongs to. Numbers equal the API's enum, where 0, not told, means MARKET."""

    MARKET = 1
    """What venues say, and what the relay makes of it."""
    SIGNAL = 2
    """What strategies say to others."""
    EXECUTION = 3
    """What becomes of orders."""

    @property
    def title(self) -> str:
        """In small letters, such as "market"."""
        return self.name.lower()


URGENCY: Final = (Domain.EXECUTION, Domain.SIGNAL, Domain.MARKET)
"""Whose turn comes first."""

_FIRST_SIGNAL: Final = 32
_FIRST_EXECUTION: Final = 48


def domain_of(event_type: int) -> Domain:
    """The domain of an event type, by its number: 1 to 31 market, 32 to 47 signal, 48 and above execution."""
    if event_type < _FIRST_SIGNAL:
        return Domain.MARKET
    return Domain.SIGNAL if event_type < _FIRST_EXECUTION else Domain.EXECUTION
