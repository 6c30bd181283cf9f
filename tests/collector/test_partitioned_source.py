"""Collectors of relays that divide the market: listings of one instrument meet at one relay, whichever venue they are of."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.domain.errors import ConfigurationError
from alphapulse.domain.partitions import partition_of
from alphapulse.publishing import RelayLink, SplitLink
from alphapulse.records import FrameType
from alphapulse.runtime import load
from collector_service.config import CollectorConfig
from collector_service.instruments import instrument_of
from collector_service.runtime import Registration, RunnerOptions, SourceRunner
from collector_service.runtime.news import Ended
from collector_service.simulation import Market, SimulatedVenue
from collector_service.sources import SOURCES
from collector_service.transport.simulated import SimulatedTransport

COUNT = 3


@pytest.fixture
async def relays(tmp_path: Path, relay_at: Callable[[Path], Any]) -> AsyncIterator[list[Any]]:
    made = [relay_at(tmp_path / f"in{index}.sock") for index in range(COUNT)]
    async with AsyncExitStack() as stack:
        for one in made:
            await one.start()
            stack.push_async_callback(one.stop)
        yield made


@pytest.fixture
async def link(relays: list[Any]) -> AsyncIterator[SplitLink]:
    async with SplitLink([str(one.path) for one in relays]) as made:
        yield made


def runner_of(name: str, link: SplitLink, **settings: Any) -> SourceRunner:
    market = Market(1, 1_700_000_000_000_000_000)
    options = RunnerOptions(discovery_seconds=0.01, unlisted_seconds=0.01)
    return SourceRunner(
        SOURCES[name],
        lambda: SimulatedTransport(SimulatedVenue(SOURCES[name], market, 500.0)),
        link=link,
        options=options,
        **settings,
    )


def keys_of(one: Any) -> set[int]:
    return set(chain.from_iterable(rows["listing_key"].tolist() for _, _, _, rows in one.frames))


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not found():  # noqa: ASYNC110 - several sides run on
            await asyncio.sleep(0.005)


async def stopped(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_listings_of_one_instrument_go_to_one_relay(relays: list[Any], link: SplitLink) -> None:
    runners = [runner_of(name, link) for name in ("BINANCE", "COINBASE")]
    tasks = [asyncio.create_task(runner.run()) for runner in runners]

    def listings() -> int:
        return sum(len(runner.listings) for runner in runners)

    await until(lambda: listings() > 4 and sum(len(keys_of(one)) for one in relays) >= listings())
    await stopped(*tasks)
    at = {key: index for index, one in enumerate(relays) for key in keys_of(one)}
    assert len(at) == sum(len(keys_of(one)) for one in relays), "a listing is at one relay alone"
    met: dict[str, set[int]] = defaultdict(set)
    shared: dict[str, int] = defaultdict(int)
    for runner in runners:
        for entry in runner.listings:
            key, instrument = runner.listings.key(entry.symbol), instrument_of(entry, runner.spec.venue).id
            assert instrument is not None
            if key in at:
                assert at[key] == partition_of(instrument.key, COUNT)
                met[str(instrument)].add(at[key])
                shared[str(instrument)] += 1
    assert all(len(found) == 1 for found in met.values())
    assert max(shared.values()) == 2, "both venues list some"
    assert len({index for found in met.values() for index in found}) > 1
    for index, one in enumerate(relays):
        assert {(hello.partition.index, hello.partition.count) for hello in one.hellos} == {(index, COUNT)}
        for slot in {hello.slot for hello in one.hellos}:
            assert one.sequences(slot) == list(range(1, len(one.sequences(slot)) + 1)), "a numbering of its own"


class Registry:
    """Says of which instruments listings are, and changes its mind."""

    def __init__(self) -> None:
        self.home = 1
        self.registered: list[int] = []

    async def register(self, entries: Any, venue: str, source: str) -> Registration:
        self.registered.append(len(entries))
        instruments = {entry.symbol: f"{self.home:016x}{'0' * 16}" for entry in entries}
        return Registration({}, frozenset(instruments.values()), {}, "", instrument_ids=instruments)

    async def end_unlisted(self, *_: Any) -> Ended:
        return Ended()


async def test_the_registrys_instrument_counts_and_a_refusal_asks_for_it_again(
    relays: list[Any], link: SplitLink
) -> None:
    registry = Registry()
    runner = runner_of("COINBASE", link, registrar=registry)
    task = asyncio.create_task(runner.run())
    await until(lambda: relays[1].count() > 10)
    assert [one.count() for one in (relays[0], relays[2])] == [0, 0]
    assert registry.registered == [len(runner.listings)]
    registry.home = 2
    refused = relay.FrameRejected(reason="WRONG_PARTITION", events=1, slot=relays[1].hellos[-1].slot)
    await relays[1].say(FrameType.REJECT, refused)
    await until(lambda: relays[2].count() > 10)
    assert registry.registered == [len(runner.listings)] * 2
    await stopped(task)
    assert relays[0].count() == 0
    assert link.rejected == {"WRONG_PARTITION": 1}


def test_sockets_of_several_partitions_are_configured_with_commas() -> None:
    def link_of(paths: str) -> RelayLink | SplitLink:
        return load(CollectorConfig, {"RELAY_INGRESS_SOCKET": paths}).make_link()

    assert isinstance(link_of("/run/in.sock"), RelayLink)
    assert isinstance(link_of("/run/a.sock,/run/b.sock"), SplitLink)
    with pytest.raises(ConfigurationError, match="RELAY_INGRESS_SOCKET"):
        link_of("/run/a.sock,")
