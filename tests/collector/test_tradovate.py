"""Tradovate against a local server: signing in, the list as a join of what it answers, and a conversation in frames with a letter before them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import structlog.testing
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.client import Backoff
from alphapulse.domain.instruments import FutureDetails
from alphapulse.domain.provenance import Provenance
from alphapulse.records import BOOK_LEVEL, QUOTE
from collector_service.instruments import instrument_of, listing_of
from collector_service.listing_index import ListingIndex
from collector_service.runtime import RunnerOptions, SourceRunner
from collector_service.session import Session
from collector_service.source import Source
from collector_service.sources import SOURCES
from collector_service.spec import Heartbeat, Limits
from collector_service.transport.base import Arrival, ArrivalKind, TransportError
from collector_service.transport.live import LiveTransport

KEYS = {
    "TRADOVATE_NAME": "me",
    "TRADOVATE_PASSWORD": 'pass"word',
    "TRADOVATE_APP_ID": "app",
    "TRADOVATE_CID": "7",
    "TRADOVATE_SEC": "sec-of-app",
}
FAR, PAST = "2036-12-19T14:30Z", "2016-12-16T14:30Z"


def product(name: str, number: int, **told: Any) -> dict[str, Any]:
    return {
        "id": number, "name": name, "currencyId": 1, "exchangeId": 5, "contractGroupId": 1, "status": "Verified", "description": f"{name}!",
        "valuePerPoint": 50.0, "tickSize": 0.25, "productType": "Futures", "priceFormatType": "Decimal", "priceFormat": -2, **told,
    }  # fmt: skip


class Venue:
    """Tradovate's words. `asked` counts what was asked for."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.signed: list[Any] = []
        self.heard: list[str] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.answer: dict[str, Any] = {"accessToken": "token-1", "expirationTime": FAR}
        self.products = {
            "ES": product("ES", 10),
            "CL": product("CL", 20, exchangeId=6, valuePerPoint=1000, tickSize=0.01),
            "GC": product("GC", 30, exchangeId=7),
            "6E": product("6E", 40, priceFormatType="Fractional"),
        }

    async def sign_in(self, request: web.Request) -> web.Response:
        self.signed.append((await request.json(), "Authorization" in request.headers))
        return web.json_response(self.answer)

    async def rest(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer token-1"
        self.asked[request.path] += 1
        path, query = request.path, request.query
        if path == "/product/find":
            found = self.products.get(query["name"])
            return web.json_response(found) if found else web.Response(text="null")
        if path == "/contractMaturity/deps":
            at = int(query["masterid"])
            return web.json_response(
                [{"id": at + 1, "productId": at, "expirationMonth": 203612, "expirationDate": FAR, "isFront": True},
                 {"id": at + 2, "productId": at, "expirationMonth": 201612, "expirationDate": PAST, "isFront": False}]
            )  # fmt: skip
        if path == "/contract/ldeps":
            names = {11: "ESZ6", 21: "CLZ6", 31: "GCZ6", 41: "6EZ6"}
            ids = [int(one) for one in query["masterids"].split(",")]
            return web.json_response([{"id": 1000 + one, "name": names[one], "contractMaturityId": one} for one in ids])
        if path == "/exchange/items":
            return web.json_response(
                [{"id": 5, "name": "CME", "micCode": "XCME"}, {"id": 6, "name": "NYMEX", "micCode": "NYMEX"}, {"id": 7, "name": "x"}]
            )  # fmt: skip
        assert path == "/currency/items"
        return web.json_response([{"id": 1, "name": "USD", "symbol": "$"}])

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        await socket.send_str("o")
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            self.heard.append(message.data)
            if message.data.startswith("authorize\n0\n\n"):
                token = message.data.rpartition("\n")[2]
                await socket.send_str(f'a[{{"s":{200 if token == "token-1" else 401},"i":0}}]')
            elif message.data.startswith("md/"):
                number = message.data.split("\n")[1]
                await socket.send_str(f'a[{{"s":200,"i":{number},"d":{{"subscriptionId":1}}}}]')
        return socket


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Venue, Source]]:
    venue = Venue()
    app = web.Application()
    app.router.add_post("/auth/accesstokenrequest", venue.sign_in)
    app.router.add_get("/v1/websocket", venue.stream)
    app.router.add_get("/{tail:.*}", venue.rest)
    async with TestServer(app) as server:
        address = str(server.make_url("")).rstrip("/")
        source = SOURCES["TRADOVATE"]
        endpoints = replace(source.endpoints, websocket=address.replace("http", "ws", 1), rest=address)
        heartbeat = Heartbeat(stale_after_s=10.0, ping="[]", interval_s=0.05)
        yield venue, replace(source, endpoints=endpoints, limits=Limits(1_000, 1_000.0, 1_000.0), heartbeat=heartbeat)


def transport_of(source: Source, secrets: dict[str, str]) -> LiveTransport:
    return LiveTransport(
        source.endpoints, source.live.path, source.limits, source.heartbeat, backoff=Backoff(0.01, 0.02), secrets=secrets, sign_in=source.sign_in
    )  # fmt: skip


async def until(found: Callable[[], object]) -> None:
    async with asyncio.timeout(10.0):
        while not found():  # noqa: ASYNC110 - a server in this loop
            await asyncio.sleep(0.01)


async def test_futures_are_listed_at_their_exchange_with_one_token_for_all_requests() -> None:
    async with served() as (venue, source), transport_of(source, KEYS) as transport:
        listed = await transport.instruments(source)
        body = {
            "name": "me",
            "password": 'pass"word',
            "appId": "app",
            "appVersion": "1.0",
            "cid": "7",
            "sec": "sec-of-app",
        }
        assert venue.signed == [(body, False)]
        assert [entry.symbol for entry in listed.entries] == ["ESZ6", "CLZ6"]
        made = [(listing_of(one, "TRADOVATE").venue, str(one.rules.tick_size), one.aliases) for one in listed.entries]
        assert made == [("XCME", "0.25", ("1011",)), ("XNYM", "0.01", ("1021",))]
        details = instrument_of(listed.entries[0], "TRADOVATE").details
        assert isinstance(details, FutureDetails)
        assert (details.series, str(details.contract_size), str(details.expiry)) == ("ES", "50", "2036-12-19 00:00:00+00:00")  # fmt: skip
        # A product that is not there, an exchange without a code, prices in fractions: each refused alone.
        told = {one.partition(":")[0] for one in listed.refused}
        assert told >= {"NQ", "GC", "6E"}
        assert not told & {"ES", "CL"}


async def test_quotes_and_books_come_after_the_token_was_taken_and_the_connection_is_kept() -> None:
    with structlog.testing.capture_logs() as logs:
        async with served() as (venue, source):
            options = RunnerOptions(pairs=frozenset({"ESZ6"}))
            runner = SourceRunner(source, lambda: transport_of(source, KEYS), options=options)
            task = asyncio.create_task(runner.run())
            try:
                await until(lambda: sum(one.startswith("md/") for one in venue.heard) == 2 and "[]" in venue.heard)
                assert [one for one in venue.heard if one != "[]"] == [
                    "authorize\n0\n\ntoken-1",
                    'md/subscribeQuote\n11011\n\n{"symbol":"ESZ6"}',
                    'md/subscribeDOM\n21011\n\n{"symbol":"ESZ6"}',
                ]
                quote = {"Bid": {"price": 6000.25, "size": 3}, "Offer": {"price": 6000.5, "size": 4}}
                dom = {"contractId": 1011, "timestamp": "2026-11-30T10:00:00.5Z", "bids": [{"price": 6000.25, "size": 3}], "offers": []}  # fmt: skip
                events = [
                    {"e": "md", "d": {"quotes": [{"timestamp": dom["timestamp"], "contractId": 1011, "entries": quote}]}},
                    # Of other figures alone, it is no quote.
                    {"e": "md", "d": {"quotes": [{"timestamp": dom["timestamp"], "contractId": 1011, "entries": {}}]}},
                    {"e": "md", "d": {"doms": [dom]}},
                    {"e": "clock", "d": "{}"},
                    {"s": 200, "i": 9, "d": {"errorText": "no data"}},
                    {"s": 404, "i": 9, "d": "Not found"},
                ]  # fmt: skip
                await venue.sockets[0].send_str("h")
                await venue.sockets[0].send_str("a" + json.dumps(events))
                await until(lambda: runner.status().rejects.get("VENUE_ERROR") == 2)
                status = runner.status()
                assert status.events == {QUOTE.event_type: 1, BOOK_LEVEL.event_type: 1}
                assert status.unknown_messages == {"event clock": 1}
                # The token still holds when the connection does not.
                await venue.sockets[0].close()
                await until(lambda: len(venue.sockets) == 2)
                assert len(venue.signed) == 1
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
    shown = str(logs)
    assert not any(secret in shown for secret in ("token-1", "sec-of-app", "word"))


async def test_a_venue_that_gives_no_token_is_left_alone_for_a_while() -> None:
    async with served() as (venue, source):
        venue.answer = {"errorText": "Incorrect sec-of-app", "p-ticket": "x"}
        async with transport_of(source, KEYS) as transport:
            with pytest.raises(TransportError, match="the venue gave no accessToken") as refused:
                await transport.instruments(source)
        assert refused.value.retry_after == 60.0
        assert "sec-of-app" not in str(refused.value)
        async with transport_of(source, {**KEYS, "TRADOVATE_SEC": ""}) as transport:
            with pytest.raises(TransportError, match="needs TRADOVATE_SEC"):
                await transport.instruments(source)
        assert len(venue.signed) == 1


async def test_requests_at_one_time_sign_in_once_and_again_when_the_token_ends() -> None:
    async with served() as (venue, source):
        assert source.sign_in is not None
        async with transport_of(source, KEYS) as transport:
            await asyncio.gather(*(transport._get("/product/find?name=ES") for _ in range(5)))
            assert len(venue.signed) == 1
        short = replace(source, sign_in=replace(source.sign_in, lifetime_s=0.0))
        async with transport_of(short, KEYS) as transport:
            for _ in range(2):
                await transport._get("/product/find?name=ES")
            assert len(venue.signed) == 3


_NAMES = st.sampled_from(("e", "s", "i", "d", "quotes", "doms", "entries"))
_VALUES = st.none() | st.integers() | st.text(max_size=4) | st.sampled_from(("md", "200", "quotes"))
_MESSAGES = st.recursive(
    _VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4), max_leaves=10
)
_FRAMES = st.binary(max_size=20) | _MESSAGES.map(lambda told: json.dumps([told]).encode())


@settings(deadline=None, max_examples=100)
@given(st.sampled_from((b"", b"a", b"o", b"h", b"c")), _FRAMES)
def test_no_frame_ends_the_session(letter: bytes, told: bytes) -> None:
    source = SOURCES["TRADOVATE"]
    session = Session(source, ListingIndex(source.venue), Provenance.LIVE)
    session.handle(Arrival(ArrivalKind.OPENED, 1))
    session.handle(Arrival(ArrivalKind.FRAME, 1, letter + told))
    assert not session.sink.take().get(QUOTE.event_type)
