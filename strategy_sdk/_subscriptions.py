"""What a strategy asks of the relay: filters, contracts, and how they stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from alphapulse.api.marketdata.v1 import marketdata_pb2
from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.domains import Domain, domain_of
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.ids import InstrumentId
from strategy_sdk._mapping import numbers, stamp
from strategy_sdk._places import Place
from strategy_sdk._progress import Progress
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
Start = Place | datetime | int
"""A place that was kept, or a time: aware, or in nanoseconds since the Unix epoch."""
_LATEST_NS: Final = 2**63 - 1


def chosen_filter(wanted: EventFilter | None, fields: Mapping[str, Any]) -> EventFilter:
    """A filter that was given as such or by its fields."""
    if wanted is not None and fields:
        raise InvalidArgument.field(
            "filter", ", ".join(fields), "filter-twice", "give a filter or its fields, not both"
        )
    return wanted if wanted is not None else EventFilter(**fields)


def put_message(
    identity: int, wanted: EventFilter, contract: Contract, snapshot: bool, start: Start | None
) -> relay.PutSubscription:
    """The request for a subscription. Raises InvalidArgument for a start that is none."""
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
    message.start.CopyFrom(_start_message(snapshot, start))
    return message


def _start_message(snapshot: bool, start: Start | None) -> relay.SubscriptionStart:
    if start is None:
        if snapshot:
            return relay.SubscriptionStart(snapshot=relay.StartSnapshot())
        return relay.SubscriptionStart(now=relay.StartNow())
    if snapshot:
        twice = "a snapshot is of now: give a start in the past or a snapshot, not both"
        raise InvalidArgument.field("start", str(start), "start-twice", twice)
    if isinstance(start, Place):
        return start.to_message()
    if isinstance(start, datetime):
        return relay.SubscriptionStart(time_ns=stamp(start, "start").ToNanoseconds())
    if type(start) is not int:
        kinds = f"a Place, a datetime or nanoseconds since the Unix epoch, not {type(start).__name__}"
        raise InvalidArgument.field("start", repr(start), "start-kind", kinds)
    if not 0 <= start <= _LATEST_NS:
        span = f"nanoseconds since the Unix epoch lie in 0 to {_LATEST_NS}"
        raise InvalidArgument.field("start", str(start), "start-time", span)
    return relay.SubscriptionStart(time_ns=start)


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
    _progress: Progress = field(default_factory=Progress, repr=False)

    @property
    def place(self) -> Place | None:
        """Where `subscribe(start=...)` goes on behind everything that was handed over, the last event or batch included; None where the relay keeps
        no log. Keep it *after* what you made of the events: whoever keeps it before, and dies in between, has lost them."""
        return self._progress.place(self.id)


def domain_in(subscriptions: Mapping[int, Subscription], identity: int) -> Domain:
    """The domain of a subscription; market where there is none."""
    held = subscriptions.get(identity)
    return held.filter.chosen_domain if held is not None else Domain.MARKET
