"""Listings that come and go while a source runs: they are subscribed to and left, and nothing else notices."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.domain.instruments import ListingStatus
from alphapulse.domain.provenance import Provenance
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.runtime import RunnerOptions, SourceRunner
from collector_service.runtime.choosing import Places
from collector_service.runtime.news import Ended, ended_of
from collector_service.session import Session
from collector_service.simulation import Market, SimulatedVenue
from collector_service.simulation.server import VenueServer
from collector_service.source import InstrumentList, Source
from collector_service.sources import SOURCES
from collector_service.spec import Channel, Endpoints, Limits
from collector_service.transport import Arrival, ArrivalKind, Send
from collector_service.transport.base import Cease, Fetch, Request
from collector_service.transport.live import LiveTransport

MARKET = Market(1, 1_700_000_000_000_000_000)


def line(symbol: str, **changes: object) -> VenueSymbol:
    return VenueSymbol(symbol, symbol, "USD", frozenset({"USD"}), **changes)  # type: ignore[arg-type]


class Talk:
    """A conversation with a venue, told arrival by arrival."""

    def __init__(self, source: str, *places: Sequence[VenueSymbol], known: Sequence[VenueSymbol] = ()) -> None:
        listings = ListingIndex(SOURCES[source].venue)
        listings.learn([entry for place in places for entry in place])
        listings.learn(known)
        self.session = Session(SOURCES[source], listings, Provenance.LIVE, subscriptions=places)

    def hear(self, kind: ArrivalKind, connection: int = 0, data: object = None) -> list[Request]:
        body = b"" if data is None else data if isinstance(data, bytes) else json.dumps(data).encode()
        return list(self.session.handle(Arrival(kind, 1_700_000_000_000_000_000, body, connection)))

    def frame(self, data: object, connection: int = 0) -> list[Request]:
        return self.hear(ArrivalKind.FRAME, connection, data)


def said(requests: Sequence[Request]) -> list[tuple[int, object]]:
    return [(one.connection, msgspec.json.decode(one.text)) for one in requests if isinstance(one, Send)]


def test_more_is_said_to_connections_that_are_open_and_only_that() -> None:
    old, new = line("OLD"), line("NEW")
    talk = Talk("KRAKEN", [old], known=[new])
    # Not open yet: it will subscribe to all of it then.
    assert talk.session.join(0, [new]) == []
    opened = said(talk.hear(ArrivalKind.OPENED))
    assert opened
    assert all(frame["params"]["symbol"] == ["OLD/USD", "NEW/USD"] for _, frame in opened)  # type: ignore[index]
    newer = line("NEWER")
    talk.session.emitter.listings.learn([newer])
    more = said(talk.session.join(0, [newer]))
    assert [(connection, frame["params"]["symbol"]) for connection, frame in more] == [(0, ["NEWER/USD"])] * len(opened)  # type: ignore[index]
    # While one connection is followed by another both are told, and both are listened to.
    talk.hear(ArrivalKind.SUCCEEDING, 1)
    talk.hear(ArrivalKind.OPENED, 1)
    newest = line("NEWEST")
    talk.session.emitter.listings.learn([newest])
    assert Counter(connection for connection, _ in said(talk.session.join(0, [newest]))) == {0: 3, 1: 3}
    assert "NEWEST" in talk.session.emitter.handovers[0].symbols
    # A place that is new says nothing before its connection is there.
    assert talk.session.join(1, [line("LAST")]) == []
    assert {connection for connection, _ in said(talk.hear(ArrivalKind.OPENED, 2))} == {2}


def test_what_is_left_is_left_alone() -> None:
    talk = Talk("KRAKEN", [line("A"), line("B")], [line("C")])
    for connection in (0, 2):
        talk.hear(ArrivalKind.OPENED, connection)
    left = said(talk.session.leave({"B", "C"}))
    assert {(connection, frame["method"], tuple(frame["params"]["symbol"])) for connection, frame in left} == {  # type: ignore[index]
        (0, "unsubscribe", ("B/USD",)),
        (2, "unsubscribe", ("C/USD",)),
    }
    assert len(left) == 6
    talk.hear(ArrivalKind.CLOSED)
    again = said(talk.hear(ArrivalKind.OPENED))
    assert all(frame["params"]["symbol"] == ["A/USD"] for _, frame in again)  # type: ignore[index]
    # Nobody is asked for nothing, and what comes late of it asks for nothing.
    assert said(talk.hear(ArrivalKind.OPENED, 2)) == []


def test_where_one_request_replaces_another_all_of_it_is_said() -> None:
    talk = Talk("UPBIT", [line("KRW-A")], known=[line("KRW-B")])
    talk.hear(ArrivalKind.OPENED)
    [(_, frame)] = said(talk.session.join(0, [line("KRW-B")]))
    assert [part["codes"] for part in frame if "codes" in part] == [["KRW-A", "KRW-B"]] * 2  # type: ignore[union-attr]
    [(_, frame)] = said(talk.session.leave({"KRW-A"}))
    assert [part["codes"] for part in frame if "codes" in part] == [["KRW-B"]] * 2  # type: ignore[union-attr]
    assert talk.session.leave({"KRW-B"}) == []


@pytest.mark.parametrize(
    ("source", "extras", "told"),
    [
        ("BINANCE", {}, [{"method": "UNSUBSCRIBE", "params": ["btcusdt@trade", "btcusdt@depth@100ms"], "id": 1}]),
        ("KUCOIN", {}, [
            {"id": 1, "type": "unsubscribe", "topic": "/market/match:BTCUSDT", "response": True},
            {"id": 2, "type": "unsubscribe", "topic": "/spotMarket/level2Depth50:BTCUSDT", "response": True},
        ]),
        ("BITSTAMP", {}, [
            {"event": "bts:unsubscribe", "data": {"channel": "live_trades_BTCUSDT"}},
            {"event": "bts:unsubscribe", "data": {"channel": "diff_order_book_BTCUSDT"}},
        ]),
        ("HYPERLIQUID", {}, [
            {"method": "unsubscribe", "subscription": {"type": "trades", "coin": "BTCUSDT"}},
            {"method": "unsubscribe", "subscription": {"type": "l2Book", "coin": "BTCUSDT"}},
        ]),
        ("BYBIT", {"category": "inverse"}, [
            {"op": "unsubscribe", "args": ["publicTrade.BTCUSDT", "orderbook.50.BTCUSDT"]},
        ]),
    ],
)  # fmt: skip
def test_a_venue_is_told_in_its_own_words(source: str, extras: dict[str, str], told: list[object]) -> None:
    """The words are those of the venues' documentation."""
    listings = ListingIndex(SOURCES[source].venue)
    entry = line("BTCUSDT", extras=extras)
    listings.learn([entry])
    channels = [Channel.TRADES, Channel.BOOKS]
    session = Session(SOURCES[source], listings, Provenance.LIVE, subscriptions=[[entry]], channels=channels)
    session.handle(Arrival(ArrivalKind.OPENED, 1))
    assert [frame for _, frame in said(session.leave({"BTCUSDT"}))] == told


def test_every_listing_has_its_one_address() -> None:
    """Of Gate's contracts the stream and the snapshot; of Bybit's the stream."""
    source = SOURCES["GATEIO_FUTURES"]
    found = {}
    for request in source.discovery.requests:
        body = msgspec.json.encode(
            [
                {
                    "name": "BTC_USDT_20271231",
                    "status": "trading",
                    "order_price_round": "0.1",
                    "quanto_multiplier": "0.01",
                    "expire_time": 1830211200,
                }
            ]
        )
        [entry] = request.parse(body).entries
        assert entry.streamed
        assert source.live.path_of is not None
        assert source.live.snapshot is not None
        snapshot = source.live.snapshot.path(entry.symbol, entry.extras)
        assert source.live.snapshot.symbol(f"https://api.gateio.ws{snapshot}") == entry.symbol
        found[request.path] = (source.live.path_of(entry), snapshot.partition("?")[0])
    assert found == {
        "/api/v4/futures/usdt/contracts": ("/v4/ws/usdt", "/api/v4/futures/usdt/order_book"),
        "/api/v4/futures/btc/contracts": ("/v4/ws/btc", "/api/v4/futures/btc/order_book"),
        "/api/v4/delivery/usdt/contracts": ("/v4/ws/delivery/usdt", "/api/v4/delivery/usdt/order_book"),
    }


def test_what_is_said_first_is_said_once() -> None:
    talk = Talk("DELTA", [line("A")], known=[line("B")])
    assert [frame["type"] for _, frame in said(talk.hear(ArrivalKind.OPENED))].count("enable_heartbeat") == 1  # type: ignore[index]
    assert {frame["type"] for _, frame in said(talk.session.join(0, [line("B")]))} == {"subscribe"}  # type: ignore[index]


def test_a_venue_that_greets_is_told_after_it_has_and_a_successor_subscribes_too() -> None:
    talk = Talk("ALPACA", [line("A")], known=[line("B")])
    assert [frame["action"] for _, frame in said(talk.hear(ArrivalKind.OPENED))] == ["auth"]  # type: ignore[index]
    assert talk.session.join(0, [line("B")]) == []
    welcome = [{"T": "success", "msg": "authenticated"}]
    told = said(talk.frame(welcome))
    assert {name for _, frame in told for name in frame.get("trades", [])} == {"A", "B"}  # type: ignore[attr-defined]
    talk.hear(ArrivalKind.SUCCEEDING, 1)
    talk.hear(ArrivalKind.OPENED, 1)
    assert said(talk.frame(welcome, 1)) == [(1, frame) for _, frame in told]


def test_what_is_polled_for_a_symbol_is_polled_no_longer() -> None:
    first, second = line("UNRATE"), line("CPIAUCSL")
    talk = Talk("FRED", [first], known=[second])
    begun = [one.path for one in talk.hear(ArrivalKind.OPENED) if isinstance(one, Fetch)]
    more = [one.path for one in talk.session.join(0, [second]) if isinstance(one, Fetch)]
    assert len(begun) == len(more) > 0
    assert all("CPIAUCSL" in path for path in more)
    assert [one.path for one in talk.session.leave({"CPIAUCSL"}) if isinstance(one, Cease)] == more


def test_a_book_without_numbers_is_asked_for_by_the_number_of_its_channel() -> None:
    entry = replace(line("BTCUSD"), base="BTC", aliases=("tBTCUSD",))
    talk = Talk("BITFINEX", [entry])
    talk.hear(ArrivalKind.OPENED)

    def told(number: int) -> None:
        talk.frame({"event": "subscribed", "channel": "book", "chanId": number, "symbol": "tBTCUSD", "pair": "BTCUSD"})
        talk.frame([number, [[100, 1, 2], [101, 1, -3]]])

    told(7)
    book = talk.session.emitter.books["BTCUSD"]
    assert book.synced
    asked = said(talk.frame(b"[7,["))
    assert not book.synced
    assert asked[0] == (0, {"event": "unsubscribe", "chanId": 7})
    assert [(frame["event"], frame["channel"]) for _, frame in asked[1:]] == [("subscribe", "book")]  # type: ignore[index]
    # What was on its way still has the old number; it says nothing before the snapshot that comes under the new one.
    assert talk.frame([7, [102, 1, -1]]) == []
    talk.frame({"event": "unsubscribed", "status": "OK", "chanId": 7})
    told(9)
    assert talk.session.emitter.books["BTCUSD"].synced
    # The number of now, though the old one was never taken back.
    assert said(talk.frame(b"[9,["))[:1] == []  # it is asked for once in a while
    assert (0, {"event": "unsubscribe", "chanId": 9}) in said(talk.session.leave({"BTCUSD"}))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_places_are_filled_before_there_are_more_and_nothing_ever_moves(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 4))
    source = replace(SOURCES["BYBIT"], limits=Limits(size, 1.0, 1.0))
    places, held, number = Places(source), dict[str, tuple[int, str]](), 0
    for _ in range(data.draw(st.integers(1, 12))):
        fresh = []
        for category in data.draw(st.lists(st.sampled_from(["linear", "inverse"]), max_size=6)):
            number += 1
            fresh.append(line(f"S{number}", extras={"category": category}))
        paths = {entry.symbol: entry.extras["category"] for entry in fresh}
        before = len(places)
        room = Counter(
            {path: sum(size for one in places.paths if one.endswith(path)) for path in ("linear", "inverse")}
        ) - Counter(path for _, path in held.values())
        for place, entries in places.put(fresh).items():
            for entry in entries:
                held[entry.symbol] = (place, paths[entry.symbol])
                assert places.paths[place] == f"/v5/public/{paths[entry.symbol]}"
        wanted = Counter(paths.values())
        assert len(places) - before == sum(-(-max(0, wanted[path] - room[path]) // size) for path in wanted)
        gone = data.draw(st.sets(st.sampled_from(sorted(held)))) if held else set()
        places.take(gone)
        for symbol in gone:
            del held[symbol]
        counts: dict[int, int] = defaultdict(int)
        for place, _ in held.values():
            counts[place] += 1
        assert max(counts.values(), default=0) <= size
        assert set(places.symbols) == set(held)


def test_too_much_that_is_gone_is_doubted_and_what_had_to_go_is_not_counted() -> None:
    assert ended_of({"A"}, set(), 3) == Ended(("A",))
    assert ended_of({"A", "B"}, set(), 3) == Ended((), ("A", "B"))
    # Nine of ten are contracts that have expired, and one listing of the other three is gone.
    over = {f"E{number}" for number in range(9)}
    assert ended_of({"A"}, over, 12) == Ended((*sorted(over), "A"))


class Served(LiveTransport):
    """A served venue whose list is what the test says."""

    listed: tuple[str, ...] = ()

    async def instruments(self, source: Source) -> InstrumentList:
        whole = await super().instruments(source)
        return InstrumentList(tuple(entry for entry in whole.entries if entry.symbol in self.listed))


async def test_a_running_source_follows_its_list_and_disturbs_nothing() -> None:
    venue = SimulatedVenue(SOURCES["COINBASE"], MARKET, 2_000.0)
    async with VenueServer(venue) as server:
        limits = Limits(3, 1_000.0, 1_000.0)
        endpoints = Endpoints(server.websocket_url, server.rest_url)
        spec = replace(SOURCES["COINBASE"], endpoints=endpoints, limits=limits)

        def transport() -> LiveTransport:
            return Served(endpoints, spec.live.path, limits, spec.heartbeat)

        options = RunnerOptions(discovery_seconds=0.05, channels=[Channel.BOOKS])
        async with Served(endpoints, spec.live.path, limits, spec.heartbeat) as probe:
            names = [entry.symbol for entry in (await LiveTransport.instruments(probe, spec)).entries]
        assert len(names) >= 7
        Served.listed = tuple(names[:4])
        runner = SourceRunner(spec, transport, options=options)
        task = asyncio.create_task(runner.run())

        async def until_books(symbols: Sequence[str]) -> None:
            while runner.session is None or {  # noqa: ASYNC110 - both sides run on
                symbol for symbol, book in runner.session.emitter.books.items() if book.synced
            } != set(symbols):
                await asyncio.sleep(0.005)

        try:
            async with asyncio.timeout(60):
                await until_books(names[:4])
                assert server.connections == 2
                # Two more have room on the second connection; a third needs one of its own.
                Served.listed = tuple(names[:7])
                await until_books(names[:7])
                assert server.connections == 3
                Served.listed = tuple(names[1:7])
                await until_books(names[1:7])
                assert runner.session is not None
                updates = runner.session.emitter.book_updates
                before = updates.copy()
                while min(updates[name] - before[name] for name in names[1:7]) < 3:  # noqa: ASYNC110 - both sides run on
                    await asyncio.sleep(0.005)
                assert updates[names[0]] == before[names[0]]
                entry = runner.listings.entry(names[0])
                assert entry is not None
                assert entry.status is ListingStatus.DELISTED
                # It returns, and has its place again.
                Served.listed = tuple(names[:7])
                await until_books(names[:7])
            assert server.connections == 3
            assert runner.status().reconnects == 0
            assert runner.status().book_resyncs == 0
            assert runner.session.gaps == []
            assert not runner.status().rejects
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
