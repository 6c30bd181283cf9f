"""G1, G2: writers, readers and watchers of two replicas, each killed at every step of a commit.

Revisions are the witness of the order: an operation that began after another was answered must not see, or get, an earlier
revision; what a read shows is what the log says of that revision; the log has each acknowledged write once, and every watcher
sees every revision once.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc as rpc
from alphapulse.client.channel import open_channel
from alphapulse.domain.identifiers import Isin

PROGRAM: Final = Path(__file__).with_name("failing_registry.py")
STEPS: Final = (
    *("lock", "ends", "entities", "identifier_ends", "identifiers"),
    *("change_log", "request_log", "counter", "commit", "committed"),
)
ISINS: Final = [Isin.from_nsin("DE", f"{number:09d}").value for number in range(6)]
AGAIN: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Replica:
    """A registry on one port, started again whenever it dies, until `stop`."""

    def __init__(self, environ: dict[str, str], steps: list[tuple[str, int]]) -> None:
        self.port = free_port()
        self.kills: list[str] = []
        self._environ = {**environ, "GRPC_PORT": str(self.port)}
        self._steps = steps
        self._process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def run(self) -> None:
        for step, passes in [*self._steps, ("never", 0)]:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, str(PROGRAM), step, str(passes), env=self._environ, stdout=asyncio.subprocess.DEVNULL
            )
            try:
                code = await self._process.wait()
            except asyncio.CancelledError:
                self._process.kill()
                await self._process.wait()
                raise
            assert code == -9, f"the registry ended by itself with code {code}"
            self.kills.append(step)


@dataclass
class History:
    """What clients were told, in the order they were told."""

    revision: int = 0
    """The highest revision anybody was told of."""
    token: str = ""
    latest: dict[str, int] = field(default_factory=dict)
    """The highest revision of each instrument anybody was told of."""
    writes: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """By request id: the revision and the answer."""
    reads: list[tuple[str, int, str]] = field(default_factory=list)
    """Instrument, revision, name."""

    def told(self, instrument: wire.Instrument, token: str) -> None:
        known = self.latest.get(instrument.instrument_id, 0)
        self.latest[instrument.instrument_id] = max(known, instrument.revision)
        if instrument.revision > self.revision:
            self.revision, self.token = instrument.revision, token


class Client:
    """Calls a replica, and another when it does not answer, with the same request id."""

    def __init__(self, stubs: list[rpc.InstrumentServiceStub], chance: random.Random, history: History) -> None:
        self.stubs, self.chance, self.history = stubs, chance, history
        self.background: list[asyncio.Task[None]] = []
        """What has to go on while it calls."""

    async def call(self, method: str, request: Any) -> Any:
        while True:
            assert not any(task.done() for task in self.background)
            try:
                return await getattr(self.chance.choice(self.stubs), method)(request, timeout=20)
            except grpc.aio.AioRpcError as error:
                if error.code() not in AGAIN:
                    raise
                await asyncio.sleep(0.02)

    async def register(self, isin: str) -> str:
        share = wire.Instrument(
            asset_class=common.ASSET_CLASS_EQUITY,
            name="Company",
            source="test",
            equity=wire.EquityDetails(currency="EUR"),
            identifiers=[wire.IdentifierAssertion(scheme=common.IDENTIFIER_SCHEME_ISIN, value=isin)],
        )
        write = common.WriteOptions(request_id=f"register-{isin}")
        answer = await self.call("RegisterInstrument", service.RegisterInstrumentRequest(instrument=share, write=write))
        self.history.told(answer.entry.instrument, answer.revision_token)
        instrument_id: str = answer.entry.instrument.instrument_id
        return instrument_id

    async def rename(self, instrument_id: str, name: str) -> None:
        before = self.history.revision
        answer = await self.call("UpdateInstrument", renaming(instrument_id, name))
        assert answer.instrument.revision > before, "it began after another was answered"
        self.history.told(answer.instrument, answer.revision_token)
        self.history.writes[name] = (answer.instrument.revision, answer.SerializeToString(deterministic=True))

    async def read(self, instrument_id: str) -> None:
        before = self.history.latest[instrument_id]
        latest = self.chance.random() < 0.3
        read = common.ReadOptions(latest=True) if latest else common.ReadOptions(at_least_as_fresh=self.history.token)
        answer = await self.call("GetInstrument", service.GetInstrumentRequest(instrument_id=instrument_id, read=read))
        found = answer.entry.instrument
        assert found.revision >= before, "it began after that revision was answered"
        self.history.told(found, answer.revision_token)
        self.history.reads.append((instrument_id, found.revision, found.name))


def renaming(instrument_id: str, name: str) -> service.UpdateInstrumentRequest:
    request = service.UpdateInstrumentRequest(
        instrument=wire.Instrument(instrument_id=instrument_id, name=name),
        write=common.WriteOptions(request_id=name),
    )
    request.update_mask.paths.append("name")
    return request


@dataclass
class Watcher:
    """Reads one replica's watch raw and goes on from its last bookmark."""

    stub: rpc.InstrumentServiceStub
    seen: dict[int, service.InstrumentChange] = field(default_factory=dict)
    resumes: int = 0
    first: int = 0
    """The revision of the snapshot."""
    last: int = 0

    async def run(self) -> None:
        token, marked = "", 0
        while True:
            self.last = marked
            try:
                async for response in self.stub.WatchInstruments(service.WatchInstrumentsRequest(resume_token=token)):
                    if response.WhichOneof("event") == "bookmark":
                        mark = response.bookmark
                        assert not token or mark.revision == self.last
                        self.first = self.first if token else mark.revision
                        token, marked, self.last = mark.resume_token, mark.revision, mark.revision
                    for change in response.changes.changes:
                        assert change.revision == self.last + 1, "a revision is missing, or comes twice"
                        self.last = change.revision
                        assert self.seen.setdefault(change.revision, change) == change
            except grpc.aio.AioRpcError as error:
                if error.code() not in AGAIN:
                    raise
            self.resumes += 1
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(work: Any) -> AsyncIterator[asyncio.Task[None]]:
    """In the background; an error in it fails the test that leaves it."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(result, Exception):
            raise result


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [1])
async def test_what_was_acknowledged_holds_whatever_dies(database_url: str, fresh_redis_url: str, seed: int) -> None:
    chance, history = random.Random(seed), History()
    environ = {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": fresh_redis_url,
        "METRICS_PORT": "0",
        "HTTP_PORT": "0",
        "LOG_LEVEL": "ERROR",
    }
    steps = [(step, chance.randrange(2, 8)) for step in STEPS]
    halves = [steps[::2], steps[1::2]]
    replicas = [Replica(environ, half) for half in halves]
    async with AsyncExitStack() as stack:
        background = [await stack.enter_async_context(running(replica.run())) for replica in replicas]
        stubs = [
            rpc.InstrumentServiceStub(await stack.enter_async_context(open_channel(replica.address)))
            for replica in replicas
        ]
        client = Client(stubs, chance, history)
        client.background = background
        ids = [await client.register(isin) for isin in ISINS]
        watchers = [Watcher(stub) for stub in stubs]
        background += [await stack.enter_async_context(running(watcher.run())) for watcher in watchers]
        names = (f"name {number}" for number in itertools.count())

        async def work() -> None:
            while any(len(replica.kills) < len(half) for replica, half in zip(replicas, halves, strict=True)):
                target = chance.choice(ids)
                if chance.random() < 0.5:
                    await client.rename(target, next(names))
                else:
                    await client.read(target)

        await asyncio.gather(*(work() for _ in range(8)))
        assert sorted(step for replica in replicas for step in replica.kills) == sorted(STEPS)
        for target in ids:
            await client.read(target)
        log = await log_of(client)
        while any(watcher.last < max(log) for watcher in watchers):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.02)
        check(history, log)
        for watcher in watchers:
            assert watcher.resumes >= len(STEPS) // 2
            assert sorted(watcher.seen) == list(range(watcher.first + 1, max(log) + 1))
            assert {revision: log[revision] for revision in watcher.seen} == watcher.seen
        for name, (revision, raw) in chance.sample(sorted(history.writes.items()), 20):
            again = await client.call("UpdateInstrument", renaming(log[revision].instrument.instrument_id, name))
            assert again.SerializeToString(deterministic=True) == raw, "a retry answers the same"
        assert max(await log_of(client)) == max(log), "retries wrote nothing"


async def log_of(client: Client) -> dict[int, service.InstrumentChange]:
    """Every revision, from the histories of the instruments."""
    found: dict[int, service.InstrumentChange] = {}
    for instrument_id in client.history.latest:
        token = ""
        while True:
            request = service.GetInstrumentHistoryRequest(
                instrument_id=instrument_id, page_size=1000, page_token=token, read=common.ReadOptions(latest=True)
            )
            answer = await client.call("GetInstrumentHistory", request)
            found.update((change.revision, change) for change in answer.changes)
            token = answer.next_page_token
            if not token:
                break
    return found


def check(history: History, log: dict[int, service.InstrumentChange]) -> None:
    """The log is dense, holds each acknowledged write once and no other, and explains every read."""
    assert sorted(log) == list(range(1, len(log) + 1))
    requests = [change.request_id for change in log.values()]
    assert len(set(requests)) == len(requests), "a write was done twice"
    assert set(history.writes) == {one for one in requests if not one.startswith("register-")}
    for name, (revision, _) in history.writes.items():
        assert (log[revision].request_id, log[revision].instrument.name) == (name, name)
    for instrument_id, revision, name in history.reads:
        assert (log[revision].instrument.instrument_id, log[revision].instrument.name) == (instrument_id, name)
