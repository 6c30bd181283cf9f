"""A market event as a line of text or a JSON object: exact prices as texts, names where the registries gave them."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from alphapulse.domain.decimal import ExactDecimal
from strategy_sdk import Definition, Event, EventType, Gap

_VALUES: Final[dict[EventType, tuple[str, ...]]] = {
    EventType.TRADE: ("price", "size", "aggressor", "trade_id"),
    EventType.QUOTE: ("bid", "ask", "bid_size", "ask_size"),
    EventType.BOOK_LEVEL: ("side", "price", "size", "venue_sequence"),
    EventType.BAR: ("open", "high", "low", "close", "volume", "start_time_ns", "interval_ns", "trade_count"),
    EventType.STATISTIC: ("kind", "value", "effective_time_ns"),
    EventType.TRADING_STATUS: ("state", "previous_state", "effective_time_ns", "reason_code"),
    EventType.WIDE_AMOUNT: ("kind", "amount", "trade_id"),
    EventType.NOTICE: (
        *(
            "kind",
            "headline",
            "category",
            "subject",
            "importance",
            "actual",
            "forecast",
            "previous",
            "unit",
            "sentiment",
        ),
        *(
            "effective_time_ns",
            "revision",
            "subject_number",
            "subject_count",
            "subjects_unknown",
            "document_id",
            "link",
        ),
    ),
    EventType.INSTRUMENT_DISCOVERED: ("instrument_key", "registry_revision"),
    EventType.CROSS_VENUE_OPPORTUNITY: (
        *("state", "opportunity_id", "sell_listing_key", "buy_price", "sell_price", "size"),
        *("gross_bps", "net_bps", "capital", "confidence"),
    ),
    EventType.SYNTHETIC_UPDATE: ("state", "value", "bid", "ask", "executable_size", "formula_version"),
    EventType.STRATEGY_SIGNAL: (
        *("strategy", "name", "direction", "value", "strength", "confidence", "horizon_ns", "cause_sequence", "text"),
    ),
    EventType.EXECUTION_REPORT: (
        *("client_order_id", "side", "state", "price", "size", "filled_size", "last_price", "last_size"),
        *("order_id", "execution_id", "strategy", "reason", "possible_duplicate"),
    ),
}
_KEYS: Final = frozenset({"instrument_key", "sell_listing_key", "opportunity_id"})


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, ExactDecimal):
        return str(value)
    return f"{value:016x}" if name in _KEYS else value


def _values(event: Event) -> dict[str, Any]:
    names = _VALUES[EventType(event.layout.event_type)]
    return {name: _plain(name, getattr(event, name)) for name in names}


def record(event: Event, definition: Definition | None) -> dict[str, Any]:
    """As JSON: times in nanoseconds since the Unix epoch, keys as 16 hex digits, a value the venue did not give as null."""
    provenance = event.provenance
    return {
        "type": EventType(event.layout.event_type).name,
        "venue": definition.listing.venue if definition else "",
        "symbol": definition.listing.symbol if definition else "",
        "listing_key": f"{event.listing_key:016x}",
        "number": event.number,
        "sequence": event.sequence,
        "venue_time_ns": event.venue_time_ns,
        "collector_time_ns": event.collector_time_ns,
        "received_ns": event.received_ns,
        "provenance": provenance.name if provenance else "",
        **_values(event),
    }


def gap_record(gap: Gap) -> dict[str, Any]:
    """A gap as JSON."""
    return {
        "type": "GAP",
        "reason": gap.reason,
        "count": gap.count,
        "from_number": gap.from_number,
        "to_number": gap.to_number,
        "source": gap.source,
        "listing_key": f"{gap.listing_key:016x}" if gap.listing_key else "",
    }


def line(event: Event, definition: Definition | None) -> str:
    """As text: time, type, venue, symbol, values."""
    nanoseconds = event.venue_time_ns or event.collector_time_ns or event.relay_in_ns
    time = datetime.fromtimestamp(nanoseconds / 1e9, UTC).strftime("%H:%M:%S.%f")[:-3]
    kind = EventType(event.layout.event_type).name
    venue = definition.listing.venue if definition else "-"
    symbol = definition.listing.symbol if definition else f"{event.listing_key:016x}"
    shown = " ".join(f"{name} {_short(value)}" for name, value in _values(event).items())
    return f"{time} {kind:<12} {venue:<10} {symbol:<16} {shown}"


def gap_line(gap: Gap) -> str:
    """A gap as text."""
    many = f"{gap.count:,} events" if gap.count else "events, nobody knows how many,"
    where = f" of {gap.source}" if gap.source else ""
    return f"gap: {many}{where} are missing ({gap.reason})"


def _short(value: Any) -> str:
    if value is None or value == "":
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
