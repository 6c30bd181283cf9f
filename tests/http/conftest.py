"""The three registries with HTTP/JSON beside gRPC: real Postgres, real Redis, real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import grpc
import pytest
from prometheus_client import CollectorRegistry

from alphapulse.client.channel import open_channel
from alphapulse.runtime import serve_in_background
from registry_service.app import RegistryApplication
from registry_service.config import CONFIGS, InstrumentConfig
from registry_service.storage.database import make_engine
from registry_service.storage.migrations.run import migrate

SERVICES = {name: f"alphapulse.api.{name}.v1.{name.capitalize()}Service" for name in CONFIGS}
LIMIT = 1 << 20


@dataclass
class Reply:
    """What came back."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@dataclass
class Http:
    """Asks over HTTP, and over gRPC beside it."""

    session: aiohttp.ClientSession
    services: dict[str, str] = field(default_factory=lambda: dict(SERVICES))
    bases: dict[str, str] = field(default_factory=dict)
    channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)
    metrics: dict[str, CollectorRegistry] = field(default_factory=dict)

    async def ask(self, service: str, method: str, path: str, **options: Any) -> Reply:
        """One request as it is given."""
        async with self.session.request(method, self.bases[service] + path, **options) as response:
            return Reply(response.status, response.headers, await response.read())

    async def rpc(self, service: str, name: str, value: Any = None, **headers: str) -> Reply:
        """An RPC by POST."""
        path = f"/{SERVICES[service]}/{name}"
        return await self.ask(
            service, "POST", path, data=json.dumps(value or {}), headers={"content-type": "application/json", **headers}
        )

    async def get(self, service: str, path: str, **options: Any) -> Reply:
        """A path by GET."""
        return await self.ask(service, "GET", path, **options)


@pytest.fixture(scope="session")
def registries_template(database_maker: Any) -> Iterator[str]:
    """A database with the schemas of all three, to copy."""
    url = database_maker.create()

    async def prepare() -> None:
        for service in CONFIGS:
            engine = make_engine(url, service, pool_size=1)
            await migrate(engine, service)
            await engine.dispose()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, prepare()).result()
    yield url
    database_maker.drop(url)


@asynccontextmanager
async def served(services: tuple[str, ...], url: str, redis_url: str) -> AsyncIterator[Http]:
    """Registries over one database; the instrument registry knows the venue registry where that is served before it."""
    async with AsyncExitStack() as stack:
        made = Http(await stack.enter_async_context(aiohttp.ClientSession()))
        venue = ""
        for service in services:
            options: dict[str, Any] = {"database_url": url, "redis_url": redis_url}
            options |= {"metrics_port": None, "http_port": 0, "drain_seconds": 1.0, "max_message_bytes": LIMIT}
            kind: Any = CONFIGS[service]
            config = kind(**options, venue_registry_address=venue) if kind is InstrumentConfig else kind(**options)
            metrics = made.metrics[service] = CollectorRegistry()
            handle = await stack.enter_async_context(
                serve_in_background(RegistryApplication(service, config, metrics), config, registry=metrics)
            )
            assert handle.http_address is not None
            made.bases[service] = f"http://{handle.http_address}"
            made.channels[service] = await stack.enter_async_context(open_channel(handle.address))
            venue = handle.address if service == "venue" else venue
        yield made


@pytest.fixture
async def http(database_maker: Any, registries_template: str, fresh_redis_url: str) -> AsyncIterator[Http]:
    """The instrument registry alone, empty."""
    url = database_maker.create(template=registries_template)
    async with served(("instrument",), url, fresh_redis_url) as made:
        yield made
    database_maker.drop(url)


@pytest.fixture
async def registries(database_maker: Any, registries_template: str, fresh_redis_url: str) -> AsyncIterator[Http]:
    """The three registries, empty."""
    url = database_maker.create(template=registries_template)
    async with served(("venue", "synthetic", "instrument"), url, fresh_redis_url) as made:
        yield made
    database_maker.drop(url)
