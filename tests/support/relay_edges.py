"""A relay and edges over its log without sockets, and a client that moves between them at any moment. Loaded by the tests of edges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from alphapulse.domain.domains import Domain
from alphapulse.runtime import Readiness
from relay_service.edge.core import EdgeCore
from relay_service.edge.follower import Follower
from relay_service.edge.log import EdgeLog
from relay_service.egress.fanout import FanOut
from relay_service.egress.settings import FanOutSettings
from relay_service.kernel.engine import KernelSettings
from relay_service.log.beats import Beats
from relay_service.log.relay_log import LogSettings
from support import relay_resuming as resuming

PATIENCE = 20.0


async def until(found: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if found():
                return
            await asyncio.sleep(0.002)


class Edge:
    """One edge, from `open` to `close`."""

    def __init__(self, world: Any, *, window: int = 1 << 16, queue_bytes: int = 1 << 16) -> None:
        settings = LogSettings(world._settings["name"], world._settings["url"], buffer_bytes=window)
        self.world = world
        self.core = EdgeCore(KernelSettings(registry_enabled=False, capacity=4))
        self.log = EdgeLog(settings)
        wanted = FanOutSettings("unused", registry_enabled=False, queue_bytes=queue_bytes, edge_id="edge")
        self.fanout = FanOut(self.core, wanted, {Domain.MARKET: self.log})
        self.readiness = Readiness()
        self.follower = Follower(self.core, self.log, self.fanout, self.readiness)

    async def open(self) -> Edge:
        await self.log.__aenter__()
        await self.follower.__aenter__()
        await asyncio.wait_for(self.follower.wait_caught_up(), PATIENCE)
        return self

    async def close(self) -> None:
        await self.follower.__aexit__(None, None, None)
        await self.log.__aexit__(None, None, None)

    async def level(self) -> None:
        """Everything the relay relayed has been handed on here."""
        await until(lambda: self.log.position[:2] >= self.world.log.position[:2])


class EdgeWorld(resuming.World):  # type: ignore[misc]
    """A relay, what it relayed, and edges by number."""

    def __init__(self, url: str, **log: Any) -> None:
        super().__init__(url, **log)
        self.edges: dict[int, Edge] = {}

    async def start(self) -> None:
        await super().start()
        self.beats = await Beats(self.log, lambda: self.fanout.beat().SerializeToString()).__aenter__()

    async def stop(self, *, crash: bool = False) -> None:
        await self.beats.__aexit__(None, None, None)
        await super().stop(crash=crash)

    async def edge(self, number: int, **settings: Any) -> Edge:
        """A new edge of this number."""
        self.edges[number] = await Edge(self, **settings).open()
        return self.edges[number]

    async def end(self) -> None:
        for edge in self.edges.values():
            await edge.close()
        await self.stop()

    def site(self, number: int) -> Any:
        """Where a client connects: 0 is the relay itself."""
        return self.edges[number] if number else self


async def play(url: str, chosen: dict[str, Any], contract: dict[str, Any], script: list[Any], window: int) -> None:
    """One client, two edges, and a script of what happens to them; then everything that was relayed is held against what came."""
    world = EdgeWorld(url)
    await world.start()
    try:
        for number in (1, 2):
            await world.edge(number, window=window)
        strategy = resuming.Strategy(world.site(1), chosen, contract)
        strategy.connect()
        strategy.read()
        lost = await _run(world, strategy, script, window)
        world.relay("A", resuming.TYPES[0], [1])  # losses of sources are logged with the event behind them
        for edge in world.edges.values():
            await edge.level()
        await strategy.settle()
        strategy.cut()
        resuming.check(world, strategy, lost, crashed=any(one[0] == "crash" for one in script))
    finally:
        await world.end()


async def _run(world: EdgeWorld, strategy: Any, script: list[Any], window: int) -> int:
    lost = site = 0
    site = 1

    def go(number: int) -> None:
        nonlocal site
        site, strategy.world = number, world.site(number)
        strategy.connect()

    for kind, *values in script:
        if kind == "relay":
            world.relay(*values)
        elif kind == "lose":
            world.lose(*values)
            lost += values[1] if not strategy.filter.get("sources") or values[0] in strategy.filter["sources"] else 0
        elif kind == "read":
            strategy.read(*values)
        elif kind == "beat":
            strategy.beat()
        elif kind == "turn":
            await asyncio.sleep(values[0] / 1000)
        elif kind == "level":
            await until(lambda: not world.log.unlogged)
            for edge in world.edges.values():
                await edge.level()
            await strategy.settle()
        elif kind == "move":
            strategy.cut()
            go(values[0])
        elif kind == "kill":
            [number] = values
            if site == number:
                strategy.cut()
            await world.edges[number].close()
            if site == number:
                go(3 - number)
            await world.edge(number, window=window)
        else:  # the relay is started anew
            if site == 0:
                strategy.cut()
            await world.stop(crash=kind == "crash")
            await world.start()
            if site == 0:
                go(0)
    return lost
