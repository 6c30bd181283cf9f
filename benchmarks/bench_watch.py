"""From a commit to its watchers: milliseconds from the time stamp of the commit, which is taken before its first statement, to the delivered change.

One watcher is of the replica that writes, one of another replica, which hears of the commit through Postgres. The floor is Postgres alone: a row
inserted and NOTIFY in one transaction, until the other connection has heard and read the row. Postgres syncs every commit to disk in both. All on one
machine, so on one clock.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import asyncpg
from harness import Metric, Options, main
from registry import running_registry, running_stores

from alphapulse.api.synthetic.v1 import synthetic_pb2 as wire
from alphapulse.api.synthetic.v1 import synthetic_service_pb2 as service
from alphapulse.api.synthetic.v1.synthetic_service_pb2_grpc import SyntheticServiceStub
from alphapulse.client.channel import open_channel

_NAME: Final = "BENCH"


class Watcher:
    """One watch, and when its changes came."""

    def __init__(self, stub: SyntheticServiceStub) -> None:
        self._call = stub.WatchSynthetics(service.WatchSyntheticsRequest(skip_snapshot=True))
        self._came: asyncio.Queue[tuple[int, float]] = asyncio.Queue()
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Watcher:
        self._task = asyncio.create_task(self._read())
        await self._ready.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._call.cancel()
        assert self._task is not None
        await asyncio.gather(self._task, return_exceptions=True)

    async def milliseconds(self, revision: int) -> float:
        """How long the change of a revision took."""
        while True:
            came, took = await self._came.get()
            if came == revision:
                return took

    async def _read(self) -> None:
        async for response in self._call:
            now = time.time_ns()
            self._ready.set()
            for change in response.changes.changes:
                self._came.put_nowait((change.revision, (now - change.commit_time.ToNanoseconds()) / 1e6))


class Floor:
    """A row and NOTIFY in one transaction, heard and read on another connection."""

    def __init__(self, writer: Any, reader: Any) -> None:
        self._writer, self._reader = writer, reader
        self._heard: asyncio.Queue[int] = asyncio.Queue()

    async def prepare(self) -> None:
        await self._writer.execute("CREATE TABLE floor_change (revision bigint PRIMARY KEY, body bytea NOT NULL)")
        await self._reader.add_listener("floor", lambda *told: self._heard.put_nowait(int(told[3])))

    async def milliseconds(self, revision: int) -> float:
        begin = time.time_ns()
        async with self._writer.transaction():
            await self._writer.execute("INSERT INTO floor_change VALUES ($1, $2)", revision, bytes(200))
            await self._writer.execute("SELECT pg_notify('floor', $1)", str(revision))
        await self._heard.get()
        await self._reader.fetchval("SELECT body FROM floor_change WHERE revision = $1", revision)
        return (time.time_ns() - begin) / 1e6


async def measure(options: Options) -> Sequence[Metric]:
    count = options.pick(400, 10)
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(running_stores(durable=True))
        stubs = []
        for _ in range(2):
            child = await stack.enter_async_context(running_registry("synthetic", stores))
            stubs.append(SyntheticServiceStub(await stack.enter_async_context(open_channel(child.facts["grpc"]))))
        connections = [await asyncpg.connect(stores.database_url) for _ in range(2)]
        for connection in connections:
            stack.push_async_callback(connection.close)
        floor = Floor(*connections)
        await floor.prepare()
        await stubs[0].RegisterSynthetic(service.RegisterSyntheticRequest(synthetic=_synthetic("first")))
        watchers = [await stack.enter_async_context(Watcher(stub)) for stub in stubs]
        same, other, bare = [], [], []
        for number in range(count):
            request = service.UpdateSyntheticRequest(synthetic=_synthetic(f"change {number}"))
            request.update_mask.paths.append("description")
            revision = (await stubs[0].UpdateSynthetic(request)).synthetic.revision
            same.append(await watchers[0].milliseconds(revision))
            other.append(await watchers[1].milliseconds(revision))
            bare.append(await floor.milliseconds(number))
    return [
        _metric("same_replica", same, bare, "of the replica that wrote"),
        _metric("other_replica", other, bare, "of another replica, told by NOTIFY"),
    ]


def _synthetic(description: str) -> wire.Synthetic:
    parts = [wire.Component(variable="a", listing_id="ab" * 16)]
    return wire.Synthetic(name=_NAME, formula="a", unit="USD", components=parts, description=description)


def _metric(name: str, values: list[float], bare: list[float], whose: str) -> Metric:
    timed = (
        f"p50 of {len(values)} updates, one after the other: from the commit's time stamp, taken before its first statement, to the change in the "
        f"hands of a gRPC watcher {whose}; fsync on; floor: INSERT and NOTIFY in one transaction until a listening connection has read the row; "
        f"p99 {_p99(values):.1f} ms, of the floor {_p99(bare):.1f} ms"
    )
    ratio = statistics.median(one / other for one, other in zip(values, bare, strict=True))
    return Metric(name, statistics.median(values), "ms", timed, statistics.median(bare), ratio)


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


if __name__ == "__main__":
    main("watch", measure)
