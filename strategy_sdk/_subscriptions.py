"""What a strategy asks of the relay: filters, contracts, and how they stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from alphapulse.api.marketdata.v1 import marketdata_pb2
from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.domains import Domain, domain_of
from alphapulse.domain.ids import InstrumentId
from strategy_sdk._mapping import numbers
from strategy_sdk._states import EventType


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events. Empty fields do not restrict; values of one field are alternatives; fields restrict together."""

    event_types: Iterable[EventType] = ()
    listing_keys: Iterable[int] = ()
    venues: Iterable[str] = ()
    """By code."""
    asset_classes: Iterable[AssetClass] = ()
    instrument_ids: Iterable[InstrumentId | str] = ()
    isin_prefixes: Iterable[str] = ()
    underlying_ids: Iterable[InstrumentId | str] = ()
    chains: Iterable[str] = ()
    """By CAIP-2."""
    sectors: Iterable[str] = ()
    currencies: Iterable[str] = ()
    """What the listing is priced in."""
    synthetic_ids: Iterable[str] = ()
    """Synthetics and their components."""
    symbols: Iterable[str] = ()
    """In their venue's spelling."""
    sources: Iterable[str] = ()
    predicate: str = ""
    """Over definitions, such as "taker_bps < 10 and tick_size <= 0.01"."""
    include_unknown: bool = False
    """Deliver events of listings unknown to the registries too."""
    domain: Domain | None = None
    """MARKET, SIGNAL or EXECUTION. None: that of the event types, and MARKET where none is named. A subscription is of one domain."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "event_types", tuple(self.event_types))  # they are read more than once

    def to_message(self) -> relay.SubscriptionFilter:
        """As the API's message."""
        return relay.SubscriptionFilter(
            event_types=numbers(self.event_types),
            listing_keys=self.listing_keys,
            venues=self.venues,
            asset_classes=numbers(self.asset_classes),
            instrument_ids=map(str, self.instrument_ids),
            isin_prefixes=self.isin_prefixes,
            underlying_ids=map(str, self.underlying_ids),
            chains=self.chains,
            sectors=self.sectors,
            currencies=self.currencies,
            synthetic_ids=map(str, self.synthetic_ids),
            symbols=self.symbols,
            sources=self.sources,
            predicate=self.predicate,
            include_unknown=self.include_unknown,
            domain=marketdata_pb2.Domain.ValueType(self.domain or 0),
        )

    @property
    def chosen_domain(self) -> Domain:
        """What its events are of."""
        return self.domain or min(map(domain_of, self.event_types), default=Domain.MARKET)


@dataclass(frozen=True, slots=True)
class Every:
    """Every event or a declared gap. `max_queue_bytes` is what the relay holds before it cuts; 0: its own bound."""

    max_queue_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Latest:
    """The latest event of each listing and type; what it replaces is counted."""


@dataclass(frozen=True, slots=True)
class Window:
    """The latest event of each listing and type, once in an interval."""

    interval_ms: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Every n-th event of each listing and type."""

    every: int


Contract = Every | Latest | Window | Sample


def put_message(identity: int, wanted: EventFilter, contract: Contract, snapshot: bool) -> relay.PutSubscription:
    """The request for a subscription."""
    message = relay.PutSubscription(subscription_id=identity, filter=wanted.to_message())
    match contract:
        case Every():
            message.stream.max_queue_bytes = contract.max_queue_bytes
        case Latest():
            message.latest.SetInParent()
        case Window():
            message.window.interval_ms = contract.interval_ms
        case Sample():
            message.sample.every = contract.every
    if snapshot:
        message.start.snapshot.SetInParent()
    else:
        message.start.now.SetInParent()
    return message


@dataclass(slots=True)
class Subscription:
    """A subscription as the relay holds it; it changes as the relay's answers do."""

    id: int
    filter: EventFilter = field(repr=False)
    matching_listings: int = 0
    """Listings that matched when the relay last answered."""
    from_sequence: int = 0
    """It holds for every event whose sequence is at least this."""
    revision_token: str = ""
    """The registries' revision the filter was applied at."""
    active: bool = False
    """False before the relay's answer and after the end."""
    snapshot_complete: bool = False
    """Where it was asked to start with a snapshot: whether all of it has come."""
    resume_token: str = field(default="", repr=False)
    """The last point the relay named for resuming; empty where it names none."""


def domain_in(subscriptions: Mapping[int, Subscription], identity: int) -> Domain:
    """The domain of a subscription; market where there is none."""
    held = subscriptions.get(identity)
    return held.filter.chosen_domain if held is not None else Domain.MARKET
