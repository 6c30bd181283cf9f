"""What a strategy is written with: the registries, their replica in memory, market events, and the base of strategies.

    async with connect(name="mine") as stream:
        await stream.subscribe(event_types=[EventType.QUOTE], venues=["BINANCE"])
        async for event in stream:
            ...

`docs/sdk.md` goes from the installation to a running strategy. Everything public is named here; the modules that begin with
an underscore are not for import. Errors are the classes of `alphapulse.domain.errors`, identifiers, instruments and exact
decimals those of `alphapulse.domain`. Not here: servers, and anything a service needs of another (`alphapulse.client`).
"""

from alphapulse.domain.domains import Domain
from strategy_sdk._batch import RECONNECTED, UNDECLARED, EventBatch, Gap
from strategy_sdk._blocking import BlockingRegistryClient
from strategy_sdk._caller import Write
from strategy_sdk._config import Addresses
from strategy_sdk._connect import connect
from strategy_sdk._convert import Definition
from strategy_sdk._event_calls import RecordedEvent, Replacement
from strategy_sdk._events import (
    Bar,
    BookLevel,
    Event,
    ExecutionReport,
    InstrumentDiscovered,
    Opportunity,
    Quote,
    Statistic,
    StrategySignal,
    SyntheticUpdate,
    Trade,
    TradingStatus,
)
from strategy_sdk._filters import InstrumentFilter, LookupOptions, SyntheticFilter, VenueFilter
from strategy_sdk._freshness import GapPolicy
from strategy_sdk._heartbeat import Heartbeat, SourceHealth
from strategy_sdk._latency import HopLatency
from strategy_sdk._models import (
    Change,
    ChangeKind,
    CollisionCase,
    CollisionKind,
    CollisionResolution,
    CollisionState,
    DefinitionOutcome,
    DefinitionRegistration,
    DisputedIdentifier,
    IdentifierSpan,
    InstrumentEntry,
    ListingEntry,
    LookupItem,
    LookupResult,
    Registration,
    RegistrationOutcome,
    RegistrationResult,
    SearchHit,
    Version,
)
from strategy_sdk._order_updates import OrderUpdate
from strategy_sdk._places import Place
from strategy_sdk._publishing import MAX_UNACKNOWLEDGED, Publisher, PublisherStats, publish
from strategy_sdk._registry import RegistryClient
from strategy_sdk._replica import RegistryReplica, ReplicaChange
from strategy_sdk._runner import RunStats, StrategyRun, run_strategy
from strategy_sdk._states import (
    AggressorSide,
    BookSide,
    EventType,
    OpportunityState,
    OrderSide,
    OrderState,
    SignalDirection,
    StatisticKind,
    SyntheticState,
    TradingState,
)
from strategy_sdk._strategy import Direction, Needs, Signal, Strategy
from strategy_sdk._stream import MarketStream
from strategy_sdk._stream_stats import StreamStats
from strategy_sdk._subscriptions import Contract, EventFilter, Every, Latest, Sample, Subscription, Window
from strategy_sdk._synthetic_models import (
    Component,
    ComponentPrice,
    Dependent,
    Evaluation,
    EvaluationState,
    FormulaReport,
    PriceField,
    Synthetic,
    SyntheticEntry,
    SyntheticStatus,
    SyntheticTemplate,
)
from strategy_sdk._venue_models import (
    Capabilities,
    Endpoint,
    EndpointProtocol,
    FeeSchedule,
    FeeTier,
    MicLevel,
    MicLookup,
    OpenState,
    Performance,
    RankedVenue,
    RankWeights,
    RouteLeg,
    RoutePlan,
    Session,
    SessionPhase,
    Venue,
    VenueEntry,
    VenueStatus,
    VenueType,
)
from strategy_sdk._watching import Bookmark, Restart, Snapshot, WatchEvent

__all__ = [
    "MAX_UNACKNOWLEDGED",
    "RECONNECTED",
    "UNDECLARED",
    "Addresses",
    "AggressorSide",
    "Bar",
    "BlockingRegistryClient",
    "BookLevel",
    "BookSide",
    "Bookmark",
    "Capabilities",
    "Change",
    "ChangeKind",
    "CollisionCase",
    "CollisionKind",
    "CollisionResolution",
    "CollisionState",
    "Component",
    "ComponentPrice",
    "Contract",
    "Definition",
    "DefinitionOutcome",
    "DefinitionRegistration",
    "Dependent",
    "Direction",
    "DisputedIdentifier",
    "Domain",
    "Endpoint",
    "EndpointProtocol",
    "Evaluation",
    "EvaluationState",
    "Event",
    "EventBatch",
    "EventFilter",
    "EventType",
    "Every",
    "ExecutionReport",
    "FeeSchedule",
    "FeeTier",
    "FormulaReport",
    "Gap",
    "GapPolicy",
    "Heartbeat",
    "HopLatency",
    "IdentifierSpan",
    "InstrumentDiscovered",
    "InstrumentEntry",
    "InstrumentFilter",
    "Latest",
    "ListingEntry",
    "LookupItem",
    "LookupOptions",
    "LookupResult",
    "MarketStream",
    "MicLevel",
    "MicLookup",
    "Needs",
    "OpenState",
    "Opportunity",
    "OpportunityState",
    "OrderSide",
    "OrderState",
    "OrderUpdate",
    "Performance",
    "Place",
    "PriceField",
    "Publisher",
    "PublisherStats",
    "Quote",
    "RankWeights",
    "RankedVenue",
    "RecordedEvent",
    "Registration",
    "RegistrationOutcome",
    "RegistrationResult",
    "RegistryClient",
    "RegistryReplica",
    "Replacement",
    "ReplicaChange",
    "Restart",
    "RouteLeg",
    "RoutePlan",
    "RunStats",
    "Sample",
    "SearchHit",
    "Session",
    "SessionPhase",
    "Signal",
    "SignalDirection",
    "Snapshot",
    "SourceHealth",
    "Statistic",
    "StatisticKind",
    "Strategy",
    "StrategyRun",
    "StrategySignal",
    "StreamStats",
    "Subscription",
    "Synthetic",
    "SyntheticEntry",
    "SyntheticFilter",
    "SyntheticState",
    "SyntheticStatus",
    "SyntheticTemplate",
    "SyntheticUpdate",
    "Trade",
    "TradingState",
    "TradingStatus",
    "Venue",
    "VenueEntry",
    "VenueFilter",
    "VenueStatus",
    "VenueType",
    "Version",
    "WatchEvent",
    "Window",
    "Write",
    "connect",
    "publish",
    "run_strategy",
]
