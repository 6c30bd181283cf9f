"""Instrument registries of each test's own: real Postgres, real Redis, a real gRPC server; in this process, or one that can be killed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis
from prometheus_client import CollectorRegistry

from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc as rpc
from alphapulse.client.channel import open_channel
from alphapulse.domain.identifiers import Isin
from alphapulse.interchange import FileSource, ImportJob, ImportOptions, Report
from alphapulse.runtime import serve_in_background
from registry_service.app import RegistryApplication
from registry_service.config import RegistryConfig
from registry_service.instrument.servicer import build
from registry_service.storage.database import make_engine
from registry_service.storage.migrations.run import migrate


@dataclass
class Registry:
    """A running registry and how to speak to it."""

    channel: grpc.aio.Channel
    address: str
    folder: Path

    @property
    def stub(self) -> Any:
        """Its calls."""
        return rpc.InstrumentServiceStub(self.channel)

    async def load(self, *sources: Any, **options: Any) -> Report:
        """Imports files or sources."""
        given = [FileSource(one) if isinstance(one, Path) else one for one in sources]
        options.setdefault("rejects", self.folder / "rejects.csv")
        return await ImportJob(self.channel, given, ImportOptions(**options)).run()

    async def everything(self) -> dict[str, service.InstrumentEntry]:
        """All entries by id."""
        found, token = {}, ""
        while True:
            request = service.ListInstrumentsRequest(page_size=1000, page_token=token, with_listings=True)
            page = await self.stub.ListInstruments(request)
            found.update({one.instrument.instrument_id: one for one in page.entries})
            token = page.next_page_token
            if not token:
                return found


@pytest.fixture(scope="session")
def interchange_template(database_maker: Any) -> Iterator[str]:
    """A database with the schema of the instrument registry, to copy."""
    url = database_maker.create()

    async def prepare() -> None:
        engine = make_engine(url, "instrument", pool_size=1)
        await migrate(engine, "instrument")
        await engine.dispose()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, prepare()).result()
    yield url
    database_maker.drop(url)


def _empty(url: str) -> str:
    client = redis.Redis.from_url(url)
    try:
        client.flushdb()
    finally:
        client.close()
    return url


Start = Callable[[], Awaitable[Registry]]


@pytest.fixture
async def new_registry(
    database_maker: Any, interchange_template: str, _next_redis_url: Callable[[], str], tmp_path: Path
) -> AsyncIterator[Start]:
    """Starts registries, each on an empty database and an empty Redis of its own."""
    urls: list[str] = []
    async with AsyncExitStack() as stack:

        async def start() -> Registry:
            urls.append(database_maker.create(template=interchange_template))
            config = RegistryConfig(
                database_url=urls[-1],
                redis_url=_empty(_next_redis_url()),
                metrics_port=None,
                drain_seconds=1.0,
            )
            app = RegistryApplication("instrument", config, CollectorRegistry(), build)
            handle = await stack.enter_async_context(serve_in_background(app, config))
            channel = await stack.enter_async_context(open_channel(handle.address))
            return Registry(channel, handle.address, tmp_path)

        yield start
    for url in urls:
        database_maker.drop(url)


@pytest.fixture
async def registry(new_registry: Start) -> Registry:
    """One registry."""
    return await new_registry()


class ServiceProcess:
    """`python -m registry_service instrument` over one database, killed and started again at one address."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.endswith("_REGISTRY_ADDRESS")},
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "METRICS_PORT": "off",
            "LOG_LEVEL": "WARNING",
        }
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    @property
    def address(self) -> str:
        """`host:port`, the same after each start."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it and waits until it is ready."""
        environment = {**self._environment, "GRPC_PORT": str(self.port)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "registry_service", "instrument"], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        self.port = int(words["grpc"].rpartition(":")[2])

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def service_process(database_maker: Any, interchange_template: str, fresh_redis_url: str) -> Iterator[ServiceProcess]:
    """A registry in a process of its own."""
    url = database_maker.create(template=interchange_template)
    process = ServiceProcess(url, fresh_redis_url)
    process.start()
    yield process
    process.kill()
    database_maker.drop(url)


def isin(number: int) -> str:
    """A valid ISIN; DE ones hold no CUSIP or SEDOL."""
    return Isin.from_nsin("DE", f"{number:09d}").value


@pytest.fixture
def shares(tmp_path: Path) -> Callable[..., Path]:
    """Writes a CSV file of shares, numbered."""

    def write(count: int, name: str = "shares.csv", first: int = 0) -> Path:
        path = tmp_path / name
        lines = ["asset_class,name,isin,currency,source"]
        lines += [f"EQUITY,Company {n},{isin(n)},EUR,test" for n in range(first, first + count)]
        path.write_text("\n".join(lines) + "\n")
        return path

    return write
