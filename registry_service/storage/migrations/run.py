"""Brings one schema up to date: at every start of a service, safe against replicas that start at the same moment."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

_LOCK: Final = 0x616C_7068_6170_6C73
"""One lock for all schemas of a database: extensions are created once for the three."""


async def migrate(engine: AsyncEngine, schema: str) -> None:
    """Creates the schema if it is not there and runs what is missing, all of it in one transaction. An index over a large table takes minutes to
    build: the engine has to be one without a limit for a statement.

    The lock is held on a connection of its own for the whole of it; Postgres releases it if this process dies. Raises
    SQLAlchemy's errors where Postgres cannot be reached, refuses, or another replica migrates for longer than the engine's
    lock_timeout.
    """
    async with engine.connect() as lock:
        await lock.execution_options(isolation_level="AUTOCOMMIT")
        await lock.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        try:
            async with engine.begin() as connection:
                await connection.execute(text("SET LOCAL statement_timeout = 0"))
                await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
                await connection.run_sync(_upgrade, schema)
        finally:
            await lock.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})


def _upgrade(connection: Connection, schema: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["schema"] = schema
    command.upgrade(config, "head")
