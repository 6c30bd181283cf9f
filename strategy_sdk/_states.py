"""The enumerations of market events. Names and numbers equal the API's; UNSPECIFIED also stands for one not known yet."""

from __future__ import annotations

from enum import IntEnum


class EventType(IntEnum):
    """The type of an event."""

    TRADE = 1
    QUOTE = 2
    BOOK_LEVEL = 3
    BAR = 4
    STATISTIC = 5
    TRADING_STATUS = 6
    NOTICE = 7
    WIDE_AMOUNT = 8
    INSTRUMENT_DISCOVERED = 16
    CROSS_VENUE_OPPORTUNITY = 17
    SYNTHETIC_UPDATE = 18
    STRATEGY_SIGNAL = 32
    EXECUTION_REPORT = 48


class AggressorSide(IntEnum):
    """Who took liquidity in a trade."""

    UNSPECIFIED = 0
    BUY = 1
    SELL = 2


class BookSide(IntEnum):
    """The side of a book level."""

    UNSPECIFIED = 0
    BID = 1
    ASK = 2


class StatisticKind(IntEnum):
    """What a statistic measures; units as in the API's comments."""

    UNSPECIFIED = 0
    FUNDING_RATE = 1
    OPEN_INTEREST = 2
    INDEX_PRICE = 3
    MARK_PRICE = 4
    SETTLEMENT_PRICE = 5
    RATE = 6
    SENTIMENT = 7
    VOLUME_24H = 8
    ECONOMIC_FIGURE = 9


class NoticeKind(IntEnum):
    """What a notice is of."""

    UNSPECIFIED = 0
    FILING = 1
    NEWS = 2
    CALENDAR = 3
    POST = 4


class NoticeImportance(IntEnum):
    """How much weight a source gives a notice; UNSPECIFIED where it does not say."""

    UNSPECIFIED = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3


class AmountKind(IntEnum):
    """Which amount of a trade a wide amount is."""

    UNSPECIFIED = 0
    SIZE = 1
    PRICE = 2


class TradingState(IntEnum):
    """Whether a listing can be traded."""

    UNSPECIFIED = 0
    OPEN = 1
    HALTED = 2
    CLOSED = 3
    AUCTION = 4
    CANCEL_ONLY = 5
    DELISTED = 6


class OpportunityState(IntEnum):
    """The state of an opportunity."""

    UNSPECIFIED = 0
    OPENED = 1
    UPDATED = 2
    CLOSED = 3


class SyntheticState(IntEnum):
    """Whether a synthetic's value can be relied on."""

    UNSPECIFIED = 0
    FRESH = 1
    STALE = 2
    MISSING = 3
    OUT_OF_RANGE = 4
    OUTLIER = 5
    UNDEFINED = 6


class SignalDirection(IntEnum):
    """What a signal proposes."""

    UNSPECIFIED = 0
    BUY = 1
    SELL = 2
    FLAT = 3


class OrderSide(IntEnum):
    """The side of an order."""

    UNSPECIFIED = 0
    BUY = 1
    SELL = 2


class OrderState(IntEnum):
    """How an order stands."""

    UNSPECIFIED = 0
    PENDING = 1
    OPEN = 2
    PARTIALLY_FILLED = 3
    FILLED = 4
    PENDING_CANCEL = 5
    CANCELLED = 6
    REJECTED = 7
    EXPIRED = 8
    REPLACED = 9
