"""The cache below look-ups, through the service: whatever becomes of Redis no answer is wrong, and planted faults are caught."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import redis.asyncio
from prometheus_client import CollectorRegistry

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc as rpc
from alphapulse.client.channel import open_channel
from alphapulse.embedded import LaunchOptions, ValkeyStore
from alphapulse.runtime import serve_in_background
from registry_service.app import RegistryApplication
from registry_service.config import InstrumentConfig
from registry_service.storage.cache import TieredCache
from registry_service.storage.model import CachedAnswer
from registry_service.storage.redis_level import RedisLevel

RESOLVED = common.LOOKUP_OUTCOME_RESOLVED
NOT_FOUND = common.LOOKUP_OUTCOME_NOT_FOUND
ISIN = common.IDENTIFIER_SCHEME_ISIN


class Place:
    """One database and one Redis, whose server can be killed and started with what it held at another time."""

    def __init__(self, database_url: str, folder: Path, stack: AsyncExitStack) -> None:
        self.database_url = database_url
        self.folder = folder
        self.stack = stack
        self.redis = self._server(0)
        self.redis.start()
        self.port = self.redis.port

    def _server(self, port: int) -> ValkeyStore:
        return ValkeyStore(
            self.folder / "redis", LaunchOptions(durable=True, remove_with_parent=True, port=port or None)
        )

    def stop(self) -> None:
        """The server is gone."""
        self.redis.stop()

    def keep(self) -> Path:
        """A copy of what the stopped server wrote to disk."""
        return shutil.copytree(self.folder / "redis", self.folder / "old")

    def restart(self, holding: Path | None) -> None:
        """Starts it at the same port, with that on its disk or with nothing."""
        shutil.rmtree(self.folder / "redis")
        if holding is not None:
            shutil.copytree(holding, self.folder / "redis")
        self.redis = self._server(self.port)
        self.redis.start()

    async def replica(self) -> tuple[rpc.InstrumentServiceStub, CollectorRegistry]:
        """A registry process's equal, and its metrics."""
        metrics = CollectorRegistry()
        config = InstrumentConfig(
            database_url=self.database_url, redis_url=self.redis.url, metrics_port=None, drain_seconds=0.5
        )
        app = RegistryApplication("instrument", config, metrics)
        handle = await self.stack.enter_async_context(serve_in_background(app, config))
        channel = await self.stack.enter_async_context(open_channel(handle.address))
        return rpc.InstrumentServiceStub(channel), metrics


@pytest.fixture
async def place(database_maker, instrument_template) -> AsyncIterator[Place]:
    url = database_maker.create(template=instrument_template)
    with tempfile.TemporaryDirectory(prefix="alphapulse-test-") as folder:
        async with AsyncExitStack() as stack:
            made = Place(url, Path(folder), stack)
            try:
                yield made
            finally:
                await stack.aclose()
                made.stop()
    database_maker.drop(url)


def reads(metrics: CollectorRegistry, level: str) -> float:
    return metrics.get_sample_value("registry_cache_reads_total", {"service": "instrument", "from": level}) or 0.0


async def look(stub, *isins: str) -> list[service.LookupResult]:
    request = service.BatchLookupRequest(scheme=ISIN, values=isins)
    return list((await stub.BatchLookup(request)).results)


async def register(stub, instrument, *listings) -> service.RegisterInstrumentResponse:
    return await stub.RegisterInstrument(service.RegisterInstrumentRequest(instrument=instrument, listings=listings))


async def rename(stub, instrument_id: str, name: str) -> None:
    changed = wire.Instrument(instrument_id=instrument_id, name=name)
    await stub.UpdateInstrument(service.UpdateInstrumentRequest(instrument=changed, update_mask={"paths": ["name"]}))


async def in_redis(place: Place, count: int) -> None:
    """Returns once Redis holds so many answers: they are written behind the answers."""
    client = redis.asyncio.Redis.from_url(place.redis.url)
    async with asyncio.timeout(20):
        while await client.dbsize() < count:
            pass
    await client.aclose()


@pytest.mark.parametrize("after", ["emptied", "stale", "away"])
async def test_redis_killed_and_back_with_old_or_no_values_makes_no_answer_wrong(place, entries, after):
    """An old dump holds a negative answer, an answer under the former name, and one that is still right."""
    first, _ = await place.replica()
    kept, renamed, missing = (entries.isin(number) for number in (1, 2, 3))
    await register(first, entries.equity(kept, "Kept"))
    named = (await register(first, entries.equity(renamed, "Before"))).entry.instrument.instrument_id
    assert [one.outcome for one in await look(first, kept, renamed, missing)] == [RESOLVED, RESOLVED, NOT_FOUND]
    await in_redis(place, 3)
    place.stop()
    old = place.keep()
    for number in range(3):  # with Redis away
        await rename(first, named, f"After {number}")
        assert [one.outcome for one in await look(first, kept, renamed, missing)] == [RESOLVED, RESOLVED, NOT_FOUND]
        assert (await look(first, renamed))[0].entries[0].instrument.name == f"After {number}"
    await register(first, entries.equity(missing, "Found"))
    if after != "away":
        place.restart(old if after == "stale" else None)
    second, metrics = await place.replica()  # one that never saw the changes being made
    for stub in (second, first, second, first):
        found = await look(stub, kept, renamed, missing)
        assert [one.outcome for one in found] == [RESOLVED] * 3
        assert [one.entries[0].instrument.name for one in found] == ["Kept", "After 2", "Found"]
    if after == "stale":  # the dump was really read: it held three answers, none of them of this revision
        assert reads(metrics, "postgres") == 3
    if after == "away":
        place.restart(None)


async def test_a_negative_answer_does_not_outlive_its_registration_on_any_replica(place, entries):
    first, _ = await place.replica()
    second, _ = await place.replica()
    for number in range(5):
        isin, symbol = entries.isin(number), f"S{number}"
        ask = service.LookupSymbolRequest(symbol=symbol, venue="XETR")
        anywhere = service.LookupSymbolRequest(symbol=symbol)
        for stub in (first, second):
            assert (await look(stub, isin))[0].outcome == NOT_FOUND
            assert (await stub.LookupSymbol(ask)).result.outcome == NOT_FOUND
            assert (await stub.LookupSymbol(anywhere)).result.outcome == NOT_FOUND
        answer = await register(first, entries.equity(isin), entries.listing("XETR", symbol))
        ids = [
            service.LookupItem(instrument_id=answer.entry.instrument.instrument_id),
            service.LookupItem(listing_id=answer.entry.listings[0].listing_id),
        ]
        read = common.ReadOptions(at_least_as_fresh=answer.revision_token)
        options = service.LookupOptions(read=read)
        assert (await look(first, isin))[0].outcome == RESOLVED
        for stub in (first, second):
            request = service.BatchLookupRequest(items=ids, scheme=ISIN, values=[isin], options=options)
            assert [one.outcome for one in (await stub.BatchLookup(request)).results] == [RESOLVED] * 3
            assert (await stub.LookupSymbol(ask)).result.outcome == RESOLVED
            assert (await stub.LookupSymbol(anywhere)).result.outcome == RESOLVED


async def test_ids_asked_for_before_they_exist(place, entries):
    stub, _ = await place.replica()
    wanted = entries.coin_id("BTC").hex
    for _ in range(2):
        (found,) = (await stub.BatchLookup(by_id(wanted))).results
        assert found.outcome == NOT_FOUND
    await register(stub, entries.coin("BTC"))
    (found,) = (await stub.BatchLookup(by_id(wanted))).results
    assert found.outcome == RESOLVED


def by_id(instrument_id: str) -> service.BatchLookupRequest:
    return service.BatchLookupRequest(items=[service.LookupItem(instrument_id=instrument_id)])


async def test_hit_rates_tell_where_answers_came_from(place, entries):
    first, metrics = await place.replica()
    await register(first, entries.equity(entries.isin(1)))
    isins = [entries.isin(number) for number in range(1, 11)]
    await look(first, *isins)
    assert (reads(metrics, "process"), reads(metrics, "redis"), reads(metrics, "postgres")) == (0, 0, 10)
    for _ in range(3):
        await look(first, *isins)
    await first.LookupISIN(service.LookupISINRequest(isin=isins[0]))
    assert (reads(metrics, "process"), reads(metrics, "postgres")) == (31, 10)
    await in_redis(place, 10)
    second, others = await place.replica()
    await look(second, *isins)
    assert (reads(others, "process"), reads(others, "redis"), reads(others, "postgres")) == (0, 10, 0)


async def test_a_listing_is_answered_from_the_cache_and_follows_every_change(place, entries):
    stub, metrics = await place.replica()
    held = (await register(stub, entries.equity(entries.isin(1)), entries.listing("XETR", "A"))).entry
    listing = held.listings[0]
    by_key = service.GetListingRequest(listing_key=listing.listing_key)
    by_id_ = service.GetListingRequest(listing_id=listing.listing_id)
    assert await stub.GetListing(by_key) == await stub.GetListing(by_id_)
    read_before = reads(metrics, "postgres")
    for number in range(4):
        status = (wire.LISTING_STATUS_HALTED, wire.LISTING_STATUS_TRADING)[number % 2]
        changed = wire.Listing(listing_id=listing.listing_id, status=status)
        await stub.UpdateListing(service.UpdateListingRequest(listing=changed, update_mask={"paths": ["status"]}))
        await rename(stub, held.instrument.instrument_id, f"Name {number}")
        for request in (by_key, by_id_, by_key):
            answer = await stub.GetListing(request)
            assert (answer.listing.status, answer.instrument.name) == (status, f"Name {number}")
    assert reads(metrics, "postgres") == read_before + 4  # one load a change, however often it was asked for
    more = await register(stub, entries.equity(entries.isin(1), "Name 3"), entries.listing("XPAR", "A"))
    other = next(one for one in more.entry.listings if one.venue == "XPAR")
    assert (await stub.GetListing(service.GetListingRequest(listing_key=other.listing_key))).listing == other


class Forgetful(TieredCache):
    """A planted fault: what is set is not compared with the floor."""

    def _floor(self, key: str) -> int:
        return 0


class Careless(RedisLevel):
    """A planted fault: whatever is offered last is kept, be it older."""

    async def _send(self, batch) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for key, answer in batch.items():
            pipe.set(self._namespace + key, str(answer.revision).zfill(20).encode() + answer.body)
        await pipe.execute()


async def overtaken(cache: TieredCache) -> bytes:
    """What a cache gives after a load that began before a change and ended after it."""
    gate, begun = asyncio.Event(), asyncio.Event()

    async def slow(keys):
        begun.set()
        await gate.wait()
        return {key: CachedAnswer(b"old", 1) for key in keys}

    async def now(keys):
        return {key: CachedAnswer(b"new", 2) for key in keys}

    early = asyncio.create_task(cache.get("k", slow))
    await begun.wait()
    cache.invalidate(["k"], 2)
    cache.advance(2)
    gate.set()
    await early
    return await cache.get("k", now)


async def test_a_cache_set_without_a_revision_check_is_caught():
    async with TieredCache() as sound, Forgetful() as broken:
        assert await overtaken(sound) == b"new"
        assert await overtaken(broken) == b"old"


async def test_a_set_of_redis_without_a_revision_check_is_caught(fresh_redis_url):
    for kind, expected in ((RedisLevel, b"newer"), (Careless, b"older")):
        level = kind(fresh_redis_url, f"{kind.__name__}:", timeout_seconds=2)
        for answer in (CachedAnswer(b"newer", 12), CachedAnswer(b"older", 9)):
            level.offer({"k": answer})
            await level.flushed()
        assert (await level.get_many(["k"]))["k"].body == expected
        await level.close()


async def test_cold_look_ups_of_one_turn_are_read_by_a_few_statements(place, entries):
    stub, metrics = await place.replica()
    for number in range(60):
        await register(stub, entries.equity(entries.isin(number)))
    asked = [
        stub.LookupISIN(service.LookupISINRequest(isin=entries.isin(number))) for number in [*range(60), *range(60)]
    ]
    found = [one.result.entries[0].instrument.identifiers[0].value for one in await asyncio.gather(*asked)]
    assert found == [entries.isin(number) for number in range(60)] * 2
    assert reads(metrics, "postgres") == 60  # one load a key however many ask


async def test_a_batch_of_ten_thousand_cold_answers_in_order(place, entries):
    stub, metrics = await place.replica()
    for number in range(3):
        await register(stub, entries.equity(entries.isin(number)))
    isins = [entries.isin(number) for number in range(10_000)]
    found = await look(stub, *isins)
    assert [one.outcome for one in found] == [RESOLVED] * 3 + [NOT_FOUND] * 9_997
    assert reads(metrics, "postgres") == 10_000
    assert [one.outcome for one in await look(stub, *isins)] == [one.outcome for one in found]
    assert (reads(metrics, "postgres"), reads(metrics, "process")) == (10_000, 10_000)
