"""A connection that a venue is about to end is followed by another one: over real sockets, and step by step."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.client import Backoff
from alphapulse.domain.provenance import Provenance, RecordFlag
from alphapulse.records import BOOK_LEVEL, TRADE, Rows
from collector_service.book.machine import ASK, BID
from collector_service.decode import report_of
from collector_service.handover import Overlap
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.rows import as_array
from collector_service.session import Session
from collector_service.simulation import PAIRS as SIMULATED
from collector_service.simulation import Market, SimulatedVenue
from collector_service.simulation.server import VenueServer
from collector_service.sources import SOURCES
from collector_service.spec import Endpoints, Heartbeat, Limits
from collector_service.transport import Arrival, ArrivalKind, Retire, Send
from collector_service.transport.live import LiveTransport

SHORT = Overlap(notice_s=0.05, settle_s=0.1, bound_s=5.0)
PAIRS = frozenset({"BTC/USDT", "ETH/EUR", "ETH/BTC"})
SECOND = 1_000_000_000


def followed(rows: Rows) -> dict[tuple[int, int], dict[tuple[int, int], tuple[int, int]]]:
    """The books of somebody who reads nothing but rows: by listing and side, sizes by price."""
    books: dict[tuple[int, int], dict[tuple[int, int], tuple[int, int]]] = defaultdict(dict)
    for row in rows:
        key = int(row["listing_key"])
        if int(row["flags"]) & RecordFlag.SNAPSHOT_BEGIN:
            books[key, BID].clear()
            books[key, ASK].clear()
        price = (int(row["price"]), int(row["price_exponent"]))
        if row["size"]:
            books[key, int(row["side"])][price] = (int(row["size"]), int(row["size_exponent"]))
        else:
            books[key, int(row["side"])].pop(price, None)
    return books


@pytest.mark.parametrize("source", sorted(SIMULATED))
async def test_a_connection_is_followed_by_another_without_a_hole(source: str) -> None:
    """Every trade once; books that a reader of the rows has as they are; no gap, no book built again, nothing closed."""
    venue = SimulatedVenue(SOURCES[source], Market(1, 1_700_000_000_000_000_000), 1_000.0)
    async with VenueServer(venue) as server:
        spec = SOURCES[source]
        limits = Limits(300, 1_000.0, 1_000.0, connection_lifetime_s=3.0)
        endpoints = Endpoints(server.websocket_url, server.rest_url)
        async with LiveTransport(endpoints, spec.live.path, limits, spec.heartbeat, overlap=SHORT) as transport:
            listed = await transport.instruments(spec)
            listings = ListingIndex(spec.venue)
            listings.learn(listed.entries)
            chosen = [entry for entry in listed.entries if entry.pair in PAIRS]
            session = Session(spec, listings, Provenance.LIVE, subscriptions=[chosen], overlap=SHORT)
            kinds: list[ArrivalKind] = []
            async with asyncio.timeout(20):
                async for arrival in transport.arrivals(1):
                    kinds.append(arrival.kind)
                    for request in session.handle(arrival):
                        transport.submit(request)
                    if kinds.count(ArrivalKind.RETIRED) == 2:
                        break
        assert ArrivalKind.CLOSED not in kinds
        assert server.connections >= 3
        assert session.gaps == []
        assert session.resyncs == 0
        assert not session.rejects
        found = report_of(session)
        trades = found.rows[TRADE.event_type]
        for key in set(trades["listing_key"].tolist()):
            numbers = np.sort(trades["trade_id"][trades["listing_key"] == key])
            assert numbers.tolist() == list(range(int(numbers[0]), int(numbers[0]) + len(numbers)))
        books = followed(found.rows[BOOK_LEVEL.event_type])
        assert {listings.key(entry.symbol) for entry in chosen} == {key for key, _ in books}
        for symbol, machine in session.emitter.books.items():
            key = listings.key(symbol)
            assert key is not None
            assert machine.synced
            assert books[key, BID] == dict(machine.book.bids)
            assert books[key, ASK] == dict(machine.book.asks)


async def test_a_successor_that_is_refused_costs_nothing() -> None:
    """The venue takes one connection and no other, until it is closed: the first one serves to its end, and that end is told."""
    open_now = 0
    refused = 0

    async def feed(request: web.Request) -> web.StreamResponse:
        nonlocal open_now, refused
        if open_now:
            refused += 1
            return web.Response(status=503)
        open_now += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        try:
            while not socket.closed:
                await socket.send_str("{}")
                with_reply = asyncio.create_task(socket.receive())
                await asyncio.wait({with_reply}, timeout=0.02)
                if with_reply.done():
                    break
                with_reply.cancel()
                await asyncio.gather(with_reply, return_exceptions=True)
        finally:
            open_now -= 1
        return socket

    app = web.Application()
    app.add_routes([web.get("/", feed)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        at = f"127.0.0.1:{runner.addresses[0][1]}"
        limits = Limits(1, 100.0, 100.0, connection_lifetime_s=1.0)
        transport = LiveTransport(
            Endpoints(f"ws://{at}", f"http://{at}"),
            "/",
            limits,
            Heartbeat(5.0),
            backoff=Backoff(first=0.02, cap=0.05),
            overlap=replace(SHORT, notice_s=0.0),
        )
        seen: list[Arrival] = []
        async with transport, asyncio.timeout(20):
            async for arrival in transport.arrivals(1):
                seen.append(arrival)
                if [one.kind for one in seen].count(ArrivalKind.OPENED) == 2:
                    break
    finally:
        await runner.cleanup()
    kinds = [one.kind for one in seen]
    assert refused
    # One that is on its way when the first ends takes its place; the others were told to be no use.
    assert kinds.count(ArrivalKind.SUCCEEDING) - kinds.count(ArrivalKind.RETIRED) in (0, 1)
    assert ArrivalKind.RETIRED in kinds
    assert {one.connection for one in seen if one.kind is ArrivalKind.RETIRED} == {1}
    assert {one.connection for one in seen if one.kind is ArrivalKind.FRAME} == {0}
    closed = next(one for one in seen if one.kind is ArrivalKind.CLOSED)
    assert closed.connection == 0


class Talk:
    """A conversation with a venue, told arrival by arrival."""

    def __init__(self, source: str = "KRAKEN", symbol: str = "BTC/USD") -> None:
        self.spec = SOURCES[source]
        self.entry = VenueSymbol(symbol, "BTC", "USD", frozenset({"USD"}))
        listings = ListingIndex(self.spec.venue)
        listings.learn([self.entry])
        self.session = Session(self.spec, listings, Provenance.LIVE, subscriptions=[[self.entry]])
        self.now = 1_700_000_000 * SECOND

    def hear(self, kind: ArrivalKind, connection: int = 0, data: object = None, seconds: float = 0.0) -> list[object]:
        self.now += int(seconds * SECOND)
        body = b"" if data is None else json.dumps(data).encode()
        return list(self.session.handle(Arrival(kind, self.now, body, connection)))

    def book(self, connection: int, bids: dict[int, int]) -> None:
        """Coinbase's snapshot: the book holds these bids, and nothing else."""
        levels = [[str(price), str(size)] for price, size in bids.items()]
        self.hear(
            ArrivalKind.FRAME, connection, {"type": "snapshot", "product_id": "BTC-USD", "bids": levels, "asks": []}
        )

    def bid(self, connection: int, price: int, size: int) -> None:
        """Coinbase's change of one bid."""
        change = ["buy", str(price), str(size)]
        self.hear(ArrivalKind.FRAME, connection, {"type": "l2update", "product_id": "BTC-USD", "changes": [change]})

    def bids(self) -> dict[int, int]:
        """What somebody who reads the rows has, whole numbers; the rows stay where they are."""
        rows = as_array(BOOK_LEVEL, list(self.session.sink.levels))
        book = followed(rows)[self.session.emitter.listings.key("BTC-USD") or 0, BID]
        return {price * 10**exponent: size * 10**up for (price, exponent), (size, up) in book.items()}

    def trade(self, connection: int, number: int, seconds: float = 0.0) -> list[object]:
        line = {"symbol": "BTC/USD", "side": "buy", "price": 100.0, "qty": 1.0, "ord_type": "market",
                "trade_id": number, "timestamp": "2026-01-01T00:00:00.000000Z"}  # fmt: skip
        return self.hear(ArrivalKind.FRAME, connection, {"channel": "trade", "type": "update", "data": [line]}, seconds)

    @property
    def trades(self) -> list[int]:
        rows = report_of(self.session).rows.get(TRADE.event_type)
        return [] if rows is None else [int(number) for number in rows["trade_id"]]


def test_the_connection_that_is_ahead_gives_a_trade_first_and_the_other_never_again() -> None:
    talk = Talk()
    assert any(isinstance(one, Send) for one in talk.hear(ArrivalKind.OPENED))
    for number in (1, 2):
        talk.trade(0, number)
    talk.hear(ArrivalKind.SUCCEEDING, 1)
    talk.trade(0, 3)
    assert any(isinstance(one, Send) and one.connection == 1 for one in talk.hear(ArrivalKind.OPENED, 1))
    # The new one is behind, then ahead: what it skips over is taken from the old one when that comes to it.
    for connection, number in [(1, 3), (0, 4), (1, 4), (1, 6), (0, 5), (0, 6), (1, 5)]:
        talk.trade(connection, number)
    assert talk.trade(1, 7, seconds=3) == [Retire(0)]
    talk.trade(0, 8)
    talk.hear(ArrivalKind.RETIRED, 0)
    talk.trade(1, 8)
    assert talk.trades == [1, 2, 3, 4, 6, 5, 7, 8]
    assert talk.session.gaps == []


def test_an_old_connection_that_breaks_is_told_and_its_successor_goes_on() -> None:
    talk = Talk()
    talk.hear(ArrivalKind.OPENED)
    talk.hear(ArrivalKind.SUCCEEDING, 1)
    talk.hear(ArrivalKind.OPENED, 1)
    talk.trade(0, 1)
    talk.hear(ArrivalKind.CLOSED, 0)
    talk.trade(1, 2)
    assert talk.trades == [1, 2]
    assert talk.session.gaps == [("RECONNECTED", 0)]
    assert not talk.session.emitter.handovers


def test_a_successor_that_gives_nothing_of_a_channel_is_waited_for_up_to_the_bound() -> None:
    talk = Talk()
    talk.hear(ArrivalKind.OPENED)
    talk.hear(ArrivalKind.SUCCEEDING, 1)
    talk.hear(ArrivalKind.OPENED, 1)
    assert talk.trade(0, 1, seconds=10) == []
    assert talk.trade(0, 2, seconds=19) == []
    assert talk.trade(0, 3, seconds=2) == [Retire(0)]
    assert talk.trades == [1, 2, 3]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_lags_every_trade_comes_once(data: st.DataObject) -> None:
    """Two connections, each in the venue's order, the new one from any trade on that was not yet said before the notice; interleaved at will."""
    count = data.draw(st.integers(2, 25), label="trades")
    noticed = data.draw(st.integers(0, count - 1), label="given before the notice")
    begins = data.draw(st.integers(noticed, count), label="the new one begins behind")
    talk = Talk()
    talk.hear(ArrivalKind.OPENED)
    for number in range(1, noticed + 1):
        talk.trade(0, number)
    talk.hear(ArrivalKind.SUCCEEDING, 1)
    said = data.draw(st.integers(noticed, count), label="given before it is open")
    for number in range(noticed + 1, said + 1):
        talk.trade(0, number)
    talk.hear(ArrivalKind.OPENED, 1)
    waiting = {0: list(range(said + 1, count + 1)), 1: list(range(begins + 1, count + 1))}
    while waiting[0] or waiting[1]:
        connection = data.draw(st.sampled_from([one for one in (0, 1) if waiting[one]]))
        talk.trade(connection, waiting[connection].pop(0))
    assert sorted(talk.trades) == list(range(1, count + 1))
    assert talk.session.gaps == []


def test_a_book_changes_hands_whole_and_comes_back_whole() -> None:
    """The new connection's book counts from its snapshot on; when that connection is gone before the change, the old one's does, and what
    it said meanwhile is in it."""
    talk = Talk("COINBASE", "BTC-USD")
    talk.hear(ArrivalKind.OPENED)
    talk.book(0, {100: 1, 99: 2})
    talk.bid(0, 98, 3)
    assert talk.bids() == {100: 1, 99: 2, 98: 3}
    talk.hear(ArrivalKind.SUCCEEDING, 1)
    talk.hear(ArrivalKind.OPENED, 1)
    talk.bid(1, 97, 1)  # ahead of its snapshot: void
    talk.bid(0, 99, 5)
    assert talk.bids() == {100: 1, 99: 5, 98: 3}
    talk.book(1, {100: 1, 98: 4})
    talk.bid(0, 96, 6)  # of the old one's book, which is not the source's now
    talk.bid(1, 97, 2)
    assert talk.bids() == {100: 1, 98: 4, 97: 2}
    talk.hear(ArrivalKind.RETIRED, 1)
    assert talk.bids() == {100: 1, 99: 5, 98: 3, 96: 6}
    talk.bid(0, 96, 0)
    assert talk.bids() == {100: 1, 99: 5, 98: 3}
    assert talk.session.gaps == []


def test_a_book_that_the_successor_never_gave_is_told_and_asked_for() -> None:
    talk = Talk("COINBASE", "BTC-USD")
    talk.hear(ArrivalKind.OPENED)
    talk.book(0, {100: 1})
    talk.hear(ArrivalKind.SUCCEEDING, 1)
    talk.hear(ArrivalKind.OPENED, 1)
    requests = talk.hear(ArrivalKind.FRAME, 1, {"type": "heartbeat"}, seconds=31)
    assert requests[0] == Retire(0)
    assert any(isinstance(one, Send) and one.connection == 1 and "level2_batch" in one.text for one in requests[1:])
    assert talk.session.gaps == [("BOOK_RESYNC", talk.session.emitter.listings.key("BTC-USD"))]
    talk.book(1, {100: 7})
    assert talk.bids() == {100: 7}
