"""Real stores and recorded data for every test. The fixtures that start something are plain functions of session scope:
they need no event loop, so tests of any loop scope can use them.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
import redis
from hypothesis import HealthCheck, settings
from support.nursery import nursery
from xdist.scheduler import LoadScopeScheduling

from alphapulse.embedded import (
    LaunchOptions,
    PostgresStore,
    ValkeyStore,
    external_postgres,
    external_redis,
    with_database,
)

# How long an example takes says nothing on a machine that does other things too. In CI the examples are the same each
# time, so that a change is judged by what it changed; elsewhere they are new each time.
settings.register_profile("anywhere", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("anywhere"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "anywhere")

PROJECT = Path(__file__).resolve().parents[1]
TEMPORARY = LaunchOptions(durable=False, remove_with_parent=True)

_MEMORY = Path("/dev/shm")
_ROOM = 6 << 30
"""Bytes that must be free in memory for the temporary files of a session to be there: stores, logs, recordings of all workers."""


_ONE_PLATFORM = ("cli", "sdk")
"""Folders whose files share a running platform: one worker runs them all, one after the other."""
_LONGEST_FIRST = (
    "faults/test_seeds.py",
    "embedded",
    "venue",
    "faults",
    "e2e",
    "guarantees",
    "benchmarks",
    "cli",
    "deploy",
    "sdk",
    "relay",
    "collector",
    "interchange",
)
"""Folders and files that take longest: begun last they would keep one worker waiting for the others. The first compiles the relay's kernel, if it
has to be; meanwhile the others do what needs none."""


class _Groups(LoadScopeScheduling):
    """What one worker runs without a break: a file, or a folder with one platform."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.removeprefix("tests/").partition("/")[0]
        return folder if folder in _ONE_PLATFORM else file


def pytest_configure() -> None:
    """Temporary files are kept in memory where there is room. Each new database is a copy of some three hundred files: on a disk that takes the
    kernel ten times as long as in memory. `TMPDIR` says otherwise.
    """
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK):
        return
    if min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available) >= _ROOM:
        os.environ["TMPDIR"] = str(_MEMORY)  # workers and the processes of tests inherit it
        tempfile.tempdir = None


_COMPILE = "from collector_service.lane.kernel import load; load()"
_COMPILES = pytest.StashKey["subprocess.Popen[bytes]"]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Before the workers begin, one process compiles what all collectors need: theirs find it done, or wait for it, and none of them begins what is
    lost with the end of its test. Takes a minute of a core in a new clone, a few seconds later on.
    """
    if session.config.getoption("numprocesses", None):
        session.config.stash[_COMPILES] = subprocess.Popen(
            [sys.executable, "-c", _COMPILE], cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """It may go on where only a few tests were run."""
    compiles = session.config.stash.get(_COMPILES, None)
    if compiles is not None:
        compiles.kill()
        compiles.wait()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Takes the place of the schedulers of xdist."""
    config.option.loadscopereorder = False  # the order is that of `pytest_collection_modifyitems`
    return _Groups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest first."""
    places = {name: number for number, name in enumerate(_LONGEST_FIRST)}

    def place(item: pytest.Item) -> int:
        path = item.path.relative_to(PROJECT / "tests")
        return places.get(path.as_posix(), places.get(path.parts[0], len(places)))

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def _processes_are_forked() -> Iterator[None]:
    """Tests start the product's processes without its imports each time; see `support.nursery`."""
    with nursery():
        yield


class DatabaseMaker:
    """Creates and drops databases on one server. Blocking; usable inside and outside of an event loop."""

    def __init__(self, server_url: str) -> None:
        self.server_url = server_url
        self._numbers = itertools.count(1)

    def create(self, template: str | None = None) -> str:
        """URL of a new database: empty, or a copy of the one at `template`, to which nobody may be connected."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        # In memory files are copied in a third of the time that their pages take through the server's log, as is usual.
        source = f' TEMPLATE "{_database_of(template)}"' if template else ""
        self._execute(f'CREATE DATABASE "{name}"{source} STRATEGY FILE_COPY')
        return with_database(self.server_url, name)

    def drop(self, url: str) -> None:
        """Drop it, even when somebody is still connected."""
        self._execute(f'DROP DATABASE IF EXISTS "{_database_of(url)}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        run_blocking(_execute(self.server_url, statement))


def _database_of(url: str) -> str:
    return urlsplit(url).path.lstrip("/")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def run_blocking(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a thread with its own loop: the loop of the test, if any, is left alone."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


@pytest.fixture(scope="session")
def database_server_url() -> Iterator[str]:
    """URL of a running Postgres, shared by the session: TEST_DATABASE_URL, or an embedded one."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        external_postgres(given).start()
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="alphapulse-test-") as folder:
        Path(folder).chmod(0o711)  # root may have to run the store as another user
        store = PostgresStore(Path(folder) / "postgres", TEMPORARY)
        store.start()
        try:
            yield store.url
        finally:
            store.stop()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a running Valkey or Redis, shared by the session: TEST_REDIS_URL, or an embedded one."""
    given = os.environ.get("TEST_REDIS_URL")
    if given:
        external_redis(given).start()
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="alphapulse-test-") as folder:
        Path(folder).chmod(0o711)  # root may have to run the store as another user
        store = ValkeyStore(Path(folder) / "valkey", TEMPORARY)
        store.start()
        try:
            yield store.url
        finally:
            store.stop()


@pytest.fixture(scope="session")
def database_maker(database_server_url: str) -> DatabaseMaker:
    """Makes databases: `create()`, `create(template=URL)` for a fast copy of a migrated one, `drop(URL)`."""
    return DatabaseMaker(database_server_url)


@pytest.fixture
def database_url(database_maker: DatabaseMaker) -> Iterator[str]:
    """URL of a new empty database of this test's own, dropped afterwards."""
    url = database_maker.create()
    yield url
    database_maker.drop(url)


@pytest.fixture(scope="session")
def _next_redis_url(redis_url: str) -> Callable[[], str]:
    if os.environ.get("TEST_REDIS_URL"):
        return lambda: redis_url
    numbers = itertools.cycle(range(1, 16))
    return lambda: f"{redis_url.rpartition('/')[0]}/{next(numbers)}"


@pytest.fixture
def fresh_redis_url(_next_redis_url: Callable[[], str]) -> Iterator[str]:
    """URL of an empty Redis database of this test's own. Pub/sub channels are shared by all: name them apart."""
    url = _next_redis_url()
    _flush(url)
    yield url
    _flush(url)


def _flush(url: str) -> None:
    client = redis.Redis.from_url(url)
    try:
        client.flushdb()
    finally:
        client.close()


@pytest.fixture(scope="session")
def recordings_dir() -> Path:
    """Folder of recorded venue frames: ALPHAPULSE_RECORDINGS, or `../shared/recordings`. Skips when absent."""
    return _data_folder("ALPHAPULSE_RECORDINGS", "recordings")


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Folder of public reference data: ALPHAPULSE_REFERENCE, or `../shared/reference`. Skips when absent."""
    return _data_folder("ALPHAPULSE_REFERENCE", "reference")


def _data_folder(variable: str, name: str) -> Path:
    folder = Path(os.environ.get(variable) or PROJECT.parent / "shared" / name)
    if not folder.is_dir():
        pytest.skip(f"no {name}: {folder} is no folder; set {variable}")
    return folder
