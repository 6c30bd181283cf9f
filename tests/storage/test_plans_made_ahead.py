"""The next group is planned while the one before is written: what it saw there has to hold, or it is planned again."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager

import asyncpg
import pytest

from alphapulse.domain.errors import AlreadyExists, RequestIdReused, StoreUnavailable
from registry_service.storage.model import ChangeKind, Entity, EntityKind, IdentifierKey, IdentifierRow
from registry_service.storage.writer import WriterLimits

INSTRUMENT = EntityKind.INSTRUMENT
EAGER = WriterLimits(ahead_entries=1)
"""Every write is planned ahead as soon as it comes."""
NAME = IdentifierKey(13, "T")
OF_THIS_DATABASE = "NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())"
"""The server has the databases of other tests, too, whose tables have the same numbers."""
OF_WRITERS = f"SELECT pid FROM pg_locks WHERE {OF_THIS_DATABASE} AND relation = 'instrument.change_log'::regclass"
OF_REPLICAS = f"SELECT pid FROM pg_locks WHERE {OF_THIS_DATABASE} AND locktype IN ('transactionid', 'tuple')"


@asynccontextmanager
async def change_log_held(url: str):
    """No group can be written while this is open."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE instrument.change_log IN SHARE MODE")
            yield connection
    finally:
        await connection.close()


async def waits(connection, query: str = OF_WRITERS) -> list[int]:
    """The backends of groups that wait for the change log, or for the counter that another replica holds."""
    while not (found := [row[0] for row in await connection.fetch(query)]):
        pass
    return found


class Once:
    """An operation that creates an entry, refuses one that is there, and counts how often it was planned."""

    def __init__(self, entity_id: str, body: bytes = b"") -> None:
        self.entity_id, self.body = entity_id, body
        self.planned = asyncio.Event()
        self.times = 0

    async def __call__(self, session) -> bytes:
        self.times += 1
        self.planned.set()
        if await session.get(INSTRUMENT, [self.entity_id]):
            raise AlreadyExists(f"{self.entity_id} is there")
        revision = session.next_revision()
        session.put(Entity(INSTRUMENT, self.entity_id, self.body, revision), ChangeKind.CREATED)
        for row in (await session.identifiers([NAME]))[NAME]:
            session.close_identifier(row, revision)
        row = IdentifierRow(13, "T", "", 2, INSTRUMENT, self.entity_id, self.entity_id, None, None, "t")
        session.assert_identifiers([row._replace(recorded_revision=revision)])
        return self.body


async def test_a_plan_ahead_sees_the_group_before_and_is_written_as_it_is(make_store, migrated_url) -> None:
    store = await make_store(limits=EAGER)
    first, second, refused = Once("a", b"1"), Once("b", b"2"), Once("a", b"3")
    async with change_log_held(migrated_url) as connection:
        one = asyncio.create_task(store.write(first, actor="t", request_id="r", request_body=b"1"))
        await waits(connection)
        others = [asyncio.create_task(store.write(each, actor="t")) for each in (second, refused)]
        again = asyncio.create_task(store.write(Once("z"), actor="t", request_id="r", request_body=b"1"))
        await refused.planned.wait()
        assert not any(task.done() for task in (one, *others)), "nobody hears of a group that is not durable"
    assert (await one).revision == 1
    assert (await others[0]).revision == 2
    with pytest.raises(AlreadyExists):
        await others[1]
    assert (await again).replayed
    assert (first.times, second.times, refused.times) == (1, 1, 1)
    rows = (await store.identifiers([NAME]))[NAME]
    assert [(row.target_id, row.recorded_revision, row.closed_revision) for row in rows] == [("b", 2, None)]
    earlier = (await store.identifiers([NAME], at_revision=1))[NAME]
    assert [(row.target_id, row.closed_revision) for row in earlier] == [("a", 2)]


async def test_the_group_before_fails_and_nothing_of_it_was_believed(make_store, migrated_url) -> None:
    store = await make_store(limits=EAGER)
    first, second = Once("a", b"1"), Once("a", b"2")
    async with change_log_held(migrated_url) as connection:
        one = asyncio.create_task(store.write(first, actor="t"))
        (pid,) = await waits(connection)
        two = asyncio.create_task(store.write(second, actor="t"))
        await second.planned.wait()
        await connection.execute("SELECT pg_terminate_backend($1)", pid)
        with pytest.raises(StoreUnavailable):
            await one
    assert (await two).revision == 1, "it was refused only on top of the group that failed"
    assert second.times == 2
    assert (await store.get(INSTRUMENT, ["a"]))["a"].body == b"2"


async def test_another_replica_writes_between_two_groups(make_store, migrated_url) -> None:
    mine, other = await make_store(limits=EAGER), await make_store(limits=EAGER)
    first, between, second = Once("a", b"1"), Once("b", b"between"), Once("b", b"2")
    async with change_log_held(migrated_url) as connection:
        one = asyncio.create_task(mine.write(first, actor="t"))
        await waits(connection)
        other_one = asyncio.create_task(other.write(between, actor="t"))
        await waits(connection, OF_REPLICAS)
        two = asyncio.create_task(mine.write(second, actor="t"))
        await second.planned.wait()
    assert ((await one).revision, (await other_one).revision) == (1, 2)
    with pytest.raises(AlreadyExists):
        await two
    assert second.times == 2
    assert (await mine.get(INSTRUMENT, ["b"]))["b"].body == b"between"


async def test_another_replica_answers_a_request_id_between_two_groups(make_store, migrated_url) -> None:
    """A write that changes nothing leaves its request id alone: that counts, too."""
    mine, other = await make_store(limits=EAGER), await make_store(limits=EAGER)
    planned = asyncio.Event()

    async def nothing(session) -> bytes:
        planned.set()
        return b"nothing"

    async with change_log_held(migrated_url) as connection:
        one = asyncio.create_task(mine.write(Once("a"), actor="t"))
        await waits(connection)
        other_one = asyncio.create_task(other.write(nothing, actor="t", request_id="r", request_body=b"1"))
        await waits(connection, OF_REPLICAS)
        second = Once("b")
        two = asyncio.create_task(mine.write(second, actor="t", request_id="r", request_body=b"2"))
        await second.planned.wait()
    assert (await one).revision == 1
    assert (await other_one).response == b"nothing"
    with pytest.raises(RequestIdReused):
        await two
    assert set(await mine.get(INSTRUMENT, ["a", "b"])) == {"a"}


@pytest.mark.parametrize("seed", range(2))
async def test_two_replicas_under_load_agree_with_what_they_were_told(make_store, writes, seed) -> None:
    """Creations of few entries, so that groups stand on one another's: each is created once, by the one that was told so."""
    replicas = [await make_store(limits=EAGER), await make_store(limits=EAGER)]
    chance = random.Random(seed)
    created: dict[str, list[int]] = {}

    async def client(number: int) -> None:
        for step in range(25):
            entity_id = f"e{chance.randrange(60)}"
            store = replicas[chance.randrange(2)]
            try:
                outcome = await store.write(Once(entity_id, b"%d" % number), actor=f"c{number}")
                created.setdefault(entity_id, []).append(outcome.revision)
            except AlreadyExists:
                put = writes.put(entity_id, b"%d.%d" % (number, step))
                await store.write(put, actor=f"c{number}")

    await asyncio.gather(*(client(number) for number in range(12)))
    assert {len(revisions) for revisions in created.values()} == {1}
    changes = list(await replicas[0].changes(0, 10_000))
    assert [change.revision for change in changes] == list(range(1, len(changes) + 1))
    times = [change.commit_time for change in changes]
    assert times == sorted(times)
    firsts = {change.entity_id: change.revision for change in reversed(changes)}
    assert firsts == {entity_id: revisions[0] for entity_id, revisions in created.items()}
    last: dict[str, bytes] = {}
    for change in changes:
        assert change.before == last.get(change.entity_id, b"")
        last[change.entity_id] = change.after
    open_names = (await replicas[1].identifiers([NAME]))[NAME]
    newest = max(created, key=lambda entity_id: created[entity_id])
    assert [row.target_id for row in open_names] == [newest], "each creation took the name from the one before"


class Renamed:
    """An operation that puts an entry again, as one that bears the name in place of whoever did."""

    def __init__(self, entity_id: str, body: bytes) -> None:
        self.entity_id, self.body = entity_id, body
        self.planned = asyncio.Event()

    async def __call__(self, session) -> bytes:
        known = await session.get(INSTRUMENT, [self.entity_id])
        revision = session.next_revision()
        change = ChangeKind.UPDATED if known else ChangeKind.CREATED
        session.put(Entity(INSTRUMENT, self.entity_id, self.body, revision), change)
        for row in (await session.identifiers([NAME]))[NAME]:
            session.close_identifier(row, revision)
        row = IdentifierRow(13, "T", "", 2, INSTRUMENT, self.entity_id, self.entity_id, None, None, "t")
        session.assert_identifiers([row._replace(recorded_revision=revision)])
        self.planned.set()
        return self.body


async def test_what_changes_again_within_a_group_is_written_as_it_came_to_be(make_store, migrated_url) -> None:
    store = await make_store(limits=EAGER)
    async with change_log_held(migrated_url) as connection:
        tasks = [asyncio.create_task(store.write(Once("first"), actor="t"))]
        await waits(connection)
        for one in (Renamed("a", b"1"), Renamed("b", b"2"), Renamed("a", b"3"), Renamed("a", b"4")):
            tasks.append(asyncio.create_task(store.write(one, actor="t")))
            await one.planned.wait()
            for _ in range(20):  # what is planned is rendered before the next comes
                await asyncio.sleep(0)
    assert [(await task).revision for task in tasks] == [1, 2, 3, 4, 5]
    rows = await asyncpg.connect(migrated_url)
    try:
        versions = await rows.fetch(
            "SELECT entity_id, body, revision_from, revision_to FROM instrument.entity ORDER BY revision_from"
        )
        names = await rows.fetch(
            "SELECT target_id, recorded_revision, closed_revision FROM instrument.identifier ORDER BY recorded_revision"
        )
        groups = await rows.fetchval("SELECT count(DISTINCT xmin::text) FROM instrument.change_log")
        log = await rows.fetch("SELECT revision, before, after FROM instrument.change_log ORDER BY revision")
    finally:
        await rows.close()
    assert groups == 2, "Postgres took the second group as it was rendered"
    assert [tuple(row) for row in versions][1:] == [
        *(("a", b"1", 2, 4), ("b", b"2", 3, None)),
        *(("a", b"3", 4, 5), ("a", b"4", 5, None)),
    ]
    assert [tuple(row) for row in names] == [("first", 1, 2), ("a", 2, 3), ("b", 3, 4), ("a", 4, 5), ("a", 5, None)]
    assert [tuple(row) for row in log][1:] == [(2, b"", b"1"), (3, b"", b"2"), (4, b"1", b"3"), (5, b"3", b"4")]
