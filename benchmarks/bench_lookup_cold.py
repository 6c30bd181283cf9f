"""Look-ups that the process does not hold: read from Redis, from Postgres, with Redis down; and what a large cold batch costs others.

Each figure is of a registry process that has just started, on stores that hold the instruments.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import grpc
from calls import open_bytes_channel, unary
from harness import Metric, Options, main, say
from registry import BATCH, SERVICE, batch_requests, equity, isin_of, register, running_registry, running_stores, warm

from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.embedded import EmbeddedStores, asyncpg_url

IN_FLIGHT = 8
_NOBODY = "redis://127.0.0.1:9/0"
"""A port nothing listens on."""
_BARE = """
SELECT i.value, e.body FROM unnest($1::text[]) AS wanted (value)
JOIN instrument.identifier i ON i.scheme = 1 AND i.value = wanted.value COLLATE "C" AND i.closed_revision IS NULL
JOIN instrument.entity e ON e.kind = 1 AND e.entity_id = i.instrument_id AND e.revision_to IS NULL
"""


async def once(channel: grpc.aio.Channel, method: str, requests: Sequence[bytes], in_flight: int) -> float:
    """Seconds for every request once, `in_flight` at a time."""
    call: Any = unary(channel, f"{SERVICE}/{method}")
    waiting = iter(requests)

    async def worker() -> None:
        for request in waiting:
            await call(request)

    begin = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return time.perf_counter() - begin


async def bare(stores: EmbeddedStores, isins: Sequence[str]) -> float:
    """Identifiers a second of the plain statement on one connection."""
    connection = await asyncpg.connect(asyncpg_url(stores.database_url))
    try:
        found = 0
        begin = time.perf_counter()
        for at in range(0, len(isins), BATCH):
            found += len(await connection.fetch(_BARE, isins[at : at + BATCH]))
        spent = time.perf_counter() - begin
    finally:
        await connection.close()
    if found != len(isins):
        raise RuntimeError(f"{found} of {len(isins)} identifiers found")
    return found / spent


async def cold(stores: EmbeddedStores, isins: Sequence[str], size: int, **changed: str) -> float:
    """Identifiers a second of a process that has just started."""
    if size == 1:
        requests = [service.LookupISINRequest(isin=one).SerializeToString() for one in isins]
        method, in_flight = "LookupISIN", 64
    else:
        requests, method, in_flight = batch_requests(isins, size), "BatchLookup", IN_FLIGHT
    async with running_registry("instrument", stores, **changed) as child:
        channel = open_bytes_channel(child.facts["grpc"])
        # One that is not asked for later: connections are made, statements prepared.
        await once(
            channel, "BatchLookup", batch_requests([isin_of(99_999_000 + n) for n in range(IN_FLIGHT)], 1), IN_FLIGHT
        )
        spent = await once(channel, method, requests, in_flight)
        await channel.close()
    return len(isins) / spent


async def stall(stores: EmbeddedStores, isins: Sequence[str], size: int) -> float:
    """Milliseconds of the longest of the warm look-ups that are asked one after the other while a cold batch is answered."""
    async with running_registry("instrument", stores, REDIS_URL="") as child, AsyncExitStack() as stack:
        channels = [open_bytes_channel(child.facts["grpc"]) for _ in range(2)]
        for channel in channels:
            stack.push_async_callback(channel.close)
        ask: Any = unary(channels[0], f"{SERVICE}/LookupISIN")
        request = service.LookupISINRequest(isin=isin_of(0)).SerializeToString()
        for _ in range(20):
            await ask(request)
        batch = asyncio.create_task(once(channels[1], "BatchLookup", batch_requests(isins, size), 1))
        longest = 0.0
        while not batch.done():
            begin = time.perf_counter()
            await ask(request)
            longest = max(longest, time.perf_counter() - begin)
        await batch
    return longest * 1e3


async def measure(options: Options) -> Sequence[Metric]:
    count = options.pick(20_000, 1_000)
    isins = [isin_of(number) for number in range(count)]
    async with running_stores(durable=False) as stores:
        async with running_registry("instrument", stores) as child:
            say(f"registering {count} instruments ...")
            await register(child.facts["grpc"], (equity(n) for n in range(count)))
            channel = open_bytes_channel(child.facts["grpc"])
            await warm(channel, isins)
            await channel.close()
        floor = await bare(stores, isins)
        timed = f"BatchLookup of {BATCH} of {count} ISINs, each once, {IN_FLIGHT} in flight, by a process that has just started; "
        same = "; floor: a plain statement of asyncpg for the same names and bodies, one connection"
        figures = (
            ("postgres", timed + "Redis not configured" + same, await cold(stores, isins, BATCH, REDIS_URL="")),
            (
                "redis_down",
                timed + "nothing listens where Redis should be" + same,
                await cold(stores, isins, BATCH, REDIS_URL=_NOBODY),
            ),
            ("redis", timed + "Redis holds the answers" + same, await cold(stores, isins, BATCH)),
            (
                "postgres_unary",
                f"LookupISIN of {count // 5} ISINs, each once, 64 in flight, by a process that has just started; Redis not configured"
                + same,
                await cold(stores, isins[: count // 5], 1, REDIS_URL=""),
            ),
        )
        size = min(count, 10_000)
        longest = await stall(stores, isins[:size], size)
    metrics = [Metric(name, value, "identifiers/s", words, floor, value / floor) for name, words, value in figures]
    words = f"the longest of the warm LookupISIN calls asked one after the other while one BatchLookup of {size} cold ISINs is answered"
    return [*metrics, Metric("others_wait", longest, "ms", words)]


if __name__ == "__main__":
    main("lookup_cold", measure)
