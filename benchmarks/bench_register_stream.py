"""RegisterInstruments, streamed and durable: instruments a second, against COPY of the same number of rows into bare tables.

Postgres syncs every commit to disk in both.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
from harness import Metric, Options, alternate, main
from registry import BATCH, batches, equity, instrument_registry, require_created

from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.client.channel import open_channel
from alphapulse.client.registration import RegistrationStream

IN_FLIGHT = 16
"""Batches: what is planned while Postgres writes has to be there already."""
_TABLES = """
CREATE TABLE floor_instrument (id text PRIMARY KEY, name text NOT NULL, revision bigint NOT NULL, body bytea NOT NULL);
CREATE TABLE floor_identifier (scheme smallint, value text, instrument_id text NOT NULL, PRIMARY KEY (scheme, value));
CREATE TABLE floor_change (revision bigint PRIMARY KEY, instrument_id text NOT NULL, body bytea NOT NULL);
"""


class _Floor:
    """Ready rows copied into three tables, a transaction a batch, one connection."""

    def __init__(self, connection: Any, count: int) -> None:
        self._connection = connection
        self._count = count
        self._next = 0

    async def round(self) -> float:
        """Instruments a second."""
        parts = list(batches(equity(self._next + at) for at in range(self._count)))
        rows = [self._rows(part) for part in parts]
        begin = time.perf_counter()
        for instruments, identifiers, changes in rows:
            async with self._connection.transaction():
                await self._connection.copy_records_to_table("floor_instrument", records=instruments)
                await self._connection.copy_records_to_table("floor_identifier", records=identifiers)
                await self._connection.copy_records_to_table("floor_change", records=changes)
        return self._count / (time.perf_counter() - begin)

    def _rows(self, part: list[service.InstrumentEntry]) -> tuple[list[Any], list[Any], list[Any]]:
        instruments, identifiers, changes = [], [], []
        for entry in part:
            self._next += 1
            identity, body = f"{self._next:032x}", entry.instrument.SerializeToString()
            instruments.append((identity, entry.instrument.name, self._next, body))
            identifiers += [(one.scheme, one.value, identity) for one in entry.instrument.identifiers]
            changes.append((self._next, identity, body))
        return instruments, identifiers, changes


class _Ours:
    """Batches over one stream, several waiting for their answer."""

    def __init__(self, stream: RegistrationStream, count: int) -> None:
        self._stream = stream
        self._count = count
        self._next = 0

    async def round(self) -> float:
        """Instruments a second, from the first sent to the last answered."""
        parts = list(batches(equity(self._next + at) for at in range(self._count)))
        self._next += self._count
        begin = time.perf_counter()
        answers = await asyncio.gather(*(self._stream.submit(part) for part in parts))
        seconds = time.perf_counter() - begin
        for answer in answers:
            require_created(answer.results)
        return self._count / seconds


async def measure(options: Options) -> Sequence[Metric]:
    count, rounds = options.pick(20_000, 500), options.pick(4, 1)
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(instrument_registry(durable=True))
        connection = await asyncpg.connect(registry.stores.database_url)
        stack.push_async_callback(connection.close)
        if await connection.fetchval("SHOW fsync") != "on":
            raise RuntimeError("this Postgres does not sync to disk: the figure would not be of durable writes")
        await connection.execute(_TABLES)
        channel = await stack.enter_async_context(open_channel(registry.address))
        stream = await stack.enter_async_context(RegistrationStream(channel, max_in_flight=IN_FLIGHT))
        ours, floor = _Ours(stream, count), _Floor(connection, count)
        rate, bare, ratio = await alternate(rounds, ours.round, floor.round)
    timed = (
        f"RegisterInstruments, {count} equities a round with ISIN, CUSIP and FIGI in batches of {BATCH}, {IN_FLIGHT} in flight, from "
        f"the first sent to the last acknowledged as durable (fsync on); the client runs in this process; floor: asyncpg COPY of an "
        f"instrument, three identifiers and a change-log row each into bare tables of the same Postgres, a transaction a batch; "
        f"median of {rounds} rounds"
    )
    return [Metric("instruments", rate, "instruments/s", timed, bare, ratio)]


if __name__ == "__main__":
    main("register_stream", measure)
