"""What venues with keys read and say, over real sockets: sources of shares as they are told, against servers that act as their documentation says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestServer

from alphapulse.client import Backoff
from alphapulse.records import QUOTE, TRADE, TRADING_STATUS
from collector_service.runtime import RunnerOptions, SourceRunner, SourceState
from collector_service.source import Source
from collector_service.sources import SOURCES
from collector_service.spec import Limits
from collector_service.transport import ArrivalKind, TransportError
from collector_service.transport.live import LiveTransport

KEYS = {
    "APCA_API_KEY_ID": "key-of-alpaca",
    "APCA_API_SECRET_KEY": 'pass"of\\alpaca',
    "MASSIVE_API_KEY": "key-of-massive",
    "FINNHUB_API_KEY": "key-of-finnhub",
}
ASSET = {"class": "us_equity", "exchange": "NASDAQ", "name": "Apple Inc.", "status": "active", "cusip": "037833100"}


@asynccontextmanager
async def served(app: web.Application, name: str) -> AsyncIterator[Source]:
    """A source whose venue is this application."""
    async with TestServer(app) as server:
        address = str(server.make_url("")).rstrip("/")
        source = SOURCES[name]
        endpoints = replace(source.endpoints, websocket=address.replace("http", "ws", 1), rest=address)
        yield replace(source, endpoints=endpoints, limits=Limits(1_000, 1_000.0, 1_000.0))


def transport_of(source: Source, secrets: dict[str, str]) -> LiveTransport:
    return LiveTransport(
        source.endpoints,
        source.live.path,
        source.limits,
        source.heartbeat,
        backoff=Backoff(0.01, 0.02),
        secrets=secrets,
    )


async def until(found: Callable[[], object]) -> None:
    async with asyncio.timeout(10.0):
        while not found():  # noqa: ASYNC110 - a server in this loop
            await asyncio.sleep(0.01)


async def test_a_key_is_shown_first_and_subscriptions_wait_until_it_is_taken() -> None:
    heard: list[Any] = []

    async def assets(request: web.Request) -> web.Response:
        heard.append((request.headers["APCA-API-KEY-ID"], request.headers["APCA-API-SECRET-KEY"]))
        return web.json_response([{**ASSET, "symbol": "AAPL"}, {**ASSET, "symbol": "MSFT", "cusip": None}])

    async def stream(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str('[{"T":"success","msg":"connected"}]')
        heard.append(await socket.receive_json())
        # Nothing is asked for before the answer.
        with pytest.raises(asyncio.TimeoutError):
            await socket.receive(timeout=0.1)
        await socket.send_str('[{"T":"success","msg":"authenticated"}]')
        heard.extend([await socket.receive_json() for _ in range(3)])
        await socket.send_str(
            '[{"T":"t","S":"AAPL","i":1,"p":126.550,"s":1,"t":"2021-02-22T15:51:44.208Z","c":["new"]},'
            '{"T":"q","S":"AAPL","bp":126.5,"bs":1,"ap":126.6,"as":4,"t":"2021-02-22T15:51:45.335689322Z"},'
            '{"T":"t","S":"AAPL","i":2,"p":-1,"s":1,"t":"2021-02-22T15:51:44.208Z"},'
            '{"T":"s","S":"AAPL","sc":"H","t":"2021-02-22T19:15:00Z"},'
            '{"T":"x","S":"AAPL","i":1},{"T":"error","code":405,"msg":"symbol limit exceeded"}]'
        )
        await socket.receive()
        return socket

    app = web.Application()
    app.add_routes([web.get("/v2/assets", assets), web.get("/v2/iex", stream)])
    with structlog.testing.capture_logs() as logs:
        async with served(app, "ALPACA") as source:
            transport = transport_of(source, KEYS)
            runner = SourceRunner(source, lambda: transport, options=RunnerOptions(pairs=frozenset({"AAPL"})))
            task = asyncio.create_task(runner.run())
            try:
                await until(lambda: runner.status().events.get(TRADING_STATUS.event_type))
                await until(lambda: runner.status().unknown_messages)
                status = runner.status()
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
    assert heard == [
        ("key-of-alpaca", 'pass"of\\alpaca'),
        {"action": "auth", "key": "key-of-alpaca", "secret": 'pass"of\\alpaca'},
        {"action": "subscribe", "trades": ["AAPL"]},
        {"action": "subscribe", "statuses": ["AAPL"]},
        {"action": "subscribe", "quotes": ["AAPL"]},
    ]
    # A message that cannot be read costs none of those beside it.
    assert status.events == {TRADE.event_type: 1, QUOTE.event_type: 1, TRADING_STATUS.event_type: 1}
    assert status.unknown_messages == {"x": 1}
    assert sum(status.rejects.values()) == 2
    assert status.rejects["VENUE_CODE"] == 1
    assert status.state is SourceState.RUNNING
    shown = f"{logs}{status}"
    assert not any(part in shown for part in ("of-alpaca", "of\\alpaca"))


async def test_a_list_is_read_to_its_end() -> None:
    asked: list[str] = []

    async def tickers(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        assert request.headers["Authorization"] == "Bearer key-of-massive"
        page = int(request.query.get("cursor", "0"))
        line = {
            "name": f"Number {page}",
            "type": "CS",
            "primary_exchange": "XNYS",
            "currency_name": "usd",
            "active": True,
        }
        more = {"next_url": f"https://api.massive.com/v3/reference/tickers?cursor={page + 1}"} if page < 2 else {}
        return web.json_response({"results": [{**line, "ticker": f"T{page}"}], **more})

    app = web.Application()
    app.add_routes([web.get("/v3/reference/tickers", tickers)])
    async with served(app, "MASSIVE") as source, transport_of(source, KEYS) as transport:
        listed = await transport.instruments(source)
    assert [entry.symbol for entry in listed.entries] == ["T0", "T1", "T2"]
    # What the venue calls the next part is asked for at the address we know.
    assert asked == [
        "/v3/reference/tickers?market=stocks&active=true&limit=1000",
        "/v3/reference/tickers?cursor=1",
        "/v3/reference/tickers?cursor=2",
    ]


async def test_a_key_in_an_address_is_seen_by_the_venue_alone() -> None:
    seen: list[str] = []

    async def stream(request: web.Request) -> web.WebSocketResponse:
        seen.append(request.query["token"])
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str('{"type":"ping"}')
        await socket.receive()
        return socket

    app = web.Application()
    app.add_routes([web.get("/", stream)])
    async with served(app, "FINNHUB") as source, transport_of(source, KEYS) as transport:
        async for arrival in transport.arrivals(1):
            if arrival.kind is ArrivalKind.OPENED:
                assert arrival.url.endswith("/?token={secret:FINNHUB_API_KEY}")
            if arrival.kind is ArrivalKind.FRAME:
                break
    assert seen == ["key-of-finnhub"]


async def test_an_address_that_leads_in_a_circle_is_not_shown() -> None:
    async def circle(request: web.Request) -> web.Response:
        raise web.HTTPFound(request.path_qs)

    app = web.Application()
    app.add_routes([web.get("/", circle)])
    async with served(app, "FINNHUB") as source, transport_of(source, KEYS) as transport:
        async for arrival in transport.arrivals(1):
            assert arrival.kind is ArrivalKind.CLOSED
            break
    assert b"TooManyRedirects" in arrival.data
    assert b"key-of-finnhub" not in arrival.data


async def test_a_key_does_not_follow_a_redirection() -> None:
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request.path)
        raise web.HTTPFound("/stolen")

    app = web.Application()
    app.add_routes([web.get("/api/v1/stock/symbol", elsewhere), web.get("/stolen", elsewhere)])
    async with served(app, "FINNHUB") as source, transport_of(source, KEYS) as transport:
        with pytest.raises(TransportError, match="status 302"):
            await transport.instruments(source)
    assert set(asked) == {"/api/v1/stock/symbol"}


@pytest.mark.parametrize(
    ("name", "key"), [("ALPACA", "APCA_API_KEY_ID"), ("MASSIVE", "MASSIVE_API_KEY"), ("FINNHUB", "FINNHUB_API_KEY")]
)
async def test_a_key_that_nobody_told_is_named(name: str, key: str) -> None:
    app = web.Application()
    async with served(app, name) as source, transport_of(source, {}) as transport:
        with pytest.raises(TransportError, match=f"needs {key}: set it in the environment"):
            await transport.instruments(source)
        async for arrival in transport.arrivals(1):
            if arrival.kind is ArrivalKind.CLOSED:
                break
        if name == "FINNHUB":
            assert f"needs {key}".encode() in arrival.data
