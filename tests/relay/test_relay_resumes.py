"""A client that is cut at any moment and resumes, across restarts of the relay over one log, against a brute-force reading of what was relayed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import relay_resuming as resuming

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.records import QUOTE, TRADE
from relay_service.log.cursor import Cursor, Missing, Turned
from relay_service.log.records import LoggedRows

KEYS, SOURCES, TYPES = resuming.KEYS, resuming.SOURCES, resuming.TYPES

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
        st.tuples(st.just("cut")),
        st.tuples(st.just("restart")),
        st.tuples(st.just("crash")),
    ),
    min_size=5,
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters, contracts, steps)
def test_whatever_cuts_the_stream_everything_comes_once_or_is_declared(
    fresh_redis_url: str, chosen: dict[str, Any], contract: dict[str, Any], script: list[Any]
) -> None:
    asyncio.run(resuming.play(fresh_redis_url, chosen, contract, script))


Q, T = QUOTE.event_type, TRADE.event_type
SCRIPT = [
    ("relay", "A", Q, [1, 2, 3]),
    ("read", 9),
    ("beat",),
    ("read", 9),
    ("relay", "B", T, [2, 2, 4]),
    ("read", 1),
    ("relay", "A", Q, [3, 1]),
    ("turn", 30),
    ("cut",),
    ("turn", 30),
    ("read", 9),
    ("relay", "B", Q, [4]),
    ("restart",),
    ("relay", "A", T, [1, 5]),
    ("cut",),
    ("turn", 30),
    ("read", 9),
]
"""Cuts and a restart with something behind the last point each time."""


def _one_too_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first event of what is read anew is passed over."""
    begin = Cursor.__init__

    def shifted(self: Cursor, position: Any, since_ns: int = 0, floor: int = 0) -> None:
        begin(self, position._replace(sequence=max(position.sequence, floor) + 1), since_ns, floor)

    monkeypatch.setattr(Cursor, "__init__", shifted)


def _the_end_of_the_last_life_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a life begins, the last rows of the one before come once more."""
    follow, last = Cursor.follow, {}

    def doubled(self: Cursor, entry: Any) -> Iterator[Any]:
        for step in follow(self, entry):
            if isinstance(step, LoggedRows):
                last[id(self)] = step
            yield step
            if isinstance(step, Turned) and id(self) in last:
                yield last[id(self)]

    monkeypatch.setattr(Cursor, "follow", doubled)


def _nothing_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was received after the point comes again."""
    monkeypatch.setattr("relay_service.egress.resuming._check_received", lambda *_: None)
    read = resuming.Resumes.read

    def forgetful(self: Any, start: Any, subject: bytes) -> Any:
        return self.log.mint().read(start.token, subject)._replace(number=read(self, start, subject).number)

    monkeypatch.setattr(resuming.Resumes, "read", forgetful)


@pytest.mark.parametrize("plant", [_one_too_far, _the_end_of_the_last_life_again, _nothing_skipped])
async def test_a_planted_fault_of_the_resume_is_found(
    plant: Any, monkeypatch: pytest.MonkeyPatch, fresh_redis_url: str
) -> None:
    await resuming.play(fresh_redis_url, {}, {}, SCRIPT)
    plant(monkeypatch)
    with pytest.raises((AssertionError, KeyError)):
        await resuming.play(fresh_redis_url, {}, {}, SCRIPT)


async def _a_hole(url: str) -> None:
    """More is relayed than is kept while the log takes nothing; whoever resumes over it is told."""
    async with resuming.world_of(url, buffer_bytes=8192) as world:
        strategy = resuming.Strategy(world, {})
        strategy.connect()
        strategy.read()
        strategy.cut()
        for _ in range(40):
            world.relay("A", Q, [1, 2, 3, 4, 5])
        assert world.log.tail.lost > 0
        strategy.connect()
        await strategy.settle()
        missing = len(world.events) - len(strategy.rows)
        assert missing == world.log.tail.lost
        assert [(gap.reason, gap.count, gap.from_number) for gap in strategy.gaps] == [("LOG_HOLE", missing, 0)]
        strategy.cut()


async def test_a_hole_in_the_log_is_told(fresh_redis_url: str) -> None:
    await _a_hole(fresh_redis_url)


async def test_a_lost_notice_of_a_hole_is_found(fresh_redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hole = Cursor._hole
    monkeypatch.setattr(
        Cursor, "_hole", lambda self, one: (step for step in hole(self, one) if not isinstance(step, Missing))
    )
    with pytest.raises(AssertionError):
        await _a_hole(fresh_redis_url)


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("taken", range(1, 7))
async def test_no_point_is_told_ahead_of_what_conflated_and_waits(
    fresh_redis_url: str, taken: int, crash: bool
) -> None:
    """A heartbeat fell due while a replay went on into another life; the connection breaks behind each message there is."""
    async with resuming.world_of(fresh_redis_url) as world:
        strategy = resuming.Strategy(world, {}, {"latest": pb.LatestContract()})
        strategy.connect()
        world.relay("A", Q, [1, 2])
        strategy.read()
        strategy.beat()
        strategy.read()
        world.relay("A", Q, [1])
        strategy.read()  # behind the point
        strategy.cut()
        world.relay("A", Q, [1, 2, 3])
        world.relay("B", T, [3])
        while world.log.unlogged:  # noqa: ASYNC110 - written by another task
            await asyncio.sleep(0.001)
        await world.stop(crash=crash)
        await world.start()
        strategy.connect()
        [one] = strategy.client.subscriptions.values()
        while not one.replay.begun:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        strategy.beat()
        while one.replay is not None:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
        strategy.read(taken)
        strategy.cut()
        strategy.connect()
        await strategy.settle()
        strategy.cut()
        places = {resuming.payload(one): place for place, one in enumerate(world.events)}
        came = [places[data] for data in strategy.rows]
        assert len(came) == len(set(came)), "no event comes twice"
        assert {3, 4, 5, 6} <= set(came), "the latest of each life come"
        assert {gap.reason for gap in strategy.gaps} <= ({"RELAY_RESTARTED"} if crash else set())
