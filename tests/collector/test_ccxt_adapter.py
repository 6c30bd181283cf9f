"""Exchanges that ccxt reads: a real ccxt exchange against a local server of the same words, and exchanges of ccxt that answer by themselves."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.client import Backoff
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.errors import ConfigurationError, FailedPrecondition
from alphapulse.domain.instruments import ListingStatus, OptionRight
from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import BOOK_LEVEL, QUOTE, TRADE
from alphapulse.runtime import load
from alphapulse_cli import seed
from collector_service import catalogue as tool_catalogue
from collector_service.ccxt_adapter import catalogue, exchange, messages
from collector_service.ccxt_adapter.memory import TradeMemory
from collector_service.ccxt_adapter.transport import CcxtTransport
from collector_service.config import CollectorConfig
from collector_service.fleet import Fleet
from collector_service.listing_index import ListingIndex
from collector_service.rows import as_array
from collector_service.runtime import SourceRunner, SourceState
from collector_service.session import Session
from collector_service.sources import NATIVE, SOURCES, source_named
from collector_service.spec import Channel
from collector_service.transport.base import ArrivalKind, Send, TransportError

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
        "name": "BTC_PERP", "stock": "BTC", "money": "PERP", "stockPrec": "3", "moneyPrec": "1",
        "minAmount": "0.001", "minTotal": "5.05", "maxTotal": "1000000", "makerFee": "0.1", "takerFee": "0.1", "tradesEnabled": True,
        "isCollateral": True, "type": "futures",
    },
]  # fmt: skip


class Venue:
    """WhiteBIT's words: lists of markets over HTTP, trades and books over a WebSocket."""

    def __init__(self) -> None:
        self.base = ""
        self.trades: list[dict[str, Any]] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.subscribed: list[tuple[str, Any]] = []
        self.status = 200
        self.headers: dict[str, str] = {}

    async def http(self, request: web.Request) -> web.Response:
        if self.status != 200:
            return web.Response(text="wait", status=self.status, headers=self.headers)
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
                Decimal(int(row["size"])).scaleb(int(row["size_exponent"])), int(row["size_exponent"]),
                int(row["aggressor"]), int(row["venue_time_ns"]),
            )
            for row in as_array(TRADE, self.session.sink.trades)
        ]  # fmt: skip


def whitebit_trade(number: int, price: str, amount: str, side: str = "buy") -> dict[str, Any]:
    return {
        "tradeID": number,
        "price": price,
        "quote_volume": amount,
        "base_volume": amount,
        "trade_timestamp": 1_700_000_000 + number,
        "type": side,
    }


def test_every_exchange_of_ccxt_is_a_source_once() -> None:
    table = {one.id: one for one in catalogue.exchanges()}
    assert sorted(table) == sorted(ccxt.exchanges), "run tools/ccxt_exchanges.py"
    assert all(name in NATIVE for names in catalogue.NATIVE.values() for name in names)
    assert catalogue.NATIVE.keys() <= table.keys()
    for one in table.values():
        native, adapter = one.id in catalogue.NATIVE, SOURCES.get(one.name)
        if not native and one.name not in NATIVE:
            assert adapter is not None
            assert adapter.reach is not None
            assert adapter.spec is not None
            subscribe = adapter.spec.dialects[-1].subscribe
            assert subscribe is not None
            assert tuple(subscribe.channels) == one.channels
        else:
            assert adapter is None or adapter.reach is None


def test_an_exchange_bears_the_code_of_its_venue_in_the_registry() -> None:
    def plain(text: str) -> str:
        return "".join(filter(str.isalnum, text)).lower()

    folder = Path(seed.__file__).parent / "data" / "venues"
    codes = {
        plain(told["name"]): told["code"]
        for path in folder.glob("*.toml")
        for told in [tomllib.loads(path.read_text())]
    }
    adapters = [one for one in catalogue.exchanges() if one.name in SOURCES and SOURCES[one.name].reach is not None]
    assert {one.name for one in adapters if codes.get(plain(one.title), one.name) != one.name} == set()
    assert sum(plain(one.title) in codes for one in adapters) > 20
    assert source_named("cex").name == "CEX_IO"


def test_the_table_is_what_the_installed_ccxt_says() -> None:
    found = {}
    for one in catalogue.exchanges():
        made = getattr(ccxt_pro, one.id, None) or getattr(ccxt_async, one.id)
        has = made().has
        pairs = zip(
            (Channel.TRADES, Channel.QUOTES, Channel.BOOKS),
            (("watchTrades", "fetchTrades"), ("watchTicker", "fetchTicker"), ("watchOrderBook", "fetchOrderBook")),
            strict=True,
        )
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


def test_keys_come_from_the_environment_and_are_shown_nowhere() -> None:
    made = exchange.open_exchange("whitebit", "WHITEBIT", {"WHITEBIT_API_KEY": "key-1", "WHITEBIT_API_SECRET": "shh-2"})
    assert (made.apiKey, made.secret, made.id) == ("key-1", "shh-2", "whitebit")
    told = exchange.problem_of(ccxt.BadRequest("GET /x?key=key-1&sign=shh-2 is refused"), made)
    assert str(told) == "BadRequest: GET /x?key=***&sign=*** is refused"
    assert exchange.open_exchange("bitso", "BITSO", {}).id == "bitso", "one that ccxt.pro does not have"


async def test_markets_are_listed_with_their_rules_exactly() -> None:
    async with venue() as told, CcxtTransport(told.open) as transport:
        listed = await transport.instruments(SOURCE)
    assert not listed.refused
    spot, perpetual = listed.entries
    assert (spot.symbol, spot.base, spot.quote, spot.aliases, spot.contract) == (
        "BTC_USDT",
        "BTC",
        "USDT",
        ("BTC/USDT",),
        None,
    )
    rules = spot.rules
    assert [str(one) for one in (rules.tick_size, rules.lot_size, rules.min_size, rules.min_notional)] == [
        "0.01",
        "0.000001",
        "0.0001",
        "5.05",
    ]
    assert perpetual.contract is not None
    assert (perpetual.symbol, perpetual.contract.kind, perpetual.contract.settle) == (
        "BTC_PERP",
        AssetClass.PERPETUAL,
        "USDT",
    )
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
        assert not run.session.rejects
        assert not run.session.unknown_messages
        assert not run.session.emitter.unknown_symbols


async def test_books_are_those_that_ccxt_keeps_with_the_venue_s_digits() -> None:
    update = (
        '{"method":"depth_update","params":[%s,{"timestamp":1708679568.94,"asks":%s,"bids":%s},"BTC_USDT"],"id":null}'
    )
    async with venue() as told, Run(CcxtTransport(told.open, backoff=FAST), [Channel.BOOKS]) as run:
        await run.until(lambda: told.subscribed)
        await told.say(update % ("true", '[["100.20","0.50"],["9.90e1","2"]]', '[["98.10","1.0"],["98.00","3"]]'))
        await run.until(lambda: len(run.session.sink.levels) == 4)
        await told.say(update % ("false", '[["99.50","0.70"]]', '[["98.00","0"]]'))
        await run.until(lambda: len(run.session.sink.levels) == 6)
        book = run.session.emitter.books["BTC/USDT"].book
        assert list(book.bids) == [((9810, -2), (10, -1))]
        assert list(book.asks) == [((990, -1), (2, 0)), ((9950, -2), (70, -2)), ((10020, -2), (50, -2))]
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
        with pytest.raises(TransportError, match=r"limited \(DDoSProtection\): whitebit 429") as refused:
            await transport.instruments(SOURCE)
    assert refused.value.retry_after == 7.0


async def entered(runner: SourceRunner, state: SourceState) -> None:
    async with asyncio.timeout(20):
        while runner.status().state is not state:
            runner.changed.clear()
            await runner.changed.wait()


async def test_a_source_that_cannot_list_its_markets_backs_off_with_the_reason() -> None:
    async with venue() as told:
        told.status = 503
        runner = SourceRunner(SOURCE, lambda: CcxtTransport(told.open))
        task = asyncio.create_task(runner.run())
        await entered(runner, SourceState.BACKING_OFF)
        assert runner.status().error.startswith("ExchangeNotAvailable: whitebit GET")
        assert "503" in runner.status().error
        told.status = 200
        await entered(runner, SourceState.CONNECTING)
        assert runner.status().listings == 2
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Local(ccxt_async.Exchange):  # type: ignore[misc]
    """An exchange of ccxt that answers by itself."""

    def __init__(self, markets: list[dict[str, Any]], answers: Mapping[str, Callable[[str], Any]] = {}) -> None:
        super().__init__({"enableRateLimit": False})
        self.listed, self.answers, self.asked = markets, answers, Counter[str]()
        self.has: dict[str, Any] = {
            **self.has,
            **{name: True for name in answers if name.startswith("watch")},
            "fetchCurrencies": False,
        }

    def describe(self) -> Any:
        return self.deep_extend(super().describe(), {"id": "local", "name": "Local", "timeout_on_exit": 0})

    async def fetch_markets(self, params: Any = {}) -> Any:  # noqa: B006
        return self.listed

    async def _answer(self, call: str, symbol: str) -> Any:
        self.asked[call] += 1
        found = self.answers[call](symbol)
        if isinstance(found, Exception):
            raise found
        if found is None:
            await asyncio.Event().wait()
        return found

    async def watch_trades(self, symbol: str, *_: Any) -> Any:
        return await self._answer("watchTrades", symbol)

    async def watch_ticker(self, symbol: str, *_: Any) -> Any:
        return await self._answer("watchTicker", symbol)

    async def fetch_trades(self, symbol: str, *_: Any) -> Any:
        return await self._answer("fetchTrades", symbol)

    async def fetch_ticker(self, symbol: str, *_: Any) -> Any:
        return await self._answer("fetchTicker", symbol)


def market(symbol: str, kind: str = "spot", **more: Any) -> dict[str, Any]:
    pair, _, settle = symbol.partition(":")
    base, _, quote = pair.partition("/")
    told = {"id": base + quote, "symbol": symbol, "base": base, "quote": quote, "type": kind, "active": True}
    told |= {one: one == kind for one in ("spot", "swap", "future", "option")}
    if settle:
        told |= {
            "settle": settle.partition("-")[0],
            "contract": True,
            "contractSize": 1.0,
            "linear": True,
            "inverse": False,
        }
    return told | {"precision": {"price": 0.01, "amount": 0.001}, **more}


async def listed(*markets: dict[str, Any]) -> Any:
    async with CcxtTransport(lambda: exchange.exact(Local(list(markets)))) as transport:
        return await transport.instruments(SOURCE)


async def test_contracts_of_every_kind_are_listed_with_their_terms() -> None:
    end = 1_798_704_000_000
    found = await listed(
        market("ETH/USD"),
        market("ETH/USD:ETH", "swap", inverse=True, linear=False, contractSize=10.0),
        market("ETH/USD:USD-261231", "future", id="ETH-31DEC", expiry=end, active=False),
        market(
            "ETH/USD:USD-261231-2500-P", "option", id="ETH-31DEC-2500-P", expiry=end, strike=2500.0, optionType="put"
        ),
        market("ETH/USD:USD", "index", id="ETHX"),
    )
    assert not found.refused
    spot, swap, future, option = found.entries
    assert [one.symbol for one in found.entries] == ["ETHUSD", "ETH/USD:ETH", "ETH-31DEC", "ETH-31DEC-2500-P"]
    assert [one.status for one in found.entries] == [
        ListingStatus.TRADING, ListingStatus.TRADING, ListingStatus.HALTED, ListingStatus.TRADING,
    ]  # fmt: skip
    assert spot.contract is None
    assert (swap.contract.kind, swap.contract.settle, swap.contract.inverse, str(swap.contract.size)) == (
        AssetClass.PERPETUAL,
        "ETH",
        True,
        "10",
    )
    assert (future.contract.kind, future.contract.expiry) == (AssetClass.FUTURE, datetime(2026, 12, 31, 8, tzinfo=UTC))
    terms = option.contract
    assert (terms.kind, str(terms.strike), terms.right, terms.expiry) == (
        AssetClass.OPTION,
        "2500",
        OptionRight.PUT,
        future.contract.expiry,
    )


async def test_a_market_that_cannot_be_read_is_refused_alone() -> None:
    found = await listed(market("ETH/USD"), market("BTC/USD:USD", "swap", contractSize="a lot"), market("ADA/USD"))
    assert [one.symbol for one in found.entries] == ["ETHUSD", "ADAUSD"]
    assert len(found.refused) == 1
    assert "BTCUSD" in found.refused[0] or "a lot" in found.refused[0]


@pytest.mark.parametrize(
    ("mode", "tick"), [(ccxt.TICK_SIZE, "2"), (ccxt.DECIMAL_PLACES, "0.01"), (ccxt.SIGNIFICANT_DIGITS, None)]
)
def test_each_of_ccxt_s_precision_modes_is_read(mode: int, tick: str | None) -> None:
    line = json.loads(messages.market_lines([market("ETH/USD", precision={"price": 2})], mode))[0]
    assert (Decimal(line["tick"]) if "tick" in line else None) == (Decimal(tick) if tick else None)


def ticker(bid: Any, ask: Any) -> dict[str, Any]:
    return {"bid": bid, "ask": ask, "bidVolume": None, "askVolume": 2.5, "timestamp": 1_700_000_000_123}


async def test_tickers_become_quotes_and_what_they_do_not_tell_is_absent() -> None:
    answers = iter([ticker(100.5, 101.0), ticker(100.5, 101.0), ticker(None, None), ticker(None, 102.25)])
    local = Local([market("ETH/USD")], {"watchTicker": lambda _: next(answers, None)})
    async with Run(CcxtTransport(lambda: exchange.exact(local)), [Channel.QUOTES]) as run:
        await run.until(lambda: len(run.session.sink.quotes) == 2)
        one, two = as_array(QUOTE, run.session.sink.quotes)
    assert (one["bid_price"], one["ask_price"], one["price_exponent"], one["venue_time_ns"]) == (
        1005,
        1010,
        -1,
        1_700_000_000_123_000_000,
    )
    assert one["flags"] & RecordFlag.BID_SIZE_ABSENT
    assert not one["flags"] & RecordFlag.ASK_SIZE_ABSENT
    assert two["flags"] & RecordFlag.BID_ABSENT
    assert two["ask_price"] == 10225


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ccxt.NetworkError("the line is down"), b"NetworkError: the line is down"),
        (ccxt.RateLimitExceeded("slower"), b"limited (RateLimitExceeded): slower"),
        (ConnectionResetError("gone"), b"ConnectionResetError: gone"),
    ],
)
async def test_an_error_that_concerns_all_ends_the_connection_with_its_reason(error: Exception, reason: bytes) -> None:
    local = Local([market("ETH/USD")], {"watchTrades": lambda _: error})
    async with CcxtTransport(lambda: exchange.exact(local), backoff=Backoff(first=30.0, cap=30.0)) as transport:
        kinds = []
        async for arrival in transport.arrivals(1):
            kinds.append(arrival.kind)
            if arrival.kind is ArrivalKind.OPENED:
                transport.submit(Send(0, '{"channel":"trades","symbol":"ETH/USD"}'))
            if arrival.kind is ArrivalKind.CLOSED:
                assert arrival.data == reason
                break
    assert kinds == [ArrivalKind.OPENED, ArrivalKind.CLOSED]
    assert local.asked["watchTrades"] == 1


async def test_a_stream_that_wants_a_key_is_polled_and_without_one_for_that_either_the_source_waits() -> None:
    refusal = ccxt.AuthenticationError("who are you")
    answers = iter([[{"id": "1", "price": 10.5, "amount": 0.25, "timestamp": 1_700_000_000_000}]])
    local = Local(
        [market("ETH/USD")], {"watchTrades": lambda _: refusal, "fetchTrades": lambda _: next(answers, refusal)}
    )
    async with CcxtTransport(lambda: exchange.exact(local), backoff=FAST, poll_seconds=0.01) as transport:
        seen = []
        async for arrival in transport.arrivals(1):
            seen.append(arrival.kind)
            if arrival.kind is ArrivalKind.OPENED:
                transport.submit(Send(0, '{"channel":"trades","symbol":"ETH/USD"}'))
            if arrival.kind is ArrivalKind.CLOSED:
                assert arrival.data == b"the key is refused or missing (AuthenticationError): who are you"
                break
    assert seen == [ArrivalKind.OPENED, ArrivalKind.FAILED, ArrivalKind.FRAME, ArrivalKind.CLOSED]
    waits = {
        kind: exchange.problem_of(kind("x"), local).retry_after
        for kind in (ccxt.PermissionDenied, ccxt.RateLimitExceeded, ccxt.BadSymbol)
    }
    assert waits == {ccxt.PermissionDenied: 60.0, ccxt.RateLimitExceeded: 10.0, ccxt.BadSymbol: None}


async def test_a_symbol_that_the_exchange_does_not_know_costs_no_other() -> None:
    def trades(symbol: str) -> Any:
        return ccxt.BadSymbol(symbol) if symbol == "BTC/USD" else [trade(local.asked["watchTrades"])]

    def trade(number: int) -> dict[str, Any]:
        return {"id": str(number), "price": 10.5, "amount": 0.25, "side": None, "timestamp": 1_700_000_000_000}

    local = Local([market("ETH/USD"), market("BTC/USD")], {"watchTrades": trades})
    async with Run(CcxtTransport(lambda: exchange.exact(local)), [Channel.TRADES]) as run:
        await run.until(lambda: len(run.session.sink.trades) > 5)
        assert run.session.rejects == {"REQUEST_FAILED": 1}
        assert {row[1:6] for row in run.trades()} == {(Decimal("10.5"), -1, Decimal("0.25"), -2, 0)}


async def test_a_stream_that_is_not_there_after_all_is_polled() -> None:
    trades = [{"id": "1", "price": 10.5, "amount": 0.25, "side": "sell", "timestamp": 1_700_000_000_000}]
    local = Local(
        [market("ETH/USD")],
        {"watchTrades": lambda _: ccxt.NotSupported("not here"), "fetchTrades": lambda _: trades},
    )
    async with Run(CcxtTransport(lambda: exchange.exact(local), poll_seconds=0.01), [Channel.TRADES]) as run:
        await run.until(lambda: local.asked["fetchTrades"] > 3)
    assert len(run.trades()) == 1
    assert local.asked["watchTrades"] == 1


async def test_a_poll_that_fails_is_made_again() -> None:
    trades = [{"id": "1", "price": 10.5, "amount": 0.25, "side": "sell", "timestamp": 1_700_000_000_000}]
    answers = iter([ccxt.RequestTimeout("late"), KeyError("no such field"), trades])
    local = Local([market("ETH/USD")], {"fetchTrades": lambda _: next(answers, trades)})
    async with Run(
        CcxtTransport(lambda: exchange.exact(local), backoff=FAST, poll_seconds=0.01), [Channel.TRADES]
    ) as run:
        await run.until(lambda: len(run.session.sink.trades) == 1)
        assert run.session.rejects == {"REQUEST_FAILED": 2}


async def test_a_trade_without_a_price_is_refused_alone() -> None:
    good = {"id": "1", "price": 10.5, "amount": 0.25, "side": "sell", "timestamp": 1_700_000_000_000}
    answers = iter([[good, {**good, "id": "2", "price": None}, {**good, "id": "3"}]])
    local = Local([market("ETH/USD")], {"watchTrades": lambda _: next(answers, None)})
    async with Run(CcxtTransport(lambda: exchange.exact(local)), [Channel.TRADES]) as run:
        await run.until(lambda: run.session.rejects)
        assert sorted(row[0] for row in run.trades()) == [1, 3]
        assert sum(run.session.rejects.values()) == 1


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**12, places=8))
def test_a_number_keeps_the_text_it_was_read_from(value: Decimal) -> None:
    text = f"{value:f}"
    number = messages.Number(text)
    assert messages.text_of(number) == text == str(number)
    assert float(number) == float(value)
    assert number == float(text)
    # Of a float alone the shortest decimal is told, which gives the same float.
    assert float(messages.text_of(float(text)) or "") == float(text)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2), st.booleans()), max_size=30),
    st.lists(st.integers(1, 8), max_size=12),
)
def test_overlapping_answers_give_every_trade_once(told: list[tuple[int, int, bool]], steps: list[int]) -> None:
    """Answers are windows of the newest trades that overlap; trades have numbers or not, and equal ones without a number are several trades."""
    at, history = 0, []
    for number, (wait, price, numbered) in enumerate(told):
        at += wait
        history.append(
            {"id": str(number) if numbered else None, "timestamp": at, "price": price, "amount": 1, "side": "buy"}
        )
    memory, given_out, seen = TradeMemory(), [], 0
    for step in [*steps, len(history)]:
        seen = min(len(history), seen + step)
        given_out += memory.fresh(list(reversed(history[:seen])))[0]
    assert Counter(map(str, given_out)) == Counter(map(str, history))


async def test_what_is_started_live_is_run_by_ccxt() -> None:
    config = load(CollectorConfig, {"METRICS_PORT": "off", "TRANSPORT": "live", "SOURCES": "WHITEBIT"})
    made = Fleet(config, None, None)._transport("WHITEBIT", "live")
    assert isinstance(made, CcxtTransport)
    async with made:
        assert type(made._exchange) is ccxt_pro.whitebit
    with pytest.raises(ConfigurationError, match="WHITEBIT"):
        load(CollectorConfig, {"METRICS_PORT": "off", "SOURCE_URLS": "WHITEBIT.rest=http://127.0.0.1:1"}).spec(
            "WHITEBIT"
        )


def test_the_catalogue_tells_what_is_streamed_and_what_is_polled() -> None:
    told = tool_catalogue.summary(SOURCES["LUNO"])
    assert (told["name"], told["channels"], told["verified by"]) == ("LUNO", ["trades", "quotes", "books"], ["adapter"])
    assert "Polled, since ccxt has no stream of them: quotes." in tool_catalogue.details(SOURCES["LUNO"])["notes"]
    assert tool_catalogue.details(SOURCES["BITSO"])["WebSocket"] == "none: it is polled"
