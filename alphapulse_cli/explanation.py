"""The answer of ExplainEvent as lines for people: what, whence, why, when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.marketdata.v1 import marketdata_pb2 as market
from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.wide import mantissa_of
from alphapulse.records import COMMON_FIELDS, LAYOUTS, WIDE_AMOUNT

_KEYS: Final = frozenset({"sell_listing_key", "instrument_key", "opportunity_id", "cause_listing_key"})
_STATES: Final[dict[tuple[str, str], Any]] = {
    ("trades", "aggressor"): market.AggressorSide,
    ("book_levels", "side"): market.BookSide,
    ("statistics", "kind"): market.StatisticKind,
    ("notices", "kind"): market.NoticeKind,
    ("notices", "importance"): market.NoticeImportance,
    ("wide_amounts", "kind"): market.AmountKind,
    ("trading_statuses", "state"): market.TradingState,
    ("trading_statuses", "previous_state"): market.TradingState,
    ("cross_venue_opportunities", "state"): market.OpportunityState,
    ("synthetic_updates", "state"): market.SyntheticState,
    ("strategy_signals", "direction"): market.SignalDirection,
    ("execution_reports", "side"): market.OrderSide,
    ("execution_reports", "state"): market.OrderState,
}
"""Fields that hold a number of an enumeration, by the batch's field and their own."""
_ORIGINS: Final = {
    pb.DEFINITION_ORIGIN_HELD: "the one it was enriched with, which the relay still applies",
    pb.DEFINITION_ORIGIN_HISTORY: "the one it was enriched with, from the registry's history",
    pb.DEFINITION_ORIGIN_PRESENT: "the present one, not the one it was enriched with",
    pb.DEFINITION_ORIGIN_UNKNOWN: "none is known",
}
_WIDTH: Final = 12


def lines(answer: pb.ExplainEventResponse) -> Iterator[str]:
    """All there is to say."""
    field, event = _event(answer.event)
    yield f"event {event.sequence} of {answer.relay_id}: {_headline(answer, event)}"
    yield from _part("values", [_values(field, event)])
    yield from _part("source", _source(answer))
    yield from _part("gaps", [_gap(gap) for gap in answer.gaps_before])
    yield from _part("flags", [line for flag in answer.flags for line in _flag(flag)])
    yield from _part("definition", _definition(answer, event.listing_key))
    yield from _part("inputs", [_input(one) for one in answer.inputs])
    yield from _part("stamps", _stamps(answer))
    many = answer.matching_subscriptions
    yield from _part("goes to", [f"{many} subscription{'' if many == 1 else 's'} would take it now"])


def _part(name: str, texts: list[str]) -> Iterator[str]:
    for place, text in enumerate(texts):
        yield f"  {'' if place else name:<{_WIDTH}}{text}"


def _event(batch: Any) -> tuple[str, Any]:
    """(the batch's field, its one event)."""
    for layout in LAYOUTS.values():
        for event in getattr(batch, layout.batch_field):
            return layout.batch_field, event
    return "", None


def _kind(number: int) -> str:
    return market.EventType.Name(market.EventType.ValueType(number)).removeprefix("EVENT_TYPE_")


def _headline(answer: pb.ExplainEventResponse, event: Any) -> str:
    named = f"listing {event.listing_key:016x}"
    if answer.HasField("synthetic"):
        named = answer.synthetic.name
    elif answer.definition.HasField("listing"):
        named = f"{answer.definition.listing.venue} {answer.definition.listing.symbol}"
    provenance = common_pb2.Provenance.Name(answer.provenance).removeprefix("PROVENANCE_")
    return f"{_kind(answer.event_type)} {named} ({provenance})"


def _values(field: str, event: Any) -> str:
    names = [one.name for one in event.DESCRIPTOR.fields if one.name not in COMMON_FIELDS]
    if field == WIDE_AMOUNT.batch_field:
        amount = f"{mantissa_of([getattr(event, f'word_{place}') for place in range(4)])}e{event.exponent}"
        return f"amount {amount} kind {_value(field, event, 'kind', set())} trade_id {event.trade_id}"
    exponents = {name for name in names if name.endswith("exponent")}
    return " ".join(f"{name} {_value(field, event, name, exponents)}" for name in names if name not in exponents)


def _value(field: str, event: Any, name: str, exponents: set[str]) -> str:
    value = getattr(event, name)
    enumeration = _STATES.get((field, name))
    if enumeration is not None:
        known = enumeration.DESCRIPTOR.values_by_number.get(value)
        return str(value) if known is None else known.name.partition("_STATE_")[2] or known.name.rpartition("_")[2]
    if name in _KEYS:
        return f"{value:016x}"
    if isinstance(value, bytes):
        return json.dumps(value.rstrip(b"\0").decode("utf-8", "replace"), ensure_ascii=False)
    for exponent in (f"{name}_exponent", f"{name.rpartition('_')[2]}_exponent"):
        if exponent in exponents:
            return str(ExactDecimal(value, getattr(event, exponent)))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _source(answer: pb.ExplainEventResponse) -> list[str]:
    if not answer.source:
        return ["none: time caused it"]
    own = f", its number {answer.source_sequence}" if answer.source_sequence else ""
    if not answer.HasField("frame"):
        return [f"{answer.source}{own}"]
    frame = answer.frame
    more = [
        f"{count} {text}"
        for count, text in (
            (frame.refused, "refused"),
            (frame.duplicates, "had come before"),
            (frame.missing_before, "missing before it"),
        )
        if count
    ]
    told = f" ({', '.join(more)})" if more else ""
    if not answer.source_sequence:
        return [
            f"{answer.source}: made of its frame of {frame.rows} row{'' if frame.rows == 1 else 's'} from {frame.first_sequence}{told}"
        ]
    return [
        f"{answer.source}{own}: row {frame.place + 1} of {frame.rows} of the frame from {frame.first_sequence}{told}"
    ]


def _gap(gap: pb.Gap) -> str:
    many = f"{gap.count:,} events" if gap.count else "events, nobody knows how many,"
    return f"right before it {many} of {gap.source} are missing ({gap.reason})"


def _flag(flag: pb.ExplainedFlag) -> Iterator[str]:
    yield f"{flag.name}: {flag.meaning}"
    if flag.why:
        yield f"  {flag.why}"


def _definition(answer: pb.ExplainEventResponse, key: int) -> list[str]:
    shown = [f"version {answer.definition_version}: {_ORIGINS.get(answer.definition_origin, 'not told')}"]
    if answer.definition_note:
        shown.append(answer.definition_note)
    listing = answer.definition.listing
    if answer.HasField("synthetic"):
        shown.append(f"{answer.synthetic.name} = {answer.synthetic.formula}")
    elif answer.definition.HasField("listing"):
        name = answer.definition.instrument.name
        shown.append(
            f"listing {listing.listing_id or f'{key:016x}'} {listing.venue}:{listing.symbol} {listing.currency} {name}".rstrip()
        )
    return shown


def _input(one: pb.ExplainedInput) -> str:
    field, event = _event(one.event)
    if event is None:
        return f"{one.role}: not found: {one.note}"
    kind = next(layout.name for layout in LAYOUTS.values() if layout.batch_field == field)
    own = f", number {one.source_sequence} of {one.source}" if one.source_sequence else ""
    note = f" ({one.note})" if one.note else ""
    return f"{one.role}: {kind} {event.sequence}{own}: {_values(field, event)}{note}"


def _stamps(answer: pb.ExplainEventResponse) -> list[str]:
    """Each with the time since the one before it that there is."""
    shown, before = [], 0
    for stamp in answer.stamps:
        if not stamp.time_ns:
            shown.append(f"{stamp.name:<13} - {stamp.note}".rstrip())
            continue
        seconds, nanoseconds = divmod(stamp.time_ns, 1_000_000_000)
        time = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{nanoseconds:09}"
        since = f"{(stamp.time_ns - before) / 1e3:+,.1f} us" if before else ""
        shown.append(f"{stamp.name:<13} {time} {since:>20} {stamp.note}".rstrip())
        before = stamp.time_ns
    return shown
