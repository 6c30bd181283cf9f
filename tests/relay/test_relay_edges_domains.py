"""Edges serve signals and executions as they serve the market, each from its own log: none waits for another, and none is told another's losses."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.client import Backoff
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import Unavailable
from alphapulse.embedded import LaunchOptions, ValkeyStore
from alphapulse.records import EXECUTION_REPORT, QUOTE, STRATEGY_SIGNAL
from relay_service.config import Role
from relay_service.edge.follower import Follower
from relay_service.edge.log import EdgeLog
from relay_service.log.relay_log import LogSettings
from strategy_sdk import Direction, Gap, OrderSide, OrderState, OrderUpdate, Signal, connect, publish

PATIENCE = 20.0
OTHERS = (Domain.SIGNAL, Domain.EXECUTION)
LAYOUT_OF = {Domain.MARKET: QUOTE, Domain.SIGNAL: STRATEGY_SIGNAL, Domain.EXECUTION: EXECUTION_REPORT}
QUICK = Backoff(first=0.01, cap=0.05)


async def until(found: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if found():
                return
            await asyncio.sleep(0.002)


@pytest.fixture
def open_edge(open_relay: Any, fresh_redis_url: str) -> Callable[..., Any]:
    """An edge over the logs of this test."""

    @asynccontextmanager
    async def start(name: str, *listings: Any, **settings: Any) -> AsyncIterator[Any]:
        usual = {"role": Role.EDGE, "edge_id": name, "log_url": fresh_redis_url}
        async with open_relay(**usual | settings) as edge:
            edge.define(*listings)
            yield edge

    return start


class Desk:
    """Whoever publishes: numbered signals and reports, and quotes whose bids are numbers too."""

    def __init__(self) -> None:
        self.sent: dict[Domain, int] = dict.fromkeys(Domain, 0)
        self._stack = AsyncExitStack()

    async def open(self, core: Any) -> None:
        """Where the relay is, now and after its restarts."""
        way: dict[str, Any] = {"ingress_socket": str(core.config.ingress_socket), "backoff": QUICK}
        self.out = {
            domain: await self._stack.enter_async_context(publish(f"{domain.title}-desk", domain, "", **way))
            for domain in OTHERS
        }

    async def close(self) -> None:
        await self._stack.aclose()

    def say(self, count: int = 1) -> None:
        """One of each."""
        for _ in range(count):
            number = self.sent[Domain.SIGNAL] = self.sent[Domain.EXECUTION] = self.sent[Domain.SIGNAL] + 1
            self.out[Domain.SIGNAL].signal(Signal("s", 1, Direction.BUY, 0.5, str(number), 1))
            size = ExactDecimal(number, 0)
            self.out[Domain.EXECUTION].execution(OrderUpdate(1, str(number), OrderSide.BUY, OrderState.OPEN, size))

    async def settled(self) -> None:
        for out in self.out.values():
            await out.settled(timeout=PATIENCE)

    async def quote(self, collector: Any, build: Any, count: int = 1) -> None:
        before = self.sent[Domain.MARKET]
        await collector.send(build.quotes([1] * count, first_bid=before + 1))
        self.sent[Domain.MARKET] = before + count


def sources_of(stream: Any) -> set[str]:
    """The sources that the last heartbeat told of."""
    return {one.source for one in stream.last_heartbeat.sources}


def number_of(event: Any) -> int:
    if hasattr(event, "client_order_id"):
        return int(event.client_order_id)
    return int(event.text) if hasattr(event, "text") else int(event.values["bid_price"])


class Reader:
    """A stream over edges that keeps what comes of each domain."""

    def __init__(self, *edges: Any) -> None:
        self.events: dict[int, list[Any]] = {}
        self.gaps: list[Gap] = []
        addresses = ",".join(edge.handle.address for edge in edges)
        self.stream = connect(addresses, heartbeat_seconds=0.05, backoff=QUICK)

    async def __aenter__(self) -> Reader:
        await self.stream.__aenter__()
        for domain in Domain:
            await self.stream.subscribe(domain=domain, include_unknown=True)
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stream.close()
        await self._task

    async def _read(self) -> None:
        async for batch in self.stream.batches():
            self.gaps += batch.gaps
            self.events.setdefault(batch.subscription_id, []).extend(batch.events())

    def has(self, desk: Desk) -> Callable[[], bool]:
        """Whether the last of each domain has come."""
        return lambda: (
            {number_of(one[-1]) for one in self.events.values() if one} >= set(desk.sent.values())
            and len([one for one in self.events.values() if one]) == len(Domain)
        )


async def test_all_domains_come_once_whoever_is_killed(
    open_relay: Any, open_edge: Any, build: Any, fresh_redis_url: str
) -> None:
    """One stream carries all three, through the death of an edge, and restarts of the relay."""
    desk, lives = Desk(), 0
    async with AsyncExitStack() as stack:
        async with open_relay(log_url=fresh_redis_url) as core:
            first = await stack.enter_async_context(open_edge("one"))
            second = await stack.enter_async_context(open_edge("two"))
            await desk.open(core)
            reader = await stack.enter_async_context(Reader(first, second))
            assert reader.stream.edge_id.startswith("one.")
            collector = await core.collector()
            for turn in range(4):
                desk.say(5)
                await desk.quote(collector, build, 3)
                if turn == 1:
                    await until(reader.has(desk))
                    await first.handle.server._server.stop(None)
            await desk.settled()
            await until(reader.has(desk))
            assert reader.stream.edge_id.startswith("two.")
        for lives in (1, 2):
            desk.say(3)  # nobody is there to take it
            async with open_relay(log_url=fresh_redis_url) as core:
                collector = await core.collector(f"L{lives}")
                await desk.settled()
                await desk.quote(collector, build, 2)
                await until(reader.has(desk))
                name = core.app.fanout.relay_id
                await until(lambda name=name: reader.stream.relay_id == name)  # type: ignore[misc]
                await until(lambda: sources_of(reader.stream) >= {"signal-desk", "execution-desk"})
        stats = reader.stream.stats()
        await desk.close()
    assert lives == 2
    for (_, events), last in zip(sorted(reader.events.items()), desk.sent.values(), strict=True):
        assert [number_of(one) for one in events] == list(range(1, last + 1))
        assert [one.number for one in events] == list(range(1, last + 1))
    assert reader.gaps == []
    assert (stats.duplicates, stats.undeclared_gaps, stats.reconnects) == (0, 0, 1)


async def test_rows_and_tokens_of_a_domain_are_those_of_the_relay(
    open_relay: Any, open_edge: Any, build: Any, fresh_redis_url: str
) -> None:
    """The same bytes by the same filters on both transports; a token of either is good at the other, and for its own domain alone."""
    listings = [build.listing(1), build.listing(2, venue="XW")]
    async with open_relay(log_url=fresh_redis_url) as core, open_edge("one", *listings) as edge:
        core.define(*listings)
        for domain in OTHERS:
            layout = LAYOUT_OF[domain]
            clients = [await core.grpc(heartbeat_interval_ms=20), await edge.grpc(heartbeat_interval_ms=20)]
            clients += [await edge.unix(with_definitions=True)]
            for client in clients:
                await client.put(1, filter={"domain": domain})
                await client.put(2, filter={"domain": domain, "venues": ["XW"]})
            name = domain.title
            collector = await core.collector(name, domain=domain, acknowledges=domain is Domain.EXECUTION)
            rows = layout.new(3)
            rows["listing_key"], rows["flags"] = [1, 2, 9], 1
            await collector.send(rows, layout)
            told = [
                [trimmed(await client.rows(count, number)) for number, count in ((1, 2), (2, 1))] for client in clients
            ]
            assert told[0] == told[1] == told[2]
            assert [row["listing_key"] for row in told[1][0]] == [1, 2]
            points = [
                (await client.until(lambda client=client: point_of(client, 2))).resume_token for client in clients[:2]
            ]
            for place, token in zip((edge, core), points, strict=True):
                other = await place.grpc()
                other.of(3).expected = 3
                start = pb.SubscriptionStart(resume_token=token)
                wrong = await other.put(4, filter={"domain": OTHERS[domain is OTHERS[0]]}, start=start)
                assert wrong.error.violations[0].rule == "resume-token-log"
                await other.put(3, filter={"domain": domain}, start=start)
                await collector.send(rows[:1], layout)
                assert [row["listing_key"] for row in (await other.rows(3, 3))[:1]] == [1]
            snapshot = await clients[1].put(
                5, filter={"domain": domain}, start=pb.SubscriptionStart(snapshot=pb.StartSnapshot())
            )
            assert snapshot.error.violations[0].rule == "snapshot-domain"
        await until(lambda: edge.app.core.last_of(Domain.EXECUTION) == 5)
        status = await edge.stub.GetRelayStatus(pb.GetRelayStatusRequest())
        assert [(one.domain, one.last_sequence) for one in status.domains] == [(1, 0), (2, 5), (3, 5)]
        found = {
            (sample.name, sample.labels["domain"]): sample.value
            for family in edge.app._registry.collect()
            for sample in family.samples
            if "domain" in sample.labels
        }
        assert found["relay_edge_entries_total", "execution"] >= 3
        assert set(found) >= {("relay_edge_behind_seconds", domain.title) for domain in Domain}


def trimmed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with texts as numpy has them: without the zero bytes behind them."""
    return [
        {name: value.rstrip(b"\0") if isinstance(value, bytes) else value for name, value in row.items()}
        for row in rows
    ]


def point_of(client: Any, number: int) -> Any:
    """The last resume point of subscription 1 with this number."""
    found = [one for one in client.all("resume") if (one.subscription_id, one.number) == (1, number)]
    return found[-1] if found else None


async def test_a_life_that_dies_and_what_a_source_lost_is_told_to_its_domain_alone(
    open_relay: Any, open_edge: Any, build: Any, fresh_redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The market of a relay that died ends without a word; its signals are in the next life while the market is not, and each is told where it is."""
    go = asyncio.Event()

    async def gated(self: Follower, entry: Any) -> None:
        if self._domain is Domain.MARKET and entry.incarnation > lives[0]:
            await go.wait()
        await take(self, entry)

    take = Follower._take
    async with open_edge_over(open_relay, open_edge, fresh_redis_url) as (edge, lives, core):
        client = await edge.grpc(heartbeat_interval_ms=20)
        for domain in Domain:
            await client.put(int(domain), filter={"domain": domain, "include_unknown": True})
        signals = await core.collector("S", domain=Domain.SIGNAL)
        rows = STRATEGY_SIGNAL.new(2)
        rows["listing_key"], rows["flags"] = 1, 1
        await signals.send(rows, STRATEGY_SIGNAL)
        signals.next_sequence += 4
        await signals.send(rows, STRATEGY_SIGNAL)
        await (await core.collector("Q")).send(build.quotes([1]))
        await client.rows(4, 2)
        await client.rows(1, 1)
        assert [(gap.reason, gap.count, gap.source) for gap in client.of(2).source_gaps] == [("SOURCE_GAP", 4, "S")]
        before = core.app.fanout.relay_id
        monkeypatch.setattr(Follower, "_take", gated)
        await end_without_a_word(core)
        async with open_relay(log_url=fresh_redis_url) as again:
            signals = await again.collector("S", domain=Domain.SIGNAL)
            await signals.send(rows[:1], STRATEGY_SIGNAL)
            await client.rows(5, 2)
            place = len(client.log)
            beat = (await client.until(lambda: client.last("heartbeat", place))).heartbeat
            assert beat.relay_id == before, "the market is in the life before"
            assert dict(beat.last_sequences) == {1: 1}, "and a sequence of the next one is not told as of that"
            points = [one for one in client.all("resume") if one.subscription_id == 2]
            assert points[-1].relay_id == again.app.fanout.relay_id != before
            assert not [one for one in client.all("resume") if one.relay_id != before and one.subscription_id == 1]
            late = await client.put(9, filter={"domain": Domain.SIGNAL, "include_unknown": True})
            assert late.from_sequence == 2
            go.set()
            await client.until(
                lambda: after(client, "heartbeat", lambda one: one.relay_id != before and one.last_sequences[2] == 1)
            )
            await client.until(lambda: client.of(1).source_gaps)
            assert [gap.reason for gap in client.of(1).source_gaps] == ["RELAY_RESTARTED"]
            assert len(client.of(2).source_gaps) == 1
            assert client.of(3).source_gaps == client.of(9).source_gaps == []


def after(client: Any, kind: str, fits: Callable[[Any], bool]) -> Any:
    """The last response of a kind, where it fits."""
    found = client.last(kind)
    found = getattr(found, kind) if found is not None else None
    return found if found is not None and fits(found) else None


@asynccontextmanager
async def open_edge_over(open_relay: Any, open_edge: Any, url: str) -> AsyncIterator[tuple[Any, list[int], Any]]:
    """(an edge, the incarnation of the relay's first life, that relay), which `end_without_a_word` ends."""
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(open_relay(log_url=url))
        core.ended = stack.pop_all()
        edge = await stack.enter_async_context(open_edge("one"))
        yield edge, [core.app.log.incarnation], core


async def end_without_a_word(core: Any) -> None:
    """End the relay, of whose market the log does not say that it ended: as of one that died."""

    async def nothing() -> None:
        return

    core.app.log._end = nothing
    await core.ended.aclose()


async def test_who_does_not_read_the_market_does_not_hold_up_executions(
    open_relay: Any, open_edge: Any, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edge that has come behind waits for who reads slowly: of the same domain."""
    monkeypatch.setattr("relay_service.edge.pacing.MANY", 1)  # always as if it were far behind
    with tempfile.TemporaryDirectory(prefix="alphapulse-test-") as folder:
        server = ValkeyStore(Path(folder) / "v", LaunchOptions(durable=False, remove_with_parent=True))
        server.start()
        async with (
            open_relay(log_url=server.url) as core,
            open_edge("one", log_url=server.url, queue_bytes=1 << 16) as edge,
        ):
            slow, quick = await edge.unix(), await edge.unix()
            await slow.put(1, filter={"include_unknown": True})
            await quick.put(2, filter={"domain": Domain.EXECUTION, "include_unknown": True})
            collector = await core.collector()
            fan = edge.app.fanout
            [lagging] = [one for one in fan.subscribers.values() if 1 in one.subscriptions]
            while not lagging.queue.lane(Domain.MARKET).is_lagging:
                await collector.send(build.quotes([1] * 1000))
                await asyncio.sleep(0.01)
            waits = edge.app.followers.of[Domain.EXECUTION]._pacing
            reports = await core.collector("E", domain=Domain.EXECUTION, acknowledges=True)
            rows = EXECUTION_REPORT.new(1)
            rows["listing_key"], rows["flags"] = 1, 1
            left = waits._left
            await reports.send(rows, EXECUTION_REPORT)
            await quick.rows(1, 2)
            assert lagging.queue.lane(Domain.MARKET).is_lagging
            assert waits._left >= left - 0.05
            assert not waits._stalled
        server.stop()


async def test_an_edge_starts_beside_logs_that_their_server_lost(
    open_relay: Any, open_edge: Any, build: Any, fresh_redis_url: str
) -> None:
    """Of a domain in which nothing happened since; who listens there is told when something does, and whoever resumes gets what is there."""
    async with open_relay(log_url=fresh_redis_url) as core:
        reports = await core.collector("E", domain=Domain.EXECUTION, acknowledges=True)
        rows = EXECUTION_REPORT.new(3)
        rows["listing_key"], rows["flags"] = 1, 1
        before = await core.grpc(heartbeat_interval_ms=20)
        wanted: dict[str, Any] = {"filter": {"domain": Domain.EXECUTION, "include_unknown": True}}
        await before.put(1, **wanted)
        await reports.send(rows, EXECUTION_REPORT)
        await before.rows(3)
        token = (await before.until(lambda: point_of(before, 3))).resume_token
        store = core.app.log.store
        await store._redis.delete(*(log.store.name for log in core.app.logs.values()))
        with pytest.raises(Unavailable, match="has written a log"):
            await EdgeLog(LogSettings("relay", fresh_redis_url)).__aenter__()
        quotes = await core.collector("Q")
        await quotes.send(build.quotes([1]))
        await until(lambda: not core.app.log.unlogged)
        async with open_edge("one") as edge:
            client = await edge.grpc(heartbeat_interval_ms=20)
            await client.put(1, **wanted)
            client.of(2).expected = 4
            await client.put(2, start=pb.SubscriptionStart(resume_token=token), **wanted)
            beat = await client.until(lambda: after(client, "heartbeat", lambda one: 0 < one.behind_ns < 10**10))
            assert dict(beat.last_sequences) == {1: 1}
            assert not client.all("resume") or {one.subscription_id for one in client.all("resume")} == {2}
            await reports.send(rows[:1], EXECUTION_REPORT)
            assert [row["sequence"] for row in await client.rows(1, 1)] == [4]
            assert [row["sequence"] for row in await client.rows(4, 2)] == [4]
            assert [(gap.reason, gap.count) for gap in client.of(1).source_gaps] == [("LOG_TRIMMED", 0)]
            assert client.of(2).source_gaps == []
            points = {one.subscription_id: one.relay_id for one in client.all("resume")}
            assert points == dict.fromkeys((1, 2), core.app.fanout.relay_id)
            await client.until(
                lambda: after(client, "heartbeat", lambda one: one.last_sequences[3] == 4 and one.behind_ns < 10**10)
            )
