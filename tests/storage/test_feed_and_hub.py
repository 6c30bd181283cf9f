"""The feed and the watches: every revision once, in order, across replicas; slow watchers are cut, tokens resume."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from alphapulse.domain.errors import (
    ConsistencyNotReached,
    Draining,
    PageTokenInvalid,
    ResumeTokenInvalid,
    SnapshotRequired,
    SubscriberTooSlow,
)
from registry_service.storage.cache import TieredCache
from registry_service.storage.model import CachedAnswer, EntityKind, Query
from registry_service.storage.postgres import PostgresStore
from registry_service.watch import Delta, Feed, Hub, Mark, SnapshotChunk, TokenCodec, WatchSpec
from registry_service.watch.hint import PostgresHint
from registry_service.watch.hub import HubLimits

INSTRUMENT, LISTING = EntityKind.INSTRUMENT, EntityKind.LISTING
EVERYTHING = WatchSpec(Query(INSTRUMENT), frozenset({INSTRUMENT, LISTING}), b"all", LISTING)


@dataclass
class Replica:
    store: PostgresStore
    cache: TieredCache
    feed: Feed
    hub: Hub


@pytest.fixture
async def make_replica(make_store, migrated_url) -> AsyncIterator:
    async with AsyncExitStack() as stack:

        async def make(*, poll_seconds=0.02, hint=True, limits=None, joined=True) -> Replica:
            store = await make_store()
            cache = await stack.enter_async_context(TieredCache())
            told = PostgresHint(migrated_url, "instrument") if hint else None
            feed = Feed(store, cache, told, poll_seconds=poll_seconds)
            if joined:
                store.on_commit(feed.committed)
            await stack.enter_async_context(feed)
            cache.invalidate_all(feed.applied_revision)
            return Replica(store, cache, feed, Hub(store, feed, TokenCodec("instrument"), limits))

        yield make


async def follow(hub, spec, until, seen, **how):
    """Watches until a mark at `until` or later; the changes' revisions are added to `seen`."""
    async for event in hub.watch(spec, **how):
        if isinstance(event, Delta):
            seen += [change.revision for change in event.changes]
        elif isinstance(event, Mark) and event.revision >= until:
            return event.resume_token
    raise AssertionError("the watch ended")


async def test_every_replica_sees_every_revision_once_in_order(make_replica, writes) -> None:
    replicas = [await make_replica(), await make_replica(hint=False)]
    seen = [[], []]
    for replica, revisions in zip(replicas, seen, strict=True):
        replica.feed.listen(lambda changes, r=revisions: r.extend(change.revision for change in changes))
    await asyncio.gather(
        *(replicas[n % 2].store.write(writes.put(f"i{n % 20}", b"%d" % n), actor="t") for n in range(300))
    )
    for replica in replicas:
        await replica.feed.wait_applied(300)
    assert seen == [list(range(1, 301))] * 2


async def test_notifications_alone_carry_it_when_polling_is_slow(make_replica, writes) -> None:
    writer, reader = await make_replica(poll_seconds=3600), await make_replica(poll_seconds=3600)
    # Both listen once a notification has come through; before that one may be lost, as hints may.
    for number in range(1000):
        await writer.store.write(writes.put("a", b"%d" % number), actor="t")
        if reader.feed.applied_revision:
            break
    else:
        pytest.fail("no notification came through")


async def test_a_change_of_another_replica_voids_the_cached_answer(make_replica, writes) -> None:
    one, two = await make_replica(), await make_replica()

    async def load(keys):
        revision = await two.store.revision()
        found = await two.store.get(INSTRUMENT, [key.removeprefix("id:") for key in keys])
        return {
            key: CachedAnswer(found[i].body if (i := key.removeprefix("id:")) in found else b"", revision)
            for key in keys
        }

    assert await two.cache.get("id:a", load) == b""
    for number in range(20):
        outcome = await one.store.write(writes.put("a", b"%d" % number), actor="t")
        await two.feed.wait_applied(outcome.revision)
        assert await two.cache.get("id:a", load, min_revision=outcome.revision) == b"%d" % number


async def test_waiting_for_what_is_not_there_ends_with_an_error(make_replica) -> None:
    replica = await make_replica()
    with pytest.raises(ConsistencyNotReached) as caught:
        await replica.feed.wait_applied(5, timeout=0.01)
    assert caught.value.metadata == {"wanted": "5", "reached": "0"}


@pytest.mark.parametrize("joined", [True, False])
async def test_watches_started_at_any_moment_miss_nothing_and_double_nothing(make_replica, writes, joined) -> None:
    replica, other = await make_replica(joined=joined), await make_replica()
    total = 300

    async def write_all():
        for number in range(total):
            store = (replica, other)[number % 2].store
            await store.write(writes.put(f"i{number % 40}", b"%d" % number), actor="t")

    async def watch_one(turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        state, position = {}, 0
        async for event in replica.hub.watch(EVERYTHING):
            if isinstance(event, SnapshotChunk):
                position = event.revision
                state |= {entity.entity_id: entity.body for entity in event.entities}
            elif isinstance(event, Delta):
                for change in event.changes:
                    assert change.revision == position + 1
                    assert state.get(change.entity_id, b"") == change.before
                    state[change.entity_id], position = change.after, change.revision
            elif event.revision >= total:
                assert event.revision == position
                return state
        raise AssertionError

    states = await asyncio.gather(*(watch_one(turns) for turns in range(0, 4000, 200)), write_all())
    current = await replica.store.get(INSTRUMENT, [f"i{n}" for n in range(40)])
    assert all(state == {key: e.body for key, e in current.items()} for state in states[:-1])


async def test_a_resume_token_goes_on_where_it_stood(make_replica, writes) -> None:
    replica = await make_replica()
    for number in range(10):
        await replica.store.write(writes.put(f"i{number}"), actor="t")
    await replica.feed.wait_applied(10)
    seen = []
    token = await follow(replica.hub, EVERYTHING, 10, seen, skip_snapshot=True)
    assert seen == []
    for number in range(15):
        await replica.store.write(writes.put(f"i{number}"), actor="t")
    second = await make_replica()
    await follow(second.hub, EVERYTHING, 25, seen, resume_token=token)
    assert seen == list(range(11, 26))


async def test_only_what_matches_is_delivered_and_what_leaves_the_filter_too(make_replica, writes) -> None:
    replica = await make_replica()
    for entity_id, facets in (("a", ("class:1",)), ("b", ("class:2",)), ("a", ("class:2",)), ("a", ("class:2",))):
        await replica.store.write(writes.put(entity_id, facets=facets), actor="t")
    await replica.feed.wait_applied(4)
    spec = WatchSpec(Query(INSTRUMENT, (("class:1",),)), frozenset({INSTRUMENT}), b"class1")
    seen = []
    token = replica.hub._tokens.resume(b"class1", 0)
    await follow(replica.hub, spec, 4, seen, resume_token=token)
    assert seen == [1, 3]


async def test_the_snapshot_holds_children_and_is_shared(make_replica, writes) -> None:
    replica = await make_replica()
    await replica.store.write(writes.put("a"), actor="t")
    await replica.store.write(writes.put("l", kind=LISTING, parent_id="a"), actor="t")
    await replica.feed.wait_applied(2)
    encodings = []

    def encode(chunk):
        encodings.append(chunk)
        return b"bytes"

    async def first_chunk():
        async for event in replica.hub.watch(EVERYTHING):
            if isinstance(event, SnapshotChunk):
                return event, event.encoded(encode)
            if isinstance(event, Mark):
                break
        raise AssertionError

    async def whole():
        async for event in replica.hub.watch(EVERYTHING):
            if isinstance(event, Mark):
                return

    await whole()
    (chunk, encoded), (again, _) = await first_chunk(), await first_chunk()
    assert chunk is again
    assert (encoded, len(encodings)) == (b"bytes", 1)
    assert [child.entity_id for child in chunk.children["a"]] == ["l"]


async def test_a_slow_watcher_is_cut_with_a_token_and_the_others_go_on(make_replica, writes, until) -> None:
    replica = await make_replica(limits=HubLimits(queue_changes=10))
    slow = replica.hub.watch(EVERYTHING, skip_snapshot=True)
    await anext(slow)
    joining = asyncio.ensure_future(anext(slow))
    await until(lambda: replica.hub.watchers)
    await replica.store.write(writes.put("first"), actor="t")
    assert [change.revision for change in (await joining).changes] == [1]
    seen = []
    quick = asyncio.create_task(follow(replica.hub, EVERYTHING, 31, seen, skip_snapshot=True))
    await until(lambda: replica.hub.watchers >= 2)
    for number in range(30):
        await replica.store.write(writes.put(f"i{number}"), actor="t")
    await quick
    assert seen == list(range(2, 32))
    assert isinstance(await anext(slow), Mark)
    with pytest.raises(SubscriberTooSlow) as caught:
        await anext(slow)
    rest = []
    await follow(replica.hub, EVERYTHING, 31, rest, resume_token=caught.value.metadata["resume_token"])
    assert rest == list(range(2, 32))
    assert replica.hub.watchers == 0


async def test_draining_ends_a_watch_with_a_token(make_replica, until) -> None:
    replica = await make_replica()
    watch = replica.hub.watch(EVERYTHING, skip_snapshot=True)
    await anext(watch)
    ending = asyncio.ensure_future(anext(watch))
    await until(lambda: replica.hub.watchers)
    replica.hub.close()
    with pytest.raises(Draining) as caught:
        await ending
    assert caught.value.metadata["resume_token"]


async def test_tokens_from_elsewhere_and_from_before_the_log(make_replica, writes) -> None:
    replica = await make_replica()
    for number in range(10):
        await replica.store.write(writes.put(f"i{number}"), actor="t")
    await replica.feed.wait_applied(10)
    tokens = TokenCodec("instrument")
    good = tokens.resume(b"all", 3)
    foreign = [
        TokenCodec("venue").resume(b"all", 3),
        tokens.resume(b"other filter", 3),
        tokens.page(b"all", revision=3, after="x"),
        TokenCodec("instrument", b"secret").resume(b"all", 3),
        ("A" if good[0] != "A" else "B") + good[1:],
        good[:-2],
        "x",
        "é" * 20,
        tokens.resume(b"all", 999),
    ]
    for token in foreign:
        with pytest.raises(ResumeTokenInvalid):
            await anext(replica.hub.watch(EVERYTHING, resume_token=token))
    with pytest.raises(PageTokenInvalid, match="page_token"):
        tokens.read_page(good, b"all")
    assert tokens.read_page(tokens.page(b"f", revision=7, after="ü"), b"f").after == "ü"
    assert await replica.store.prune_change_log(5, batch=2) == 5
    with pytest.raises(SnapshotRequired) as caught:
        await anext(replica.hub.watch(EVERYTHING, resume_token=good))
    seen = []
    await follow(replica.hub, EVERYTHING, 10, seen, resume_token=caught.value.metadata["oldest_token"])
    assert seen == [6, 7, 8, 9, 10]
