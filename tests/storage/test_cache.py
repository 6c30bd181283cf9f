"""The answer cache: one load a key, floors, and a Redis that is stale, empty, damaged, stopped or gone: never wrong."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
import redis

from alphapulse.embedded import LaunchOptions, ValkeyStore
from registry_service.storage.cache import CacheLimits, TieredCache
from registry_service.storage.model import CachedAnswer
from registry_service.storage.redis_level import FORMAT, Breaker, RedisLevel


class Truth:
    """What Postgres would answer; counts the loads."""

    def __init__(self) -> None:
        self.revision = 1
        self.values: dict[str, bytes] = {}
        self.loads: list[tuple[str, ...]] = []
        self.gate: asyncio.Event | None = None

    async def load(self, keys):
        self.loads.append(tuple(keys))
        answers = {key: CachedAnswer(self.values.get(key, b"nobody"), self.revision) for key in keys}
        if self.gate is not None:
            await self.gate.wait()
        return answers

    def change(self, cache: TieredCache, key: str, value: bytes) -> None:
        self.revision += 1
        self.values[key] = value
        cache.invalidate([key], self.revision)
        cache.advance(self.revision)


@pytest.fixture
def truth() -> Truth:
    return Truth()


async def test_one_load_however_many_ask(truth, until) -> None:
    async with TieredCache() as cache:
        truth.gate = asyncio.Event()
        asking = [asyncio.create_task(cache.get("k", truth.load)) for _ in range(50)]
        await until(lambda: truth.loads)
        asking.pop(0).cancel()
        truth.gate.set()
        assert set(await asyncio.gather(*asking)) == {b"nobody"}
        assert truth.loads == [("k",)]
        assert cache.peek("k") == b"nobody"
        assert await cache.get_many(["k", "m", "k"], truth.load) == [b"nobody"] * 3
        assert truth.loads[1:] == [("m",)]
        assert cache.stats == {"hits_process": 1, "hits_redis": 0, "misses": 2, "redis_errors": 0}


async def test_a_load_overtaken_by_a_change_is_not_given_to_who_asks_later(truth, until) -> None:
    async with TieredCache() as cache:
        truth.gate = asyncio.Event()
        early = asyncio.create_task(cache.get("k", truth.load))
        await until(lambda: truth.loads)
        truth.change(cache, "k", b"new")
        late = asyncio.create_task(cache.get("k", truth.load))
        await until(lambda: len(truth.loads) >= 2)
        truth.gate.set()
        assert await late == b"new"
        assert await early == b"new"
        assert cache.peek("k") == b"new"


async def test_a_floor_never_sinks_when_an_older_change_is_told_later(truth) -> None:
    async with TieredCache() as cache:
        cache.invalidate(["k"], 10)  # this process's own commit, told before another replica's revision 8
        cache.invalidate(["k"], 8)
        truth.revision = 9
        answered = await cache.get("k", truth.load)
        assert answered == b"nobody"
        assert cache.peek("k") is None  # read before revision 10: given, but not kept


async def test_a_key_that_several_changes_of_a_commit_name_is_voided(truth) -> None:
    async with TieredCache() as cache:
        await cache.get("k", truth.load)
        truth.values["k"], truth.revision = b"somebody", 2
        cache.invalidate(["k", "m", "k"], 2)
        assert cache.peek("k") is None
        assert await cache.get("k", truth.load) == b"somebody"


async def test_min_revision_is_met_by_reading_or_by_having_followed(truth) -> None:
    async with TieredCache() as cache:
        await cache.get("k", truth.load)
        truth.revision = 9
        await cache.get("k", truth.load, min_revision=1)
        assert len(truth.loads) == 1
        await cache.get("k", truth.load, min_revision=9)
        assert len(truth.loads) == 2
        cache.advance(20)
        await cache.get("k", truth.load, min_revision=20)
        assert len(truth.loads) == 2


async def test_a_failing_load_fails_all_who_wait_and_is_tried_again(truth) -> None:
    async def broken(keys):
        raise ConnectionError("gone")

    async with TieredCache() as cache:
        results = await asyncio.gather(*(cache.get("k", broken) for _ in range(3)), return_exceptions=True)
        assert all(isinstance(result, ConnectionError) for result in results)
        assert await cache.get("k", truth.load) == b"nobody"


async def test_the_process_level_is_bounded(truth) -> None:
    async with TieredCache(limits=CacheLimits(entries=10, total_bytes=1 << 20, floors=5)) as cache:
        for number in range(100):
            await cache.get(f"k{number}", truth.load)
            truth.change(cache, f"other{number}", b"x")
        assert cache.entries <= 10
        truth.values["big"] = b"x" * (2 << 20)
        assert len(await cache.get("big", truth.load)) == 2 << 20
        assert cache.size_bytes <= 1 << 20


async def test_what_redis_holds_from_before_is_measured_by_the_floors(truth, fresh_redis_url) -> None:
    async with TieredCache(RedisLevel(fresh_redis_url, "t:", timeout_seconds=2)) as old:
        truth.values["k"] = b"old"
        await old.get("k", truth.load)
        await old._second.flushed()
    truth.revision, truth.values["k"] = 7, b"new"
    async with TieredCache(RedisLevel(fresh_redis_url, "t:", timeout_seconds=2)) as started:
        started.invalidate_all(7)
        assert await started.get("k", truth.load) == b"new"
        await started._second.flushed()
    async with TieredCache(RedisLevel(fresh_redis_url, "t:", timeout_seconds=2)) as again:
        again.invalidate_all(7)
        loads = len(truth.loads)
        assert await again.get("k", truth.load) == b"new"
        assert (len(truth.loads), again.stats["hits_redis"]) == (loads, 1)


async def test_redis_keeps_the_newer_and_foreign_values_are_misses(truth, fresh_redis_url) -> None:
    level = RedisLevel(fresh_redis_url, "t:", timeout_seconds=2)
    level.offer({"k": CachedAnswer(b"newer", 12)})
    await level.flushed()
    level.offer({"k": CachedAnswer(b"older", 9)})
    await level.flushed()
    assert await level.get_many(["k"]) == {"k": CachedAnswer(b"newer", 12)}
    client = redis.Redis.from_url(fresh_redis_url)
    client.set(f"t:{FORMAT}:k", b"garbage")
    client.lpush(f"t:{FORMAT}:list", b"x")
    client.close()
    assert await level.get_many(["k", "list"]) == {}
    assert level.errors == 0
    await level.close()


async def test_redis_killed_during_reads_is_neither_an_error_nor_wrong_and_comes_back(truth) -> None:
    with tempfile.TemporaryDirectory(prefix="alphapulse-test-") as folder:
        server = ValkeyStore(Path(folder) / "v", LaunchOptions(durable=False, remove_with_parent=True))
        server.start()
        port = server.port
        level = RedisLevel(server.url, "t:", timeout_seconds=1, breaker=Breaker(first_seconds=0, longest_seconds=0))
        async with TieredCache(level, CacheLimits(entries=1)) as cache:
            truth.values |= {"a": b"a1", "b": b"b1"}
            assert await cache.get_many(["a", "b"], truth.load) == [b"a1", b"b1"]
            await level.flushed()
            server.stop()
            truth.change(cache, "a", b"a2")
            for _ in range(5):
                assert await cache.get_many(["a", "b"], truth.load) == [b"a2", b"b1"]
            assert cache.stats["redis_errors"] > 0
            again = ValkeyStore(Path(folder) / "v", LaunchOptions(durable=False, remove_with_parent=True, port=port))
            again.start()
            try:
                while not cache.stats["hits_redis"]:
                    assert await cache.get_many(["a", "b"], truth.load) == [b"a2", b"b1"]
                    await level.flushed()
            finally:
                again.stop()


async def test_the_breaker_lets_one_through_to_see() -> None:
    breaker = Breaker(failures=2, first_seconds=0.0, longest_seconds=60)
    assert breaker.allows()
    breaker.failed()
    assert not breaker.is_open
    breaker.failed()
    assert breaker.is_open
    assert breaker.allows()
    breaker.succeeded()
    assert not breaker.is_open
    slow = Breaker(failures=1, first_seconds=60)
    slow.failed()
    assert not slow.allows()
