"""Look-up latency over a million instruments, against the same over ten thousand: names the process holds, and names it has to read."""

from __future__ import annotations

import hashlib
import random
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
from calls import open_bytes_channel, unary
from harness import Metric, Options, alternate, main, say
from registry import SERVICE, equity, isin_of, register, running_registry, running_stores

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.embedded import EmbeddedStores, asyncpg_url

ENTITY = ("kind", "entity_id", "revision_from", "body", "facets", "name", "parent_id", "sort_key")
IDENTIFIER = (
    *("seq", "scheme", "value", "venue", "level", "target_kind", "target_id", "instrument_id"),
    *("source", "recorded_revision", "shared"),
)


def id_of(number: int) -> str:
    """An instrument's id."""
    return hashlib.sha256(b"scale|%d" % number).hexdigest()[:32]


def entities(count: int, sample: bytes) -> Iterator[tuple[Any, ...]]:
    """Rows of shares, alike but for what names them."""
    message = wire.Instrument.FromString(sample)
    del message.identifiers[1:]
    for number in range(1, count + 1):
        message.instrument_id = message.identifiers[0].target_id = id_of(number)
        message.identity_text = f"equity|{isin_of(number)}"
        message.identifiers[0].value = isin_of(number)
        message.name = f"Company number {number} Incorporated"
        yield (1, message.instrument_id, number + 1, message.SerializeToString(), ("class:1",), "", "", 0)


def identifiers(count: int) -> Iterator[tuple[Any, ...]]:
    """The ISIN of each."""
    for number in range(1, count + 1):
        one = id_of(number)
        yield (10_000 + number, 1, isin_of(number), "", 2, 1, one, one, "benchmark", number + 1, False)


async def fill(stores: EmbeddedStores, count: int) -> None:
    """Tables that a registry made, and `count` instruments beside the one it registered."""
    async with running_registry("instrument", stores) as child:
        await register(child.facts["grpc"], [equity(0)])
    connection = await asyncpg.connect(asyncpg_url(stores.database_url))
    try:
        sample = await connection.fetchval("SELECT body FROM instrument.entity WHERE kind = 1 AND revision_to IS NULL")
        for table, columns, rows in (
            ("entity", ENTITY, entities(count, sample)),
            ("identifier", IDENTIFIER, identifiers(count)),
        ):
            await connection.copy_records_to_table(table, schema_name="instrument", columns=columns, records=rows)
        await connection.execute(f"UPDATE instrument.revision SET value = {count + 1}, pruned_to = {count + 1}")
        await connection.execute("VACUUM ANALYZE instrument.entity, instrument.identifier")
    finally:
        await connection.close()


class _Side:
    """One registry over one number of instruments."""

    def __init__(self, call: Any, count: int) -> None:
        self._call = call
        self._fresh = iter(random.Random(count).sample(range(1, count + 1), min(count, 10_000)))
        self._held: list[bytes] = []

    async def _ask(self, requests: Sequence[bytes], *, check: bool = False) -> float:
        """Microseconds of the median call, one after the other."""
        spent = []
        for request in requests:
            begin = time.perf_counter()
            raw = await self._call(request)
            spent.append(time.perf_counter() - begin)
            if check and service.LookupISINResponse.FromString(raw).result.outcome != common.LOOKUP_OUTCOME_RESOLVED:
                raise RuntimeError("an ISIN that was written is not found")
        return statistics.median(spent) * 1e6

    async def cold(self, calls: int) -> float:
        """Names never asked for before; they are held from now on."""
        picked = [next(self._fresh) for _ in range(calls)]
        requests = [service.LookupISINRequest(isin=isin_of(n)).SerializeToString() for n in picked]
        self._held += requests
        return await self._ask(requests, check=True)

    async def warm(self, calls: int) -> float:
        """Names asked for before."""
        return await self._ask(random.choices(self._held, k=calls))


async def sides(stack: AsyncExitStack, counts: Sequence[int]) -> AsyncIterator[_Side]:
    """A registry over each number of instruments, on stores of its own."""
    for count in counts:
        stores = await stack.enter_async_context(running_stores(durable=False))
        say(f"writing {count} instruments ...")
        await fill(stores, count)
        child = await stack.enter_async_context(running_registry("instrument", stores, REDIS_URL=""))
        channel = open_bytes_channel(child.facts["grpc"])
        stack.push_async_callback(channel.close)
        yield _Side(unary(channel, f"{SERVICE}/LookupISIN"), count)


async def measure(options: Options) -> Sequence[Metric]:
    large, small = options.pick(1_000_000, 4_000), options.pick(10_000, 1_000)
    rounds, calls = options.pick(12, 3), options.pick(150, 50)
    async with AsyncExitStack() as stack:
        one, other = [side async for side in sides(stack, (large, small))]
        for side in (one, other):
            await side.cold(calls)
        cold = await alternate(rounds, lambda: one.cold(calls), lambda: other.cold(calls))
        warm = await alternate(rounds, lambda: one.warm(calls * 4), lambda: other.warm(calls * 4))
    words = "LookupISIN, one call after the other, median of a round; median of {} rounds of {}; floor: the same over {} instruments"
    return [
        Metric(
            "held",
            warm[0],
            "us",
            f"over {large}: names the process holds; " + words.format(rounds, calls * 4, small),
            *warm[1:],
        ),
        Metric(
            "read",
            cold[0],
            "us",
            f"over {large}: names read from Postgres; " + words.format(rounds, calls, small),
            *cold[1:],
        ),
    ]


if __name__ == "__main__":
    main("lookup_scale", measure)
