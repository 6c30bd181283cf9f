"""Checks of what nobody foresaw: words, kinds and bytes that a source does not know."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from alphapulse.records import TRADE, TRADING_STATUS
from collector_service.conformance.books import synced
from collector_service.conformance.report import SkippedError, expect
from collector_service.conformance.wire import BROKEN, Wire
from collector_service.mock import UnwritableError
from collector_service.mock.draft import encoded
from collector_service.source import Source
from collector_service.spec import Channel, Side, records

UNKNOWN: Final = "mock-unknown"


def unknown_words(source: Source) -> list[str]:
    """C10: a word of an enumeration that nobody knows costs no message: it is carried as not said, and counted."""
    wire = Wire(source)
    wire.open()
    left_out, tried = [], 0
    instrument = next(iter(wire.venue.instruments.values()))
    for plan in wire.venue.plans.of(records.Trade, records.Status):
        record = plan.record
        if isinstance(record, records.Trade) and not isinstance(record.side, Side):
            continue
        event: Any = (
            replace(wire.venue.market.trade(instrument), side=0)
            if isinstance(record, records.Trade)
            else wire.venue.market.state(instrument, UNKNOWN)
        )
        try:
            said = wire.venue.say(plan, event)
        except UnwritableError as error:
            left_out.append(f"{plan.name}: {error}")
            continue
        wire.take(TRADE.event_type)
        before = sum(wire.session.unknown_values.values())
        wire.frame(said.data)
        expect(
            sum(wire.session.unknown_values.values()) == before + 1,
            f"{plan.name}: an unknown word was not counted once",
        )
        if isinstance(record, records.Trade):
            rows = wire.take(TRADE.event_type)
            expect([row["aggressor"] for row in rows] == [0], f"{plan.name}: an unknown side became {rows}")
        else:
            expect(not wire.take(TRADING_STATUS.event_type), f"{plan.name}: an unknown status was sent")
        tried += 1
    expect(not wire.session.rejects, f"refused: {dict(wire.session.rejects)}")
    if not tried:
        raise SkippedError(
            f"none of its messages has a word for a side or a status{'; ' if left_out else ''}{'; '.join(left_out)}"
        )
    return left_out


def unknown_messages(source: Source) -> list[str]:
    """C11: a message of a kind that nobody knows is counted under its kind, and costs nothing."""
    wire = _with_books(source)
    frame = _unknown_kind(wire)
    if frame is None:
        raise SkippedError("its kinds follow from what a message has, so none can be made up")
    before = dict(wire.session.rejects)
    wire.frame(frame)
    expect(
        sum(wire.session.unknown_messages.values()) == 1,
        f"{frame!r} was counted as {dict(wire.session.unknown_messages)}",
    )
    expect(dict(wire.session.rejects) == before, f"{frame!r} was refused as {dict(wire.session.rejects)}")
    _unharmed(wire)
    return []


def broken_frames(source: Source) -> list[str]:
    """C12: broken JSON, noise and cut frames are counted one by one and cost nothing else; a book that may have lost by it is built again."""
    wire = _with_books(source)
    for data in (*BROKEN, *map(_cut, _said(wire))):
        if data == b"[]" and wire.venue.dialect.many:
            continue  # a frame of no messages
        session = wire.session
        before = _counted(wire)
        wire.frame(data)
        expect(
            _counted(wire) == before + 1,
            f"{data[:60]!r} was counted {_counted(wire) - before} times: {dict(session.rejects)} {dict(session.unknown_messages)}",
        )
    _unharmed(wire)
    return []


def _with_books(source: Source) -> Wire:
    """A wire with all that can be told under way."""
    try:
        return synced(source)
    except SkippedError:
        wire = Wire(source)
        if not wire.venue.channels:
            raise SkippedError("it has no stream") from None
        wire.open()
        return wire


def _counted(wire: Wire) -> int:
    session = wire.session
    return sum(sum(found.values()) for found in (session.rejects, session.unknown_messages, session.venue_errors))


def _said(wire: Wire) -> list[bytes]:
    """A message of each kind of trade and quote."""
    venue, instrument = wire.venue, next(iter(wire.venue.instruments.values()))
    trades = [venue.say(plan, venue.market.trade(instrument)).data for plan in venue.plans.of(records.Trade)]
    return trades + [venue.say(plan, venue.market.quote(instrument)).data for plan in venue.plans.of(records.Quote)]


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _unknown_kind(wire: Wire) -> bytes | None:
    """A message whose kind is none of the dialect's; None where none can be made."""
    dialect, writer = wire.venue.dialect, wire.venue.writer
    known = dialect.routes.keys() | dialect.silent | dialect.errors | dialect.words
    for word in (UNKNOWN, UNKNOWN.replace("-", "_"), "99"):
        for message in _guesses(wire, word):
            kind = writer.split(message)
            if kind and kind not in known:
                return writer.packed(message)
    return None


def _guesses(wire: Wire, word: str) -> list[bytes]:
    try:
        return [encoded(wire.venue.writer.message(word, {}))]
    except UnwritableError:
        return [
            encoded({name: word}) for name in ("type", "event", "e", "channel", "topic", "ch", "method", "action", "op")
        ]


def _unharmed(wire: Wire) -> None:
    """What comes after arrives, and the books are the venue's or will be."""
    venue = wire.venue
    symbol = next(iter(venue.instruments))
    for plan in venue.plans.of(records.Trade):
        wire.take(TRADE.event_type)
        wire.frame(venue.say(plan, venue.market.trade(venue.instruments[symbol])).data)
        expect(len(wire.take(TRADE.event_type)) == 1, f"{plan.name}: a trade after it did not arrive")
    if Channel.BOOKS in venue.channels and venue.plans.of(records.BookSnapshot, records.BookUpdate):
        for one in venue.instruments:
            machine = wire.machine(one)
            expect(
                machine is None or not machine.synced or wire.is_true(one),
                f"the book of {one} is called in step and is not the venue's",
            )
            wire.settle(one)
