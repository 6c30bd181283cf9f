"""A process that writes, tells what was acknowledged, and ends by SIGKILL at a named step of a group commit.

Arguments: database URL, step, how often the step passes before the end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from registry_service.storage.database import make_engine
from registry_service.storage.model import ChangeKind, Entity, EntityKind, IdentifierKey, IdentifierRow
from registry_service.storage.postgres import PostgresStore

KEY = IdentifierKey(13, "T")


def registering(number: int):
    async def operation(session):
        entity_id = f"i{number % 7}"
        held = await session.get(EntityKind.INSTRUMENT, [entity_id])
        revision = session.next_revision()
        change = ChangeKind.UPDATED if held else ChangeKind.CREATED
        session.put(Entity(EntityKind.INSTRUMENT, entity_id, b"%d" % number, revision), change)
        for row in (await session.identifiers([KEY]))[KEY]:
            session.close_identifier(row, revision)
        row = IdentifierRow(13, "T", "", 2, EntityKind.INSTRUMENT, entity_id, entity_id, None, None, "t")
        session.assert_identifiers([row._replace(recorded_revision=revision)])
        return b"%d" % number

    return operation


async def main(url: str, step: str, passes: int) -> None:
    left = passes

    def fail_at(reached: str) -> None:
        nonlocal left
        if reached == step:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    engine = make_engine(url, "instrument", pool_size=2)
    async with PostgresStore(engine, "instrument", fail_at=fail_at) as store:

        async def write(number: int) -> None:
            request_id = f"{step}-{number}"
            outcome = await store.write(registering(number), actor="t", request_id=request_id)
            os.write(1, f"{request_id} {outcome.revision}\n".encode())

        for round_number in range(100):
            await asyncio.gather(*(write(round_number * 10 + n) for n in range(10)))


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
