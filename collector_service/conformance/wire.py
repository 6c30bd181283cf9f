"""A source's session and its mock venue in one thread: no sockets, no waiting, time as the check says."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

from alphapulse.domain.provenance import Provenance, RecordFlag
from alphapulse.records import BOOK_LEVEL, LAYOUTS
from collector_service.conformance.report import expect
from collector_service.listing_index import ListingIndex
from collector_service.mock import MockVenue, Said
from collector_service.mock.books import Top
from collector_service.mock.foreign import asked_at_once
from collector_service.rows import as_array
from collector_service.session import Session
from collector_service.source import InstrumentList, Source
from collector_service.spec import Channel
from collector_service.transport.base import Arrival, ArrivalKind, Fetch, Request, Send
from collector_service.transport.listing import joined

_TICK_NS: Final = 1_000_000
BROKEN: Final = (
    b'{"half', b"[1,2", b"", b"\x00\xff\xfe\x80noise", b"null", b"17", b'"text"', b"{}", b"[]", b"[[[[]]]]", b'{"a":' * 2_000, b"[" * 5_000,
    b'{"a":1e999999999}', b"\xef\xbb\xbf{}", b'{"\\ud800":1}',
)  # fmt: skip
"""Frames that are no message of anybody."""
Row = dict[str, int]


class Wire:
    """What the venue says reaches the session at once, and what the session says the venue; answers may be held back."""

    def __init__(self, source: Source, seed: int = 1, channels: Sequence[Channel] | None = None) -> None:
        self.source = source
        self.venue = MockVenue(source, seed)
        self.listed = read_list(source, self.venue)
        self.listings = ListingIndex(source.venue)
        self.listings.learn(self.listed.entries)
        entries = [instrument.entry for instrument in self.venue.instruments.values()]
        told = tuple(channels or self.venue.channels)
        self.session = Session(source, self.listings, Provenance.SIMULATED, subscriptions=[entries], channels=told)
        self.now_ns = self.venue.market.time_ns
        self.sent: list[str] = []
        """Frames of the source, in turn."""
        self.fetched: list[str] = []
        self.rows: dict[int, list[Row]] = {}
        """All rows written, by type."""
        self.holds = False
        """Answers to requests, and books that open a stream, wait for `release`."""
        self.folded: dict[int, dict[int, dict[Decimal, Decimal]]] = {}
        """The books that the rows of levels make, by key and side: as a reader of the rows has them."""
        self._held: deque[tuple[str, str]] = deque()
        self._connection = 0

    def open(self) -> None:
        """Connects and subscribes."""
        self._connection = self.venue.connect()
        self._arrive(Arrival(ArrivalKind.OPENED, self._tick(), b"", 0, self.source.live.path))
        for said in self.venue.welcome():
            self.frame(said.data)

    def close(self) -> None:
        """The connection is gone."""
        self.venue.disconnect(self._connection)
        self._arrive(Arrival(ArrivalKind.CLOSED, self._tick(), b"the venue closed the connection"))

    def tell(self, said: Iterable[Said]) -> None:
        """What the venue says, where it was subscribed to."""
        for one in said:
            if one.channel is None or self.venue.takes(self._connection, one):
                self.frame(one.data)

    def frame(self, data: bytes) -> None:
        """A frame, whatever it is."""
        self._arrive(Arrival(ArrivalKind.FRAME, self._tick(), data))

    def run(self, steps: int) -> None:
        """So many moments of the market."""
        for _ in range(steps):
            self.tell(self.venue.step())

    def wait(self, seconds: float) -> None:
        """Lets time go by."""
        self.now_ns += int(seconds * 1e9)

    def release(self) -> None:
        """Hands out what was held back."""
        self.holds = False
        while self._held:
            symbol, path = self._held.popleft()
            if symbol:
                # The book of now: a stream that opens with a snapshot goes on from there.
                for said in self.venue.open_book(symbol):
                    self.frame(said.data)
            else:
                self._answer(path)

    def machine(self, symbol: str) -> Any:
        """The book machine of a listing, None before its first message."""
        key = self.listings.key(symbol)
        return next((one for name, one in self.session.emitter.books.items() if self.listings.key(name) == key), None)

    def is_true(self, symbol: str) -> bool:
        """Whether the book is in step and equals the venue's, in the machine and for a reader of its rows."""
        machine, (bids, asks) = self.machine(symbol), self.venue.books[symbol].truth()
        if machine is None or not machine.synced:
            return False
        held = (_levels(machine.book.bids), _levels(machine.book.asks))
        return held == (bids, asks) and self.reader(symbol) == (bids, asks)

    def reader(self, symbol: str) -> tuple[Top, Top]:
        """The book as the rows tell it."""
        sides = self.folded.get(self.listings.key(symbol) or 0, {})
        bids, asks = sides.get(1, {}), sides.get(2, {})
        return sorted(bids.items(), reverse=True), sorted(asks.items())

    def settle(self, symbol: str, steps: int = 40) -> None:
        """Goes on until the book is true; a source that never gets there has failed."""
        for _ in range(steps):
            if self.is_true(symbol):
                return
            self.wait(11.0)
            self.tell(self.venue.step(symbol))
        machine = self.machine(symbol)
        truth, refused = self.venue.books[symbol].truth(), dict(self.session.rejects)
        expect(
            self.is_true(symbol),
            f"the book of {symbol} is not the venue's after {steps} updates; in step: {machine is not None and machine.synced}, "
            f"held {self.reader(symbol)}, the venue's {truth}, refused {refused}",
        )

    def clean(self) -> None:
        """Nothing was refused, unknown or out of step."""
        session = self.session
        for name, found in (
            ("refused messages", session.rejects),
            ("unknown messages", session.unknown_messages),
            ("unknown words", session.unknown_values),
            ("errors", session.venue_errors),
            ("unknown symbols", session.emitter.unknown_symbols),
        ):
            expect(not found, f"{name}: {found if not isinstance(found, dict) else dict(found)}")
        expect(not session.resyncs, f"books built again {session.resyncs} times, {session.gaps}")

    def take(self, kind: int) -> list[Row]:
        """The rows of a type written since the last time."""
        return self.rows.pop(kind, [])

    def _tick(self) -> int:
        self.now_ns = int(self.now_ns + _TICK_NS)
        return self.now_ns

    def _arrive(self, arrival: Arrival) -> None:
        requests = self.session.handle(arrival)
        for kind, rows in self.session.sink.take().items():
            if rows:
                found = as_array(LAYOUTS[kind], rows)
                names = list(LAYOUTS[kind].fields)
                self.rows.setdefault(kind, []).extend({name: int(row[name]) for name in names} for row in found)
                if kind == BOOK_LEVEL.event_type:
                    self._fold(self.rows[kind][-len(found) :])
        for request in requests:
            self._request(request)

    def _request(self, request: Request) -> None:
        match request:
            case Fetch(path):
                self.fetched.append(path)
                if self.holds:
                    self._held.append(("", path))
                else:
                    self._answer(path)
            case Send(_, text):
                self.sent.append(text)
                for said in self.venue.receive(self._connection, text):
                    if self.holds and said.book is not None:
                        self._held.append((said.symbol, ""))
                    else:
                        self.frame(said.data)

    def _answer(self, path: str) -> None:
        body = self.venue.answer(path)
        kind = ArrivalKind.RESPONSE if body is not None else ArrivalKind.FAILED
        self._arrive(Arrival(kind, self._tick(), body or b"status 404", 0, path))

    def _fold(self, rows: Iterable[Row]) -> None:
        for row in rows:
            sides = self.folded.setdefault(row["listing_key"], {})
            if row["flags"] & RecordFlag.SNAPSHOT_BEGIN:
                sides.clear()
            levels = sides.setdefault(row["side"], {})
            price = decimal_of(row, "price")
            if row["size"]:
                levels[price] = decimal_of(row, "size")
            else:
                levels.pop(price, None)


def read_list(source: Source, venue: MockVenue) -> InstrumentList:
    """The mock's list as the source reads it. Raises FailedError for a request that the mock does not know."""

    def body(path: str) -> bytes:
        found = venue.answer(path)
        expect(found is not None, f"the list at {path} cannot be written by the specification")
        assert found is not None
        return found

    if source.discovery.ask is not None:
        return asked_at_once(source, venue.answer)
    lists = []
    for request in source.discovery.requests:
        if request.given is not None:
            lists.append(request.given)
            continue
        answer = body(request.path)
        if request.cross is not None:
            lists.append(request.cross(answer, body(request.across)))
            continue
        lists += (
            [request.parse(body(path)) for path in request.follow(answer)]
            if request.follow is not None
            else [request.parse(answer)]
        )
    return joined(lists)


def decimal_of(row: Row, name: str, exponent: str = "") -> Decimal:
    """A number of a row, exactly."""
    return Decimal(row[name]).scaleb(row[exponent or f"{name}_exponent"])


def _levels(side: Any) -> Top:
    return [(Decimal(price[0]).scaleb(price[1]), Decimal(size[0]).scaleb(size[1])) for price, size in side]
