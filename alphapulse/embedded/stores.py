"""The two stores the platform needs, as one thing to start and stop."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from alphapulse.embedded.external import external_postgres, external_redis
from alphapulse.embedded.postgres import PostgresStore
from alphapulse.embedded.store import LaunchOptions, LocalStore, Store
from alphapulse.embedded.urls import asyncpg_url, sqlalchemy_url
from alphapulse.embedded.valkey import ValkeyStore


@dataclass(frozen=True, slots=True)
class RunningStore:
    """A store found running on this machine. The URL holds the password: print `urls.redacted` of it."""

    name: str
    pid: int
    port: int
    url: str
    log_path: Path


class EmbeddedStores:
    """Postgres and Valkey for one data folder; attached to when they run already, started otherwise.

    `async with EmbeddedStores(folder) as stores:` or `start()` and `stop()`. DATABASE_URL and REDIS_URL, or the
    arguments of that name, each take the place of one store.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        database_url: str | None = None,
        redis_url: str | None = None,
        die_with_parent: bool = True,
        progress: Callable[[str], None] | None = None,
        environ: Mapping[str, str] | None = None,
        postgres_options: LaunchOptions | None = None,
        valkey_options: LaunchOptions | None = None,
    ) -> None:
        """Nothing is started yet.

        data_dir: folder of both stores, made when absent.
        die_with_parent: stores started here end with this process, even when it is killed. With False they go on
            until `stop()` or `stop_running(data_dir)`.
        progress: told a line for whatever takes over a second.
        environ: where the two variables are looked up; the process's own environment by default.
        """
        variables = os.environ if environ is None else environ
        options = LaunchOptions(die_with_parent=die_with_parent)
        database = database_url or variables.get("DATABASE_URL")
        cache = redis_url or variables.get("REDIS_URL")
        self.data_dir = data_dir
        self.postgres: Store = (
            external_postgres(database)
            if database
            else PostgresStore(data_dir / "postgres", postgres_options or options, progress=progress)
        )
        self.valkey: Store = (
            external_redis(cache)
            if cache
            else ValkeyStore(data_dir / "valkey", valkey_options or options, progress=progress)
        )
        self._temporary = False

    @classmethod
    def ephemeral(cls, *, progress: Callable[[str], None] | None = None) -> Self:
        """New empty stores in a temporary folder, removed at the end; not synced to disk. For tests."""
        options = LaunchOptions(durable=False, remove_with_parent=True)
        folder = Path(tempfile.mkdtemp(prefix="alphapulse-"))
        folder.chmod(0o711)
        stores = cls(folder, environ={}, progress=progress, postgres_options=options, valkey_options=options)
        stores._temporary = True
        return stores

    @property
    def database_url(self) -> str:
        """`postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, for asyncpg, psql and libpq."""
        return asyncpg_url(self.postgres.url)

    @property
    def sqlalchemy_url(self) -> str:
        """The same for SQLAlchemy: `postgresql+asyncpg://...`."""
        return sqlalchemy_url(self.postgres.url)

    @property
    def redis_url(self) -> str:
        """`redis://:PASSWORD@HOST:PORT/0`."""
        return self.valkey.url

    def is_running(self) -> bool:
        """Whether both can be used."""
        return self.postgres.is_running() and self.valkey.is_running()

    def start(self) -> None:
        """Start both, or neither. Blocks. Raises EmbeddedStoreError."""
        try:
            self.postgres.start()
            self.valkey.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what `start` started; remove a temporary folder. Blocks; safe to call again."""
        try:
            self.valkey.stop()
        finally:
            self.postgres.stop()
            if self._temporary:
                shutil.rmtree(self.data_dir, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        starting = asyncio.ensure_future(asyncio.to_thread(self.start))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The thread cannot be cancelled: wait for what it starts, then undo it.
            await asyncio.wait([starting])
            if not starting.cancelled() and starting.exception() is None:
                await asyncio.to_thread(self.stop)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)


def running_stores(data_dir: Path) -> list[RunningStore]:
    """The stores of that folder that run now, whoever started them."""
    return [
        RunningStore(store.name, store.pid, store.port, store.url, store.log_path)
        for store in _local_stores(data_dir)
        if store.attach() and store.pid is not None
    ]


def stop_running(data_dir: Path, *, progress: Callable[[str], None] | None = None) -> list[str]:
    """Stop the stores of that folder, whoever started them. Returns the names of those that ran."""
    return [store.name for store in _local_stores(data_dir, progress) if store.stop_found()]


def _local_stores(data_dir: Path, progress: Callable[[str], None] | None = None) -> tuple[LocalStore, ...]:
    # Valkey first: it is the one that nothing else depends on.
    return (
        ValkeyStore(data_dir / "valkey", progress=progress),
        PostgresStore(data_dir / "postgres", progress=progress),
    )
