"""A local server that speaks as an exchange does which ccxt reads, and a source that runs against it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from alphapulse.client import Backoff
from alphapulse.records import TRADE
from collector_service.ccxt_adapter import exchange
from collector_service.ccxt_adapter.transport import CcxtTransport
from collector_service.listing_index import ListingIndex
from collector_service.rows import as_array
from collector_service.session import Session
from collector_service.sources import SOURCES
from collector_service.spec import Channel

ccxt = pytest.importorskip("ccxt", reason="ccxt is not installed")
import ccxt.async_support as ccxt_async  # noqa: E402, F401 - for the tests: here it is known to be installed
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
