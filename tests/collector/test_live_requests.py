"""What a venue reads in our requests, over real sockets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from collector_service.compiler import compile_source
from collector_service.sources.binance import SPEC
from collector_service.spec import Const, Endpoints, Instruments, Line
from collector_service.transport import ArrivalKind
from collector_service.transport.live import LiveTransport


async def test_a_list_is_posted_and_a_websocket_names_its_origin() -> None:
    seen: dict[str, Any] = {}

    async def info(request: web.Request) -> web.Response:
        seen["method"], seen["path"], seen["type"] = request.method, request.path_qs, request.content_type
        seen["body"] = await request.json()
        return web.json_response({"universe": [{"name": "SOL"}]})

    async def stream(request: web.Request) -> web.WebSocketResponse:
        seen["origin"] = request.headers.get("Origin")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("{}")
        await socket.receive()
        return socket

    app = web.Application()
    app.add_routes([web.post("/info", info), web.get("/ws", stream)])
    async with TestServer(app) as server:
        address = str(server.make_url("")).rstrip("/")
        lines = (Line(symbol="name", base="name", quote=Const("USD")),)
        instruments = Instruments(path="/info#meta", post={"type": "meta"}, each="universe", lines=lines)
        endpoints = Endpoints(address.replace("http", "ws", 1), address, origin="https://exchange.some.where")
        spec = replace(
            SPEC, endpoints=endpoints, dialects=(replace(SPEC.dialects[0], instruments=(instruments,), path="/ws"),)
        )
        source = compile_source(spec)
        async with LiveTransport(source.endpoints, source.live.path, source.limits, source.heartbeat) as transport:
            assert [entry.symbol for entry in (await transport.instruments(source)).entries] == ["SOL"]
            async for arrival in transport.arrivals(1):
                if arrival.kind is ArrivalKind.FRAME:
                    break
    assert seen == {
        "method": "POST",
        "path": "/info",
        "type": "application/json",
        "body": {"type": "meta"},
        "origin": "https://exchange.some.where",
    }
