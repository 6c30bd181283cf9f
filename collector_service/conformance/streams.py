"""Checks of what is said on a stream: subscriptions, heartbeats, trades, quotes, symbols."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import BOOK_LEVEL, QUOTE, STATISTIC, TRADE, RecordLayout
from collector_service.amounts import Amount
from collector_service.conformance.report import FailedError, SkippedError, expect
from collector_service.conformance.wire import Row, Wire, decimal_of
from collector_service.instruments import instrument_of, listing_of
from collector_service.mock import FigureEvent, Form, MockInstrument, QuoteEvent, Said, TradeEvent, UnwritableError
from collector_service.mock.plans import Plan
from collector_service.source import Source
from collector_service.spec import Channel, records

_ROUNDS: Final = 12
_EXACT: Final[tuple[Amount, ...]] = (
    (123_456_789_012_345_678, -8),
    (999_999_999_999_999_999, -18),
    (1, -18),
    (100_000_000_000_000_000, -9),
    (70, -1),
    (12_500, 0),
)
"""Up to 18 digits, with trailing zeros, fine and coarse: what a float would not keep."""
_FORMS: Final = (Form(), Form(bare=True), Form(powers=True), Form(bare=True, powers=True))


def streaming(source: Source) -> Wire:
    """A wire of a source that has a stream."""
    wire = Wire(source)
    if not wire.venue.channels:
        raise SkippedError("it has no stream")
    return wire


def subscribes(source: Source) -> list[str]:
    """C01: everything asked for is subscribed to, in words the venue understands, and what it answers costs nothing."""
    wire = streaming(source)
    wire.open()
    venue, connection = wire.venue, wire.venue.subscribed(1)
    expect(not venue.misunderstood, f"the venue does not understand {venue.misunderstood[:1]}")
    wanted = {(channel, symbol) for channel in venue.channels for symbol in venue.instruments}
    missing = [f"{channel.value} of {symbol}" for channel, symbol in sorted(wanted - connection, key=str)]
    expect(not missing, f"not subscribed: {', '.join(missing[:5])}")
    wire.clean()
    size = venue.dialect.subscribe.at_once if venue.dialect.subscribe is not None else 0
    if size:
        lengths = [len(found) for text in wire.sent for found in _lists(text)]
        expect(max(lengths, default=0) <= size, f"{max(lengths, default=0)} at once, the venue takes {size}")
    refused = venue.refusal()
    for said in refused:
        wire.frame(said.data)
    expect(
        not refused or sum(wire.session.venue_errors.values()) == len(refused),
        f"the venue's error {refused[:1]} was not counted as one: {dict(wire.session.venue_errors)}",
    )
    return [] if refused else ["no kind of error can be written"]


def keeps_alive(source: Source) -> list[str]:
    """C02: the venue's pings are answered with what it wants to hear, and what carries no event costs nothing."""
    wire = streaming(source)
    wire.open()
    dialect, left_out, tried = wire.venue.dialect, [], 0
    for said, answer in wire.venue.ping():
        before = len(wire.sent)
        wire.frame(said.data)
        expect(
            answer in wire.sent[before:], f"to {said.data!r} the venue wants {answer}, and heard {wire.sent[before:]}"
        )
        tried += 1
    if source.heartbeat.ping:
        for said in wire.venue.receive(1, source.heartbeat.ping):
            wire.frame(said.data)
        expect(
            wire.venue.pings == 1 and not wire.venue.misunderstood,
            f"the venue does not understand {source.heartbeat.ping!r}",
        )
        tried += 1
    for kind in sorted(dialect.silent | dialect.words):
        try:
            wire.frame(wire.venue.writer.plain(kind))
            tried += 1
        except UnwritableError as error:
            left_out.append(f"{kind}: {error}")
    wire.clean()
    if not tried:
        raise SkippedError("nothing but WebSocket pings keeps its connections alive")
    return left_out


def trades_exact(source: Source) -> list[str]:
    """C03: every trade arrives once, in order, with all its digits, however the venue writes numbers."""
    wire = Wire(source)
    wire.open()
    plans = wire.venue.plans.of(records.Trade)
    if not plans:
        raise SkippedError(_nothing(wire, Channel.TRADES, "trades"))
    expected = _tell_all(wire, plans, wire.venue.market.trade, _stretched_trade, TRADE.event_type, _trade_row)
    expect(expected > 0, "no trade could be told")
    _only_of(wire)
    return _missing(wire, "Trade", "Hook")


def quotes_exact(source: Source) -> list[str]:
    """C04: every quote arrives with all its digits; a side or size that the venue does not give is absent, not zero."""
    wire = Wire(source)
    wire.open()
    plans = wire.venue.plans.of(records.Quote)
    if not plans:
        raise SkippedError(_nothing(wire, Channel.QUOTES, "quotes"))
    _tell_all(wire, plans, wire.venue.market.quote, _stretched_quote, QUOTE.event_type, _quote_row)
    left_out = []
    for plan in plans:
        for gone in ({"bid": None, "bid_size": None}, {"ask": None, "ask_size": None}):
            instrument = next(iter(wire.venue.instruments.values()))
            event = replace(wire.venue.market.quote(instrument), **gone)
            try:
                _compare(wire, _said_of_one_side(wire, plan, event), QUOTE.event_type, _quote_row)
            except UnwritableError as error:
                left_out.append(f"{plan.name} of one side: {error}")
    _only_of(wire)
    return left_out + _missing(wire, "Quote", "Hook")


def _said_of_one_side(wire: Wire, plan: Plan, event: QuoteEvent) -> Said:
    """By the plan, or where another record of its route tells of what has one side alone, by that. Raises UnwritableError."""
    try:
        return wire.venue.say(plan, event)
    except UnwritableError:
        for place, record in enumerate(wire.venue.writer.route(plan.kind)):
            if isinstance(record, records.Quote) and record is not plan.record:
                return wire.venue.say(Plan(plan.kind, place, record), event)
        raise


def symbols_come_back(source: Source) -> list[str]:
    """C05: what is listed is read without a line refused, has an identity of its own, and is met again on the stream under its key."""
    wire = Wire(source)
    venue = wire.venue
    expect(not wire.listed.refused, f"lines of the list refused: {wire.listed.refused[:3]}")
    read = {entry.symbol for entry in wire.listed.entries}
    written = {one.entry.symbol for one in venue.listed}
    expect(written == read, f"written and not read, or read and not written: {sorted(written ^ read)}")
    keys = [wire.listings.key(symbol) for symbol in venue.instruments]
    expect(len(set(keys)) == len(keys) and None not in keys, "two listings have one key")
    for entry in wire.listed.entries:
        listing, instrument = listing_of(entry, source.venue), instrument_of(entry, source.venue)
        expect(listing.instrument_id == instrument.id, f"the listing of {entry.symbol} is not of its instrument")
        expect(
            entry.rules.tick_size is None or entry.rules.tick_size.is_positive,
            f"the tick of {entry.symbol} is not above zero",
        )
    for word, meaning, seen in venue.lists.statuses():
        expect(seen is meaning, f"the status {word!r} is read as {seen.name}, and means {meaning.name}")
    wire.open()
    wire.rows.clear()
    for symbol in venue.instruments:
        for plan in venue.plans.of(records.Trade, records.Quote):
            _say_of(wire, plan, venue.instruments[symbol])
        wire.tell(venue.step(symbol))
        found = {row["listing_key"] for kind in (TRADE, QUOTE, BOOK_LEVEL) for row in wire.take(kind.event_type)}
        if found:
            expect(
                found == {wire.listings.key(symbol)},
                f"{symbol} comes back as {found}, and is {wire.listings.key(symbol)}",
            )
    expect(
        not wire.session.emitter.unknown_symbols, f"symbols that no list names: {wire.session.emitter.unknown_symbols}"
    )
    return [f"list: {text}" for text in venue.lists.unwritten]


def polls_exact(source: Source) -> list[str]:
    """C19: what is polled is asked for at its addresses, and every figure, trade and quote of the answers arrives with all its digits."""
    wire = Wire(source)
    dialect = wire.venue.dialect
    if not dialect.polls:
        raise SkippedError("nothing of it is polled")
    wire.venue.polled.clear()  # the list may be asked for at the same address
    wire.open()
    wire.clean()
    expect(
        len(wire.venue.polled) >= len(dialect.polls), f"{len(wire.venue.polled)} answers to {len(dialect.polls)} polls"
    )
    told = [pair for answer in wire.venue.polled for pair in answer]
    if not told:
        raise SkippedError("the mock has no events of the kinds that its answers tell")
    for kind, event_type, row_of in _ROWS:
        expected = [pair for pair in told if isinstance(pair[1], event_type)]
        rows = wire.take(kind.event_type)
        expect(len(rows) == len(expected), f"{len(expected)} {kind.name} were told, and {len(rows)} arrived")
        for row, (record, event) in zip(rows, expected, strict=True):
            for name, seen, wanted in row_of(wire, row, record, event):
                expect(seen == wanted, f"{event}: {name} is {seen}, and {wanted} was told")
    return []


def _figure_row(wire: Wire, row: Row, record: Any, event: FigureEvent) -> Iterable[tuple[str, Any, Any]]:
    yield "listing_key", row["listing_key"], wire.listings.key(event.instrument.symbol)
    yield "value", decimal_of(row, "value"), _decimal(event.value)
    yield "kind", row["kind"], int(record.kind)
    for field, name in ((record.time, "venue_time_ns"), (record.effective, "effective_time_ns")):
        if field is not None and name in row:
            yield name, row[name], event.time_ns


def _say_of(wire: Wire, plan: Plan, instrument: MockInstrument) -> None:
    event: Any = (
        wire.venue.market.trade(instrument)
        if isinstance(plan.record, records.Trade)
        else wire.venue.market.quote(instrument)
    )
    wire.frame(wire.venue.say(plan, event).data)


def _tell_all(wire: Wire, plans: list[Plan], plain: Any, stretched: Any, kind: int, row_of: Any) -> int:
    """Events of every way to tell them, of every instrument, in every form of numbers; each compared with what was told."""
    count = 0
    for plan in plans:
        for turn in range(_ROUNDS):
            for instrument in wire.venue.instruments.values():
                wire.venue.form = _FORMS[turn % len(_FORMS)]
                event = plain(instrument)
                # Half of them are stretched to what 64 bits and the venue's own units can hold.
                if turn % 2:
                    event = stretched(event, _EXACT[turn // 2 % len(_EXACT)])
                try:
                    said = wire.venue.say(plan, event)
                except UnwritableError:
                    said = wire.venue.say(plan, plain(instrument))  # whole units of the venue cannot be finer
                count += _compare(wire, said, kind, row_of)
        count += _several(wire, plan, plain, kind, row_of)
    wire.venue.form = Form()
    return count


def _several(wire: Wire, plan: Plan, plain: Any, kind: int, row_of: Any) -> int:
    """Several in one message, where its items are records: in the order in which they happened."""
    if not plan.record.each or plan.companions:
        return 0
    instrument = next(iter(wire.venue.instruments.values()))
    try:
        said = wire.venue.say(plan, *(plain(instrument) for _ in range(3)))
    except UnwritableError:
        return 0  # what a message tells once for all its items differs between them
    return _compare(wire, said, kind, row_of)


def _compare(wire: Wire, said: Said, kind: int, row_of: Any) -> int:
    wire.take(kind)
    wire.frame(said.data)
    found = wire.take(kind)
    expected = [
        (record, event)
        for record, event in said.told
        if isinstance(event, TradeEvent if kind == TRADE.event_type else QuoteEvent)
    ]
    expect(
        len(found) == len(expected),
        f"{said.data!r} tells of {len(expected)}, and became {len(found)} rows; refused: {dict(wire.session.rejects)}",
    )
    for row, (record, event) in zip(found, expected, strict=True):
        for name, seen, wanted in row_of(wire, row, record, event):
            if seen != wanted:
                raise FailedError(f"{said.data!r}: {name} is {seen}, and {wanted} was told")
    return len(found)


def _trade_row(wire: Wire, row: Row, record: Any, event: TradeEvent) -> Iterable[tuple[str, Any, Any]]:
    yield "listing_key", row["listing_key"], wire.listings.key(event.instrument.symbol)
    yield "price", decimal_of(row, "price"), _decimal(event.price)
    yield "size", decimal_of(row, "size"), _decimal(event.size) if record.size is not None else 0
    yield "absent size", bool(row["flags"] & RecordFlag.SIZE_ABSENT), record.size is None
    yield "aggressor", row["aggressor"], event.side if record.side is not None else 0
    yield "trade_id", row["trade_id"], event.number if record.trade_id else 0
    yield "time", row["venue_time_ns"], event.time_ns if record.time is not None else row["venue_time_ns"]
    yield "flags", (row["flags"] & ~RecordFlag.SIZE_ABSENT) >> 2, 0


def _quote_row(wire: Wire, row: Row, record: Any, event: QuoteEvent) -> Iterable[tuple[str, Any, Any]]:
    flags = row["flags"] & ~3
    absent = 0
    yield "listing_key", row["listing_key"], wire.listings.key(event.instrument.symbol)
    for name, exponent, flag in (
        ("bid", "price_exponent", RecordFlag.BID_ABSENT),
        ("ask", "price_exponent", RecordFlag.ASK_ABSENT),
        ("bid_size", "size_exponent", RecordFlag.BID_SIZE_ABSENT),
        ("ask_size", "size_exponent", RecordFlag.ASK_SIZE_ABSENT),
    ):
        told = getattr(event, name) if getattr(record, name) is not None else None
        if told is None:
            absent |= flag
        else:
            yield name, decimal_of(row, name if name.endswith("size") else f"{name}_price", exponent), _decimal(told)
    yield "flags", flags, absent
    yield "time", row["venue_time_ns"], event.time_ns if record.time is not None else row["venue_time_ns"]


_ROWS: Final[tuple[tuple[RecordLayout, type, Callable[..., Iterable[tuple[str, Any, Any]]]], ...]] = (
    (TRADE, TradeEvent, _trade_row),
    (QUOTE, QuoteEvent, _quote_row),
    (STATISTIC, FigureEvent, _figure_row),
)


def _stretched_trade(event: TradeEvent, amount: Amount) -> TradeEvent:
    return replace(event, price=amount, size=(amount[0] // 3 or 1, amount[1]))


def _stretched_quote(event: QuoteEvent, amount: Amount) -> QuoteEvent:
    return replace(
        event, bid=amount, ask=(amount[0] + 1, amount[1]), bid_size=(amount[0] // 7 or 1, amount[1]), ask_size=amount
    )


def _decimal(amount: Amount) -> Decimal:
    return Decimal(amount[0]).scaleb(amount[1])


def _only_of(wire: Wire) -> None:
    """Nothing else was wrong with these messages; books that were not told of are no part of this."""
    for found in (wire.session.rejects, wire.session.unknown_messages, wire.session.unknown_values):
        expect(not found, f"refused or unknown: {dict(found)}")


def _missing(wire: Wire, *names: str) -> list[str]:
    missing = wire.venue.plans.missing
    return [f"{name}: {why}" for name, why in missing.items() if any(f"({one})" in name for one in names)]


def _nothing(wire: Wire, channel: Channel, what: str) -> str:
    told = [f"{name}: {why}" for name, why in wire.venue.plans.missing.items()]
    return (
        f"no {what} can be told; {'; '.join(told)}" if told and channel in wire.venue.channels else f"it has no {what}"
    )


def _lists(text: str) -> Iterable[list[Any]]:
    def inside(value: Any) -> Iterable[list[Any]]:
        if isinstance(value, dict):
            for part in value.values():
                yield from inside(part)
        elif isinstance(value, list):
            yield value
            for part in value:
                yield from inside(part)

    return inside(msgspec.json.decode(text)) if text[:1] in "{[" else ()
