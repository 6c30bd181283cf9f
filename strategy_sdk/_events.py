"""Events as frozen objects: tuples of the row's values, with prices made exact only when they are asked for.

An event is a tuple (the row's fields in the order of its layout, then subscription, number, received time) under a class
with a name for each place. Making one costs a fraction of a microsecond, because nothing is computed before it is read.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any, ClassVar, Final, cast

from alphapulse.domain.provenance import Provenance, RecordFlag, provenance_of
from alphapulse.domain.wide import WideDecimal, mantissa_of
from alphapulse.records import (
    BAR,
    BOOK_LEVEL,
    COMMON_FIELDS,
    EXECUTION_REPORT,
    INSTRUMENT_DISCOVERED,
    NOTICE,
    OPPORTUNITY,
    QUOTE,
    STATISTIC,
    STRATEGY_SIGNAL,
    SYNTHETIC_UPDATE,
    TRADE,
    TRADING_STATUS,
    WIDE_AMOUNT,
    RecordLayout,
)
from strategy_sdk._event_fields import OVERSIZE, enum_of, exact_of, exact_unless, float_of, int_of, text_of
from strategy_sdk._states import (
    AggressorSide,
    AmountKind,
    BookSide,
    NoticeImportance,
    NoticeKind,
    OpportunityState,
    OrderSide,
    OrderState,
    SignalDirection,
    StatisticKind,
    SyntheticState,
    TradingState,
)


class Event(tuple[Any, ...]):
    """What every event has. Times are nanoseconds since the Unix epoch, 0 where not known. Compared by value."""

    __slots__ = ()
    layout: ClassVar[RecordLayout]

    listing_key = int_of(0, "First 64 bits of the listing's id; of a synthetic's id for a synthetic.")
    sequence = int_of(1, "The relay's number of the event.")
    venue_time_ns = int_of(2, "The venue's own time.")
    collector_time_ns = int_of(3, "When the collector received it.")
    relay_in_ns = int_of(4, "When the relay received it.")
    relay_out_ns = int_of(5, "When the relay handed it on.")
    source_id = int_of(6, "The source's number: alphapulse.domain.ids.source_id(NAME).")
    definition_version = int_of(7, "The version of the listing's definition that held. 0: unknown listing.")
    flags = int_of(8, "Provenance and conditions: RecordFlag.")
    subscription_id = int_of(-3, "The subscription it came for.")
    number = int_of(-2, "The subscription's own number of it; rises by one.")
    received_ns = int_of(-1, "When this process received it.")

    @property
    def provenance(self) -> Provenance | None:
        """LIVE, REPLAY or SIMULATED; None where nobody said."""
        return provenance_of(self.flags)

    def has(self, flag: RecordFlag) -> bool:
        """Whether the event is marked so."""
        return bool(self.flags & flag)

    @property
    def values(self) -> dict[str, Any]:
        """The row's fields by name, as they were on the wire: mantissas and exponents apart."""
        return dict(zip(self.layout.fields, self, strict=False))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in self.values.items())
        return f"{type(self).__name__}({shown})"


class Trade(Event):
    """A trade. A price or size that no row holds is whole where its WideAmount came before (ask for EventType.WIDE_AMOUNT as well), else None."""

    __slots__ = ()
    layout = TRADE
    price = exact_unless(TRADE, "price", "price_exponent")
    size = exact_unless(TRADE, "size", "size_exponent", RecordFlag.SIZE_ABSENT)
    trade_id = int_of(TRADE, "trade_id")
    _aggressor = enum_of(TRADE, "aggressor", AggressorSide)

    @property
    def aggressor(self) -> AggressorSide:
        """Who took liquidity."""
        return cast(AggressorSide, self._aggressor())


class WideAmount(Event):
    """An amount of the trade of `trade_id` that comes next, where 64 bits do not hold it. The trade has it, too."""

    __slots__ = ()
    layout = WIDE_AMOUNT
    trade_id = int_of(WIDE_AMOUNT, "trade_id")
    _words = itemgetter(*(WIDE_AMOUNT.fields.index(f"word_{place}") for place in range(4)))
    _exponent = int_of(WIDE_AMOUNT, "exponent")
    _kind = enum_of(WIDE_AMOUNT, "kind", AmountKind)

    @property
    def amount(self) -> WideDecimal:
        """The amount, exact."""
        return WideDecimal(mantissa_of(WideAmount._words(self)), self._exponent)

    @property
    def kind(self) -> AmountKind:
        """Which amount of the trade."""
        return cast(AmountKind, self._kind())


class Quote(Event):
    """A best bid and offer."""

    __slots__ = ()
    layout = QUOTE
    bid = exact_unless(QUOTE, "bid_price", "price_exponent", RecordFlag.BID_ABSENT)
    ask = exact_unless(QUOTE, "ask_price", "price_exponent", RecordFlag.ASK_ABSENT)
    bid_size = exact_unless(QUOTE, "bid_size", "size_exponent", RecordFlag.BID_SIZE_ABSENT | RecordFlag.BID_ABSENT)
    ask_size = exact_unless(QUOTE, "ask_size", "size_exponent", RecordFlag.ASK_SIZE_ABSENT | RecordFlag.ASK_ABSENT)

    @property
    def mid(self) -> float | None:
        """Half of bid plus ask as a float: for statistics, not for orders. None where a side is empty or fits no row."""
        if self[8] & _ONE_SIDED or (self[8] & OVERSIZE and not self[9]):
            return None
        return float((self[9] + self[11]) * 10.0 ** self[13] / 2)


_ONE_SIDED: Final = int(RecordFlag.BID_ABSENT | RecordFlag.ASK_ABSENT)


class BookLevel(Event):
    """One price level of a book: its new size, not a difference. Size 0 removes it."""

    __slots__ = ()
    layout = BOOK_LEVEL
    price = exact_unless(BOOK_LEVEL, "price", "price_exponent")
    size = exact_unless(BOOK_LEVEL, "size", "size_exponent")
    venue_sequence = int_of(BOOK_LEVEL, "venue_sequence")
    _side = enum_of(BOOK_LEVEL, "side", BookSide)

    @property
    def side(self) -> BookSide:
        """Bids or asks."""
        return cast(BookSide, self._side())


class Bar(Event):
    """Open, high, low, close of an interval."""

    __slots__ = ()
    layout = BAR
    open = exact_of(BAR, "open", "price_exponent")
    high = exact_of(BAR, "high", "price_exponent")
    low = exact_of(BAR, "low", "price_exponent")
    close = exact_of(BAR, "close", "price_exponent")
    volume = exact_of(BAR, "volume", "size_exponent")
    start_time_ns = int_of(BAR, "start_time_ns")
    interval_ns = int_of(BAR, "interval_ns")
    trade_count = int_of(BAR, "trade_count")


class Statistic(Event):
    """One figure of a listing: funding, open interest, index, mark, settlement, rate, sentiment."""

    __slots__ = ()
    layout = STATISTIC
    value = exact_unless(STATISTIC, "value", "value_exponent")
    effective_time_ns = int_of(STATISTIC, "effective_time_ns")
    _kind = enum_of(STATISTIC, "kind", StatisticKind)

    @property
    def kind(self) -> StatisticKind:
        """What is measured."""
        return cast(StatisticKind, self._kind())


class TradingStatus(Event):
    """A change of a listing's trading status."""

    __slots__ = ()
    layout = TRADING_STATUS
    effective_time_ns = int_of(TRADING_STATUS, "effective_time_ns")
    reason_code = int_of(TRADING_STATUS, "reason_code")
    _state = enum_of(TRADING_STATUS, "state", TradingState)
    _previous = enum_of(TRADING_STATUS, "previous_state", TradingState)

    @property
    def state(self) -> TradingState:
        """The new state."""
        return cast(TradingState, self._state())

    @property
    def previous_state(self) -> TradingState:
        """The state before."""
        return cast(TradingState, self._previous())


class Notice(Event):
    """Something was published: a filing, an article, an entry of a calendar, a post. `venue_time_ns` is when.

    It comes once for the feed it is from, and once more for each listing it is about: a subscription that takes all of them tells them apart by
    `subject_number`, which is 0 for the feed's. Values that the source does not give are None; a `sentiment` it does not give is NaN.
    """

    __slots__ = ()
    layout = NOTICE
    document_id = text_of(NOTICE, "document_id")
    headline = text_of(NOTICE, "headline")
    link = text_of(NOTICE, "link")
    subject = text_of(NOTICE, "subject")
    category = text_of(NOTICE, "category")
    unit = text_of(NOTICE, "unit")
    actual = exact_unless(NOTICE, "actual", "actual_exponent", RecordFlag.ACTUAL_ABSENT)
    forecast = exact_unless(NOTICE, "forecast", "forecast_exponent", RecordFlag.FORECAST_ABSENT)
    previous = exact_unless(NOTICE, "previous", "previous_exponent", RecordFlag.PREVIOUS_ABSENT)
    sentiment = float_of(NOTICE, "sentiment")
    effective_time_ns = int_of(NOTICE, "effective_time_ns")
    revision = int_of(NOTICE, "revision")
    subject_number = int_of(NOTICE, "subject_number")
    subject_count = int_of(NOTICE, "subject_count")
    subjects_unknown = int_of(NOTICE, "subjects_unknown")
    _kind = enum_of(NOTICE, "kind", NoticeKind)
    _importance = enum_of(NOTICE, "importance", NoticeImportance)

    @property
    def kind(self) -> NoticeKind:
        """What it is."""
        return cast(NoticeKind, self._kind())

    @property
    def importance(self) -> NoticeImportance:
        """How much weight the source gives it."""
        return cast(NoticeImportance, self._importance())


class InstrumentDiscovered(Event):
    """A listing the registries did not know before."""

    __slots__ = ()
    layout = INSTRUMENT_DISCOVERED
    instrument_key = int_of(INSTRUMENT_DISCOVERED, "instrument_key")
    registry_revision = int_of(INSTRUMENT_DISCOVERED, "registry_revision")


class Opportunity(Event):
    """The same instrument bought on one venue (`listing_key`) and sold on another at a profit after fees."""

    __slots__ = ()
    layout = OPPORTUNITY
    opportunity_id = int_of(OPPORTUNITY, "opportunity_id")
    sell_listing_key = int_of(OPPORTUNITY, "sell_listing_key")
    instrument_key = int_of(OPPORTUNITY, "instrument_key")
    buy_price = exact_of(OPPORTUNITY, "buy_price", "buy_price_exponent")
    sell_price = exact_of(OPPORTUNITY, "sell_price", "sell_price_exponent")
    size = exact_unless(OPPORTUNITY, "size", "size_exponent", RecordFlag.SIZE_ABSENT)
    trigger_sequence = int_of(OPPORTUNITY, "trigger_sequence")
    discovered_time_ns = int_of(OPPORTUNITY, "discovered_time_ns")
    expires_time_ns = int_of(OPPORTUNITY, "expires_time_ns")
    gross_bps = float_of(OPPORTUNITY, "gross_bps")
    net_bps = float_of(OPPORTUNITY, "net_bps")
    capital = float_of(OPPORTUNITY, "capital")
    confidence = float_of(OPPORTUNITY, "confidence")
    _state = enum_of(OPPORTUNITY, "state", OpportunityState)

    @property
    def state(self) -> OpportunityState:
        """Opened, updated or closed."""
        return cast(OpportunityState, self._state())


class SyntheticUpdate(Event):
    """A new value of a synthetic. Values are NaN where the state says why there is none."""

    __slots__ = ()
    layout = SYNTHETIC_UPDATE
    value = float_of(SYNTHETIC_UPDATE, "value")
    bid = float_of(SYNTHETIC_UPDATE, "bid")
    ask = float_of(SYNTHETIC_UPDATE, "ask")
    executable_size = float_of(SYNTHETIC_UPDATE, "executable_size")
    formula_version = int_of(SYNTHETIC_UPDATE, "formula_version")
    cause_listing_key = int_of(SYNTHETIC_UPDATE, "cause_listing_key")
    oldest_input_time_ns = int_of(SYNTHETIC_UPDATE, "oldest_input_time_ns")
    trigger_sequence = int_of(SYNTHETIC_UPDATE, "trigger_sequence")
    _state = enum_of(SYNTHETIC_UPDATE, "state", SyntheticState)

    @property
    def state(self) -> SyntheticState:
        """Whether the value can be relied on."""
        return cast(SyntheticState, self._state())


class StrategySignal(Event):
    """What a strategy says of a listing, or of a synthetic. `collector_time_ns` is when it was made."""

    __slots__ = ()
    layout = STRATEGY_SIGNAL
    name = text_of(STRATEGY_SIGNAL, "name")
    strategy = text_of(STRATEGY_SIGNAL, "strategy")
    text = text_of(STRATEGY_SIGNAL, "text")
    value = float_of(STRATEGY_SIGNAL, "value")
    strength = float_of(STRATEGY_SIGNAL, "strength")
    confidence = float_of(STRATEGY_SIGNAL, "confidence")
    horizon_ns = int_of(STRATEGY_SIGNAL, "horizon_ns")
    cause_sequence = int_of(STRATEGY_SIGNAL, "cause_sequence")
    _direction = enum_of(STRATEGY_SIGNAL, "direction", SignalDirection)

    @property
    def direction(self) -> SignalDirection:
        """What is proposed."""
        return cast(SignalDirection, self._direction())


class ExecutionReport(Event):
    """What became of an order on a listing."""

    __slots__ = ()
    layout = EXECUTION_REPORT
    client_order_id = text_of(EXECUTION_REPORT, "client_order_id")
    order_id = text_of(EXECUTION_REPORT, "order_id")
    execution_id = text_of(EXECUTION_REPORT, "execution_id")
    strategy = text_of(EXECUTION_REPORT, "strategy")
    reason = text_of(EXECUTION_REPORT, "reason")
    price = exact_unless(EXECUTION_REPORT, "price", "price_exponent", RecordFlag.PRICE_ABSENT)
    size = exact_unless(EXECUTION_REPORT, "size", "size_exponent", RecordFlag.SIZE_ABSENT)
    filled_size = exact_unless(EXECUTION_REPORT, "filled_size", "size_exponent")
    last_price = exact_unless(EXECUTION_REPORT, "last_price", "price_exponent")
    last_size = exact_unless(EXECUTION_REPORT, "last_size", "size_exponent")
    _side = enum_of(EXECUTION_REPORT, "side", OrderSide)
    _state = enum_of(EXECUTION_REPORT, "state", OrderState)

    @property
    def side(self) -> OrderSide:
        """Which side."""
        return cast(OrderSide, self._side())

    @property
    def state(self) -> OrderState:
        """How the order stands after it."""
        return cast(OrderState, self._state())

    @property
    def possible_duplicate(self) -> bool:
        """Whether it may have come before: its sender lost the relay that may have relayed it. The venue's `execution_id` tells."""
        return self.has(RecordFlag.POSSIBLE_DUPLICATE)


EVENT_CLASSES: Final[dict[int, type[Event]]] = {
    kind.layout.event_type: kind
    for kind in (
        *(Trade, WideAmount, Quote, BookLevel, Bar, Statistic, TradingStatus, Notice),
        *(InstrumentDiscovered, Opportunity, SyntheticUpdate, StrategySignal, ExecutionReport),
    )
}
"""By event type."""
assert all(kind.layout.fields[: len(COMMON_FIELDS)] == COMMON_FIELDS for kind in EVENT_CLASSES.values())
