"""Synthetics as values. Fields and their meaning are those of the API's messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from alphapulse.domain.errors import FieldViolation
from alphapulse.domain.ids import InstrumentId, ListingId
from strategy_sdk._models import NO_VERSION, Version


class SyntheticStatus(IntEnum):
    """Whether a synthetic is computed. Numbers equal the API's."""

    ACTIVE = 1
    PAUSED = 2
    RETIRED = 3


class PriceField(IntEnum):
    """Which price of a component the formula sees. Numbers equal the API's."""

    MID = 1
    BID = 2
    ASK = 3
    LAST = 4


class EvaluationState(IntEnum):
    """How a value came about. Numbers equal the API's."""

    FRESH = 1
    STALE = 2
    MISSING = 3
    OUT_OF_RANGE = 4
    OUTLIER = 5
    UNDEFINED = 6


@dataclass(frozen=True, slots=True)
class Component:
    """One named input of a formula: exactly one of a listing, an instrument or another synthetic by name."""

    variable: str
    listing_id: ListingId | None = None
    instrument_id: InstrumentId | None = None
    synthetic: str | None = None
    price_field: PriceField = PriceField.MID
    max_age_ms: int = 0
    unit: str = ""
    """What its number is in. Empty: what the registries say."""


@dataclass(frozen=True, slots=True)
class Synthetic:
    """A formula over named components, with the bounds its value is held to."""

    name: str
    formula: str
    components: tuple[Component, ...] = ()
    description: str = ""
    unit: str = ""
    max_age_ms: int = 0
    interval_ms: int = 0
    min_value: float | None = None
    max_value: float | None = None
    outlier_sigma: float | None = None
    status: SyntheticStatus = SyntheticStatus.ACTIVE
    valid_to: datetime | None = None
    """From then on it has no value. None: it holds until it is changed."""
    source: str = ""
    synthetic_id: str = ""
    """Filled by the registry."""
    listing_key: int = 0
    """What events carry. Filled by the registry."""
    formula_version: int = 0
    """Filled by the registry."""


@dataclass(frozen=True, slots=True)
class SyntheticEntry:
    """A synthetic and which write of it this is."""

    synthetic: Synthetic
    version: Version = NO_VERSION
    revision_token: str = ""


@dataclass(frozen=True, slots=True)
class FormulaReport:
    """What a formula is."""

    valid: bool
    violations: tuple[FieldViolation, ...]
    variables: tuple[str, ...]
    """The variables it uses, sorted."""
    canonical: str
    """The formula in its normal form."""


@dataclass(frozen=True, slots=True)
class ComponentPrice:
    """The prices of one component; None: there is none."""

    variable: str
    bid: float | None = None
    ask: float | None = None
    last: float | None = None
    time: datetime | None = None
    """When they were current. None: now."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A computed value, or the reason there is none."""

    state: EvaluationState | None
    value: float | None = None
    bid: float | None = None
    ask: float | None = None
    cause: str = ""
    """The component that made it stale or missing."""
    formula_version: int = 0


@dataclass(frozen=True, slots=True)
class Dependent:
    """A synthetic that depends on something, and how many steps away; 1 is direct."""

    synthetic: Synthetic
    distance: int


@dataclass(frozen=True, slots=True)
class SyntheticTemplate:
    """A formula with open components."""

    name: str
    description: str
    formula: str
    variables: Mapping[str, str]
    """What each variable stands for."""
