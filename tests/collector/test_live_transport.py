"""Live connections, over real sockets, to simulated venues served on this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web

from alphapulse.client import Backoff
from alphapulse.domain.provenance import Provenance, provenance_of
from alphapulse.records import LAYOUTS
from collector_service.compiler.address import compile_ticket
from collector_service.decode import report_of
from collector_service.runtime import RunnerOptions, SourceRunner, SourceState
from collector_service.session import Session
from collector_service.simulation import PAIRS as SIMULATED
from collector_service.simulation import Market, SimulatedVenue
from collector_service.simulation.server import VenueServer
from collector_service.source import Source
from collector_service.sources import SOURCES
from collector_service.spec import Channel, Endpoints, Heartbeat, Limits, Ticket
from collector_service.transport import Arrival, ArrivalKind, TransportError
from collector_service.transport.live import LiveTransport

VENUES = sorted(SIMULATED)
FAST = Limits(300, 1_000.0, 1_000.0)
PAIRS = frozenset({"BTC/USDT", "ETH/EUR", "ETH/BTC"})


def spec_at(server: VenueServer, source: str, heartbeat: Heartbeat | None = None) -> Source:
    spec = SOURCES[source]
    endpoints = Endpoints(server.websocket_url, server.rest_url)
    return replace(spec, endpoints=endpoints, limits=FAST, heartbeat=heartbeat or spec.heartbeat)


def transport_of(spec: Source) -> LiveTransport:
    return LiveTransport(
        spec.endpoints,
        spec.live.path,
        spec.limits,
        spec.heartbeat,
        address=spec.live.address,
        backoff=Backoff(first=0.01, cap=0.05),
    )


@asynccontextmanager
async def served(source: str, rate: float = 1_500.0) -> AsyncIterator[VenueServer]:
    async with VenueServer(SimulatedVenue(SOURCES[source], Market(1, 1_700_000_000_000_000_000), rate)) as server:
        yield server


@asynccontextmanager
async def running(spec: Source) -> AsyncIterator[SourceRunner]:
    runner = SourceRunner(
        spec, lambda: transport_of(spec), options=RunnerOptions(pairs=PAIRS), backoff=Backoff(first=0.01, cap=0.05)
    )
    task = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert runner.status().state is SourceState.STOPPED


async def until(condition: Callable[[], bool]) -> None:
    """Polls: what is waited for happens on the other side of a socket."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the other side has no event to wait for
            await asyncio.sleep(0.005)


def in_step(runner: SourceRunner) -> bool:
    books = runner.session.emitter.books if runner.session is not None else {}
    return len(books) == len(PAIRS) and all(machine.synced for machine in books.values())


@pytest.mark.parametrize("source", VENUES)
async def test_a_live_source_delivers_and_its_books_are_the_venues(source: str) -> None:
    async with served(source) as server, running(spec_at(server, source)) as runner:
        await until(lambda: in_step(runner) and runner.status().events[1] > 20 and runner.status().events[3] > 500)
        status = runner.status()
        assert status.state is SourceState.RUNNING
        assert not status.rejects
        assert not status.unknown_messages
        assert status.book_resyncs == 0
        assert runner.provenance is Provenance.LIVE


@pytest.mark.parametrize("source", VENUES)
async def test_a_cut_connection_comes_back_and_the_books_are_built_again(source: str) -> None:
    async with served(source) as server, running(spec_at(server, source)) as runner:
        await until(lambda: in_step(runner))
        assert runner.session is not None
        before = dict(runner.session.emitter.book_updates)
        await server.cut()
        await until(lambda: runner.status().reconnects == 1)
        await until(lambda: in_step(runner) and runner.status().state is SourceState.RUNNING)
        assert server.connections == 2
        assert all(runner.session.emitter.book_updates[symbol] > count for symbol, count in before.items())
        assert not runner.status().rejects


@pytest.mark.parametrize("source", VENUES)
async def test_garbage_from_the_venue_costs_nothing_else(source: str) -> None:
    async with served(source) as server, running(spec_at(server, source)) as runner:
        await until(lambda: in_step(runner))
        server.inject(b'{"half')
        server.inject(b"[1,2")
        await until(lambda: sum(runner.status().rejects.values()) == 2)
        trades = runner.status().events[1]
        await until(lambda: runner.status().events[1] > trades and in_step(runner))


async def test_a_venue_that_falls_silent_is_left_and_found_again() -> None:
    async with served("KRAKEN", rate=1.0) as server:
        server.is_silent = True
        async with running(spec_at(server, "KRAKEN", Heartbeat(stale_after_s=0.05))) as runner:
            await until(lambda: runner.status().reconnects >= 2)
            assert server.connections >= 2


async def test_retry_after_is_kept_to() -> None:
    async with served("BINANCE") as server:
        server.refuse_requests = [(429, "0"), (503, "")]
        spec = spec_at(server, "BINANCE")
        async with transport_of(spec) as transport:
            assert (await transport.instruments(spec)).entries
            assert sum(server.requests.values()) == 3
            server.refuse_requests = [(418, "0")] * 2 + [(418, "7")]
            with pytest.raises(TransportError) as caught:
                await transport.instruments(spec)
            assert caught.value.retry_after == 7


async def test_a_venue_that_is_not_there_is_backed_off_from_and_waited_for() -> None:
    async with served("COINBASE") as server:
        spec = spec_at(server, "COINBASE")
        server.refuse_requests = [(503, "")] * 4
        async with running(spec) as runner:
            await until(lambda: in_step(runner))
            assert server.requests["/products"] >= 5


async def test_rows_of_a_live_source_are_whole() -> None:
    async with served("BINANCE") as server:
        spec = spec_at(server, "BINANCE")
        async with transport_of(spec) as transport:
            runner = SourceRunner(spec, lambda: transport, options=RunnerOptions(pairs=PAIRS))
            listed = await transport.instruments(spec)
            runner.listings.learn(listed.entries)
            chosen = [entry for entry in listed.entries if entry.pair in PAIRS]
            session = Session(spec, runner.listings, Provenance.LIVE, subscriptions=[chosen])
            async for arrival in transport.arrivals(1):
                for request in session.handle(arrival):
                    transport.submit(request)
                if session.frames > 300:
                    break
        found = report_of(session)
        for kind, rows in found.rows.items():
            assert LAYOUTS[kind].is_rows(rows.tobytes())
            assert {provenance_of(int(flags)) for flags in set(rows["flags"])} == {Provenance.LIVE}


async def test_a_connection_that_cannot_be_made_in_time_is_not_called_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served("COINBASE") as server, transport_of(spec_at(server, "COINBASE")) as transport:
        faults: list[Exception] = [aiohttp.ConnectionTimeoutError("no answer in time"), RuntimeError("unforeseen")]

        def connect(*_: object, **__: object) -> None:
            raise faults.pop(0)

        assert transport._client is not None
        monkeypatch.setattr(transport._client, "ws_connect", connect)
        arrivals = transport.arrivals(1)
        async with asyncio.timeout(20):
            first, second = await anext(arrivals), await anext(arrivals)
        assert (first.kind, second.kind) == (ArrivalKind.CLOSED, ArrivalKind.CLOSED)
        assert b"ConnectionTimeoutError" in first.data
        assert b"unforeseen" in second.data
        await arrivals.aclose()  # type: ignore[attr-defined]


async def test_a_venue_that_gives_addresses_is_asked_before_each_connection() -> None:
    """The first answer has no address, which is told; each further one is for one connection, whose ticket nobody else gets to see."""
    asked: list[str] = []
    shown: list[str] = []

    async def ticket(_: web.Request) -> web.Response:
        asked.append(f"t{len(asked)}")
        return web.json_response({"token": asked[-1], "at": f"ws://127.0.0.1:{port}/feed"} if asked[1:] else {})

    async def feed(request: web.Request) -> web.WebSocketResponse:
        shown.append(request.query["token"])
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("{}")
        return socket

    app = web.Application()
    app.add_routes([web.post("/bullet", ticket), web.get("/feed", feed)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        address = compile_ticket(Ticket(path="/bullet", url="{at}?token={token}"), "TEST.ticket")
        endpoints = Endpoints("ws://127.0.0.1:1", f"http://127.0.0.1:{port}")
        backoff = Backoff(first=0.01, cap=0.05)
        async with LiveTransport(endpoints, "", FAST, Heartbeat(10.0), address=address, backoff=backoff) as transport:
            arrivals = transport.arrivals(1)
            seen: list[Arrival] = []
            async with asyncio.timeout(20):
                while sum(one.kind is ArrivalKind.FRAME for one in seen) < 2:
                    seen.append(await anext(arrivals))
            await arrivals.aclose()  # type: ignore[attr-defined]
    finally:
        await runner.cleanup()
    assert seen[0].kind is ArrivalKind.CLOSED
    assert b"/bullet: no address in the answer" in seen[0].data
    assert shown[:2] == ["t1", "t2"]
    assert {one.url for one in seen if one.kind is ArrivalKind.OPENED} == {f"ws://127.0.0.1:{port}/feed"}


async def test_symbols_of_one_socket_are_on_one_connection() -> None:
    """Perpetuals of coins and of USDT have a socket each; every symbol is asked for where it is."""
    said: dict[str, list[str]] = {"swap": [], "linear-swap": []}

    def listed(kind: str, codes: str) -> web.RouteDef:
        lines = [
            {"contract_code": code, "contract_size": 1, "price_tick": 0.1, "contract_status": 1}
            for code in codes.split()
        ]

        async def answer(_: web.Request) -> web.Response:
            return web.json_response({"status": "ok", "data": lines})

        return web.get(f"/{kind}-api/v1/swap_contract_info", answer)

    async def feed(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            said[request.match_info["kind"]].append(json.loads(message.data).get("sub"))
        return socket

    app = web.Application()
    app.add_routes([listed("swap", "BTC-USD ETH-USD"), listed("linear-swap", "BTC-USDT"), web.get("/{kind}-ws", feed)])
    server = web.AppRunner(app)
    await server.setup()
    try:
        await web.TCPSite(server, "127.0.0.1", 0).start()
        at = f"127.0.0.1:{server.addresses[0][1]}"
        spec = replace(SOURCES["HUOBI_SWAP"], endpoints=Endpoints(f"ws://{at}", f"http://{at}"), limits=FAST)
        options = RunnerOptions(pairs=None, channels=(Channel.TRADES,))
        task = asyncio.create_task(SourceRunner(spec, lambda: transport_of(spec), options=options).run())
        try:
            await until(lambda: len(said["swap"]) == 2 and len(said["linear-swap"]) == 1)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    finally:
        await server.cleanup()
    assert said == {
        "swap": ["market.BTC-USD.trade.detail", "market.ETH-USD.trade.detail"],
        "linear-swap": ["market.BTC-USDT.trade.detail"],
    }
