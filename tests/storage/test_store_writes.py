"""Group commit: dense revisions, nothing lost, replays, refusals that leave nothing behind."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from alphapulse.domain.errors import FailedPrecondition, Internal, RequestIdReused
from registry_service.storage.database import make_engine
from registry_service.storage.model import ChangeKind, Entity, EntityKind
from registry_service.storage.postgres import PostgresStore
from registry_service.storage.pruning import prune_requests
from registry_service.storage.schema import tables
from registry_service.storage.writer import WriterLimits

INSTRUMENT = EntityKind.INSTRUMENT


async def all_changes(store):
    return list(await store.changes(0, 100_000))


async def test_a_write_is_readable_and_logged(store, writes) -> None:
    outcome = await store.write(writes.put("a", b"one", facets=("class:1",), name="Apple"), actor="me", request_id="r1")
    assert (outcome.response, outcome.revision, outcome.replayed) == (b"wrote a", 1, False)
    assert (await store.get(INSTRUMENT, ["a", "none"]))["a"].body == b"one"
    await store.write(writes.put("a", b"two", facets=("class:2",)), actor="you")
    first, second = await all_changes(store)
    assert (first.change, first.before, first.after, first.actor, first.request_id) == (
        ChangeKind.CREATED,
        b"",
        b"one",
        "me",
        "r1",
    )
    assert (second.change, second.before, second.after) == (ChangeKind.UPDATED, b"one", b"two")
    assert second.facets == ("class:1", "class:2")
    assert second.commit_time > first.commit_time
    assert (await store.get(INSTRUMENT, ["a"], at_revision=1))["a"].body == b"one"
    assert await store.get(INSTRUMENT, ["a"], at_revision=0) == {}


@pytest.mark.parametrize(
    "keys",
    [
        [("entry/1", "isin/a"), ("entry/2", "isin/b")],
        [("entry/1", "isin/a"), ("entry/22", "isin/b")],
        [("entry/1", "isin/a"), ("é", "isin/b"), ("a", "b")],
        [("é", "b"), ("b", "é")],
        [("a", "b"), ("a",), ()],
        [("",), ("",)],
        [("x" * 300, "y"), ("z" * 300, "y")],
    ],
)
async def test_what_a_change_makes_void_is_logged_as_it_is(store, keys) -> None:
    """Alike and unlike, in one group: arrays of texts as long as their neighbours are written together."""

    async def operation(session):
        for number, one in enumerate(keys):
            session.put(Entity(INSTRUMENT, f"e{number}", b"", session.next_revision()), ChangeKind.CREATED, one)
        return b""

    await store.write(operation, actor="t")
    assert [change.cache_keys for change in await all_changes(store)] == keys


async def test_concurrent_writers_of_two_replicas_make_dense_revisions(make_store, writes) -> None:
    replicas = [await make_store(), await make_store()]
    outcomes = await asyncio.gather(
        *(replicas[n % 2].write(writes.put(f"i{n % 50}", str(n).encode()), actor="t") for n in range(400))
    )
    changes = await all_changes(replicas[0])
    assert [change.revision for change in changes] == list(range(1, 401))
    assert sorted(change.after for change in changes) == sorted(str(n).encode() for n in range(400))
    assert await replicas[1].revision() == 400
    assert sum(replica.groups for replica in replicas) < 400
    assert max(outcome.revision for outcome in outcomes) == 400
    last = {}
    for change in changes:
        assert change.before == last.get(change.entity_id, b"")
        last[change.entity_id] = change.after
    current = await replicas[0].get(INSTRUMENT, list(last))
    assert {key: entity.body for key, entity in current.items()} == last


async def test_a_refused_operation_leaves_nothing_and_gives_its_revisions_back(store, writes) -> None:
    async def refused(session):
        for entity_id in ("x", "y"):
            session.put(Entity(INSTRUMENT, entity_id, b"", session.next_revision()), ChangeKind.CREATED)
        raise FailedPrecondition("no")

    results = await asyncio.gather(
        *(store.write(refused if n % 3 == 1 else writes.put(f"k{n}"), actor="t") for n in range(30)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, FailedPrecondition) for result in results) == 10
    assert [change.revision for change in await all_changes(store)] == list(range(1, 21))
    assert await store.get(INSTRUMENT, ["x", "y"]) == {}


async def test_the_same_request_id_gives_the_same_answer(store, make_store, writes) -> None:
    first = await store.write(writes.put("a"), actor="t", request_id="r", request_body=b"body")
    other = await make_store()
    again = await other.write(writes.put("b"), actor="t", request_id="r", request_body=b"body")
    assert (again.response, again.revision, again.replayed) == (first.response, first.revision, True)
    with pytest.raises(RequestIdReused, match="'r'"):
        await store.write(writes.put("a"), actor="t", request_id="r", request_body=b"other")
    assert await store.revision() == 1


async def test_a_replay_among_operations_of_one_group(store, writes) -> None:
    results = await asyncio.gather(
        *(store.write(writes.put("a"), actor="t", request_id="r", request_body=b"x") for _ in range(20)),
        store.write(writes.put("a"), actor="t", request_id="r", request_body=b"y"),
        return_exceptions=True,
    )
    assert isinstance(results[-1], RequestIdReused)
    assert [result.replayed for result in results[:-1]] == [False] + [True] * 19
    assert await store.revision() == 1


async def test_validate_only_plans_and_writes_nothing(store, writes) -> None:
    outcome = await store.write(writes.put("a"), actor="t", request_id="r", validate_only=True)
    assert (outcome.response, outcome.revision) == (b"wrote a", 0)
    assert await store.revision() == 0
    assert not (await store.write(writes.put("a"), actor="t", request_id="r")).replayed


async def test_an_operation_sees_what_others_of_its_group_staged(store) -> None:
    async def count_up(session):
        held = await session.get(INSTRUMENT, ["counter"])
        value = int(held["counter"].body) if held else 0
        revision = session.next_revision()
        body = str(value + 1).encode()
        session.put(
            Entity(INSTRUMENT, "counter", body, revision, sort_key=7, parent_id="p"),
            ChangeKind.UPDATED if held else ChangeKind.CREATED,
        )
        assert (await session.by_sort_key(INSTRUMENT, [7, 8]))[7].body == body
        assert [child.body for child in (await session.children(INSTRUMENT, ["p", "q"]))["p"]] == [body]
        return body

    answers = await asyncio.gather(*(store.write(count_up, actor="t") for _ in range(100)))
    assert sorted(int(answer.response) for answer in answers) == list(range(1, 101))
    assert (await store.by_sort_key(INSTRUMENT, [7]))[7].body == b"100"
    assert [child.body for child in (await store.children(INSTRUMENT, ["p"]))["p"]] == [b"100"]


async def test_the_rules_of_staging_are_checked(store) -> None:
    async def unused(session):
        session.next_revision()
        return b""

    async def foreign(session):
        session.put(Entity(INSTRUMENT, "a", b"", 99), ChangeKind.CREATED)
        return b""

    async def updates_nothing(session):
        session.put(Entity(INSTRUMENT, "a", b"", session.next_revision()), ChangeKind.UPDATED)
        return b""

    for operation in (unused, foreign, updates_nothing):
        with pytest.raises(Internal):
            await store.write(operation, actor="t")
    assert await store.revision() == 0


async def test_what_postgres_cannot_hold_fails_alone(store, writes) -> None:
    results = await asyncio.gather(
        store.write(writes.put("good"), actor="t"),
        store.write(writes.put("bad\0name"), actor="t"),
        store.write(writes.put("better"), actor="t"),
        return_exceptions=True,
    )
    assert isinstance(results[1], Exception)
    assert set(await store.get(INSTRUMENT, ["good", "better"])) == {"good", "better"}
    assert await store.revision() == 2


async def test_sort_keys_are_unique_in_the_database(store, writes) -> None:
    await store.write(writes.put("a", sort_key=5), actor="t")
    with pytest.raises(Exception, match="entity_sort_key"):
        await store.write(writes.put("b", sort_key=5), actor="t")
    assert await store.revision() == 1


async def test_a_failing_listener_does_not_make_a_commit_look_refused(store, writes) -> None:
    def fails(changes):
        raise RuntimeError("listener")

    store.on_commit(fails)
    outcomes = await asyncio.gather(*(store.write(writes.put(f"i{n}"), actor="t") for n in range(5)))
    assert sorted(outcome.revision for outcome in outcomes) == [1, 2, 3, 4, 5]
    assert await store.revision() == 5


async def test_a_large_group_is_split_and_every_operation_gets_its_turn(migrated_url, writes) -> None:
    engine = make_engine(migrated_url, "instrument", pool_size=2)
    async with PostgresStore(engine, "instrument", limits=WriterLimits(group_entries=3)) as store:
        puts = (store.write(writes.put(f"i{n}", b"%d" % n), actor="t") for n in range(20))
        outcomes = await asyncio.gather(*puts)
        assert [outcome.revision for outcome in outcomes] == list(range(1, 21))
        assert store.groups >= 7
    await engine.dispose()


async def test_old_request_ids_are_pruned_and_may_be_used_anew(migrated_url, writes) -> None:
    engine = make_engine(migrated_url, "instrument", pool_size=2)
    window = timedelta(microseconds=1)
    async with PostgresStore(engine, "instrument", limits=WriterLimits(replay_window=window)) as store:
        for body in (b"x", b"y"):
            outcome = await store.write(writes.put("a"), actor="t", request_id="r", request_body=body)
            assert not outcome.replayed
        assert await prune_requests(engine, tables("instrument"), window, batch=1) == 1
    await engine.dispose()
