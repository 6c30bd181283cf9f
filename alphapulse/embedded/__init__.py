"""Real Postgres and Valkey servers on a machine that has neither: for the demo, for tests, for a laptop.

Here: finding the programs (the `embedded` extra, then PATH), starting, attaching, stopping, and mending a data folder
after a crash. Not here: schemas and migrations (`registry_service.storage`), clients, and servers of production, which
are given by DATABASE_URL and REDIS_URL.
"""

from alphapulse.embedded.errors import (
    DataFolderError,
    EmbeddedStoreError,
    PortInUseError,
    StoreBusyError,
    StoreNotInstalledError,
    StoreStartError,
    StoreUnreachableError,
)
from alphapulse.embedded.external import ExternalStore, external_postgres, external_redis
from alphapulse.embedded.postgres import PostgresStore
from alphapulse.embedded.store import LaunchOptions, LocalStore, Store
from alphapulse.embedded.stores import EmbeddedStores, RunningStore, running_stores, stop_running
from alphapulse.embedded.urls import asyncpg_url, redacted, sqlalchemy_url, with_database
from alphapulse.embedded.valkey import ValkeyStore

__all__ = [
    "DataFolderError",
    "EmbeddedStoreError",
    "EmbeddedStores",
    "ExternalStore",
    "LaunchOptions",
    "LocalStore",
    "PortInUseError",
    "PostgresStore",
    "RunningStore",
    "Store",
    "StoreBusyError",
    "StoreNotInstalledError",
    "StoreStartError",
    "StoreUnreachableError",
    "ValkeyStore",
    "asyncpg_url",
    "external_postgres",
    "external_redis",
    "redacted",
    "running_stores",
    "sqlalchemy_url",
    "stop_running",
    "with_database",
]
