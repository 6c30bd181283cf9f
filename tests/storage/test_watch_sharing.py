"""A thousand watchers of one filter cost one snapshot, one delta a commit and one encoding of each; tokens name their database."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from alphapulse.domain.errors import ConsistencyNotReached, SnapshotRequired
from alphapulse.runtime.deadline import ends_in
from registry_service.storage.cache import TieredCache
from registry_service.storage.model import EntityKind, Query
from registry_service.watch import Feed, Hub, SnapshotChunk, TokenCodec, WatchSpec
from registry_service.watch.encoding import messages
from registry_service.watch.hub import HubLimits
from registry_service.watch.snapshots import SnapshotLimits

INSTRUMENT = EntityKind.INSTRUMENT
WATCHERS, COMMITS, ENTRIES = 1000, 3, 25


def spec(filter_bytes: bytes = b"all") -> WatchSpec:
    """Made anew for each watcher, as each call makes its own."""
    return WatchSpec(Query(INSTRUMENT), frozenset({INSTRUMENT}), filter_bytes)


class CountingSource:
    """The store, counting what is read."""

    def __init__(self, store) -> None:
        self._store = store
        self.reads = Counter()

    def __getattr__(self, name):
        self.reads[name] += 1
        return getattr(self._store, name)


async def test_a_thousand_watchers_share_one_encoding_of_everything(store, writes, until) -> None:
    for number in range(ENTRIES):
        await store.write(writes.put(f"i{number:03}"), actor="t")
    source = CountingSource(store)
    feed = Feed(store, TieredCache(), poll_seconds=3600.0)
    store.on_commit(feed.committed)
    async with feed:
        hub = Hub(
            source, feed, TokenCodec("instrument"), HubLimits(snapshots=SnapshotLimits(page=10), mark_seconds=3600.0)
        )
        pieces: dict[str, set[int]] = {"snapshot": set(), "mark": set(), "delta": set()}
        kept = []
        told = Counter()

        async def watch() -> None:
            async for event in hub.watch(spec()):
                kind = type(event).__name__.removesuffix("Chunk").lower()
                for message in messages(event):
                    pieces[kind].add(id(message))
                    kept.append(message)
                    told[kind] += 1
                if kind == "mark" and event.revision == ENTRIES + COMMITS:
                    return

        watching = [asyncio.create_task(watch()) for _ in range(WATCHERS)]
        await until(lambda: hub.watchers == WATCHERS)
        reads = dict(source.reads)
        for number in range(COMMITS):
            await store.write(writes.put(f"i{number:03}", b"new"), actor="t")
        await asyncio.gather(*watching)
    assert told["snapshot"] == 3 * WATCHERS
    assert told["delta"] == COMMITS * WATCHERS
    assert (len(pieces["snapshot"]), len(pieces["delta"])) == (3, COMMITS)
    assert reads["page"] == 3
    # The mark that ends the snapshot is each watcher's own; those of the commits are shared.
    assert len(pieces["mark"]) <= WATCHERS + COMMITS


async def test_watchers_that_come_back_together_share_the_log_they_missed(store, writes) -> None:
    for number in range(30):
        await store.write(writes.put(f"i{number:03}"), actor="t")
    source = CountingSource(store)
    tokens = TokenCodec("instrument")
    async with Feed(store, TieredCache(), poll_seconds=3600.0) as feed:
        hub = Hub(source, feed, tokens)
        seen = set()

        async def watch() -> int:
            async for event in hub.watch(spec(), resume_token=tokens.resume(b"all", 4)):
                for message in messages(event):
                    seen.add(message)
                if getattr(event, "revision", 0) == 30:
                    return 1
            return 0

        assert sum(await asyncio.gather(*(watch() for _ in range(200)))) == 200
    assert source.reads["changes"] == 1


async def test_a_reader_of_a_shared_snapshot_that_goes_away_holds_up_nobody(store, writes) -> None:
    for number in range(30):
        await store.write(writes.put(f"i{number:03}"), actor="t")
    async with Feed(store, TieredCache(), poll_seconds=3600.0) as feed:
        hub = Hub(store, feed, TokenCodec("instrument"), HubLimits(snapshots=SnapshotLimits(page=5)))
        first, second = hub.watch(spec()), hub.watch(spec())
        assert isinstance(await anext(first), SnapshotChunk)
        reading = asyncio.ensure_future(anext(first))
        await asyncio.sleep(0)
        reading.cancel()
        names = []
        async for event in second:
            if not isinstance(event, SnapshotChunk):
                assert event.revision == 30
                break
            names += [one.entity_id for one in event.entities]
        assert names == [f"i{number:03}" for number in range(30)]


async def test_a_snapshot_too_large_to_keep_is_read_by_each_and_is_whole(store, writes) -> None:
    for number in range(30):
        await store.write(writes.put(f"i{number:03}", bytes(100)), actor="t")
    async with Feed(store, TieredCache(), poll_seconds=3600.0) as feed:
        limits = HubLimits(snapshots=SnapshotLimits(page=4, kept_bytes=2000))
        hub = Hub(store, feed, TokenCodec("instrument"), limits)

        async def names() -> list[str]:
            found: list[str] = []
            async for event in hub.watch(spec()):
                if not isinstance(event, SnapshotChunk):
                    return found
                found += [one.entity_id for one in event.entities]
            return found

        for found in await asyncio.gather(names(), names(), names()):
            assert found == [f"i{number:03}" for number in range(30)]


async def test_a_token_of_another_database_asks_for_a_snapshot(store, writes) -> None:
    await store.write(writes.put("a"), actor="t")
    here, elsewhere = TokenCodec("instrument", epoch=await store.epoch()), TokenCodec("instrument", epoch="restored")
    async with Feed(store, TieredCache()) as feed:
        hub = Hub(store, feed, here)
        with pytest.raises(SnapshotRequired, match="another database"):
            await anext(hub.watch(spec(), resume_token=elsewhere.resume(b"all", 1)))
        events = hub.watch(spec(), resume_token=here.resume(b"all", 0))
        assert [change.revision for change in (await anext(events)).changes] == [1]
        await events.aclose()


async def test_a_position_this_process_has_not_seen_is_told_before_the_caller_is_gone(
    store, make_store, writes
) -> None:
    class Deaf:
        """A log this process reads nothing new of."""

        def __init__(self, revision: int) -> None:
            self._revision = revision

        async def revision(self) -> int:
            return self._revision

        async def changes(self, after_revision: int, limit: int):
            return []

        async def oldest_resumable(self) -> int:
            return 0

    await store.write(writes.put("a"), actor="t")
    await store.write(writes.put("b"), actor="t")
    tokens = TokenCodec("instrument")
    async with Feed(Deaf(1), TieredCache()) as feed:
        hub = Hub(store, feed, tokens)

        async def watch() -> None:
            ends_in(0.05)
            await anext(hub.watch(spec(), resume_token=tokens.resume(b"all", 2)))

        with pytest.raises(ConsistencyNotReached) as caught:
            await asyncio.create_task(watch())
        assert caught.value.metadata == {"wanted": "2", "reached": "1"}
