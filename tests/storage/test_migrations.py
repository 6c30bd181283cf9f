"""Migrations: idempotent, safe when replicas start together, and in agreement with the tables the queries use."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncpg
import pytest

from registry_service.storage import migrations
from registry_service.storage.database import make_engine
from registry_service.storage.migrations.run import migrate
from registry_service.storage.schema import SERVICES, calendar_tables, tables

VERSIONS = Path(migrations.__file__).parent / "versions"
MIGRATE = """
import asyncio, sys
from registry_service.storage.database import make_engine
from registry_service.storage.migrations.run import migrate
async def main():
    engine = make_engine(sys.argv[1], sys.argv[2], pool_size=2)
    await migrate(engine, sys.argv[2])
    await engine.dispose()
asyncio.run(main())
"""


async def test_replicas_and_services_that_start_together(database_url: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", MIGRATE, database_url, service, stderr=asyncio.subprocess.PIPE
        )
        for service in ("instrument", "instrument", "venue", "synthetic")
    ]
    for process in processes:
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
    connection = await asyncpg.connect(database_url)
    last = sorted(path.name[1:5] for path in VERSIONS.glob("v[0-9]*.py"))[-1]
    for service in SERVICES:
        assert await connection.fetchval(f'SELECT count(*) FROM "{service}".revision') == 1
        assert await connection.fetchval(f'SELECT version_num FROM "{service}".alembic_version') == last
    await connection.close()


async def test_again_changes_nothing(migrated_url: str) -> None:
    engine = make_engine(migrated_url, "venue", pool_size=2)
    await migrate(engine, "venue")
    await migrate(engine, "venue")
    await engine.dispose()


@pytest.mark.parametrize("service", SERVICES)
async def test_the_tables_of_queries_are_those_of_the_database(migrated_url: str, service: str) -> None:
    connection = await asyncpg.connect(migrated_url)
    rows = await connection.fetch(
        "SELECT table_name, column_name, is_nullable FROM information_schema.columns "
        "WHERE table_schema = $1 AND table_name <> 'alembic_version'",
        service,
    )
    await connection.close()
    known = tables(service)
    listed = [known.revision, known.entity, known.change_log, known.request_log, known.pruned_commit]
    listed += [known.identifier] if known.identifier is not None else []
    listed += calendar_tables() if service == "venue" else ()
    expected = {(t.name, c.name, "YES" if c.nullable else "NO") for t in listed for c in t.c}
    assert {tuple(row) for row in rows} == expected
