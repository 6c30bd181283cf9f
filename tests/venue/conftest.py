"""A venue registry of each test's own: real Postgres, real Redis, a real gRPC server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from alphapulse.api.venue.v1 import venue_service_pb2_grpc as rpc
from alphapulse.client.channel import open_channel
from alphapulse.runtime import serve_in_background
from registry_service.app import RegistryApplication
from registry_service.config import RegistryConfig
from registry_service.storage.database import make_engine
from registry_service.storage.migrations.run import migrate


@pytest.fixture(scope="session")
def venue_template(database_maker: Any) -> Iterator[str]:
    """A database with the schema of the venue registry, to copy."""
    url = database_maker.create()

    async def prepare() -> None:
        engine = make_engine(url, "venue", pool_size=1)
        await migrate(engine, "venue")
        await engine.dispose()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, prepare()).result()
    yield url
    database_maker.drop(url)


@pytest.fixture
def venue_database(database_maker: Any, venue_template: str) -> Iterator[str]:
    """A database of the test's own, with the schema of the venue registry."""
    url = database_maker.create(template=venue_template)
    yield url
    database_maker.drop(url)


@pytest.fixture
async def venue_address(venue_database: str, fresh_redis_url: str) -> AsyncIterator[str]:
    """Where the registry listens."""
    config = RegistryConfig(database_url=venue_database, redis_url=fresh_redis_url)
    async with serve_in_background(RegistryApplication("venue", config, CollectorRegistry())) as handle:
        yield handle.address


@pytest.fixture
async def venues(venue_address: str) -> AsyncIterator[rpc.VenueServiceStub]:
    """A stub of the registry."""
    async with open_channel(venue_address) as channel:
        yield rpc.VenueServiceStub(channel)
