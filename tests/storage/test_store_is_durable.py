"""Nothing acknowledged is lost, whatever is killed and when: the process at every step, the connection, the server."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import asyncpg
import pytest

from alphapulse.domain.errors import StoreUnavailable
from alphapulse.embedded import LaunchOptions
from alphapulse.embedded import PostgresStore as Server
from registry_service.storage.database import make_engine
from registry_service.storage.migrations.run import migrate
from registry_service.storage.model import ChangeKind, Entity, EntityKind, IdentifierKey
from registry_service.storage.postgres import PostgresStore

WRITER = Path(__file__).with_name("crashing_writer.py")
STEPS = (
    *("lock", "ends", "entities", "identifier_ends", "identifiers"),
    *("change_log", "request_log", "counter", "commit", "committed"),
)
INSTRUMENT = EntityKind.INSTRUMENT


async def check_whole(store: PostgresStore, acknowledged: dict[str, int]) -> None:
    """The log is dense up to the counter, holds what was acknowledged, and entries and identifiers are its sum."""
    changes = await store.changes(0, 1_000_000)
    assert [change.revision for change in changes] == list(range(1, await store.revision() + 1))
    logged = {change.request_id: change.revision for change in changes}
    assert len(logged) == len(changes)
    for request_id, revision in acknowledged.items():
        assert logged[request_id] <= revision
    last = {}
    for change in changes:
        assert change.before == last.get(change.entity_id, b"")
        last[change.entity_id] = change.after
    assert {e.entity_id: e.body for e in (await store.get(INSTRUMENT, list(last))).values()} == last
    bearers = (await store.identifiers([IdentifierKey(13, "T")]))[IdentifierKey(13, "T")]
    assert [row.recorded_revision for row in bearers] == [changes[-1].revision]


async def test_a_process_killed_at_any_step(make_store, migrated_url) -> None:
    store, acknowledged = await make_store(), {}
    for step in STEPS:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(WRITER), migrated_url, step, "3", stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode == -9
        told = dict(line.split() for line in output.decode().splitlines())
        assert told, step
        acknowledged |= {request_id: int(revision) for request_id, revision in told.items()}
        await check_whole(store, acknowledged)

        async def must_not_run(session):
            raise AssertionError

        for request_id, revision in list(told.items())[:3]:
            again = await store.write(must_not_run, actor="t", request_id=request_id)
            assert (again.replayed, again.revision) == (True, int(revision))


async def terminate(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    await connection.close()


@pytest.mark.parametrize("read_after", [True, False])
async def test_the_connection_is_lost_while_planning(store, migrated_url, writes, read_after) -> None:
    async def loses_it(session):
        await terminate(migrated_url)
        if read_after:
            await session.get(INSTRUMENT, ["x"])
        return await writes.put("x")(session)

    results = await asyncio.gather(
        store.write(writes.put("a"), actor="t"),
        store.write(loses_it, actor="t"),
        store.write(writes.put("b"), actor="t"),
        return_exceptions=True,
    )
    assert all(isinstance(result, StoreUnavailable) and result.retry_after for result in results)
    assert (await store.write(writes.put("a"), actor="t")).revision == 1
    await terminate(migrated_url)
    assert set(await store.get(INSTRUMENT, ["a", "b", "x"])) == {"a"}


async def test_the_server_stops_and_comes_back(writes, until) -> None:
    with tempfile.TemporaryDirectory(prefix="alphapulse-test-") as folder:
        options = LaunchOptions(remove_with_parent=True)
        server = Server(Path(folder) / "postgres", options)
        server.start()
        engine = make_engine(server.url, "instrument", pool_size=2)
        await migrate(engine, "instrument")
        async with PostgresStore(engine, "instrument") as store:
            acknowledged: dict[str, int] = {}
            stopped = asyncio.Event()

            async def write(number: int) -> None:
                request_id, failed = f"r{number}", False
                while True:
                    try:
                        put = writes.put(f"i{number}", b"%d" % number)
                        outcome = await store.write(put, actor="t", request_id=request_id)
                        acknowledged[request_id] = outcome.revision
                        if not stopped.is_set() or failed:
                            return
                    except StoreUnavailable:
                        failed = True
                        await asyncio.sleep(0.01)

            async def restart() -> None:
                await until(lambda: len(acknowledged) >= 5)
                await asyncio.to_thread(server.stop)
                stopped.set()
                with pytest.raises(StoreUnavailable):
                    await store.revision()
                again = Server(Path(folder) / "postgres", options)
                await asyncio.to_thread(again.start)
                assert again.url == server.url
                servers.append(again)

            servers: list[Server] = []
            restarting = asyncio.create_task(restart())
            number = 0
            while not restarting.done():
                await asyncio.gather(*(write(number + n) for n in range(5)))
                number += 5
            await restarting
            changes = await store.changes(0, 100_000)
            assert [change.revision for change in changes] == list(range(1, await store.revision() + 1))
            assert {change.request_id for change in changes} == {f"r{n}" for n in range(number)}
            assert len(changes) == number
        await engine.dispose()
        servers[0].stop()


async def test_a_replica_that_is_cut_off_holds_nobody_up_for_ever(make_store, migrated_url, writes) -> None:
    """The lock of a transaction whose process died is released by Postgres; here the connection is closed hard."""
    one, two = await make_store(), await make_store()
    planned = asyncio.Event()

    async def hangs(session):
        session.put(Entity(INSTRUMENT, "a", b"", session.next_revision()), ChangeKind.CREATED)
        planned.set()
        await asyncio.Event().wait()
        return b""

    hanging = asyncio.create_task(one.write(hangs, actor="t"))
    await planned.wait()
    waiting = asyncio.create_task(two.write(writes.put("b"), actor="t"))
    await asyncio.sleep(0)
    one._writer._task.cancel()
    await asyncio.gather(one._writer._task, return_exceptions=True)
    one._writer._task = None
    assert (await waiting).revision == 1
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
