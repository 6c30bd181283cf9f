"""Connections to Postgres that die, with a word or without one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from registry_service.storage.database import make_engine
from registry_service.storage.model import ChangeKind, Entity, EntityKind
from registry_service.storage.reads import Reads
from registry_service.storage.schema import tables
from registry_service.storage.writer import WriterLimits

INSTRUMENT = EntityKind.INSTRUMENT


class Swallowing:
    """A way to Postgres on which the connections of a moment lead nowhere from then on, as behind a firewall that forgot them."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._connections = 0
        self._dead = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        number = self._connections
        below, above = await asyncio.open_connection(*self._target)
        self._writers += (writer, above)

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(1 << 16):
                if number > self._dead:
                    target.write(data)
            if number > self._dead:
                target.close()

        await asyncio.gather(pump(reader, above), pump(below, writer), return_exceptions=True)

    def swallow(self) -> None:
        self._dead = self._connections

    def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def swallowing(url: str) -> AsyncIterator[tuple[Swallowing, str]]:
    parts = urlsplit(url)
    between = Swallowing(parts.hostname or "127.0.0.1", parts.port or 5432)
    server = await asyncio.start_server(between.serve, "127.0.0.1", 0)
    user = parts.netloc.rpartition("@")[0]
    try:
        yield between, urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    finally:
        between.close()
        server.close()


@pytest.mark.timeout(100)
async def test_a_connection_that_leads_nowhere_is_given_out_no_more(migrated_url: str) -> None:
    """Also where it is never idle: a read that its caller gave up puts it in doubt."""
    reads = Reads(tables("instrument"))
    async with swallowing(migrated_url) as (between, url):
        engine = make_engine(url, "instrument", pool_size=2)

        async def read() -> dict[str, Entity]:
            async with engine.connect() as connection:
                return await reads.get(connection, INSTRUMENT, ["a"], None)

        await asyncio.gather(read(), read())
        between.swallow()
        begin, failed = time.monotonic(), 0
        while True:
            try:
                async with asyncio.timeout(1.0):
                    assert await read() == {}
                break
            except TimeoutError:
                failed += 1
                assert time.monotonic() - begin < 50
        assert failed <= 8  # a connection of the pool each, and the times they were asked
        between.close()
        await engine.dispose()


async def test_a_plan_made_ahead_whose_connection_is_lost_is_made_again(make_store: Any, migrated_url: str) -> None:
    admin = await asyncpg.connect(migrated_url)
    store = await make_store("instrument", limits=WriterLimits(ahead_entries=1))

    async def large(session: Any) -> bytes:
        planning.set()
        revision = session.next_revision()
        session.put(Entity(INSTRUMENT, f"large{revision}", b"x" * 8_000_000, revision), ChangeKind.CREATED)
        return b""

    async def small(session: Any) -> bytes:
        if not planned:
            pid = session._group.connection.sync_connection.connection.driver_connection.get_server_pid()
            await admin.execute("SELECT pg_terminate_backend($1)", pid)
        planned.append(1)
        await session.get(INSTRUMENT, ["unknown"])
        revision = session.next_revision()
        session.put(Entity(INSTRUMENT, f"small{revision}", b"x", revision), ChangeKind.CREATED)
        return b""

    for _ in range(5):
        planned: list[int] = []
        planning = asyncio.Event()
        first = asyncio.create_task(store.write(large, actor="t"))
        await planning.wait()
        second = await store.write(small, actor="t")
        assert second.revision == (await first).revision + 1
        assert len(planned) == 2
    await admin.close()
