"""What a subscription wants, as values: filter, delivery contract, start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from alphapulse.domain.domains import Domain
from alphapulse.domain.predicate import Predicate

MAX_WINDOW_MS: Final = 3_600_000
MIN_QUEUE_BYTES: Final = 4096
MAX_FILTER_VALUES: Final = 100_000
MAX_VIOLATIONS: Final = 100
"""So many faults of one request are told; what follows is not looked at."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events. An empty set does not restrict; values of one set are alternatives; sets restrict together."""

    domain: Domain = Domain.MARKET
    event_types: frozenset[int] = frozenset()
    """Of the domain."""
    listing_keys: frozenset[int] = frozenset()
    venues: frozenset[str] = frozenset()
    asset_classes: frozenset[int] = frozenset()
    instrument_ids: frozenset[str] = frozenset()
    isin_prefixes: frozenset[str] = frozenset()
    underlying_ids: frozenset[str] = frozenset()
    chains: frozenset[str] = frozenset()
    sectors: frozenset[str] = frozenset()
    currencies: frozenset[str] = frozenset()
    synthetic_ids: frozenset[str] = frozenset()
    symbols: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    predicate: Predicate | None = None
    include_unknown: bool = False
    """Listings the registries do not know pass too. What only a definition can tell does not restrict them."""

    @property
    def needs_definitions(self) -> bool:
        """Whether it asks for anything that only the registries know."""
        return self.predicate is not None or any(getattr(self, name) for name in DEFINITION_FIELDS)


DEFINITION_FIELDS: Final = (
    "venues",
    "asset_classes",
    "instrument_ids",
    "isin_prefixes",
    "underlying_ids",
    "chains",
    "sectors",
    "currencies",
    "synthetic_ids",
    "symbols",
)


@dataclass(frozen=True, slots=True)
class Stream:
    """Every event, or a declared gap."""

    max_queue_bytes: int = 0
    """0: the relay's own bound."""


@dataclass(frozen=True, slots=True)
class Latest:
    """The latest event of each listing and type; at most once in `interval_ms` where that is not 0."""

    interval_ms: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """Every n-th event of each listing and type, the first one included."""

    every: int


Contract = Stream | Latest | Sample


class Start(Enum):
    """Where a subscription starts."""

    NOW = "now"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class FromToken:
    """Start after a resume token, less what was received after its point."""

    token: str = field(repr=False)
    sequence: int = 0
    """Of the last event received; 0: none was, or the contract conflates."""
    number: int = 0
    """Of the last event received or declared; 0: none was."""
    by_type: Mapping[int, int] = field(default_factory=dict)
    """Of contracts that conflate: by event type, the sequence of the last event received."""
    source_gap: int = 0
    """The number of the last loss of a source received; 0: none was."""


@dataclass(frozen=True, slots=True)
class FromTime:
    """Start with the first event that came at this time or later."""

    time_ns: int
    """Nanoseconds since the Unix epoch."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One subscription as it was asked for."""

    subscription_id: int
    filter: Filter
    contract: Contract
    start: Start | FromToken | FromTime
