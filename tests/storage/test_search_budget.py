"""A search that would take too long is answered with what is at hand, and says so; the connection serves on."""

from __future__ import annotations

from sqlalchemy import select

from registry_service.storage.database import make_engine
from registry_service.storage.migrations.run import migrate
from registry_service.storage.model import ChangeKind, Entity, EntityKind
from registry_service.storage.postgres import PostgresStore
from registry_service.storage.reads import Reads
from registry_service.storage.schema import tables
from registry_service.storage.search import Search

TEXT = "international holdings group corporation"


async def test_a_search_ends_when_its_time_is_up(database_url: str) -> None:
    engine = make_engine(database_url, "instrument")
    await migrate(engine, "instrument")

    async def fill(session):
        for number in range(3000):
            name = f"{TEXT} {number} " + "and sons of the brothers " * 19
            entity = Entity(EntityKind.INSTRUMENT, f"{number:032x}", b"", session.next_revision(), name=name[:512])
            session.put(entity, ChangeKind.CREATED)
        return b""

    async with PostgresStore(engine, "instrument") as store:
        await store.write(fill, actor="test")
    schema = tables("instrument")
    statement = select(*Reads(schema).entity_columns).where(schema.entity.c.kind == int(EntityKind.INSTRUMENT))
    hasty, patient = Search(schema, budget_ms=1), Search(schema, budget_ms=60_000)
    async with engine.connect() as connection:
        cut = await hasty.names(connection, statement, TEXT, faint=False, replaced_after=None)
        assert (list(cut.entities), cut.truncated) == ([], True)
        whole = await patient.names(connection, statement, TEXT, faint=False, replaced_after=None)
        assert len(whole.entities) >= 400
        assert whole.truncated
        few = await patient.names(connection, statement, f"{TEXT} 2999 and sons", faint=False, replaced_after=None)
        assert few.entities
    await engine.dispose()
