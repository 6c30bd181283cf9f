"""A migrated schema, stores on it, and entries to write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from registry_service.storage.database import make_engine
from registry_service.storage.flush import FailAt
from registry_service.storage.migrations.run import migrate
from registry_service.storage.model import ChangeKind, Entity, EntityKind, Operation, WriteSession
from registry_service.storage.postgres import PostgresStore
from registry_service.storage.writer import WriterLimits


@pytest.fixture(scope="session")
def migrated_template(database_maker) -> Iterator[str]:
    """A database with all three schemas, to copy."""
    url = database_maker.create()

    async def prepare() -> None:
        for service in ("instrument", "venue", "synthetic"):
            engine = make_engine(url, service, pool_size=1)
            await migrate(engine, service)
            await engine.dispose()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, prepare()).result()
    yield url
    database_maker.drop(url)


@pytest.fixture
def migrated_url(database_maker, migrated_template: str) -> Iterator[str]:
    """URL of a database of this test's own with the three schemas."""
    url = database_maker.create(template=migrated_template)
    yield url
    database_maker.drop(url)


StoreMaker = Callable[..., Awaitable[PostgresStore]]


@pytest.fixture
async def make_store(migrated_url: str) -> AsyncIterator[StoreMaker]:
    """Starts stores on one database, each with an engine of its own, as replicas have."""
    opened: list[tuple[PostgresStore, AsyncEngine]] = []

    async def make(
        service: str = "instrument", fail_at: FailAt | None = None, limits: WriterLimits | None = None
    ) -> PostgresStore:
        engine = make_engine(migrated_url, service, pool_size=4)
        store = PostgresStore(engine, service, limits=limits, **({"fail_at": fail_at} if fail_at else {}))
        await store.__aenter__()
        opened.append((store, engine))
        return store

    yield make
    for store, engine in opened:
        await store.__aexit__(None, None, None)
        await engine.dispose()


@pytest.fixture
async def store(make_store: StoreMaker) -> PostgresStore:
    """The instrument registry's store."""
    return await make_store()


@dataclass(frozen=True)
class Writes:
    """Operations that tests write."""

    @staticmethod
    def put(entity_id: str, body: bytes = b"body", *, kind: EntityKind = EntityKind.INSTRUMENT, **more) -> Operation:
        """Creates the entry or writes a new version of it."""

        async def operation(session: WriteSession) -> bytes:
            held = await session.get(kind, [entity_id])
            change = ChangeKind.UPDATED if held else ChangeKind.CREATED
            revision = session.next_revision()
            session.put(Entity(kind, entity_id, body, revision, **more), change, [f"id:{entity_id}"])
            return b"wrote " + entity_id.encode()

        return operation


@pytest.fixture
def writes() -> Writes:
    """Operations that tests write."""
    return Writes()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Lets the loop turn until a condition holds; the test's own timeout ends what never comes."""

    async def wait(condition: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        while not condition():
            turned = loop.create_future()
            loop.call_soon(turned.set_result, None)
            await turned

    return wait
