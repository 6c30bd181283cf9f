"""A registry as a process: its arguments and settings, Postgres away at the start and later."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from alphapulse.domain.errors import ConfigurationError, StoreUnavailable
from alphapulse.embedded import LaunchOptions
from alphapulse.embedded import PostgresStore as Server
from alphapulse.runtime import GrpcService
from registry_service.app import RegistryApplication
from registry_service.config import VenueConfig
from registry_service.resources import RegistryResources
from registry_service.storage.model import CachedAnswer, EntityKind


async def run(*arguments: str, **environ: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "registry_service", *arguments),
        env={"PATH": os.environ["PATH"], **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_a_wrong_argument_says_how_to_use_it() -> None:
    for arguments in ((), ("bonds",), ("venue", "instrument")):
        code, output = await run(*arguments)
        assert code == 2
        assert "usage: python -m registry_service {instrument|venue|synthetic}" in output


@pytest.mark.parametrize(
    ("variable", "value"), [("DATABASE_URL", ""), ("DATABASE_URL", "mysql://u:hidden@h/d"), ("GRPC_PORT", "99999")]
)
async def test_a_bad_setting_stops_the_start_and_is_named(variable: str, value: str) -> None:
    code, output = await run("venue", **{"DATABASE_URL": "postgresql://h/d", variable: value})
    assert code == 2
    assert variable in output
    assert "hidden@" not in output


class Given:
    """A slice that only keeps what it is given."""

    def __init__(self) -> None:
        self.resources: list[RegistryResources] = []

    def build(self, resources: RegistryResources) -> GrpcService:
        self.resources.append(resources)
        return GrpcService("test.Service", lambda _: None)


def application(url: str, redis_url: str = "") -> tuple[RegistryApplication, Given, CollectorRegistry]:
    given, metrics = Given(), CollectorRegistry()
    config = VenueConfig(database_url=url, redis_url=redis_url, feed_poll_seconds=0.02)
    return RegistryApplication("venue", config, metrics, given.build), given, metrics


async def test_the_parts_work_together(database_url, fresh_redis_url, writes) -> None:
    app, given, metrics = application(database_url, fresh_redis_url)
    await app.start()
    resources = given.resources[0]
    put = writes.put("XNAS", b"nasdaq", kind=EntityKind.VENUE)

    async def load(keys):
        revision = await resources.store.revision()
        found = await resources.store.get(EntityKind.VENUE, ["XNAS"])
        return {key: CachedAnswer(found["XNAS"].body if found else b"nobody", revision) for key in keys}

    assert await resources.cache.get("id:XNAS", load) == b"nobody"
    outcome = await resources.store.write(put, actor="t")
    assert resources.cache.peek("id:XNAS") is None
    assert await resources.cache.get("id:XNAS", load, min_revision=outcome.revision) == b"nasdaq"
    await resources.feed.wait_applied(outcome.revision)
    shown = generate_latest(metrics).decode()
    assert 'registry_applied_revision{service="venue"} 1.0' in shown
    assert 'registry_cache_reads_total{from="postgres",service="venue"} 2.0' in shown
    await app.drain()
    await app.stop()
    assert "registry_applied_revision" not in generate_latest(metrics).decode()


async def test_postgres_away_at_the_start_and_then_there(writes) -> None:
    with tempfile.TemporaryDirectory(prefix="alphapulse-test-") as folder:
        server = Server(Path(folder) / "postgres", LaunchOptions(durable=False, remove_with_parent=True))
        server.start()
        url = server.url
        server.stop()
        app, given, _ = application(url)
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await app.start()
        again = Server(Path(folder) / "postgres", LaunchOptions(durable=False, remove_with_parent=True))
        again.start()
        assert again.url == url
        await app.start()
        store = given.resources[0].store
        await store.write(writes.put("a", kind=EntityKind.VENUE), actor="t")
        again.stop()
        with pytest.raises(StoreUnavailable):
            await store.get(EntityKind.VENUE, ["a"])
        with pytest.raises(StoreUnavailable):
            await store.write(writes.put("b", kind=EntityKind.VENUE), actor="t")
        await app.stop()


async def test_a_user_postgres_does_not_let_in_is_a_configuration_error(database_url) -> None:
    parts = urlsplit(database_url)
    if parts.password is None:
        pytest.skip("this Postgres asks for no password")
    wrong = parts._replace(netloc=f"{parts.username}:wrong@{parts.hostname}:{parts.port}")
    app, _, _ = application(urlunsplit(wrong))
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        await app.start()
    await app.stop()


def test_an_unknown_service_is_refused() -> None:
    config = replace(VenueConfig(database_url="postgresql://h/d"), grpc_port=0)
    with pytest.raises(ValueError, match="bonds"):
        RegistryApplication("bonds", config, CollectorRegistry())
