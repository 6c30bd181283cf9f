"""What a host allows is shared by all sources of a process. Times are the server's, and only lower bounds: a slow machine is never too fast."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from alphapulse.client import Backoff
from collector_service.spec import Endpoints, Heartbeat, Limits
from collector_service.transport import Arrival, ArrivalKind, Fetch
from collector_service.transport.hosts import Hosts
from collector_service.transport.live import LiveTransport

SLACK = 0.02
"""Seconds that a clock and a timer may differ by."""


class Host:
    """A server that notes when it was asked for what."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, str]] = []
        self.refuse: list[str] = []
        """Retry-After of the answers to the next requests, which are refused."""
        self.address = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((time.monotonic(), request.path))
        if self.refuse:
            return web.Response(status=429, headers={"Retry-After": self.refuse.pop(0)})
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(text="{}")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        return socket

    def transport(self, hosts: Hosts, requests_per_second: float = 1_000.0) -> LiveTransport:
        endpoints = Endpoints(f"ws://{self.address}", f"http://{self.address}")
        limits = Limits(1, 1_000.0, requests_per_second)
        return LiveTransport(
            endpoints, "/feed", limits, Heartbeat(10.0), backoff=Backoff(first=0.01, cap=0.02), hosts=hosts
        )


@asynccontextmanager
async def serving() -> AsyncIterator[Host]:
    host = Host()
    app = web.Application()
    app.router.add_get("/{path:.*}", host.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host.address = f"127.0.0.1:{runner.addresses[0][1]}"
        yield host
    finally:
        await runner.cleanup()


async def arrivals_of(transport: LiveTransport, kind: ArrivalKind, count: int, paths: list[str]) -> list[Arrival]:
    """Asks for the paths, and waits for so many arrivals of a kind."""
    found: list[Arrival] = []
    for path in paths:
        transport.submit(Fetch(path))
    async with asyncio.timeout(20):
        async for arrival in transport.arrivals(1):
            found += [arrival] if arrival.kind is kind else []
            if len(found) == count:
                return found
    raise AssertionError("it ended")


async def test_sources_of_one_host_share_its_pace() -> None:
    async with serving() as host:
        hosts = Hosts()
        async with host.transport(hosts, 20.0) as one, host.transport(hosts, 20.0) as two:
            await asyncio.gather(
                arrivals_of(one, ArrivalKind.RESPONSE, 4, [f"/one/{n}" for n in range(4)]),
                arrivals_of(two, ArrivalKind.RESPONSE, 4, [f"/two/{n}" for n in range(4)]),
            )
        times = [at for at, path in host.asked if path != "/feed"]
        assert len(times) == 8
        assert times[-1] - times[0] >= 7 / 20 - SLACK


async def test_a_host_that_refuses_one_source_is_left_alone_by_all() -> None:
    async with serving() as host:
        hosts = Hosts()
        async with host.transport(hosts) as one, host.transport(hosts) as two:
            host.refuse = ["1"]
            first = asyncio.create_task(one._get("/first"))
            async with asyncio.timeout(20):
                while not hosts.of(f"http://{host.address}").stopped_for:  # noqa: ASYNC110 - the server's answer is on its way
                    await asyncio.sleep(0.005)
            seen = await arrivals_of(two, ArrivalKind.OPENED, 1, ["/second"])
            await first
        assert len(seen) == 1
        refused, later = host.asked[0][0], host.asked[1:]
        assert {path for _, path in later} >= {"/first", "/feed"}
        assert min(at for at, _ in later) - refused >= 1 - SLACK


async def test_connections_to_one_host_are_opened_at_its_pace() -> None:
    async with serving() as host:
        hosts = Hosts(connections_per_second=20.0)
        async with host.transport(hosts) as one, host.transport(hosts) as two:

            async def opened(transport: LiveTransport) -> None:
                count = 0
                async for arrival in transport.arrivals(3):
                    count += arrival.kind is ArrivalKind.OPENED
                    if count == 3:
                        return

            async with asyncio.timeout(20):
                await asyncio.gather(opened(one), opened(two))
        times = [at for at, _ in host.asked]
        assert len(times) == 6
        assert times[-1] - times[0] >= 5 / 20 - SLACK


async def test_hosts_are_apart() -> None:
    hosts = Hosts()
    assert hosts.of("https://api.example.com/v1?a=1") is hosts.of("https://API.example.com")
    hosts.of("https://api.example.com").stop(60.0)
    assert hosts.of("https://api.example.com").stopped_for > 50
    assert not hosts.of("https://other.example.com").stopped_for
