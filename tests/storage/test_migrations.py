"""Migrations: idempotent, safe when replicas start together, and in agreement with the tables the queries use."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from registry_service.storage import migrations
from registry_service.storage.database import make_engine
from registry_service.storage.migrations.run import migrate
from registry_service.storage.model import (
    ChangeKind,
    Entity,
    EntityKind,
    IdentifierKey,
    IdentifierRow,
    Operation,
    WriteSession,
)
from registry_service.storage.postgres import PostgresStore
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


SLOW = """
CREATE FUNCTION public.slow() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.7); END $$;
CREATE EVENT TRIGGER slow ON ddl_command_start WHEN TAG IN ('CREATE TRIGGER') EXECUTE FUNCTION public.slow();
"""
"""A statement of the first migration takes as long as an index over a large table does elsewhere."""


async def test_a_statement_of_a_migration_may_take_as_long_as_it_needs(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(SLOW)
    for command_seconds in (0.5, None):
        engine = make_engine(database_url, "instrument", pool_size=2, command_seconds=command_seconds)
        if command_seconds is None:
            await migrate(engine, "instrument")
        else:
            with pytest.raises(TimeoutError):
                await migrate(engine, "instrument")
        await engine.dispose()
    assert await connection.fetchval("SELECT count(*) FROM instrument.revision") == 1
    await connection.close()


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


async def test_what_was_written_before_indexes_were_dropped_is_read_as_before(database_url: str) -> None:
    """Versions, assertions, histories and times, before the migration and after it."""
    engine = make_engine(database_url, "instrument", pool_size=4)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE SCHEMA instrument"))
        await connection.run_sync(upgrade_to, "0009")
    kind, ids = EntityKind.INSTRUMENT, [f"i{n}" for n in range(6)]

    def writing(n: int) -> Operation:
        async def operation(session: WriteSession) -> bytes:
            entity_id = ids[n % len(ids)]
            held = await session.get(kind, [entity_id])
            revision = session.next_revision()
            parent = ids[0] if n % 3 == 0 and n else ""
            version = Entity(kind, entity_id, b"%d" % n, revision, name=f"name {n}", parent_id=parent)
            session.put(version, ChangeKind.UPDATED if held else ChangeKind.CREATED)
            for rows in (await session.identifiers([IdentifierKey(1 + n % 3, "V")])).values():
                for row in rows:
                    session.close_identifier(row, revision)
            bearer = (2, kind, entity_id, entity_id, None, None, "t", revision, None, n % 4 == 0)
            session.assert_identifiers([IdentifierRow(1 + n % 3, "V", "", *bearer)])
            return b""

        return operation

    async with PostgresStore(engine, "instrument") as store:
        for n in range(20):
            await store.write(writing(n), actor="t")
        times = [one.commit_time for one in await store.changes(0, 100)]

        async def answers() -> list[object]:
            keys = [IdentifierKey(scheme, "V") for scheme in (1, 2, 3)]
            found: list[object] = []
            for at in (None, 1, 7, 13, 20):
                found += [await store.get(kind, ids, at), await store.children(kind, ids, at)]
                found += [await store.identifiers(keys, at), await store.versions(kind, ids, at or 20)]
            for before in (None, 12):
                found.append(await store.changes_of(ids[:3], before_revision=before, limit=9))
            for time in times:
                found += [await store.revision_at(time), await store.revision_at(time - timedelta(microseconds=1))]
            return found

        before = await answers()
        await migrate(engine, "instrument")
        assert await answers() == before
        assert before[-2 * len(times) :] == [at for number in range(1, 21) for at in (number, number - 1)]
    await engine.dispose()


def upgrade_to(connection: Connection, version: str) -> None:
    """The schema as an earlier version of the registry made it."""
    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, schema="instrument")
    command.upgrade(config, version)


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
