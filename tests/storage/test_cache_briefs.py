"""Briefs of cached answers: whatever happens to the cache, a brief is that of the answer it holds, or there is none."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_service.storage.cache import CacheLimits, TieredCache
from registry_service.storage.model import CachedAnswer

NAMES = ["aa", "bb", "cc", "ddd"]
KEYS = [f"n/{name}" for name in NAMES] + ["elsewhere"]


def brief(body: bytes) -> bytes:
    return body[:3] + b"!"


class Model:
    """A cache with what a caller may hold of it: answers it was given some time ago."""

    def __init__(self, cache: TieredCache) -> None:
        self.cache = cache
        self.shelves = cache.shelf("n/", 2), cache.shelf("n/", 2, briefs=True)
        self.revision = 1
        self.values = dict.fromkeys(KEYS, b"1:first")
        self.given: dict[str, bytes] = {}

    async def load(self, keys):
        return {key: CachedAnswer(self.values[key], self.revision) for key in keys}

    async def get(self, key: str) -> None:
        self.given[key] = await self.cache.get(key, self.load)

    async def ask_brief(self, key: str) -> None:
        """Of the answer it was given last, be it the one that is held or not."""
        body = self.given.get(key, b"never held")
        assert self.cache.brief(key, body, brief) == brief(body)

    async def change(self, key: str) -> None:
        self.revision += 1
        self.values[key] = b"%d:%s" % (self.revision, b"x" * (self.revision % 7))
        self.cache.invalidate([key], self.revision)
        self.cache.advance(self.revision)

    async def change_all(self, _: str) -> None:
        self.revision += 1
        self.values = dict.fromkeys(KEYS, b"%d:all" % self.revision)
        self.cache.invalidate_all(self.revision)
        self.cache.advance(self.revision)

    def check(self) -> None:
        spent = held = 0
        for key in KEYS:
            body, short = self.cache.peek(key), self.cache.peek_brief(key)
            assert body is None or body == self.values[key]
            assert short is None or (body is not None and short == brief(body))
            held += body is not None
            spent += sum(len(one) + len(key) + 300 for one in (body, short) if one is not None)
            name = key.partition("/")[2].encode()
            if len(name) == 2:
                assert (self.shelves[0].get(name), self.shelves[1].get(name)) == (body, short)
            else:
                assert name not in self.shelves[1]
        assert (self.cache.size_bytes, self.cache.entries) == (spent, held)
        assert spent <= LIMITS.total_bytes


LIMITS = CacheLimits(entries=4, total_bytes=2_000, floors=2)
STEPS = st.tuples(
    st.sampled_from(["get", "get", "ask_brief", "ask_brief", "change", "change_all"]), st.sampled_from(KEYS)
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_a_brief_is_of_the_answer_that_is_held(steps):
    async def run() -> None:
        async with TieredCache(limits=LIMITS) as cache:
            model = Model(cache)
            for name, key in steps:
                await getattr(model, name)(key)
                model.check()

    asyncio.run(run())


class Confident(TieredCache):
    """A planted fault: the key alone decides whether a brief is kept."""

    def brief(self, key, body, make):
        return super().brief(key, self.peek(key) if self.peek(key) is not None else body, lambda _: make(body))


@pytest.mark.parametrize(("kind", "kept"), [(TieredCache, None), (Confident, b"old!")])
async def test_the_brief_of_an_answer_overtaken_by_a_change_is_not_kept(kind, kept):
    async with kind() as cache:
        model = Model(cache)
        model.values["n/aa"] = b"old body"
        await model.get("n/aa")
        await model.change("n/aa")
        await cache.get("n/aa", model.load)
        assert cache.brief("n/aa", b"old body", brief) == b"old!"
        assert cache.peek_brief("n/aa") == kept


async def test_a_brief_is_made_once_and_leaves_with_its_answer():
    made = []

    def counted(body: bytes) -> bytes:
        made.append(body)
        return brief(body)

    async with TieredCache(limits=CacheLimits(entries=2)) as cache:
        model = Model(cache)
        await model.get("n/aa")
        for _ in range(3):
            assert cache.brief("n/aa", model.given["n/aa"], counted) == b"1:f!"
        assert len(made) == 1
        for key in ("n/bb", "n/cc"):
            await model.get(key)
        assert cache.peek_brief("n/aa") is None
        model.check()
