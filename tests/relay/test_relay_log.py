"""The log itself: tokens that are refused, starts from a time, what is forgotten, a server that dies, two writers, a reader that is slow."""

from __future__ import annotations

import asyncio
import base64
import tempfile
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import relay_resuming as resuming

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.embedded import LaunchOptions, ValkeyStore
from alphapulse.records import QUOTE, TRADE
from relay_service.log.records import Point, Position
from relay_service.log.relay_log import LogState
from relay_service.log.tokens import TokenMint

Q, T = QUOTE.event_type, TRADE.event_type
PATIENCE = 20.0


async def until(found: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if found():
                return
            await asyncio.sleep(0.002)


async def logged(world: Any) -> None:
    """Everything that was relayed is in Redis."""
    await until(lambda: not world.log.unlogged)


def following(world: Any, chosen: dict[str, Any] | None = None, **fields: Any) -> Any:
    """A client that has subscribed."""
    strategy = resuming.Strategy(world, chosen or {}, **fields)
    strategy.connect()
    strategy.read()
    return strategy


async def refusal(world: Any, token: str, **fields: Any) -> Any:
    """What a token is refused with."""
    strategy = resuming.Strategy(world, **{"filter": {}} | fields)
    strategy.token = token
    strategy.connect()
    async with asyncio.timeout(PATIENCE):
        while not strategy.refusals:
            strategy.read()
            await asyncio.sleep(0)
    strategy.cut()
    return strategy.refusals[0]


@given(st.binary(min_size=8, max_size=8), st.tuples(*[st.integers(0, (1 << 64) - 1)] * 5), st.data())
def test_a_token_says_what_it_was_made_of_and_one_that_was_changed_nothing(
    subject: bytes, numbers: tuple[int, ...], data: Any
) -> None:
    mint = TokenMint(b"key", "log")
    point = Point(Position(*numbers[:3]), *numbers[3:])
    text = mint.mint(point, subject)
    assert mint.read(text, subject) == point
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    changed = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    with pytest.raises(resuming.ResumeTokenInvalid) as caught:
        mint.read(changed, subject)
    [violation] = caught.value.violations
    expected = {0: "version"} | dict.fromkeys(range(1, 9), "log")
    assert violation.rule == f"resume-token-{expected.get(bit // 8, 'signature')}"
    assert text[16:] not in str(caught.value)


async def test_tokens_that_are_not_good_are_refused_and_say_why(fresh_redis_url: str) -> None:
    async with resuming.world_of(fresh_redis_url) as world, resuming.world_of(fresh_redis_url) as other:
        strategy = following(world)
        world.relay("A", Q, [1])
        foreign = following(other).token

        async def rule(token: str, **fields: Any) -> str:
            error = await refusal(world, token, **fields)
            [violation] = error.violations
            assert violation.field.startswith("start.")
            return str(violation.rule)

        assert await rule("x" * 10) == "resume-token-format"
        assert await rule(strategy.token[:-2] + "%%") == "resume-token-format"
        assert await rule(foreign) == "resume-token-log"
        forged = TokenMint(b"guessed", world.log._store.name).mint(Point(Position(1, 1), 1, 1), b"12345678")
        assert await rule(forged) == "resume-token-signature"
        assert await rule(strategy.token, filter={"sources": ["A"]}) == "resume-token-subscription"
        assert await rule(strategy.token, contract={"latest": pb.LatestContract()}) == "resume-token-subscription"
        assert await rule(strategy.token, sequence=77) == "received-range"
        assert await rule(strategy.token, by_type={Q: 1}, tells_types=True) == "received-by-type"
        world.relay("A", Q, [1])
        strategy.read()
        strategy.beat()
        strategy.read()
        assert await rule(strategy.token, sequence=1) == "received-range"
        assert await rule(strategy.token, number=1) == "received-range"


async def test_a_token_older_than_the_log_is_refused_with_the_oldest_that_is_not(fresh_redis_url: str) -> None:
    async with resuming.world_of(fresh_redis_url) as world:
        strategy = following(world, {"event_types": [Q]})
        strategy.cut()
        for _ in range(3):
            world.relay("A", Q, [1, 2])
            await logged(world)
        await world.log._store.trim((await world.log._store.newest()).number)
        strategy.connect()
        await until(lambda: strategy.read() and strategy.refusals)
        [error] = strategy.refusals
        assert error.reason == "RESUME_TOKEN_TOO_OLD"
        strategy.cut()
        later = resuming.Strategy(world, {"event_types": [Q]})
        later.token = error.metadata["oldest_token"]
        later.connect()
        await later.settle()
        assert [sequence for _, sequence in later.received] == [5, 6]
        assert later.gaps == []
        later.cut()


async def test_what_is_forgotten_while_it_is_read_is_told(fresh_redis_url: str) -> None:
    async with resuming.world_of(fresh_redis_url) as world:
        strategy = following(world)
        strategy.cut()
        rows = [key for _ in range(20) for key in resuming.KEYS]
        for _ in range(40):  # more than may wait for a client
            world.relay("A", Q, rows)
            await logged(world)
        strategy.connect()
        await until(lambda: strategy.client.queue.is_lagging)
        await asyncio.sleep(0)
        await world.log._store.trim((await world.log._store.newest()).number)
        await strategy.settle()
        assert len(world.events) > len(strategy.rows) > 0
        assert {gap.reason for gap in strategy.gaps} == {"LOG_TRIMMED"}
        assert sum(gap.count for gap in strategy.gaps) == len(world.events) - len(strategy.rows)
        strategy.cut()


async def test_a_slow_reader_of_much_gets_all_of_it_and_no_gap(fresh_redis_url: str) -> None:
    async with resuming.world_of(fresh_redis_url) as world:
        contract = {"stream": pb.StreamContract(max_queue_bytes=8192)}
        slow, other = following(world, contract=contract), following(world, {"sources": ["B"]})
        slow.cut()
        rows = [key for _ in range(40) for key in resuming.KEYS]
        for _ in range(20):
            world.relay("A", Q, rows)
        await logged(world)
        slow.connect()
        most, thousands = 0, -1
        async with asyncio.timeout(PATIENCE):
            while len(slow.rows) < len(world.events):
                most = max(most, slow.client.queue.queued)
                slow.read(1)
                if len(slow.rows) // 1000 > thousands:
                    thousands += 1
                    world.relay("B", T, [1])  # others go on meanwhile
                await asyncio.sleep(0)
        await slow.settle()
        assert most <= 2 * 8192
        assert slow.gaps == []
        assert slow.rows == [resuming.payload(event) for event in world.events]
        await other.settle()
        assert len(other.rows) == sum(event.source == "B" for event in world.events)
        slow.cut()
        other.cut()


moments = st.lists(st.tuples(st.integers(-20, 60), st.integers(1, 3), st.booleans()), min_size=1, max_size=12)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moments, st.data())
def test_a_start_from_a_time_finds_the_first_event_that_came_then(
    fresh_redis_url: str, steps: list[tuple[int, int, bool]], data: Any
) -> None:
    """The relay's clock may go back, and the relay restart."""

    async def run() -> None:
        async with resuming.world_of(fresh_redis_url) as world:
            begun = world.log._start_ns
            clock = begun + 1
            for forward, count, last in steps:
                clock = max(clock + forward, begun + 1)
                world.relay("A", Q, [1] * count, clock)
                if last:
                    await logged(world)
            if data.draw(st.booleans()):
                await world.stop()
                await world.start()
                world.relay("A", Q, [1])
            times = sorted({event.now_ns for event in world.events})
            for at in {begun + 1, *times, *(one + 1 for one in times)}:
                expected = next((k for k, one in enumerate(world.events) if one.now_ns >= at), len(world.events))
                strategy = following(world, start=pb.SubscriptionStart(time_ns=at))
                await strategy.settle()
                assert strategy.rows == [resuming.payload(event) for event in world.events[expected:]]
                assert strategy.gaps == []
                strategy.cut()
            early = following(world, start=pb.SubscriptionStart(time_ns=begun - 1))
            await until(lambda: early.read() and early.refusals)
            assert early.refusals[0].reason == "RESUME_TOKEN_TOO_OLD"
            assert int(early.refusals[0].metadata["oldest_time_ns"]) <= begun + 1

    asyncio.run(run())


async def test_a_start_in_the_future_is_refused(fresh_redis_url: str) -> None:
    async with resuming.world_of(fresh_redis_url) as world:
        strategy = following(world, start=pb.SubscriptionStart(time_ns=world.now_ns + 10**15))
        assert strategy.refusals[0].violations[0].rule == "start-time"


@pytest.mark.parametrize(("seconds", "max_bytes"), [(60.0, 1 << 30), (3600.0, 12_000)])
async def test_what_is_too_old_or_too_much_is_forgotten(fresh_redis_url: str, seconds: float, max_bytes: int) -> None:
    async with resuming.world_of(fresh_redis_url) as world:
        retention = world.log._retention
        retention._seconds, retention._max_bytes = seconds, max_bytes
        now_ns = world.now_ns + 200 * 10**9
        for age in range(200, 0, -2):
            world.relay("A", Q, [1, 2], now_ns - age * 10**9)
            if age % 10 == 0:
                await logged(world)
        await logged(world)
        await retention.trim(now_ns)
        oldest, newest = await world.log._store.oldest(), await world.log._store.newest()
        if max_bytes == 1 << 30:
            assert oldest.high >= now_ns - 60 * 10**9 > oldest.high_before
        else:
            assert newest.offset - oldest.offset < max_bytes <= newest.offset - oldest.offset + 2 * oldest.size
        strategy = following(world)  # who has everything resumes, whatever the age of what is there
        strategy.cut()
        await retention.trim(now_ns + 10**15)
        assert (await world.log._store.oldest()).number == newest.number
        strategy.connect()
        await strategy.settle()
        assert not strategy.refusals
        strategy.cut()


@pytest.mark.parametrize("buffer_bytes", [1 << 20, 8192])
async def test_the_logs_server_is_killed_and_comes_back(buffer_bytes: int) -> None:
    """Relaying goes on; what did not fit in memory is a hole for who resumes over it, the rest is there."""
    with tempfile.TemporaryDirectory(prefix="alphapulse-test-") as folder:
        options = LaunchOptions(durable=False, remove_with_parent=True)
        server = ValkeyStore(Path(folder) / "v", options)
        server.start()
        port = server.port
        async with resuming.world_of(server.url, buffer_bytes=buffer_bytes) as world:
            live, cut = following(world), following(world)
            world.relay("A", Q, [1, 2])
            await logged(world)
            cut.cut()
            server.stop()
            for _ in range(100):
                world.relay("A", Q, [1, 2, 3])
                live.read()
            assert len(live.rows) == len(world.events), "relaying does not wait for the log"
            await until(lambda: world.log.errors)
            again = ValkeyStore(Path(folder) / "v", LaunchOptions(durable=False, remove_with_parent=True, port=port))
            again.start()
            try:
                world.relay("A", Q, [4])
                await logged(world)
                cut.connect()
                await cut.settle()
                missing = len(world.events) - len(cut.rows)
                assert missing == world.log.tail.lost
                assert (missing == 0) == (buffer_bytes > 8192)
                assert [gap.reason for gap in cut.gaps] == (["LOG_HOLE"] if missing else [])
                assert sum(gap.count for gap in cut.gaps) == missing
                assert cut.rows[-1] == resuming.payload(world.events[-1])
                cut.cut()
                await world.stop()
            finally:
                again.stop()
            await world.start()  # without the server
            assert world.log.state is LogState.OPENING
            late = following(world)
            world.relay("A", Q, [1])
            late.read()
            assert len(late.rows) == 1
            assert (await refusal(world, cut.token)).reason == "UNAVAILABLE"


async def test_a_server_that_is_full_keeps_less() -> None:
    with tempfile.TemporaryDirectory(prefix="alphapulse-test-") as folder:
        server = ValkeyStore(Path(folder) / "v", LaunchOptions(durable=False, remove_with_parent=True))
        server.start()
        async with resuming.world_of(server.url) as world, redis.from_url(server.url) as client:
            used = (await client.info("memory"))["used_memory"]
            await client.config_set("maxmemory", used + (2 << 20))
            rows = [key for _ in range(200) for key in resuming.KEYS]
            for _ in range(50):  # twice what there is room for
                world.relay("A", Q, rows)
                await logged(world)
            assert world.log.trimmed
            last = following(world)
            last.cut()
            world.relay("A", Q, rows)
            await logged(world)
            last.connect()
            await last.settle()
            assert last.rows == [resuming.payload(event) for event in world.events[-len(rows) :]]
            assert world.log.tail.lost == 0
            last.cut()
            await world.stop()
            server.stop()
            world.stop = lambda: asyncio.sleep(0)


async def test_a_log_that_lost_what_it_had_taken_says_so(fresh_redis_url: str) -> None:
    async with resuming.world_of(fresh_redis_url) as world, redis.from_url(fresh_redis_url) as client:
        strategy = following(world)
        strategy.cut()
        for _ in range(3):
            world.relay("A", Q, [1, 2])
            await logged(world)
        middle = (await client.xrange(world.log._store.name))[2][0]
        await client.xdel(world.log._store.name, middle)
        broken = (await client.xrange(world.log._store.name))[2][0]
        strategy.connect()
        await strategy.settle()
        assert [(gap.reason, gap.count) for gap in strategy.gaps] == [("LOG_HOLE", 2)]
        assert [sequence for _, sequence in strategy.received] == [1, 2, 5, 6]
        strategy.cut()
        assert broken != middle


async def test_of_two_relays_of_one_name_the_later_writes(fresh_redis_url: str) -> None:
    async with resuming.world_of(fresh_redis_url) as first:
        name = first._settings["name"]
        before = following(first)
        async with resuming.world_of(fresh_redis_url, name=name) as second:
            first.relay("A", Q, [1])
            await until(lambda: first.log.state is LogState.FENCED)
            before.read()
            assert len(before.rows) == 1, "it relays on"
            assert (await refusal(first, before.token)).reason == "NO_EVENT_LOG"
            second.relay("A", Q, [1])
            await logged(second)
            before.world = second
            before.cut = lambda: None
            before.connect()
            await before.settle()
            assert [gap.reason for gap in before.gaps] == ["RELAY_RESTARTED"]
            assert len(before.rows) == 2
