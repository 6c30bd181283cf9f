"""Names that very many instruments bear: an issuer's LEI, a CFI."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service

LEI, CFI = "549300MLUDYVRQOOXS22", "ESVUFR"
CREATED = service.REGISTRATION_OUTCOME_CREATED
EXTENDED = service.REGISTRATION_OUTCOME_EXTENDED
UNCHANGED = service.REGISTRATION_OUTCOME_UNCHANGED


def bearing(entries: Any, number: int, *schemes: str) -> wire.Instrument:
    value_of = {"LEI": (LEI, common.IDENTIFIER_LEVEL_ISSUER), "CFI": (CFI, common.IDENTIFIER_LEVEL_INSTRUMENT)}
    more = [entries.identifier(one, value_of[one][0], level=value_of[one][1], source="test") for one in schemes]
    made: wire.Instrument = entries.equity(entries.isin(number), f"Company {number}", identifiers=more)
    made.identifiers[0].level, made.identifiers[0].source = common.IDENTIFIER_LEVEL_INSTRUMENT, "test"
    return made


READ = "SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE relname = 'identifier'"
"""Rows of assertions that Postgres has read by an index, as far as its sessions have told."""


@pytest.mark.parametrize("schemes", [("LEI", "CFI"), ("LEI",)], ids=["whole", "usual"])
async def test_what_a_registration_reads_does_not_grow_with_those_who_bear_its_names(
    registry: Any, entries: Any, schemes: tuple[str, ...]
) -> None:
    """The usual shape and the whole way."""
    await registry.register_all([(bearing(entries, number, *schemes), ()) for number in range(600)])
    for number in range(600, 640):
        if number == 635:
            await asyncio.sleep(1.1)  # a session tells of what it read with its next commit, once a second
        assert (await registry.register(bearing(entries, number, *schemes))).outcome == CREATED
    connection = await asyncpg.connect(registry.database_url)
    assert await connection.fetchval(READ) < 640 * 20  # those who bear them are read for each of forty: 24,000 at least
    await connection.close()
    assert await rows_of(registry, LEI) == 640


async def test_each_bears_them_once_however_often_it_is_sent(registry: Any, entries: Any) -> None:
    for number in range(3):
        assert (await registry.register(bearing(entries, number, "LEI"))).outcome == CREATED
    assert (await registry.register(bearing(entries, 1, "LEI"))).outcome == UNCHANGED
    both = bearing(entries, 1, "LEI", "CFI")
    assert (await registry.register(both)).outcome == EXTENDED
    again = await registry.register_all([(both, ()), (bearing(entries, 2, "LEI"), ()), (both, ())])
    assert [one.outcome for one in again] == [UNCHANGED] * 3
    assert await rows_of(registry, LEI) == 3
    assert await rows_of(registry, CFI) == 1


async def test_an_update_ends_its_own_alone(registry: Any, entries: Any) -> None:
    for number in range(3):
        await registry.register(bearing(entries, number, "LEI", "CFI"))
    held = (await registry.isin(entries.isin(1))).entries[0].instrument
    del held.identifiers[2:]
    request = service.UpdateInstrumentRequest(instrument=held, update_mask=FieldMask(paths=["identifiers"]))
    request.write.etag = held.etag
    changed = (await registry.stub.UpdateInstrument(request)).instrument
    assert [one.value for one in changed.identifiers] == [entries.isin(1), LEI]
    assert (await rows_of(registry, LEI), await rows_of(registry, CFI)) == (3, 2)
    assert (await registry.register(bearing(entries, 1, "LEI", "CFI"))).outcome == EXTENDED
    assert (await rows_of(registry, LEI), await rows_of(registry, CFI)) == (3, 3)


async def rows_of(registry: Any, value: str) -> int:
    """The assertions of a name that are known now."""
    connection = await asyncpg.connect(registry.database_url)
    try:
        query = "SELECT count(*) FROM instrument.identifier WHERE value = $1 AND closed_revision IS NULL"
        found: int = await connection.fetchval(query, value)
    finally:
        await connection.close()
    return found
