"""Events as frozen objects: tuples of the row's values, with prices made exact only when they are asked for.

An event is a tuple (the row's fields in the order of its layout, then subscription, number, received time) under a class
with a name for each place. Making one costs a fraction of a microsecond, because nothing is computed before it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from operator import itemgetter
from typing import Any, ClassVar, Final, Protocol, cast

from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.provenance import Provenance, RecordFlag, provenance_of
from alphapulse.records import (
    BAR,
    BOOK_LEVEL,
    COMMON_FIELDS,
    EXECUTION_REPORT,
    INSTRUMENT_DISCOVERED,
    OPPORTUNITY,
    QUOTE,
    STATISTIC,
    STRATEGY_SIGNAL,
    SYNTHETIC_UPDATE,
    TRADE,
    TRADING_STATUS,
    RecordLayout,
)
from strategy_sdk._states import (
    AggressorSide,
    BookSide,
    OpportunityState,
    OrderSide,
    OrderState,
    SignalDirection,
    StatisticKind,
    SyntheticState,
    TradingState,
)

_OVERSIZE: Final = int(RecordFlag.OVERSIZE)


class _Int(Protocol):
    def __get__(self, instance: object, owner: type, /) -> int: ...


class _Float(Protocol):
    def __get__(self, instance: object, owner: type, /) -> float: ...


class _Exact(Protocol):
    def __get__(self, instance: object, owner: type, /) -> ExactDecimal: ...


class _MaybeExact(Protocol):
    def __get__(self, instance: object, owner: type, /) -> ExactDecimal | None: ...


# property over itemgetter runs in C; the protocols above are what the type checker sees of it.
def _place(layout: RecordLayout | int, name: str) -> property:
    return property(itemgetter(layout if isinstance(layout, int) else layout.fields.index(name)), doc=name)


def _int(layout: RecordLayout | int, name: str) -> _Int:
    return cast(_Int, _place(layout, name))


def _float(layout: RecordLayout, name: str) -> _Float:
    return cast(_Float, _place(layout, name))


class _Text(Protocol):
    def __get__(self, instance: object, owner: type, /) -> str: ...


def _text(layout: RecordLayout, name: str) -> _Text:
    place = layout.fields.index(name)
    return cast(_Text, property(lambda event: event[place].decode("utf-8", "replace"), doc=f"{name}; empty: none"))


def _exact(layout: RecordLayout, mantissa: str, exponent: str) -> _Exact:
    pair = itemgetter(layout.fields.index(mantissa), layout.fields.index(exponent))
    return cast(_Exact, property(lambda event: ExactDecimal(*pair(event)), doc=f"{mantissa}, exact"))


def _unless(layout: RecordLayout, mantissa: str, exponent: str, absent: int = 0) -> _MaybeExact:
    """Of a number that fits no row (OVERSIZE) a zero stands in the row: it is none, as one the venue did not give."""
    pair = itemgetter(layout.fields.index(mantissa), layout.fields.index(exponent))
    flags, place, mask = layout.fields.index("flags"), layout.fields.index(mantissa), int(absent)

    def read(event: Any) -> ExactDecimal | None:
        flagged = event[flags]
        if flagged & mask or (flagged & _OVERSIZE and not event[place]):
            return None
        return ExactDecimal(*pair(event))

    return cast(_MaybeExact, property(read, doc=f"{mantissa}, exact; None where there is none or it fits no row"))


def _enum(layout: RecordLayout, name: str, kind: type[IntEnum]) -> Callable[[Any], Any]:
    at = layout.fields.index(name)

    def read(event: Any) -> Any:
        number = event[at]
        return kind(number) if number in kind._value2member_map_ else kind(0)

    return read


class Event(tuple[Any, ...]):
    """What every event has. Times are nanoseconds since the Unix epoch, 0 where not known. Compared by value."""

    __slots__ = ()
    layout: ClassVar[RecordLayout]

    listing_key = _int(0, "First 64 bits of the listing's id; of a synthetic's id for a synthetic.")
    sequence = _int(1, "The relay's number of the event.")
    venue_time_ns = _int(2, "The venue's own time.")
    collector_time_ns = _int(3, "When the collector received it.")
    relay_in_ns = _int(4, "When the relay received it.")
    relay_out_ns = _int(5, "When the relay handed it on.")
    source_id = _int(6, "The source's number: alphapulse.domain.ids.source_id(NAME).")
    definition_version = _int(7, "The version of the listing's definition that held. 0: unknown listing.")
    flags = _int(8, "Provenance and conditions: RecordFlag.")
    subscription_id = _int(-3, "The subscription it came for.")
    number = _int(-2, "The subscription's own number of it; rises by one.")
    received_ns = _int(-1, "When this process received it.")

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
    """A trade."""

    __slots__ = ()
    layout = TRADE
    price = _unless(TRADE, "price", "price_exponent")
    size = _unless(TRADE, "size", "size_exponent", RecordFlag.SIZE_ABSENT)
    trade_id = _int(TRADE, "trade_id")
    _aggressor = _enum(TRADE, "aggressor", AggressorSide)

    @property
    def aggressor(self) -> AggressorSide:
        """Who took liquidity."""
        return cast(AggressorSide, self._aggressor())


class Quote(Event):
    """A best bid and offer."""

    __slots__ = ()
    layout = QUOTE
    bid = _unless(QUOTE, "bid_price", "price_exponent", RecordFlag.BID_ABSENT)
    ask = _unless(QUOTE, "ask_price", "price_exponent", RecordFlag.ASK_ABSENT)
    bid_size = _unless(QUOTE, "bid_size", "size_exponent", RecordFlag.BID_SIZE_ABSENT | RecordFlag.BID_ABSENT)
    ask_size = _unless(QUOTE, "ask_size", "size_exponent", RecordFlag.ASK_SIZE_ABSENT | RecordFlag.ASK_ABSENT)

    @property
    def mid(self) -> float | None:
        """Half of bid plus ask as a float: for statistics, not for orders. None where a side is empty or fits no row."""
        if self[8] & _ONE_SIDED or (self[8] & _OVERSIZE and not self[9]):
            return None
        return float((self[9] + self[11]) * 10.0 ** self[13] / 2)


_ONE_SIDED: Final = int(RecordFlag.BID_ABSENT | RecordFlag.ASK_ABSENT)


class BookLevel(Event):
    """One price level of a book: its new size, not a difference. Size 0 removes it."""

    __slots__ = ()
    layout = BOOK_LEVEL
    price = _unless(BOOK_LEVEL, "price", "price_exponent")
    size = _unless(BOOK_LEVEL, "size", "size_exponent")
    venue_sequence = _int(BOOK_LEVEL, "venue_sequence")
    _side = _enum(BOOK_LEVEL, "side", BookSide)

    @property
    def side(self) -> BookSide:
        """Bids or asks."""
        return cast(BookSide, self._side())


class Bar(Event):
    """Open, high, low, close of an interval."""

    __slots__ = ()
    layout = BAR
    open = _exact(BAR, "open", "price_exponent")
    high = _exact(BAR, "high", "price_exponent")
    low = _exact(BAR, "low", "price_exponent")
    close = _exact(BAR, "close", "price_exponent")
    volume = _exact(BAR, "volume", "size_exponent")
    start_time_ns = _int(BAR, "start_time_ns")
    interval_ns = _int(BAR, "interval_ns")
    trade_count = _int(BAR, "trade_count")


class Statistic(Event):
    """One figure of a listing: funding, open interest, index, mark, settlement, rate, sentiment."""

    __slots__ = ()
    layout = STATISTIC
    value = _exact(STATISTIC, "value", "value_exponent")
    effective_time_ns = _int(STATISTIC, "effective_time_ns")
    _kind = _enum(STATISTIC, "kind", StatisticKind)

    @property
    def kind(self) -> StatisticKind:
        """What is measured."""
        return cast(StatisticKind, self._kind())


class TradingStatus(Event):
    """A change of a listing's trading status."""

    __slots__ = ()
    layout = TRADING_STATUS
    effective_time_ns = _int(TRADING_STATUS, "effective_time_ns")
    reason_code = _int(TRADING_STATUS, "reason_code")
    _state = _enum(TRADING_STATUS, "state", TradingState)
    _previous = _enum(TRADING_STATUS, "previous_state", TradingState)

    @property
    def state(self) -> TradingState:
        """The new state."""
        return cast(TradingState, self._state())

    @property
    def previous_state(self) -> TradingState:
        """The state before."""
        return cast(TradingState, self._previous())


class InstrumentDiscovered(Event):
    """A listing the registries did not know before."""

    __slots__ = ()
    layout = INSTRUMENT_DISCOVERED
    instrument_key = _int(INSTRUMENT_DISCOVERED, "instrument_key")
    registry_revision = _int(INSTRUMENT_DISCOVERED, "registry_revision")


class Opportunity(Event):
    """The same instrument bought on one venue (`listing_key`) and sold on another at a profit after fees."""

    __slots__ = ()
    layout = OPPORTUNITY
    opportunity_id = _int(OPPORTUNITY, "opportunity_id")
    sell_listing_key = _int(OPPORTUNITY, "sell_listing_key")
    instrument_key = _int(OPPORTUNITY, "instrument_key")
    buy_price = _exact(OPPORTUNITY, "buy_price", "buy_price_exponent")
    sell_price = _exact(OPPORTUNITY, "sell_price", "sell_price_exponent")
    size = _unless(OPPORTUNITY, "size", "size_exponent", RecordFlag.SIZE_ABSENT)
    trigger_sequence = _int(OPPORTUNITY, "trigger_sequence")
    discovered_time_ns = _int(OPPORTUNITY, "discovered_time_ns")
    expires_time_ns = _int(OPPORTUNITY, "expires_time_ns")
    gross_bps = _float(OPPORTUNITY, "gross_bps")
    net_bps = _float(OPPORTUNITY, "net_bps")
    capital = _float(OPPORTUNITY, "capital")
    confidence = _float(OPPORTUNITY, "confidence")
    _state = _enum(OPPORTUNITY, "state", OpportunityState)

    @property
    def state(self) -> OpportunityState:
        """Opened, updated or closed."""
        return cast(OpportunityState, self._state())


class SyntheticUpdate(Event):
    """A new value of a synthetic. Values are NaN where the state says why there is none."""

    __slots__ = ()
    layout = SYNTHETIC_UPDATE
    value = _float(SYNTHETIC_UPDATE, "value")
    bid = _float(SYNTHETIC_UPDATE, "bid")
    ask = _float(SYNTHETIC_UPDATE, "ask")
    executable_size = _float(SYNTHETIC_UPDATE, "executable_size")
    formula_version = _int(SYNTHETIC_UPDATE, "formula_version")
    cause_listing_key = _int(SYNTHETIC_UPDATE, "cause_listing_key")
    oldest_input_time_ns = _int(SYNTHETIC_UPDATE, "oldest_input_time_ns")
    trigger_sequence = _int(SYNTHETIC_UPDATE, "trigger_sequence")
    _state = _enum(SYNTHETIC_UPDATE, "state", SyntheticState)

    @property
    def state(self) -> SyntheticState:
        """Whether the value can be relied on."""
        return cast(SyntheticState, self._state())


class StrategySignal(Event):
    """What a strategy says of a listing, or of a synthetic. `collector_time_ns` is when it was made."""

    __slots__ = ()
    layout = STRATEGY_SIGNAL
    name = _text(STRATEGY_SIGNAL, "name")
    strategy = _text(STRATEGY_SIGNAL, "strategy")
    text = _text(STRATEGY_SIGNAL, "text")
    value = _float(STRATEGY_SIGNAL, "value")
    strength = _float(STRATEGY_SIGNAL, "strength")
    confidence = _float(STRATEGY_SIGNAL, "confidence")
    horizon_ns = _int(STRATEGY_SIGNAL, "horizon_ns")
    cause_sequence = _int(STRATEGY_SIGNAL, "cause_sequence")
    _direction = _enum(STRATEGY_SIGNAL, "direction", SignalDirection)

    @property
    def direction(self) -> SignalDirection:
        """What is proposed."""
        return cast(SignalDirection, self._direction())


class ExecutionReport(Event):
    """What became of an order on a listing."""

    __slots__ = ()
    layout = EXECUTION_REPORT
    client_order_id = _text(EXECUTION_REPORT, "client_order_id")
    order_id = _text(EXECUTION_REPORT, "order_id")
    execution_id = _text(EXECUTION_REPORT, "execution_id")
    strategy = _text(EXECUTION_REPORT, "strategy")
    reason = _text(EXECUTION_REPORT, "reason")
    price = _unless(EXECUTION_REPORT, "price", "price_exponent", RecordFlag.PRICE_ABSENT)
    size = _unless(EXECUTION_REPORT, "size", "size_exponent", RecordFlag.SIZE_ABSENT)
    filled_size = _unless(EXECUTION_REPORT, "filled_size", "size_exponent")
    last_price = _unless(EXECUTION_REPORT, "last_price", "price_exponent")
    last_size = _unless(EXECUTION_REPORT, "last_size", "size_exponent")
    _side = _enum(EXECUTION_REPORT, "side", OrderSide)
    _state = _enum(EXECUTION_REPORT, "state", OrderState)

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
        *(Trade, Quote, BookLevel, Bar, Statistic, TradingStatus),
        *(InstrumentDiscovered, Opportunity, SyntheticUpdate, StrategySignal, ExecutionReport),
    )
}
"""By event type."""
assert all(kind.layout.fields[: len(COMMON_FIELDS)] == COMMON_FIELDS for kind in EVENT_CLASSES.values())
