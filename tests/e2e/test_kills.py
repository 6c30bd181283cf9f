"""kill -9 of each process in turn, under load: it comes back by itself, the rest goes on, nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
import pytest_asyncio

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc as instrument_rpc
from alphapulse.api.marketdata.v1 import marketdata_pb2
from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.api.relay.v1 import relay_service_pb2_grpc as relay_rpc
from alphapulse.client import Reset, WatchStart, open_channel, watch_instruments
from alphapulse.domain.identifiers import Isin
from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import QUOTE, row_sizes
from alphapulse_cli.commands.demo import STRATEGY
from alphapulse_cli.commands.up import seed_addresses
from alphapulse_cli.demo.strategy_feed import StrategyFeed
from alphapulse_cli.platform import Platform
from alphapulse_cli.platform.health import wait_serving
from alphapulse_cli.platform.plan import HEALTH_NAMES
from alphapulse_cli.seed import seed_all
from strategy_sdk import Event, MarketStream, connect

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]
PATIENCE: Final = 60.0
SEEDED_ISIN: Final = "US0378331005"
TRANSIENT: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
VICTIMS: Final = ("instrument", "venue", "synthetic", "collector", "strategy", "relay", "postgres", "valkey")


async def until(condition: Callable[[], object], what: str) -> None:
    """Looks again and again: what is waited for happens in other processes."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {PATIENCE} s: {what}\n" + "\n".join(report() for report in _reports))
        await asyncio.sleep(0.02)


_reports: list[Callable[[], str]] = []
"""What the processes of the scene said last, for a test that waits in vain."""


class Task:
    """Something that goes on in the background; an error in it fails the test that leaves it."""

    async def __aenter__(self) -> Any:
        self._task = asyncio.create_task(self.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task.done():
            self._task.result()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        raise NotImplementedError


@dataclass(frozen=True)
class Acknowledged:
    """What the registry said it holds."""

    isin: str
    symbol: str
    instrument_id: str
    listing_key: int
    revision_token: str


class Writer(Task):
    """Registers one instrument after another; a request that was not answered is repeated under the same id."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = instrument_rpc.InstrumentServiceStub(channel)
        self.acknowledged: list[Acknowledged] = []
        self.repeated = 0

    async def run(self) -> None:
        for number in itertools.count(1):
            self.acknowledged.append(await self._register(number))
            await asyncio.sleep(0.02)

    async def _register(self, number: int) -> Acknowledged:
        isin, symbol = Isin.from_nsin("DE", f"{number:09d}").value, f"KILL{number}"
        instrument = wire.Instrument(
            asset_class=common.ASSET_CLASS_EQUITY,
            name=f"Company {number}",
            equity=wire.EquityDetails(currency="EUR"),
            identifiers=[wire.IdentifierAssertion(scheme=common.IDENTIFIER_SCHEME_ISIN, value=isin)],
        )
        listing = wire.Listing(venue="XETR", symbol=symbol, currency="EUR")
        request = service.RegisterInstrumentRequest(instrument=instrument, listings=[listing])
        request.write.request_id = f"kill-{number}"
        while True:
            try:
                answer = await self._stub.RegisterInstrument(request, timeout=5)
            except grpc.aio.AioRpcError as error:
                if error.code() not in TRANSIENT:
                    raise
                self.repeated += 1
                await asyncio.sleep(0.05)
                continue
            assert answer.outcome == service.REGISTRATION_OUTCOME_CREATED  # to a repetition, too
            (listed,) = answer.entry.listings
            return Acknowledged(
                isin, symbol, answer.entry.instrument.instrument_id, listed.listing_key, answer.revision_token
            )


class Looker(Task):
    """Looks a seeded share up, all the time."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = instrument_rpc.InstrumentServiceStub(channel)
        self.answered = 0
        self.unanswered = 0

    async def run(self) -> None:
        while True:
            try:
                answer = await self._stub.LookupISIN(service.LookupISINRequest(isin=SEEDED_ISIN), timeout=20)
            except grpc.aio.AioRpcError as error:
                if error.code() not in TRANSIENT:
                    raise
                self.unanswered += 1
            else:
                assert answer.result.outcome == common.LOOKUP_OUTCOME_RESOLVED
                assert answer.result.entries[0].instrument.name == "Apple Inc."
                self.answered += 1
            await asyncio.sleep(0.02)


class Watcher(Task):
    """Counts how often each instrument is created, by the change log."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.created: Counter[str] = Counter()

    async def run(self) -> None:
        async for event in watch_instruments(self._address, start=WatchStart(skip_snapshot=True)):
            assert not isinstance(event, Reset)
            for change in event.changes.changes:
                if change.kind == common.CHANGE_KIND_CREATED and change.HasField("instrument"):
                    self.created[change.instrument.instrument_id] += 1


class Reader(Task):
    """A subscriber to everything."""

    def __init__(self, address: str) -> None:
        self.stream: MarketStream = connect(address, egress_socket="", name="kills")
        self.seen: dict[int, Event] = {}
        """The last event of each listing of the writer's."""
        self.wanted: set[int] = set()

    async def __aenter__(self) -> Any:
        await self.stream.__aenter__()
        await self.stream.subscribe(include_unknown=True)
        return await super().__aenter__()

    async def __aexit__(self, *given: object) -> None:
        await super().__aexit__(*given)
        await self.stream.close()

    async def run(self) -> None:
        async for batch in self.stream.batches():
            if self.wanted and any(set(rows["listing_key"].tolist()) & self.wanted for _, rows in batch.runs):
                self.seen |= {event.listing_key: event for event in batch.events() if event.listing_key in self.wanted}

    @property
    def events(self) -> int:
        """Received so far."""
        return sum(self.stream.stats().events.values())

    async def goes_on(self, events: int = 200) -> None:
        """Returns when more have come."""
        target = self.events + events
        await until(lambda: self.events >= target, f"{events} more events")


@dataclass(frozen=True)
class Scene:
    """A platform under load."""

    platform: Platform
    writer: Writer
    looker: Looker
    watcher: Watcher
    reader: Reader
    relay: Any

    def report(self) -> str:
        """How its parts stand, and the end of each process's log."""
        lines = [f"reader: {self.reader.stream.stats()}", f"written: {len(self.writer.acknowledged)}"]
        for name, process in self.platform.processes.items():
            lines += [f"--- {name} (pid {process.pid}, restarts {process.restarts})", process.tail(30)]
        return "\n".join(lines)

    async def status(self) -> relay.GetRelayStatusResponse:
        """Of the relay."""
        answer: relay.GetRelayStatusResponse = await self.relay.GetRelayStatus(
            relay.GetRelayStatusRequest(), timeout=10, wait_for_ready=True
        )
        return answer

    async def acknowledges(self, more: int = 5) -> None:
        """Returns when the writer got further."""
        target = len(self.writer.acknowledged) + more
        await until(lambda: len(self.writer.acknowledged) >= target, f"{more} more registrations")

    async def kill(self, name: str) -> Callable[[], bool]:
        """Kills a process; the answer says whether another one runs in its place."""
        if name in ("postgres", "valkey"):
            store = getattr(self.platform.stores, name)
            pid = store.pid
            os.kill(pid, signal.SIGKILL)
            await until(lambda: not store.is_running() or store.pid != pid, f"{name} is dead")
            return lambda: store.is_running() and store.pid != pid
        process = self.platform.processes[name]
        pid = process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: process.pid != pid, f"{name} is dead")
        return lambda: process.pid not in (None, pid)

    async def serves_again(self, name: str) -> None:
        """Returns when the new process is ready."""
        if name in HEALTH_NAMES:
            async with asyncio.timeout(PATIENCE):
                await wait_serving(self.platform.addresses.of(name), HEALTH_NAMES[name])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(module_folder: Path, make_options: Any) -> AsyncIterator[Scene]:
    options = make_options(module_folder, strategy=STRATEGY)
    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(Platform(options))
        await seed_all(seed_addresses(platform.addresses))
        await platform.start_collector()
        await platform.start_strategy()
        address = platform.addresses.of
        channel = await stack.enter_async_context(open_channel(address("instrument")))
        relay_channel = await stack.enter_async_context(open_channel(address("relay")))
        made = Scene(
            platform,
            Writer(channel),
            Looker(channel),
            Watcher(address("instrument")),
            Reader(address("relay")),
            relay_rpc.RelayServiceStub(relay_channel),
        )
        await stack.enter_async_context(made.watcher)
        for task in (made.looker, made.reader, made.writer):
            await stack.enter_async_context(task)
        await until(lambda: made.watcher.created, "the watch follows the writer")
        _reports.append(made.report)
        stack.callback(_reports.clear)
        yield made


@pytest.mark.parametrize("victim", VICTIMS)
async def test_a_killed_process_comes_back_and_the_rest_goes_on(scene: Scene, victim: str) -> None:
    await scene.reader.goes_on()
    await scene.acknowledges()
    events, looked, missed = scene.reader.events, scene.looker.answered, scene.looker.unanswered
    returned = await scene.kill(victim)
    if victim not in ("relay", "collector"):  # events need these two and nobody else
        await scene.reader.goes_on()
    await until(returned, f"{victim} is started again")
    await scene.serves_again(victim)
    if victim not in ("relay", "collector"):
        assert scene.reader.events > events
    if victim not in ("instrument", "postgres"):  # look-ups need these two, and Redis is never one of them
        assert scene.looker.answered > looked
        assert scene.looker.unanswered == missed
    await scene.reader.goes_on()
    await scene.acknowledges()
    assert scene.reader.stream.stats().undeclared_gaps == 0


async def test_the_strategy_trades_on_after_its_own_death_and_the_relays(scene: Scene) -> None:
    feed = StrategyFeed(scene.platform.stats_file)
    feed.read()
    before = sum(feed.events().values())

    def more() -> bool:
        feed.read()
        return sum(feed.events().values()) > before

    await until(more, "the strategy receives events")
    assert feed.total("gaps_undeclared") == 0


async def test_the_relay_is_in_sync_with_the_registry_again(scene: Scene) -> None:
    await scene.acknowledges(1)
    newest = scene.writer.acknowledged[-1]
    scene.reader.wanted.add(newest.listing_key)
    await _publish(scene.relay, newest)
    await until(lambda: newest.listing_key in scene.reader.seen, "the quote of the new listing")
    event = scene.reader.seen[newest.listing_key]
    assert event.definition_version == 1
    assert not event.has(RecordFlag.UNKNOWN_LISTING)
    definition = scene.reader.stream.definition(newest.listing_key)
    assert definition is not None
    assert definition.listing.symbol == newest.symbol
    assert str(definition.instrument.id) == newest.instrument_id
    unknown = (await scene.status()).unknown_listing_events
    await scene.reader.goes_on(1_000)
    assert (await scene.status()).unknown_listing_events == unknown


async def _publish(stub: Any, listed: Acknowledged) -> None:
    row = QUOTE.new(1)
    row["listing_key"], row["flags"] = listed.listing_key, common.PROVENANCE_SIMULATED
    row["bid_price"], row["ask_price"], row["bid_size"], row["ask_size"] = 99, 101, 1, 1
    batch = marketdata_pb2.EventBatch.FromString(row.tobytes())
    hello = relay.SourceHello(
        source="KILLS", slot=1, epoch=time.time_ns(), provenance=common.PROVENANCE_SIMULATED, row_sizes=row_sizes()
    )
    barrier = relay.RevisionBarrier(revision_token=listed.revision_token, timeout_ms=20_000)
    events = relay.SourceEvents(slot=1, first_sequence=1, send_time_ns=time.time_ns(), batch=batch)
    answer = await stub.Publish(
        iter(
            (
                relay.PublishRequest(hello=hello),
                relay.PublishRequest(barrier=barrier),
                relay.PublishRequest(events=events),
            )
        ),
        timeout=PATIENCE,
    )
    assert answer.accepted == 1, answer


async def test_no_acknowledged_registration_is_lost_and_none_was_made_twice(scene: Scene) -> None:
    acknowledged = list(scene.writer.acknowledged)
    assert scene.writer.repeated > 0  # the kills were felt
    async with open_channel(scene.platform.addresses.of("instrument")) as channel:
        stub = instrument_rpc.InstrumentServiceStub(channel)
        items = [service.LookupItem(scheme=common.IDENTIFIER_SCHEME_ISIN, value=one.isin) for one in acknowledged]
        found = await stub.BatchLookup(service.BatchLookupRequest(items=items), timeout=30)
    for one, result in zip(acknowledged, found.results, strict=True):
        assert result.outcome == common.LOOKUP_OUTCOME_RESOLVED, one
        assert [entry.instrument.instrument_id for entry in result.entries] == [one.instrument_id]
        assert [listing.symbol for listing in result.entries[0].listings] == [one.symbol]
    await until(lambda: scene.watcher.created[acknowledged[-1].instrument_id], "the watch has seen them all")
    first = next(k for k, one in enumerate(acknowledged) if scene.watcher.created[one.instrument_id])
    assert first < 20  # the watch began when the writer did
    assert {scene.watcher.created[one.instrument_id] for one in acknowledged[first:]} == {1}


async def test_every_hole_in_the_stream_was_declared(scene: Scene) -> None:
    stats = scene.reader.stream.stats()
    assert stats.undeclared_gaps == 0
    assert stats.reconnects >= 1
    assert stats.gaps_declared >= 1
