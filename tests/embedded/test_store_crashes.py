"""What a crash leaves behind never keeps the stores from starting, and no process outlives a killed launcher."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
import redis

from alphapulse.embedded import (
    DataFolderError,
    EmbeddedStores,
    LaunchOptions,
    PostgresStore,
    StoreStartError,
    ValkeyStore,
    running_stores,
)

# Kills itself while initdb is filling the folder.
KILLED_WHILE_CREATING = """
import os, signal, sys, threading
from pathlib import Path
from alphapulse.embedded import PostgresStore
folder = Path(sys.argv[1])
def kill_soon():
    while not list(folder.glob("data.new-*/base")):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=kill_soon, daemon=True).start()
PostgresStore(folder).start()
"""

EPHEMERAL = """
import sys
from alphapulse.embedded import EmbeddedStores
stores = EmbeddedStores.ephemeral()
stores.start()
print(stores.data_dir, stores.postgres.pid, stores.valkey.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def made(folder: Path) -> PostgresStore:
    """A stopped Postgres."""
    store = PostgresStore(folder / "postgres", LaunchOptions(durable=False))
    store.start()
    store.stop()
    return store


async def keep(url: str, value: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (value int)")
        await connection.execute("INSERT INTO kept VALUES ($1)", value)
    finally:
        await connection.close()


async def kept(url: str) -> list[int]:
    connection = await asyncpg.connect(url)
    try:
        return [row["value"] for row in await connection.fetch("SELECT value FROM kept ORDER BY value")]
    finally:
        await connection.close()


async def test_kill_of_postgres_loses_no_committed_row(folder: Path) -> None:
    store = PostgresStore(folder / "postgres")
    for value in range(3):
        store.start()
        await keep(store.url, value)
        assert store.pid is not None
        process = psutil.Process(store.pid)
        process.kill()
        process.wait(30)
        assert not store.is_running()
        store.stop()
    store.start()
    assert await kept(store.url) == [0, 1, 2]
    store.stop()


def test_kill_of_valkey_keeps_what_was_acknowledged(folder: Path) -> None:
    store = ValkeyStore(folder / "valkey")
    store.start()
    with redis.Redis.from_url(store.url) as client:
        for number in range(1000):
            client.xadd("stream", {"number": number})
    assert store.pid is not None
    process = psutil.Process(store.pid)
    process.kill()
    process.wait(30)
    store.stop()
    store.start()
    with redis.Redis.from_url(store.url) as client:
        assert client.xlen("stream") == 1000
    store.stop()


async def test_a_busy_session_that_outlived_postgres_does_not_block_the_next_start(folder: Path) -> None:
    store = PostgresStore(folder / "postgres")
    store.start()
    await keep(store.url, 1)
    connection = await asyncpg.connect(store.url)
    session = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))
    # A loop that never looks whether its server lives; its start is certain once it has taken this lock.
    busy = connection.execute("SELECT pg_advisory_lock(1); DO $$ BEGIN LOOP END LOOP; END $$")
    task = asyncio.ensure_future(busy)
    watcher = await asyncpg.connect(store.url)
    question = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%LOOP%' AND state = 'active' AND pid = $1"
    while not await watcher.fetchval(question, session.pid):
        pass
    await watcher.close()
    assert store.pid is not None
    os.kill(store.pid, signal.SIGKILL)
    store.stop()
    store.start()
    assert not session.is_running() or session.status() == psutil.STATUS_ZOMBIE
    assert await kept(store.url) == [1]
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await task
    connection.terminate()
    store.stop()


@pytest.mark.parametrize("pid", ["this test", "1", "nobody", "-5", "garbage", ""])
def test_a_stale_pid_file_does_not_keep_postgres_from_starting(made: PostgresStore, pid: str) -> None:
    text = {"this test": str(os.getpid()), "nobody": "4194303"}.get(pid, pid)
    lines = [text, str(made.data), "1700000000", "5432", "", "127.0.0.1", "  1234  5678", "ready   "]
    (made.data / "postmaster.pid").write_text("\n".join(lines) + "\n")
    assert not made.attach()
    made.start()
    assert made.is_running()
    made.stop()


@pytest.mark.parametrize("text", ["this test", "1", "garbage", ""])
def test_a_stale_pid_file_does_not_keep_valkey_from_starting(folder: Path, text: str) -> None:
    store = ValkeyStore(folder / "valkey")
    store.start()
    store.stop()
    (store.folder / "valkey.pid").write_text(text.replace("this test", str(os.getpid())))
    store.start()
    assert not store.attached
    store.stop()


def test_a_server_whose_pid_file_was_lost_is_found(folder: Path) -> None:
    with EmbeddedStores(folder, environ={}) as stores:
        (folder / "valkey" / "valkey.pid").unlink()
        found = {store.name: store.pid for store in running_stores(folder)}
        assert found["valkey"] == stores.valkey.pid


def test_initdb_killed_in_the_middle_leaves_a_folder_that_starts(folder: Path) -> None:
    where = folder / "postgres"
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_CREATING, str(where)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert not (where / "data").exists()
    assert list(where.glob("data.new-*"))
    store = PostgresStore(where)
    store.start()
    assert not list(where.glob("data.new-*"))
    store.stop()


@pytest.mark.parametrize("content", [[], ["base", "precious.txt"]])
def test_a_half_made_data_folder_is_set_aside_not_deleted(folder: Path, content: list[str]) -> None:
    data = folder / "postgres" / "data"
    data.mkdir(parents=True)
    for name in content:
        (data / name).write_text("mine")
    told: list[str] = []
    store = PostgresStore(folder / "postgres", progress=told.append)
    store.start()
    store.stop()
    aside = list(data.parent.glob("data.broken-*"))
    assert [sorted(path.name for path in each.iterdir()) for each in aside] == ([content] if content else [])
    assert any("moved to" in line for line in told) == bool(content)


def test_data_of_another_version_is_refused_by_name(made: PostgresStore) -> None:
    (made.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(DataFolderError, match=r"made by Postgres 9, the program .* is version"):
        made.start()


def test_a_server_that_cannot_start_shows_its_log(made: PostgresStore) -> None:
    with (made.data / "postgresql.conf").open("a") as conf:
        conf.write("no_such_setting = 1\n")
    with pytest.raises(StoreStartError, match="no_such_setting"):
        made.start()


def test_a_folder_that_is_a_file_is_a_clear_error(folder: Path) -> None:
    (folder / "postgres").write_text("")
    with pytest.raises(DataFolderError, match="cannot make the data folder"):
        PostgresStore(folder / "postgres").start()


def test_a_server_that_does_not_stop_in_order_is_forced(folder: Path) -> None:
    store = ValkeyStore(folder / "valkey", LaunchOptions(stop_seconds=0.1))
    store.start()
    assert store.pid is not None
    process = psutil.Process(store.pid)
    process.suspend()
    store.stop()
    assert not process.is_running()


def test_no_process_outlives_a_killed_launcher(
    folder: Path, launcher: Callable[..., Any], gone: Callable[[list[int]], bool]
) -> None:
    made = launcher()
    said = made.wait_started()
    family = [child.pid for child in psutil.Process(made.process.pid).children(recursive=True)]
    assert set(said["pids"]) < set(family)
    made.kill()
    assert gone(family)
    # In order: nothing is left to recover.
    assert "database system is shut down" in (folder / "postgres" / "store.log").read_text()
    assert not (folder / "postgres" / "data" / "postmaster.pid").exists()


def test_no_store_outlives_its_killed_guard(launcher: Callable[..., Any], gone: Callable[[list[int]], bool]) -> None:
    if sys.platform != "linux":
        pytest.skip("the kernel's parent-death signal is Linux's")
    made = launcher(leave=True)
    said = made.wait_started()
    for pid in said["pids"]:
        psutil.Process(pid).parent().kill()  # type: ignore[union-attr]
    assert gone(said["pids"])


def test_a_killed_launcher_of_temporary_stores_leaves_no_folder(gone: Callable[[list[int]], bool]) -> None:
    command = [sys.executable, "-c", EPHEMERAL]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        where, *pids = process.stdout.readline().split()
        guards = [child.pid for child in psutil.Process(process.pid).children()]
        process.kill()
        assert gone([int(pid) for pid in pids] + guards)
    assert not Path(where).exists()


def test_a_store_about_to_end_is_not_attached_to(folder: Path, launcher: Callable[..., Any]) -> None:
    first = launcher()
    said = first.wait_started()
    guards = psutil.Process(first.process.pid).children()
    for guard in guards:
        guard.suspend()
    first.kill()

    def resume(_: str) -> None:
        for guard in guards:
            if guard.is_running():
                guard.resume()

    with EmbeddedStores(folder, environ={}, progress=resume) as stores:
        assert not stores.postgres.attached
        assert not stores.valkey.attached
        assert {stores.postgres.pid, stores.valkey.pid}.isdisjoint(said["pids"])


def test_the_folder_serves_again_at_once_after_a_killed_launcher(launcher: Callable[..., Any]) -> None:
    first = launcher()
    first.wait_started()
    first.kill()
    second = launcher()
    said = second.wait_started()
    # Whatever it found - going down, or gone - it ends with stores that answer and that are its own.
    assert said["attached"] == [False, False]
    with redis.Redis.from_url(said["redis_url"]) as client:
        assert client.ping()
    assert second.end() == 0
