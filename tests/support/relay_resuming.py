"""Relays without sockets over one log, one after the other; a client that resumes as docs/relay.md says; and a brute-force reading of what should
have come to it. Loaded by the tests of resumes."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from alphapulse.api.relay.v1 import relay_service_pb2 as pb
from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import ResumeTokenInvalid as ResumeTokenInvalid
from alphapulse.records import LAYOUTS, QUOTE, TRADE
from relay_service.core import RelayCore
from relay_service.egress.envelope import GrpcEncoder
from relay_service.egress.fanout import FanOut
from relay_service.egress.items import HeartbeatDue
from relay_service.egress.resuming import Resumes as Resumes
from relay_service.egress.session import MAX_ID, Session
from relay_service.egress.settings import FanOutSettings
from relay_service.kernel.engine import KernelSettings
from relay_service.log.relay_log import LogSettings, RelayLog, end

NAMES = itertools.count(1)
KEYS = range(1, 6)
SOURCES = ("A", "B")
TYPES = (QUOTE.event_type, TRADE.event_type)


@dataclass(frozen=True)
class Relayed:
    """One event as the relay took it."""

    life: int
    sequence: int
    event_type: int
    key: int
    source: str
    now_ns: int
    row: bytes


class World:
    """Relays of one log, one after the other, and everything they relayed."""

    def __init__(self, url: str, **log: Any) -> None:
        self._settings: dict[str, Any] = {"name": f"world{next(NAMES)}", "url": url} | log
        self.events: list[Relayed] = []
        self.lives = 0
        self.now_ns = time.time_ns()
        self.slow_seconds = 0.0
        """How long a subscription may stay behind; 0: for ever."""
        self.ahead_ns = 0
        """By how much the relay's clock of what it hands on is ahead."""

    async def start(self) -> None:
        self.lives += 1
        self.core = RelayCore(KernelSettings(registry_enabled=False, capacity=4))
        self.log = await RelayLog(LogSettings(**self._settings), time.time_ns()).__aenter__()
        self.fanout = FanOut(
            self.core,
            FanOutSettings("test", registry_enabled=False, queue_bytes=1 << 16, slow_seconds=self.slow_seconds),
            {Domain.MARKET: self.log},
            clock=lambda: time.time_ns() + self.ahead_ns,
        )
        self.sources = {name: self.core.sources.claim(name, 1, 1)[0] for name in SOURCES}

    async def stop(self, *, crash: bool = False) -> None:
        """End this life: in order, or so that what is in memory is gone."""
        if crash:
            await end(self.log._tasks)
            await self.log._store.close()
        else:
            await self.log.__aexit__(None, None, None)

    def relay(self, source: str, event_type: int, keys: list[int], now_ns: int = 0) -> None:
        layout = LAYOUTS[event_type]
        rows = layout.new(len(keys))
        rows["listing_key"], rows["flags"] = keys, 1
        if layout is QUOTE:
            rows["bid_price"], rows["ask_price"] = 1, 2
        self.now_ns = now_ns or max(self.now_ns + 1, time.time_ns())
        state = self.sources[source]
        result = self.core.accept(state, layout.event_type, rows, state.next_sequence, self.now_ns)
        self.fanout.deliver(result)
        for group in result.groups:
            for place, row in enumerate(group.rows):
                self.events.append(
                    Relayed(
                        self.lives,
                        group.first_sequence + place,
                        group.event_type,
                        int(row["listing_key"]),
                        result.source,
                        self.now_ns,
                        row.tobytes(),
                    )
                )

    def lose(self, source: str, count: int) -> None:
        """A source says that it lost something."""
        self.fanout.deliver(self.core.source_gap(self.sources[source], "RECONNECTED", 0, count))


@dataclass
class Strategy:
    """A client as the protocol describes one: keeps its last point and what came after it, and checks the numbers."""

    world: World
    filter: dict[str, Any]
    contract: dict[str, Any] = field(default_factory=dict)
    received: list[tuple[int, int]] = field(default_factory=list)
    """(type, sequence) and the bytes beside them."""
    rows: list[bytes] = field(default_factory=list)
    gaps: list[Any] = field(default_factory=list)
    refusals: list[Any] = field(default_factory=list)
    token: str = ""
    number: int = 0
    sequence: int = 0
    by_type: dict[int, int] = field(default_factory=dict)
    source_gap: int = 0
    conflated: int = 0
    ended: list[Any] = field(default_factory=list)
    """Why the relay ended the subscription; it is resumed at once."""
    acknowledged: int = 0
    start: Any = None
    tells_types: bool = False
    """Tells what it received by type, whatever the contract."""

    @property
    def conflates(self) -> bool:
        return "latest" in self.contract

    def connect(self) -> None:
        self.client = self.world.fanout.connect("grpc", GrpcEncoder(), lambda: None)
        self.session = Session(self.world.fanout, self.client, MAX_ID)
        self.session.handle(pb.SubscribeRequest(hello=pb.ClientHello(name="s", heartbeat_interval_ms=600_000)))
        self.put()

    def put(self) -> None:
        """Ask for the subscription: from the last point, where there is one."""
        start = self.start or pb.SubscriptionStart()
        if self.token:
            start = pb.SubscriptionStart(
                resume_token=self.token, received_number=self.number, received_source_gap=self.source_gap
            )
            if self.conflates or self.tells_types:
                start.received_by_type.update(self.by_type)
            else:
                start.received_sequence = self.sequence
        chosen = pb.SubscriptionFilter(**self.filter)
        self.session.handle(
            pb.SubscribeRequest(put=pb.PutSubscription(subscription_id=1, filter=chosen, start=start, **self.contract))
        )

    def cut(self) -> None:
        """The connection breaks: what waits never arrives."""
        self.world.fanout.disconnect(self.client)

    def beat(self) -> None:
        """The interval of a heartbeat passed."""
        self.client.queue.push(HeartbeatDue())

    def read(self, count: int = 1 << 20) -> int:
        """Take so many messages; how many there were."""
        for taken in range(count):
            data = self.client.take()
            if data is None:
                return taken
            self._take(pb.SubscribeResponse.FromString(data))
        return count

    def _take(self, message: Any) -> None:
        kind = message.WhichOneof("message")
        if kind == "delivery":
            self._deliver(message.delivery)
        elif kind == "gap":
            self._gap(message.gap)
        elif kind == "resume":
            point = message.resume
            assert point.number == self.number, "a point agrees with what was written before it"
            self.token, self.sequence, self.source_gap = point.resume_token, 0, 0
            self.by_type.clear()
        elif kind == "acknowledged":
            self.acknowledged += 1
        elif kind == "refused":
            self.refusals.append(message.refused.error)
        elif kind == "ended":
            assert message.ended.error.metadata["resume_token"] == self.token
            self.ended.append(message.ended.error)
            self.put()
        elif kind == "heartbeat":
            assert message.heartbeat.last_numbers[1] == self.number

    def _deliver(self, one: Any) -> None:
        events = sorted(
            (event.sequence, layout.event_type, event.SerializeToString())
            for layout in LAYOUTS.values()
            for event in getattr(one.batch, layout.batch_field)
        )
        assert one.first_number == self.number + 1
        assert len(events) == one.count
        self.number += one.count
        self.conflated += one.conflated
        for sequence, kind, data in events:
            self.received.append((kind, sequence))
            self.rows.append(data)
            self.by_type[kind] = max(self.by_type.get(kind, 0), sequence)
            self.sequence = max(self.sequence, sequence)

    def _gap(self, gap: Any) -> None:
        self.gaps.append(gap)
        if gap.from_number:
            assert gap.from_number == self.number + 1
            self.number = gap.to_number
        self.source_gap = max(self.source_gap, gap.source_gap)
        self.sequence = max(self.sequence, gap.last_sequence)

    async def settle(self) -> None:
        """Read until everything that was relayed has come."""
        async with asyncio.timeout(20):
            while True:
                found = self.read()
                [one] = self.client.subscriptions.values() or [None]
                if one is None or (not found and one.replay is None):
                    return
                await asyncio.sleep(0.001)


def wanted(event: Relayed, chosen: dict[str, Any]) -> bool:
    """The filter, brute force."""
    if chosen.get("listing_keys") and event.key not in chosen["listing_keys"]:
        return False
    if chosen.get("event_types") and event.event_type not in chosen["event_types"]:
        return False
    return not (chosen.get("sources") and event.source and event.source not in chosen["sources"])


@asynccontextmanager
async def world_of(url: str, **log: Any) -> AsyncIterator[World]:
    world = World(url, **log)
    await world.start()
    try:
        yield world
    finally:
        await world.stop()


async def play(url: str, chosen: dict[str, Any], contract: dict[str, Any], script: list[Any]) -> None:
    async with world_of(url) as world:
        strategy = Strategy(world, chosen, contract)
        strategy.connect()
        strategy.read()
        lost = 0
        for kind, *values in script:
            if kind == "relay":
                world.relay(*values)
            elif kind == "lose":
                world.lose(*values)
                lost += values[1] if not chosen.get("sources") or values[0] in chosen["sources"] else 0
            elif kind == "read":
                strategy.read(*values)
            elif kind == "beat":
                strategy.beat()
            elif kind == "turn":
                await asyncio.sleep(values[0] / 1000)
            elif kind == "cut":
                strategy.cut()
                strategy.connect()
            else:
                strategy.cut()
                await world.stop(crash=kind == "crash")
                await world.start()
                strategy.connect()
        await strategy.settle()
        strategy.cut()
        check(world, strategy, lost, crashed=any(one[0] == "crash" for one in script))


def check(world: World, strategy: Strategy, lost: int, *, crashed: bool) -> None:
    """What came is what was relayed: without a duplicate, in order, and short of nothing but what was declared."""
    assert not strategy.refusals
    expected = [event for event in world.events if wanted(event, strategy.filter)]
    reasons = {gap.reason for gap in strategy.gaps}
    assert reasons <= {"RECONNECTED", "QUEUE_FULL", "RELAY_RESTARTED"}
    assert crashed or "RELAY_RESTARTED" not in reasons
    place_of = {payload(event): place for place, event in enumerate(expected)}
    places = [place_of[data] for data in strategy.rows]
    came = set(places)
    assert len(came) == len(places), "no event comes twice"
    if strategy.conflates:
        newest: dict[tuple[int, int], int] = {}
        for place, event in enumerate(expected):
            newest[event.event_type, event.key] = place
        assert crashed or set(newest.values()) <= came, "the latest of each comes"
        for kind in TYPES:
            of_kind = [place for place in places if expected[place].event_type == kind]
            assert of_kind == sorted(of_kind), "each type in order"
    else:
        assert places == sorted(places), "in order"
        dropped = sum(gap.count for gap in strategy.gaps if gap.reason == "QUEUE_FULL")
        assert strategy.number == len(places) + dropped
        _check_missing(expected, came, dropped, "RELAY_RESTARTED" in reasons)
    # Losses are told again where it is not known that they were told.
    assert crashed or sum(gap.count for gap in strategy.gaps if gap.reason == "RECONNECTED") >= lost


def _check_missing(expected: list[Relayed], came: set[int], dropped: int, restarted: bool) -> None:
    """As many events are missing as were dropped; more are where a life ended without notice, but then they are its last."""
    missing = [place for place in range(len(expected)) if place not in came]
    if restarted:
        last = {expected[place].life: place for place in sorted(came)}
        missing = [place for place in missing if place < last.get(expected[place].life, 0)]
        assert len(missing) <= dropped
    else:
        assert len(missing) == dropped, f"{len(missing)} events are missing, {dropped} were declared"


def payload(event: Relayed) -> bytes:
    return event.row[len(LAYOUTS[event.event_type].prefix) :]
