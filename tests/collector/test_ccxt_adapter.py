"""Exchanges that ccxt reads: a real ccxt exchange against a local server of the same words, and exchanges of ccxt that answer by themselves."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.client import Backoff
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.errors import FailedPrecondition
from alphapulse.domain.instruments import ListingStatus, OptionRight
from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import BOOK_LEVEL, QUOTE, TRADE
from collector_service.ccxt_adapter import catalogue, exchange, messages
from collector_service.ccxt_adapter.memory import TradeMemory
from collector_service.ccxt_adapter.transport import CcxtTransport
from collector_service.listings import ListingIndex
from collector_service.rows import as_array
from collector_service.runtime import RunnerOptions, SourceRunner, SourceState
from collector_service.session import Session
from collector_service.sources import NATIVE, SOURCES
from collector_service.spec import Channel

ccxt = pytest.importorskip("ccxt", reason="ccxt is not installed")
import ccxt.async_support as ccxt_async  # noqa: E402
import ccxt.pro as ccxt_pro  # noqa: E402

SOURCE = SOURCES["WHITEBIT"]
FAST = Backoff(first=0.01, cap=0.02)
MARKETS = [
    {
        "name": "BTC_USDT", "stock": "BTC", "money": "USDT", "stockPrec": "6", "moneyPrec": "2", "minAmount": "0.000100",
        "minTotal": "5.05", "maxTotal": "1000000", "makerFee": "0.1", "takerFee": "0.1", "tradesEnabled": True, "isCollateral": True, "type": "spot",
    },
    {
        "name": "BTC_PERP", "stock": "BTC", "money": "PERP", "stockPrec": "3", "moneyPrec": "1", "minAmount": "0.001",
        "minTotal": "5.05", "maxTotal": "1000000", "makerFee": "0.1", "takerFee": "0.1", "tradesEnabled": True, "isCollateral": True, "type": "futures",
    },
]  # fmt: skip


class Venue:
    """WhiteBIT's words: lists of markets over HTTP, trades and books over a WebSocket."""

    def __init__(self) -> None:
        self.base = ""
        self.trades: list[dict[str, Any]] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.subscribed: list[tuple[str, Any]] = []
        self.status, self.headers = 200, {}

    async def http(self, request: web.Request) -> web.Response:
        if self.status != 200:
            return web.json_response({"code": 0, "message": "wait"}, status=self.status, headers=self.headers)
        answers: dict[str, Any] = {"markets": MARKETS, "assets": {}, "trades": self.trades}
        return web.json_response(answers[request.path.split("/")[2]])

    async def websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                told = json.loads(message.data)
                self.subscribed.append((told["method"], told["params"]))
                await socket.send_json({"id": told["id"], "result": {"status": "success"}, "error": None})
        return socket

    async def say(self, text: str) -> None:
        await self.sockets[-1].send_str(text)

    def open(self) -> Any:
        """ccxt's exchange, its addresses those of this server."""
        made = ccxt_pro.whitebit({"enableRateLimit": False})
        http = f"http://{self.base}"
        made.urls["api"] = {
            "v1": {"public": f"{http}/v1"}, "v2": {"public": f"{http}/v2"}, "v4": {"public": f"{http}/v4"},
            "ws": f"ws://{self.base}/ws",
        }  # fmt: skip
        return exchange.exact(made)


@asynccontextmanager
async def venue() -> AsyncIterator[Venue]:
    told = Venue()
    app = web.Application()
    app.router.add_get("/ws", told.websocket)
    app.router.add_get("/{tail:.*}", told.http)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    told.base = "{}:{}".format(*runner.addresses[0])
    try:
        yield told
    finally:
        await runner.cleanup()


class Run:
    """A session over a transport, its rows kept."""

    def __init__(self, transport: CcxtTransport, channels: Iterable[Channel]) -> None:
        self.transport, self.channels = transport, tuple(channels)
        self.session: Session
        self.task: asyncio.Task[None]

    async def __aenter__(self) -> Run:
        await self.transport.__aenter__()
        listed = await self.transport.instruments(SOURCE)
        listings = ListingIndex(SOURCE.venue)
        listings.learn(listed.entries)
        chosen = [entry for entry in listed.entries if entry.contract is None]
        self.session = Session(
            SOURCE, listings, self.transport.provenance, subscriptions=[chosen], channels=self.channels
        )
        self.task = asyncio.create_task(self._pump())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.transport.__aexit__()

    async def _pump(self) -> None:
        async for arrival in self.transport.arrivals(1):
            for request in self.session.handle(arrival):
                self.transport.submit(request)

    async def until(self, holds: Callable[[], Any]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                assert not self.task.done(), self.task
                await asyncio.sleep(0.005)

    def trades(self) -> list[tuple[int, Decimal, int, Decimal, int, int, int]]:
        return [
            (
                int(row["trade_id"]), Decimal(int(row["price"])).scaleb(int(row["price_exponent"])), int(row["price_exponent"]),
                Decimal(int(row["size"])).scaleb(int(row["size_exponent"])), int(row["size_exponent"]), int(row["aggressor"]), int(row["venue_time_ns"]),
            )
            for row in as_array(TRADE, self.session.sink.trades)
        ]  # fmt: skip


def whitebit_trade(number: int, price: str, amount: str, side: str = "buy") -> dict[str, Any]:
    return {"tradeID": number, "price": price, "quote_volume": amount, "base_volume": amount, "trade_timestamp": 1_700_000_000 + number, "type": side}


def test_every_exchange_of_ccxt_is_a_source_once() -> None:
    table = {one.id: one for one in catalogue.exchanges()}
    assert sorted(table) == sorted(ccxt.exchanges), "run tools/ccxt_exchanges.py"
    assert all(name in NATIVE for names in catalogue.NATIVE.values() for name in names)
    assert catalogue.NATIVE.keys() <= table.keys()
    for one in table.values():
        native, adapter = one.id in catalogue.NATIVE, SOURCES.get(one.name)
        if not native and one.name not in NATIVE:
            assert adapter is not None and adapter.reach is not None
            assert set(adapter.live.subscribe.__name__ and one.channels) <= set(Channel)
        else:
            assert adapter is None or adapter.reach is None


def test_the_table_is_what_the_installed_ccxt_says() -> None:
    found = {}
    for one in catalogue.exchanges():
        made = getattr(ccxt_pro, one.id, None) or getattr(ccxt_async, one.id)
        has = made().has
        pairs = zip(Channel, (("watchTrades", "fetchTrades"), ("watchTicker", "fetchTicker"), ("watchOrderBook", "fetchOrderBook")), strict=True)
        found[one.id] = {
            channel.value: "streamed" if has.get(watch) is True else "polled"
            for channel, (watch, fetch) in pairs
            if has.get(watch) is True or has.get(fetch)
        }
    told = {
        one.id: {**dict.fromkeys(one.streamed, "streamed"), **dict.fromkeys(one.polled, "polled")}
        for one in catalogue.exchanges()
    }
    assert told == found


def test_the_catalogue_does_not_import_ccxt() -> None:
    asked = "import sys, collector_service.fleet; print('ccxt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout == "False\n"


async def test_an_absent_ccxt_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ccxt.pro", None)
    runner = SourceRunner(SOURCE, lambda: SOURCE.reach(SOURCE, {}))  # type: ignore[misc]
    await runner.run()
    assert runner.status().state is SourceState.FAILED
    assert "WHITEBIT is read by ccxt, which is not installed" in runner.status().error
    with pytest.raises(FailedPrecondition) as refused:
        exchange.open_exchange("whitebit", "WHITEBIT", {})
    assert "alphapulse-registry[ccxt]" in (refused.value.hint or "")


def test_keys_come_from_the_environment() -> None:
    made = exchange.open_exchange("whitebit", "WHITEBIT", {"WHITEBIT_API_KEY": "k", "WHITEBIT_API_SECRET": "s", "OTHER": "x"})
    assert (made.apiKey, made.secret, made.id) == ("k", "s", "whitebit")
    assert exchange.open_exchange("bitso", "BITSO", {}).id == "bitso", "one that ccxt.pro does not have"


async def test_markets_are_listed_with_their_rules_exactly() -> None:
    async with venue() as told, CcxtTransport(told.open) as transport:
        listed = await transport.instruments(SOURCE)
    assert not listed.refused
    spot, perpetual = listed.entries
    assert (spot.symbol, spot.base, spot.quote, spot.aliases, spot.contract) == ("BTC_USDT", "BTC", "USDT", ("BTC/USDT",), None)
    rules = spot.rules
    assert [str(one) for one in (rules.tick_size, rules.lot_size, rules.min_size, rules.min_notional)] == ["0.01", "0.000001", "0.0001", "5.05"]
    assert perpetual.contract is not None
    assert (perpetual.symbol, perpetual.contract.kind, perpetual.contract.settle) == ("BTC_PERP", AssetClass.PERPETUAL, "USDT")
    assert str(perpetual.contract.size) == "0.001"


async def test_a_stream_gives_trades_exactly_and_once_and_says_when_it_broke() -> None:
    first = '{"id":%d,"time":1656320231.404343,"price":"21443.10","amount":"0.072840","type":"%s"}'
    update = '{"method":"trades_update","params":["BTC_USDT",[%s]],"id":null}'
    async with venue() as told, Run(CcxtTransport(told.open, backoff=FAST), [Channel.TRADES]) as run:
        await run.until(lambda: told.subscribed)
        await told.say(update % ",".join([first % (2, "sell"), first % (1, "buy")]))
        await run.until(lambda: len(run.trades()) == 2)
        # ccxt hands on whole milliseconds.
        assert sorted(run.trades()) == [
            (1, Decimal("21443.10"), -2, Decimal("0.072840"), -6, 1, 1_656_320_231_404_000_000),
            (2, Decimal("21443.10"), -2, Decimal("0.072840"), -6, 2, 1_656_320_231_404_000_000),
        ]
        await told.say(update % ",".join([first % (3, "buy"), first % (2, "sell")]))
        await run.until(lambda: len(run.trades()) == 3)
        before = len(told.sockets)
        await told.sockets[-1].close()
        await run.until(lambda: len(told.sockets) > before and told.subscribed[1:])
        # A new subscription repeats what came before.
        await told.say(update % ",".join([first % (4, "buy"), first % (3, "buy")]))
        await run.until(lambda: len(run.trades()) == 4)
        assert [row[0] for row in run.trades()][2:] == [3, 4]
        assert run.session.take_gaps() == [("RECONNECTED", 0)]
        assert not run.session.rejects and not run.session.unknown_messages and not run.session.emitter.unknown_symbols


async def test_books_are_those_that_ccxt_keeps_with_the_venue_s_digits() -> None:
    update = '{"method":"depth_update","params":[%s,{"timestamp":1708679568.94,"asks":%s,"bids":%s},"BTC_USDT"],"id":null}'
    async with venue() as told, Run(CcxtTransport(told.open, backoff=FAST), [Channel.BOOKS]) as run:
        await run.until(lambda: told.subscribed)
        await told.say(update % ("true", '[["100.20","0.50"],["9.90e1","2"]]', '[["98.10","1.0"],["98.00","3"]]'))
        await run.until(lambda: len(run.session.sink.levels) == 4)
        await told.say(update % ("false", '[["99.50","0.70"]]', '[["98.00","0"]]'))
        await run.until(lambda: len(run.session.sink.levels) == 6)
        book = run.session.emitter.books["BTC/USDT"].book
        assert list(book.bids) == [((9810, -2), (10, -1))]
        assert [level for level in book.asks] == [((990, -1), (2, 0)), ((9950, -2), (70, -2)), ((10020, -2), (50, -2))]
        rows = as_array(BOOK_LEVEL, run.session.sink.levels)
        assert [bool(flag & RecordFlag.SNAPSHOT_BEGIN) for flag in rows["flags"]] == [True, *[False] * 5]
        key = run.session.emitter.listings.key("BTC_USDT")
        assert set(rows["listing_key"].tolist()) == {key}


async def test_polled_trades_are_given_once_and_what_was_missed_is_told() -> None:
    async with (
        venue() as told,
        Run(CcxtTransport(told.open, polled_only=True, backoff=FAST, poll_seconds=0.01), [Channel.TRADES]) as run,
    ):
        told.trades = [whitebit_trade(number, "10.00", "0.10") for number in (1, 2, 3)]
        await run.until(lambda: len(run.trades()) == 3)
        told.trades = [whitebit_trade(number, "10.00", "0.10", "sell") for number in (4, 3, 2)]
        await run.until(lambda: len(run.trades()) == 4)
        assert [row[0] for row in run.trades()] == [1, 2, 3, 4]
        assert run.trades()[3][5] == 2
        assert not run.session.gaps
        told.trades = [whitebit_trade(number, "10.00", "0.10") for number in (8, 9)]
        await run.until(lambda: len(run.trades()) == 6)
        assert run.session.take_gaps() == [("TRADES_MISSED", run.session.emitter.listings.key("BTC_USDT"))]


async def test_a_limit_of_the_exchange_is_kept_to() -> None:
    async with venue() as told, CcxtTransport(told.open) as transport:
        told.status, told.headers = 429, {"Retry-After": "7"}
        runner = SourceRunner(SOURCE, lambda: transport)
        task = asyncio.create_task(runner.run())
        async with asyncio.timeout(10):
            while runner.status().state is not SourceState.BACKING_OFF:
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert "limited (RateLimitExceeded)" in runner._error or "limited (DDoSProtection)" in runner._error, runner._error
