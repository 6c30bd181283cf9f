"""Venues as values. Fields and their meaning are those of the API's messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import FieldViolation
from alphapulse.domain.outcomes import LookupOutcome
from strategy_sdk._models import NO_VERSION, Version


class VenueType(IntEnum):
    """What kind of place a venue is. Numbers equal the API's."""

    EXCHANGE = 1
    CRYPTO_EXCHANGE = 2
    DEX = 3
    CHAIN = 4
    BROKER = 5
    DERIVATIVES_EXCHANGE = 6
    OTC = 7
    DATA_SOURCE = 8


class VenueStatus(IntEnum):
    """Whether a venue is in operation. Numbers equal the API's."""

    ACTIVE = 1
    HALTED = 2
    MAINTENANCE = 3
    EXPIRED = 4


class MicLevel(IntEnum):
    """Whether a MIC stands for an operator or for one of its markets. Numbers equal the API's."""

    OPERATING = 1
    SEGMENT = 2


class EndpointProtocol(IntEnum):
    """What an endpoint speaks. Numbers equal the API's."""

    REST = 1
    WEBSOCKET = 2
    FIX = 3


class SessionPhase(IntEnum):
    """What trades in a part of a day. Numbers equal the API's."""

    PRE = 1
    REGULAR = 2
    BREAK = 3
    POST = 4


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address a venue is reached at, and how often."""

    protocol: EndpointProtocol | None
    url: str
    rate_limit: int = 0
    rate_interval_ms: int = 0
    sandbox: bool = False


@dataclass(frozen=True, slots=True)
class FeeTier:
    """Fees in basis points from a volume traded in 30 days on; a negative maker fee is a rebate."""

    min_volume: ExactDecimal | None = None
    maker_bps: ExactDecimal | None = None
    taker_bps: ExactDecimal | None = None


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """What trading costs in a span of time."""

    tiers: tuple[FeeTier, ...] = ()
    volume_currency: str = ""
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What orders a venue takes."""

    order_types: tuple[str, ...] = ()
    margin: bool = False
    max_leverage: ExactDecimal | None = None


@dataclass(frozen=True, slots=True)
class Performance:
    """How a venue was measured to perform."""

    volume_24h_usd: float = 0.0
    depth_usd: float = 0.0
    fill_time_ms: float = 0.0
    latency_ms: float = 0.0
    slippage_bps: float = 0.0
    uptime: float = 0.0
    measure_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Venue:
    """A place where listings trade, or data comes from. `code` is its MIC, or 2 to 32 characters of A-Z, 0-9 and _."""

    code: str
    name: str
    type: VenueType | None
    status: VenueStatus = VenueStatus.ACTIVE
    mic: str = ""
    operating_mic: str = ""
    mic_level: MicLevel | None = None
    country: str = ""
    city: str = ""
    lei: str = ""
    time_zone: str = ""
    website: str = ""
    always_open: bool = False
    calendar: str = ""
    endpoints: tuple[Endpoint, ...] = ()
    fee_schedules: tuple[FeeSchedule, ...] = ()
    capabilities: Capabilities | None = None
    performance: Performance | None = None
    chain: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class VenueEntry:
    """A venue and which write of it this is."""

    venue: Venue
    version: Version = NO_VERSION
    revision_token: str = ""


@dataclass(frozen=True, slots=True)
class MicLookup:
    """Which venue bears a MIC: RESOLVED, RETIRED for an expired one, NOT_FOUND or INVALID."""

    outcome: LookupOutcome
    venue: Venue | None = None
    segments: tuple[Venue, ...] = ()
    """The venues below it, for an operating MIC."""
    violation: FieldViolation | None = None


@dataclass(frozen=True, slots=True)
class OpenState:
    """Whether a venue is open at a time."""

    open: bool
    """True in regular trading."""
    phase: SessionPhase | None = None
    """None: closed."""
    next_open: datetime | None = None
    """None: it never closes, or nothing is known."""
    next_close: datetime | None = None
    """None: it never closes, or nothing is known."""
    source: str = ""
    """The calendar and its version the answer rests on."""


@dataclass(frozen=True, slots=True)
class Session:
    """A part of a trading day, `open_time` inclusive, `close_time` exclusive."""

    session_date: str
    phase: SessionPhase | None
    open_time: datetime | None
    close_time: datetime | None
    late_open: bool = False
    early_close: bool = False
    scheduled: bool = True
    declare_time: datetime | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class RankWeights:
    """How much each part of a venue's score weighs; together 100. Also the parts of a score, 0 to 100 each."""

    fees: float = 30.0
    liquidity: float = 40.0
    fill: float = 20.0
    latency: float = 10.0


@dataclass(frozen=True, slots=True)
class RankedVenue:
    """A venue of an instrument and its score, 0 to 100."""

    code: str
    listing_id: str
    score: float
    parts: RankWeights
    missing: tuple[str, ...] = ()
    """Parts that could not be measured; they scored 0."""


@dataclass(frozen=True, slots=True)
class RouteLeg:
    """A part of a plan to split an order."""

    code: str
    listing_id: str
    size: ExactDecimal | None
    why: str


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """How to split an order over venues."""

    legs: tuple[RouteLeg, ...]
    unplaced: ExactDecimal | None = None
    """What could not be placed within the constraints."""
