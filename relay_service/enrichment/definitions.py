"""Synthetics as the engine takes them: plain values, no messages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

DEFAULT_MAX_AGE_MS: Final = 5_000
"""Of a definition that states none."""


class TargetKind(IntEnum):
    """What a component stands for."""

    LISTING = 1
    """One listing, by key."""
    INSTRUMENT = 2
    """The freshest listing of an instrument, by id."""
    SYNTHETIC = 3
    """Another synthetic, by name."""


class PriceField(IntEnum):
    """Which price of a component the formula sees. Numbers equal the API's enum."""

    MID = 1
    BID = 2
    ASK = 3
    LAST = 4


class SyntheticState(IntEnum):
    """Whether a value can be relied on. Numbers equal the API's enum."""

    FRESH = 1
    STALE = 2
    MISSING = 3
    OUT_OF_RANGE = 4
    OUTLIER = 5
    UNDEFINED = 6


VALUELESS: Final = frozenset({SyntheticState.STALE, SyntheticState.MISSING, SyntheticState.UNDEFINED})
"""States without a value."""


@dataclass(frozen=True, slots=True)
class ComponentDefinition:
    """One named input."""

    variable: str
    """Its name in the formula."""
    kind: TargetKind
    """What the target is."""
    target: str
    """The listing's key in decimal digits, the instrument's id, or the synthetic's name."""
    price: PriceField
    """Which price."""
    max_age_ns: int
    """Older than this it is stale."""


@dataclass(frozen=True, slots=True)
class SyntheticDefinition:
    """A formula over components, with the bounds of its value."""

    key: int
    """The first 64 bits of its id."""
    name: str
    """Its name, unique."""
    formula: str
    """Its text."""
    components: tuple[ComponentDefinition, ...]
    """Its inputs."""
    version: int
    """Of the formula."""
    interval_ns: int = 0
    """Handed on at least so often; 0: only when it changes."""
    min_value: float | None = None
    """Below this it is out of range."""
    max_value: float | None = None
    """Above this it is out of range."""
    outlier_sigma: float | None = None
    """Further than this many standard deviations from its recent mean it is an outlier."""
