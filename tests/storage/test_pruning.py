"""The change log can be pruned: watches say so, earlier knowledge stays, and nobody is told a hole."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from alphapulse.domain.errors import SnapshotRequired
from registry_service.storage.cache import TieredCache
from registry_service.storage.model import EntityKind, Query
from registry_service.storage.pruning import ChangeLogPruning
from registry_service.watch import Delta, Feed, Hub, Mark, SnapshotChunk, TokenCodec, WatchSpec

INSTRUMENT = EntityKind.INSTRUMENT
EVERYTHING = WatchSpec(Query(INSTRUMENT), frozenset({INSTRUMENT}), b"all")


async def write(store, writes, count, start=0):
    for number in range(start, start + count):
        await store.write(writes.put(f"i{number % 7}", b"%d" % number), actor="t")


@pytest.mark.parametrize("batch", [1, 3, 1000])
async def test_what_was_known_when_is_the_same_after_pruning(store, writes, batch) -> None:
    await write(store, writes, 6)
    # Several revisions of one commit, so that a batch ends inside it.
    await asyncio.gather(*(store.write(writes.put(f"g{at}"), actor="t") for at in range(6)))
    times = [change.commit_time for change in await store.changes(0, 100)]
    asked = [
        time + offset
        for time in times
        for offset in (timedelta(microseconds=-1), timedelta(), timedelta(microseconds=1))
    ]
    asked += [datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC) - timedelta(microseconds=1)]
    before = [await store.revision_at(time) for time in asked]
    for keep_after in (2, 8, 10, 12):
        await store.prune_change_log(keep_after, batch)
        assert [await store.revision_at(time) for time in asked] == before
    assert await store.changes(0, 100) == []
    await write(store, writes, 1, start=100)
    assert [await store.revision_at(time) for time in asked] == before
    assert await store.oldest_resumable() == 12


async def test_the_retention_decides_what_goes(store, writes) -> None:
    await write(store, writes, 5)
    assert await ChangeLogPruning(store, timedelta(days=1)).prune() == 0
    assert await ChangeLogPruning(store, timedelta(0)).prune() == 5
    assert (await store.oldest_resumable(), await store.revision()) == (5, 5)
    held = await store.get(INSTRUMENT, ["i0"], 1)
    assert held["i0"].body == b"0"


async def test_writers_go_on_while_it_is_pruned(store, writes) -> None:
    async with ChangeLogPruning(store, timedelta(0), every_seconds=0.0):
        await write(store, writes, 60)
    await ChangeLogPruning(store, timedelta(0)).prune()
    assert (await store.oldest_resumable(), await store.revision()) == (60, 60)
    current = await store.get(INSTRUMENT, [f"i{at}" for at in range(7)])
    assert {int(one.body) % 7 for one in current.values()} == set(range(7))


async def made(store, stack_of_feeds, **feed):
    cache = TieredCache()
    watched = Feed(store, cache, **feed)
    stack_of_feeds.append(watched)
    return watched, Hub(store, watched, TokenCodec("instrument"))


async def test_a_watch_that_starts_anew_after_pruning_is_served(store, writes) -> None:
    await write(store, writes, 5)
    feed, hub = await made(store, [], poll_seconds=0.01)
    async with feed:
        first = hub.watch(EVERYTHING)
        assert isinstance(await anext(first), SnapshotChunk)
        await first.aclose()
        await write(store, writes, 5, start=5)
        await feed.wait_applied(10)
        await store.prune_change_log(8)
        # The snapshot kept of revision 5 is of no use: what followed it is gone.
        events = hub.watch(EVERYTHING)
        chunk = await anext(events)
        assert isinstance(chunk, SnapshotChunk)
        assert chunk.revision == 10
        assert (await anext(events)).snapshot_complete
        await events.aclose()


async def test_what_was_pruned_over_a_replicas_head_ends_its_watches_and_is_no_hole(
    store, make_store, writes, until
) -> None:
    other = await make_store()
    # This replica hears nothing by itself, as one cut off from Postgres for longer than the retention.
    feed, hub = await made(store, [], poll_seconds=3600.0)
    async with feed:
        watch = hub.watch(EVERYTHING, skip_snapshot=True)
        assert isinstance(await anext(watch), Mark)
        waiting = asyncio.ensure_future(anext(watch))
        await until(lambda: hub.watchers)
        await write(other, writes, 10)
        await other.prune_change_log(6)
        await feed.wait_applied(10)
        with pytest.raises(SnapshotRequired) as caught:
            await waiting
        seen = []
        async for event in hub.watch(EVERYTHING, resume_token=caught.value.metadata["oldest_token"]):
            if isinstance(event, Delta):
                seen += [change.revision for change in event.changes]
            elif event.revision == 10:
                break
        assert seen == [7, 8, 9, 10]


async def test_a_replica_catches_up_when_nothing_is_left_of_what_it_missed(store, make_store, writes) -> None:
    other = await make_store()
    feed, _ = await made(store, [], poll_seconds=3600.0)
    async with feed:
        await write(other, writes, 10)
        await other.prune_change_log(10)
        await feed.wait_applied(10)
        assert feed.applied_revision == 10
