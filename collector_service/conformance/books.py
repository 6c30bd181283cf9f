"""Checks of books: equal to the venue's, and out of step without a word where something was lost."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from alphapulse.records import BOOK_LEVEL, TRADE
from collector_service.conformance.report import SkippedError, expect
from collector_service.conformance.wire import Wire
from collector_service.mock import Said
from collector_service.source import Source
from collector_service.spec import (
    BookSnapshot,
    BookUpdate,
    Channel,
    Checksum,
    Offset,
    RangeSequence,
    SnapshotOnly,
    SnapshotUpdates,
    records,
)

_STEPS: Final = 40
_NOTICED_WITHIN: Final = 30
"""Updates after which a loss has to be known: a checksum speaks for the best levels alone."""


def _booked(source: Source, *, updates: bool = False) -> Wire:
    """A wire whose books can be told."""
    wire = Wire(source)
    venue = wire.venue
    if Channel.BOOKS not in venue.channels:
        raise SkippedError("it has no books")
    told = (
        venue.plans.of(BookUpdate)
        if updates or not venue.plans.of(BookSnapshot)
        else venue.plans.of(BookSnapshot, BookUpdate)
    )
    if not told:
        missing = [f"{name}: {why}" for name, why in venue.plans.missing.items()]
        raise SkippedError(
            f"no {'change of a book' if updates else 'book'} can be told{'; ' if missing else ''}{'; '.join(missing)}"
        )
    return wire


def synced(source: Source, *, updates: bool = False) -> Wire:
    """All books in step."""
    wire = _booked(source, updates=updates)
    wire.open()
    for symbol in wire.venue.instruments:
        wire.settle(symbol)
    wire.session.take_gaps()
    return wire


def equal_to_the_venues(source: Source) -> list[str]:
    """C06: after every message the book in step is the venue's, and so is that of whoever reads the rows."""
    wire = _booked(source)
    wire.open()
    symbols = list(wire.venue.instruments)
    for turn in range(_STEPS):
        told = symbols[turn % len(symbols)]
        wire.tell(wire.venue.step(told))
        for symbol in symbols if turn == _STEPS - 1 else (told,):
            machine = wire.machine(symbol)
            expect(
                machine is None or not machine.synced or wire.is_true(symbol),
                f"after {turn + 1} steps the book of {symbol} is {wire.reader(symbol)} for a reader, the venue's {wire.venue.books[symbol].truth()}",
            )
    for symbol in symbols:
        machine = wire.machine(symbol)
        expect(machine is not None and machine.synced, f"the book of {symbol} is not in step after {_STEPS} steps")
    wire.clean()
    missing = wire.venue.plans.missing
    return [f"{name}: {why}" for name, why in missing.items() if "(Book" in name or "(Hook)" in name]


def gap_is_noticed(source: Source) -> list[str]:
    """C07: an update that is lost puts that book alone out of step; nothing of it is delivered until a snapshot has come."""
    wire = synced(source, updates=True)
    kept = wire.venue.kept
    if isinstance(kept, SnapshotOnly):
        raise SkippedError("every message is a whole book")
    if not _notices_loss(wire):
        raise SkippedError("its updates have no numbers that follow each other, and no checksum")
    lost, *others = list(wire.venue.instruments)
    before = wire.session.resyncs
    wire.holds = True
    for turn in range(_NOTICED_WITHIN):
        # Of a checksum's levels a later update may tell again what was lost: then another one is lost.
        if turn == 0 or isinstance(kept, Checksum):
            _lose(wire, lost)
        wire.tell(wire.venue.step(lost))
        if wire.session.resyncs > before:
            break
        expect(
            wire.is_true(lost) or isinstance(kept, Checksum),
            f"the book of {lost} lost an update, is not the venue's, and says nothing",
        )
    expect(
        wire.session.resyncs == before + 1, f"a lost update of {lost} was not noticed within {_NOTICED_WITHIN} updates"
    )
    expect(not wire.machine(lost).synced, f"the book of {lost} lost an update and is still called in step")
    keys = [key for reason, key in wire.session.take_gaps() if reason == "BOOK_RESYNC"]
    expect(keys == [wire.listings.key(lost)], f"declared lost: {keys}, and it was {wire.listings.key(lost)}")
    wire.take(BOOK_LEVEL.event_type)
    for symbol in (lost, *others, lost):
        wire.tell(wire.venue.step(symbol))
    delivered = {row["listing_key"] for row in wire.take(BOOK_LEVEL.event_type)}
    expect(
        wire.listings.key(lost) not in delivered, f"rows of the book of {lost} were delivered while it was out of step"
    )
    for symbol in others:
        expect(wire.is_true(symbol), f"the book of {symbol} is not the venue's, and only {lost} lost an update")
    wire.release()
    wire.settle(lost)
    return []


def checksum_is_checked(source: Source) -> list[str]:
    """C08: an update whose checksum does not hold is not delivered, and its book alone is built again."""
    wire = synced(source, updates=True)
    kept = wire.venue.kept
    if not isinstance(kept, Checksum):
        raise SkippedError("its books have no checksum")
    plans = [plan for plan in wire.venue.plans.of(BookUpdate) if plan.record.checksum]
    if not plans:
        raise SkippedError("no update can be told that has a checksum")
    symbol, *others = list(wire.venue.instruments)
    for plan in plans:
        before = wire.session.resyncs
        book = wire.venue.books[symbol]
        changes = book.step() or list(book.whole(wire.venue.market.time_ns).levels[:1])
        event = book.told(changes, wire.venue.market.time_ns)
        wire.take(BOOK_LEVEL.event_type)
        wire.holds = True
        wire.frame(wire.venue.say(plan, replace(event, checksum=event.checksum ^ 1)).data)
        expect(not wire.take(BOOK_LEVEL.event_type), f"{plan.name}: an update with a wrong checksum was delivered")
        expect(wire.session.resyncs == before + 1, f"{plan.name}: a wrong checksum was not noticed")
        expect(all(map(wire.is_true, others)), "a wrong checksum cost another book")
        wire.release()
        wire.settle(symbol)
    return []


def duplicates_and_disorder(source: Source) -> list[str]:
    """C09: an update that comes twice or late leaves no book in step that is not the venue's."""
    wire = synced(source, updates=True)
    symbol, *others = list(wire.venue.instruments)
    notices = _notices_loss(wire)
    for turn in range(6):
        first, before = _update(wire, symbol), wire.venue.books[symbol].truth()
        second = _update(wire, symbol)
        if turn % 2 and notices:
            wire.tell((*second, *first))  # swapped
        else:
            wire.tell((*first, *first, *second, *second))
        # A checksum of before is true of the book of before: of that book, and no other, until the next update.
        is_before = isinstance(wire.venue.kept, Checksum) and wire.reader(symbol) == before
        if not is_before:
            _holds(wire, symbol)
        wire.settle(symbol)
    expect(all(map(wire.is_true, others)), f"what came twice of {symbol} cost another book")
    if not notices:
        return [
            "updates have no numbers that follow each other, so one that comes late cannot be told from one in time"
        ]
    return []


def slow_start(source: Source) -> list[str]:
    """C13: before its snapshot has come a book delivers nothing, and then it is the venue's."""
    wire = _booked(source, updates=True)
    if isinstance(wire.venue.kept, SnapshotOnly):
        raise SkippedError("every message is a whole book")
    wire.holds = True
    wire.open()
    for _ in range(10):
        for symbol in wire.venue.instruments:
            wire.tell(wire.venue.step(symbol))
    rows = wire.take(BOOK_LEVEL.event_type)
    expect(not rows, f"{len(rows)} rows of books were delivered before a snapshot had come")
    wire.release()
    for symbol in wire.venue.instruments:
        wire.settle(symbol)
    return []


def reconnects(source: Source) -> list[str]:
    """C14: a connection that is lost is declared, its books deliver nothing until they are built again, and nothing else is lost with it."""
    wire = Wire(source)
    if not wire.venue.channels:
        raise SkippedError("it has no stream")
    wire.open()
    booked = Channel.BOOKS in wire.venue.channels and bool(wire.venue.plans.of(BookSnapshot, BookUpdate))
    symbols = list(wire.venue.instruments)
    for turn in range(3):
        wire.run(4)
        for symbol in symbols if booked else ():
            wire.settle(symbol)
        wire.session.take_gaps()
        wire.close()
        expect(wire.session.take_gaps() == [("RECONNECTED", 0)], "the lost connection was not declared once")
        in_step = [symbol for symbol in symbols if (machine := wire.machine(symbol)) is not None and machine.synced]
        expect(not in_step, f"books in step without a connection: {in_step}")
        for symbol in symbols:
            wire.venue.move_book(symbol)  # the market goes on
        wire.open()
        subscribed = wire.venue.subscribed(turn + 2)
        expect(
            {symbol for _, symbol in subscribed} == set(symbols),
            f"after {turn + 1} reconnects only {len(subscribed)} streams are subscribed to",
        )
    for symbol in symbols if booked else ():
        wire.settle(symbol)
    plans = wire.venue.plans.of(records.Trade)
    if plans:
        wire.take(TRADE.event_type)
        said = wire.venue.say(plans[0], wire.venue.market.trade(wire.venue.instruments[symbols[0]]))
        wire.frame(said.data)
        expect(len(wire.take(TRADE.event_type)) == 1, "a trade after a reconnect did not arrive")
    return [] if booked else ["no book can be told"]


def _update(wire: Wire, symbol: str) -> list[Said]:
    """The next messages that move a book."""
    for _ in range(20):
        if said := wire.venue.move_book(symbol):
            return said
    raise SkippedError("the mock's book does not move")


def _lose(wire: Wire, symbol: str) -> None:
    """The venue tells of a change, and nobody hears it; of one that a checksum speaks for, where there is one."""
    book = wire.venue.books[symbol]
    before = book.checksum()
    _update(wire, symbol)
    while before and book.checksum() == before:
        _update(wire, symbol)


def _holds(wire: Wire, symbol: str) -> None:
    machine = wire.machine(symbol)
    expect(
        not machine.synced or wire.is_true(symbol),
        f"the book of {symbol} is called in step and is not the venue's",
    )


def _notices_loss(wire: Wire) -> bool:
    """Whether the specification says that updates carry something to notice a loss by."""
    kept = wire.venue.kept
    if isinstance(kept, (Offset, SnapshotUpdates)):
        return False
    if isinstance(kept, RangeSequence) and not kept.contiguous:
        return False
    told = [plan.record for plan in wire.venue.plans.of(BookUpdate)]
    return any(record.last or record.previous or record.checksum for record in told)
