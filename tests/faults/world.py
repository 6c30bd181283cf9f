"""The processes of the harness, the proxies between them, and the witness."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.api.relay.v1.relay_service_pb2_grpc import RelayServiceStub
from alphapulse.embedded import LaunchOptions, ValkeyStore
from faults.control import Controller
from faults.plan import CLIENTS, EDGES, FEEDERS, PART_OF, RELAYS, SITES
from faults.proxy import Proxy, Routes
from faults.reader import Reader

QUEUE_BYTES: Final = 4 << 20
"""What may wait for one subscriber of the relay."""
PATIENCE: Final = 60.0
_PROGRAM: Final = Path(__file__).with_name("process.py")


class Process:
    """One process that was started, and what it says."""

    def __init__(self, role: str, name: str, folder: Path, environment: dict[str, str]) -> None:
        self.says = folder / f"{name}.says"
        command = [sys.executable, str(_PROGRAM), role, name, str(folder / "control")]
        with self.says.open("w") as said:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env={**os.environ, **environment}
            )

    def signal(self, number: int) -> None:
        """Send a signal; one that has ended gets none."""
        self._process.send_signal(number)

    async def ended(self) -> None:
        """Until it has ended."""
        async with asyncio.timeout(PATIENCE):
            while not self.has_ended:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.001)

    @property
    def has_ended(self) -> bool:
        """Whether it has."""
        return self._process.poll() is not None


class World:
    """Everything that runs. What an episode kills it starts again."""

    def __init__(self, folder: Path, planted: str = "", partitions: int = 1) -> None:
        self.folder = folder
        self.relays = RELAYS[:partitions]
        """By partition."""
        self.planted = planted
        self.control = Controller()
        self.processes: dict[str, Process] = {}
        self.ports = dict.fromkeys(SITES, 0)
        """Of gRPC, where clients can be served."""
        self.witnesses = {name: Reader(patience=None, resumes=False) for name in self.relays}
        self.witness_journals = {name: folder / f"witness.{name}.journal" for name in self.relays}
        self.server = ValkeyStore(folder / "valkey", LaunchOptions(durable=False, remove_with_parent=True))
        self.proxies = {
            (name, relay): Proxy(str(folder / f"{name}.{relay}.in"), self._ingress(relay))
            for name in FEEDERS
            for relay in self.relays
        }
        self.logs = {name: Proxy(0, lambda: self.server.port) for name in EDGES}
        pairs = [(name, site) for name in CLIENTS for site in (*self.relays, *EDGES)]
        self.unix = {(name, site): Proxy(str(folder / f"{name}.{site}"), self._socket(site)) for name, site in pairs}
        self.grpc = {(name, site): Proxy(0, self._port(site)) for name, site in pairs}

    def _ingress(self, relay: str) -> Callable[[], str]:
        return lambda: str(self.folder / f"{relay}.in")

    def _socket(self, site: str) -> Callable[[], str]:
        return lambda: str(self.folder / f"{site}.out")

    def _port(self, site: str) -> Callable[[], int]:
        return lambda: self.ports[site]

    @property
    def _all_proxies(self) -> list[Proxy]:
        groups: tuple[Mapping[Any, Proxy], ...] = (self.proxies, self.logs, self.unix, self.grpc)
        return [one for group in groups for one in group.values()]

    def _environment(self, site: str) -> dict[str, str]:
        """The variables of the relay, or of an edge."""
        own = {"RELAY_LOG_URL": self.server.url, "RELAY_INGRESS_SOCKET": self._ingress(site)()}
        if site in EDGES:
            way = self.server.url.replace(f":{self.server.port}/", f":{self.logs[site].near}/")
            own = {"RELAY_ROLE": "edge", "RELAY_EDGE_ID": site, "RELAY_LOG_URL": way}
        if site == EDGES[-1]:
            own["RELAY_LOG_BUFFER_BYTES"] = str(1 << 16)  # so that resumes read the server
        if len(self.relays) > 1:
            own["RELAY_PARTITION"] = f"{PART_OF[site]}/{len(self.relays)}"
        return own | {
            "RELAY_TOKEN_KEY": "the same for all lives",
            "RELAY_EGRESS_SOCKET": self._socket(site)(),
            "RELAY_QUEUE_BYTES": str(QUEUE_BYTES),
            "RELAY_SLOW_SECONDS": "0.05",
            "REGISTRY_ENABLED": "false",
            "GRPC_PORT": str(self.ports[site]),
            "METRICS_PORT": "off",
            "LOG_LEVEL": "WARNING",
            "DRAIN_SECONDS": "0.3",
            "FAULT_PLANTED": self.planted,
        }

    async def start_server(self, *, keeps: bool = True) -> None:
        """Start Valkey, with what it held or without."""
        if not keeps:
            shutil.rmtree(self.server.data, ignore_errors=True)
        await asyncio.to_thread(self.server.start)

    async def start_relay(self, name: str) -> None:
        """A new life of a relay. Sources are let in once the witness sees."""
        self.let_in(name, False)
        await self._serve(name)
        await self._until(lambda: self.witnesses[name].in_force)
        self.let_in(name, True)

    async def start_edge(self, name: str) -> bool:
        """An edge that has read the log to its end; False where it has ended instead, since it found none."""
        return await self._serve(name)

    async def _serve(self, site: str) -> bool:
        found = self.processes[site] = Process("relay", site, self.folder, self._environment(site))
        await self._until(lambda: "ready grpc=" in found.says.read_text() or (site in EDGES and found.has_ended))
        ready = found.says.read_text().partition("ready grpc=")[2].split()
        if ready:
            self.ports[site] = int(ready[0].rpartition(":")[2])
        return bool(ready)

    def let_in(self, relay: str, open_: bool) -> None:
        """Whether sources can connect to a relay."""
        for name in FEEDERS:
            self.proxies[name, relay].open = open_

    def start(self, name: str) -> None:
        """A feeder or a client."""
        role = "feeder" if name in FEEDERS else name
        self.control.forget(name)
        paths = [str(self.folder / f"{name}.{relay}.in") for relay in self.relays]
        way = {"RELAY_INGRESS_SOCKET": ",".join(paths)}
        self.processes[name] = Process(role, name, self.folder, way)

    async def kill(self, name: str) -> None:
        """Without notice."""
        if name == "server":
            pid = self.server.pid
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
            await self._until(lambda: not self.server.is_running())
            return
        self.processes[name].signal(signal.SIGKILL)
        await self.processes[name].ended()
        self.control.forget(name)

    def signal(self, name: str, number: int) -> None:
        """To a process."""
        if name == "server":
            pid = self.server.pid
            if pid is not None:
                os.kill(pid, number)
        else:
            self.processes[name].signal(number)

    def route(self, name: str) -> Routes:
        """What a process's connections go through, that of an edge to its log; of `NAME@K` those to partition K alone."""
        if name in EDGES:
            return Routes([self.logs[name]])
        whom, _, part = name.partition("@")
        groups: tuple[Mapping[tuple[str, str], Proxy], ...] = (self.proxies, self.unix, self.grpc)
        return Routes(
            proxy
            for group in groups
            for (one, site), proxy in group.items()
            if one == whom and part in ("", str(PART_OF[site]))
        )

    def addresses(self, name: str, way: str, sites: tuple[str, ...]) -> list[list[str]]:
        """Where a client connects to, by partition."""
        proxies = self.grpc if way == "grpc" else self.unix
        found: dict[int, list[str]] = {}
        for site in sites:
            near = proxies[name, site].near
            part = PART_OF[site] if len(self.relays) > 1 else 0
            found.setdefault(part, []).append(near if isinstance(near, str) else f"127.0.0.1:{near}")
        return [found[part] for part in sorted(found)]

    async def subscribers(self, edges: tuple[str, ...]) -> list[Any]:
        """Who the relays and some edges say is connected, each with its subscriptions and the bytes that wait."""
        found: list[Any] = []
        for site in (*self.relays, *edges):
            async with grpc.aio.insecure_channel(f"127.0.0.1:{self.ports[site]}") as channel:
                answer = await RelayServiceStub(channel).ListSubscribers(pb.ListSubscribersRequest(), timeout=PATIENCE)
                found += answer.subscribers
        return found

    async def status(self, relay: str) -> Any:
        """What a relay says of itself and its sources."""
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.ports[relay]}") as channel:
            return await RelayServiceStub(channel).GetRelayStatus(pb.GetRelayStatusRequest(), timeout=PATIENCE)

    async def catch_up(self, edge: str) -> None:
        """Until an edge has all that its relay relayed."""
        relayed = await self.status(self.relays[PART_OF[edge]])

        async def has_all() -> bool:
            there = await self.status(edge)
            return bool(there.relay_id == relayed.relay_id and there.last_sequence >= relayed.last_sequence)

        async with asyncio.timeout(PATIENCE):
            while relayed.last_sequence and not await has_all():  # noqa: ASYNC110 - other processes
                await asyncio.sleep(0.002)

    def ended(self) -> list[str]:
        """Processes that ended though nobody killed them."""
        return [name for name, process in self.processes.items() if process.has_ended]

    async def _until(self, found: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            while not found():  # noqa: ASYNC110 - other processes
                await asyncio.sleep(0.002)

    async def open(self) -> None:
        """Start everything."""
        await self.control.listen(self.folder / "control")
        for proxy in self._all_proxies:
            await proxy.listen()
        await self.start_server()
        for part, name in enumerate(self.relays):
            everything: dict[str, Any] = {"filter": {}, "contract": {"stream": {}}, "snapshot": False}
            await self.witnesses[name].begin(
                self.witness_journals[name], [self._socket(name)()], everything, (part, len(self.relays))
            )
        await asyncio.gather(*map(self.start_relay, self.relays))
        for name in (*FEEDERS, *CLIENTS):
            self.start(name)

    async def close(self) -> None:
        """End everything."""
        for one in self.witnesses.values():
            await one.end()
        for proxy in self._all_proxies:
            await proxy.close()
        for process in self.processes.values():
            process.signal(signal.SIGKILL)
            await process.ended()
        await self.control.close()
        await asyncio.to_thread(self.server.stop)


@asynccontextmanager
async def world(planted: str = "", partitions: int = 1) -> AsyncIterator[World]:
    """A world for as many episodes as one likes, all of so many partitions."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults")))
        folder.chmod(0o711)  # noqa: ASYNC240 - at once
        made = World(folder, planted, partitions)
        stack.push_async_callback(made.close)
        await made.open()
        yield made
