"""How a look-up can end (promise G1: it never picks one of several in silence), and how much its answer tells. Numbers equal the API's enums."""

from __future__ import annotations

from enum import IntEnum


class LookupOutcome(IntEnum):
    """What a look-up found at the times asked for."""

    RESOLVED = 1
    """Exactly one thing bears the identifier."""
    AMBIGUOUS = 2
    """Several do; the answer lists them and says why."""
    RETIRED = 3
    """One did, and is no more; the answer names the successor where there is one."""
    REUSED = 4
    """Different things bore it at different dates; the answer lists the holders by date."""
    NOT_FOUND = 5
    """Nothing bears it; it is well formed."""
    INVALID = 6
    """It is no identifier of its scheme; the answer says which rule it breaks."""


class LookupView(IntEnum):
    """How much of each holder an answer gives."""

    FULL = 1
    """Instruments and listings with every field."""
    IDS = 2
    """Their ids and what tells them apart; all else of the answer is as in FULL."""
