"""Edges over the log of a relay: a client that moves between them at any moment, while they and the relay are killed, against what was relayed."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import relay_edges as edges

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.records import LAYOUTS, QUOTE, TRADE
from relay_service.edge.follower import Follower
from relay_service.edge.log import PAGE_ENTRIES, EdgeLog
from relay_service.log.records import LoggedRows

resuming, until = edges.resuming, edges.until
KEYS, SOURCES, TYPES = resuming.KEYS, resuming.SOURCES, resuming.TYPES
Q, T = QUOTE.event_type, TRADE.event_type

filters = st.fixed_dictionaries(
    {},
    optional={
        "listing_keys": st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True),
        "event_types": st.lists(st.sampled_from(TYPES), min_size=1, max_size=2),
        "sources": st.lists(st.sampled_from(SOURCES), min_size=1, max_size=1),
    },
)
contracts = st.sampled_from(
    [{}, {}, {"stream": pb.StreamContract(max_queue_bytes=4096)}, {"latest": pb.LatestContract()}]
)
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("relay"),
            st.sampled_from(SOURCES),
            st.sampled_from(TYPES),
            st.lists(st.sampled_from(KEYS), min_size=1, max_size=120),
        ),
        st.tuples(st.just("lose"), st.sampled_from(SOURCES), st.integers(1, 5)),
        st.tuples(st.just("read"), st.integers(1, 4)),
        st.tuples(st.just("beat")),
        st.tuples(st.just("turn"), st.integers(0, 30)),
        st.tuples(st.just("move"), st.integers(0, 2)),
        st.tuples(st.just("kill"), st.integers(1, 2)),
        st.tuples(st.just("restart")),
        st.tuples(st.just("crash")),
    ),
    min_size=5,
    max_size=30,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters, contracts, steps, st.sampled_from([600, 5000, 1 << 20]))
def test_wherever_a_client_moves_everything_comes_once_or_is_declared(
    fresh_redis_url: str, chosen: dict[str, Any], contract: dict[str, Any], script: list[Any], window: int
) -> None:
    asyncio.run(edges.play(fresh_redis_url, chosen, contract, script, window))


SCRIPT = [
    ("relay", "A", Q, [1, 2, 3]),
    ("level",),
    ("beat",),
    ("read", 9),
    ("relay", "B", T, [2, 2, 4]),
    ("lose", "A", 2),
    ("relay", "A", Q, [3, 1]),
    ("turn", 0),
    ("read", 1),
    ("move", 0),
    ("level",),
    ("beat",),
    ("read", 9),
    ("relay", "B", Q, [4, 5]),
    ("read", 9),
    ("move", 2),
    ("level",),
    ("restart",),
    ("relay", "A", T, [1, 5]),
    ("level",),
    ("relay", "A", T, [2, 3]),
    ("kill", 2),
    ("level",),
]
"""From one edge to the relay, to another edge that is behind it, into another life of the relay, to the first edge again."""


def _joins_before_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """An edge does not wait until it has come to where its client was."""

    async def at_once(*_: Any) -> None:
        return

    monkeypatch.setattr(EdgeLog, "reached", at_once)


def _no_point_in_another_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client is not told that what follows is of another life: it resumes with the numbers of the one before."""
    monkeypatch.setattr(Follower, "_turn", lambda self, step, whole: self._log.turn(self._cursor.position, whole=whole))


def _an_entry_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one run of rows in two it is only noted that it was handed on."""
    step, seen = Follower._step, itertools.count()

    async def forgetful(self: Any, one: Any, entry: Any) -> None:
        if isinstance(one, LoggedRows) and next(seen) % 2:
            self._core.take(one)
            self._cursor.passed(one.last)
            self._log.append(one.event_type, one.first, one.events, one.data, one.source, one.now_ns)
        else:
            await step(self, one, entry)

    monkeypatch.setattr(Follower, "_step", forgetful)


@pytest.mark.parametrize("plant", [_joins_before_it_is_there, _no_point_in_another_life, _an_entry_is_passed_over])
async def test_a_planted_fault_of_an_edge_is_found(
    plant: Any, monkeypatch: pytest.MonkeyPatch, fresh_redis_url: str
) -> None:
    await edges.play(fresh_redis_url, {}, {}, SCRIPT, 600)
    plant(monkeypatch)
    with pytest.raises((AssertionError, KeyError, TimeoutError)):
        await edges.play(fresh_redis_url, {}, {}, SCRIPT, 600)


@asynccontextmanager
async def world_of(url: str, **log: Any) -> AsyncIterator[Any]:
    world = edges.EdgeWorld(url, **log)
    await world.start()
    try:
        yield world
    finally:
        await world.end()


def hold_back(edge: Any, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """The edge hands nothing on before this is set."""
    go, take = asyncio.Event(), edge.follower._take

    async def gated(entry: Any) -> None:
        await go.wait()
        await take(entry)

    monkeypatch.setattr(edge.follower, "_take", gated)
    return go


async def test_a_client_that_is_ahead_of_an_edge_waits_for_it_and_gets_nothing_twice(
    fresh_redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world_of(fresh_redis_url) as world:
        edge = await world.edge(1)
        strategy = resuming.Strategy(world, {})
        strategy.connect()
        strategy.read()
        world.relay("A", Q, [1, 2])
        await edge.level()
        go = hold_back(edge, monkeypatch)
        for _ in range(3):
            world.relay("A", Q, [4, 5])
        strategy.read()
        strategy.beat()
        strategy.read()
        world.relay("A", Q, [1])
        strategy.read()
        assert len(strategy.rows) == 9
        strategy.cut()
        strategy.world = edge
        strategy.connect()
        await until(lambda: strategy.read() or strategy.acknowledged == 2)
        assert len(strategy.rows) == 9
        go.set()
        world.relay("A", Q, [2])
        await edge.level()
        await strategy.settle()
        assert strategy.rows == [resuming.payload(event) for event in world.events]
        assert strategy.gaps == []
        strategy.cut()


async def test_what_was_forgotten_before_an_edge_read_it_is_told_and_is_not_in_its_snapshots(
    fresh_redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world_of(fresh_redis_url) as world:
        edge = await world.edge(1)
        strategy = resuming.Strategy(edge, {})
        strategy.connect()
        world.relay("A", Q, [1, 2])
        await edge.level()
        strategy.read()
        go = hold_back(edge, monkeypatch)
        world.relay("A", Q, [1])
        await until(lambda: not world.log.unlogged)
        for _ in range(3):
            world.relay("A", Q, [3, 4])
            await until(lambda: not world.log.unlogged)
        await world.log._store.trim((await world.log._store.newest()).number)
        looks, look = itertools.count(), edge.log.is_forgotten

        async def interrupted(place: Any) -> bool:
            if not next(looks):
                raise OSError("the server is away")
            return bool(await look(place))

        monkeypatch.setattr(edge.log, "is_forgotten", interrupted)
        go.set()
        await edge.level()
        strategy.read()
        assert [(gap.reason, gap.from_number) for gap in strategy.gaps] == [("LOG_TRIMMED", 0)]
        came = [sequence for _, sequence in strategy.received]
        assert sum(gap.count for gap in strategy.gaps) == len(world.events) - len(came)
        assert came[-2:] == [8, 9]
        assert next(looks) == 2
        assert edge.log.known_from == 8
        assert edge.core.snapshot(Q, edge.core.slots_for(np.arange(1, 6, dtype=np.uint64)))["listing_key"].tolist() == [
            3,
            4,
        ]
        strategy.cut()
        later = await world.edge(2)
        assert later.log.known_from == 8


rows_of_a_day = st.lists(
    st.tuples(
        st.sampled_from([*TYPES, 6, 3]),
        st.lists(st.tuples(st.sampled_from(KEYS), st.integers(1, 20)), min_size=1, max_size=6),
        st.integers(0, 3_000_000_000),
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows_of_a_day, st.booleans())
def test_an_edge_knows_the_last_events_that_the_relay_knows(fresh_redis_url: str, day: list[Any], early: bool) -> None:
    """Quotes that come late, by their venue's time, are not the last ones; an edge that is started later learns them from the log."""

    async def run() -> None:
        async with world_of(fresh_redis_url) as world:
            edge = await world.edge(1) if early else None
            now_ns = world.now_ns
            for kind, rows, passed in day:
                now_ns += passed
                table = LAYOUTS[kind].new(len(rows))
                table["listing_key"], table["flags"] = [key for key, _ in rows], 1
                table["venue_time_ns"] = [now_ns - age * 1_000_000_000 for _, age in rows]
                state = world.sources["A"]
                world.fanout.deliver(world.core.accept(state, kind, table, state.next_sequence, now_ns))
            await until(lambda: not world.log.unlogged)
            edge = edge or await world.edge(1)
            await edge.level()
            assert edge.core.last_sequence == world.core.last_sequence
            keys = np.array(list(KEYS), np.uint64)
            for kind in (*TYPES, 6):
                mine, theirs = (one.snapshot(kind, one.slots_for(keys)) for one in (edge.core, world.core))
                assert without_time(mine) == without_time(theirs)

    asyncio.run(run())


def without_time(rows: Any) -> bytes:
    """What a snapshot holds, but for when it was handed on."""
    rows = rows.copy()
    rows["relay_out_ns"] = 0
    return bytes(rows.tobytes())


async def test_after_an_outage_readers_are_waited_for_and_one_that_reads_nothing_is_not(
    fresh_redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world_of(fresh_redis_url) as world:
        edge = await world.edge(1)
        reader, stalled = (resuming.Strategy(edge, {}) for _ in range(2))
        for one in (reader, stalled):
            one.connect()
            one.read()
        go = hold_back(edge, monkeypatch)
        for _ in range(2 * PAGE_ENTRIES):
            world.relay("A", Q, [1] * 40)
            await until(lambda: not world.log.unlogged)
        go.set()
        async with asyncio.timeout(20):
            while len(reader.rows) < len(world.events):
                reader.read(1)
                await asyncio.sleep(0)
        assert reader.gaps == []
        stalled.read()
        assert {gap.reason for gap in stalled.gaps} == {"QUEUE_FULL"}
        assert len(stalled.rows) + sum(gap.count for gap in stalled.gaps) == len(world.events)
        reader.cut()
        stalled.cut()


async def test_an_edge_with_a_fault_of_its_own_sends_its_clients_away(
    fresh_redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world_of(fresh_redis_url) as world:
        edge = await world.edge(1)
        strategy = resuming.Strategy(edge, {})
        strategy.connect()
        monkeypatch.setattr(edge.core, "take", lambda rows: rows.nothing)
        world.relay("A", Q, [1])
        await until(lambda: strategy.client.ending)
        assert not edge.readiness.is_ready
        strategy.cut()
        monkeypatch.setattr(edges.EdgeCore, "take", lambda self, rows: rows.nothing)
        late = edges.Edge(world)
        with pytest.raises(AttributeError, match="nothing"):  # nor does it start
            await late.open()
        await late.close()


async def test_a_hole_in_the_log_is_told_to_who_listens_at_an_edge(fresh_redis_url: str) -> None:
    async with world_of(fresh_redis_url, buffer_bytes=8192) as world:
        edge = await world.edge(1)
        strategy = resuming.Strategy(edge, {})
        strategy.connect()
        for _ in range(40):  # at once, so that the log takes nothing meanwhile
            world.relay("A", Q, list(KEYS))
        await edge.level()
        strategy.read()
        missing = len(world.events) - len(strategy.rows)
        assert missing == world.log.tail.lost > 0
        assert [(gap.reason, gap.count, gap.from_number) for gap in strategy.gaps] == [("LOG_HOLE", missing, 0)]
        assert strategy.rows == [resuming.payload(event) for event in world.events[missing:]]
        assert edge.log.known_from == missing + 1
        strategy.cut()


async def test_a_start_from_a_time_at_an_edge_finds_the_first_event_that_came_then(fresh_redis_url: str) -> None:
    async with world_of(fresh_redis_url) as world:
        edge = await world.edge(1)
        now_ns = world.log._start_ns + 1
        for step in range(8):
            world.relay("A", Q, [1, 2], now_ns + 10 * step)
            if step % 3 == 0:
                await edge.level()
        for at in range(now_ns + 5, now_ns + 80, 15):
            strategy = resuming.Strategy(edge, {}, start=pb.SubscriptionStart(time_ns=at))
            strategy.connect()
            await edge.level()
            await strategy.settle()
            expected = [event for event in world.events if event.now_ns >= at]
            assert strategy.rows == [resuming.payload(event) for event in expected]
            assert strategy.gaps == []
            strategy.cut()


async def test_who_is_behind_gets_the_end_of_a_life_before_the_heartbeat_of_the_next(fresh_redis_url: str) -> None:
    async with world_of(fresh_redis_url) as world:
        edge = await world.edge(1)
        strategy = resuming.Strategy(edge, {})
        strategy.connect()
        strategy.read()
        life = edge.fanout.relay_id
        for _ in range(3):
            world.relay("A", Q, [1, 2])
            await edge.level()
            strategy.beat()
        await world.stop(crash=True)
        await world.start()
        world.relay("A", Q, [3])
        await edge.level()
        told: list[str] = []
        while (data := strategy.client.take()) is not None:
            message = pb.SubscribeResponse.FromString(data)
            kind = str(message.WhichOneof("message"))
            if kind in ("resume", "heartbeat"):
                kind += " old" if getattr(message, kind).relay_id == life else " new"
            told.append(kind)
        strategy.cut()
    last = told.index("gap")
    assert "heartbeat new" not in told[:last], told
    assert told[last:] == ["gap", "resume new", "heartbeat new", "delivery"]
