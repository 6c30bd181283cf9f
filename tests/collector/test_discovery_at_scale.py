"""Ten thousand listings are discovered while a source streams: all are registered, no frame is lost, and nobody waits long for a turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import msgspec
import pytest

from alphapulse.api.instrument.v1 import instrument_service_pb2, instrument_service_pb2_grpc
from alphapulse.client import RegistrationStream, open_channel
from alphapulse.domain.errors import Unavailable
from alphapulse.publishing import RelayLink
from collector_service import convert
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.runtime import GrpcRegistrar, RunnerOptions, SourceRunner
from collector_service.runtime.portions import PORTION
from collector_service.simulation import Market, SimulatedVenue
from collector_service.sources import SOURCES
from collector_service.transport.base import ArrivalKind
from collector_service.transport.simulated import SimulatedTransport

COUNT = 10_000


class Counting(instrument_service_pb2_grpc.InstrumentServiceServicer):
    """Takes what is registered, and says so."""

    def __init__(self) -> None:
        self.listings: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()

    async def RegisterInstruments(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        async for request in request_iterator:
            results = []
            for entry in request.entries:
                self.codes.update([entry.instrument.currency.code] if entry.instrument.HasField("currency") else [])
                self.listings.update(listing.symbol for listing in entry.listings)
                number = f"{self.codes.total() + self.listings.total():016x}"
                results.append(
                    instrument_service_pb2.RegistrationResult(
                        outcome=instrument_service_pb2.REGISTRATION_OUTCOME_CREATED,
                        instrument_id=number + "1" * 16,
                        listing_ids=[number + "2" * 16 for _ in entry.listings],
                    )
                )
            yield instrument_service_pb2.RegisterInstrumentsResponse(batch_id=request.batch_id, results=results)


class Grown(SimulatedTransport):
    """A venue that lists ten thousand more once it streams, and counts what it says."""

    reads = 0
    said = 0
    streams = asyncio.Event()

    async def _get(self, path: str, body: bytes | None = None) -> bytes:
        first = await super()._get(path, body)
        self.reads += 1
        if self.reads == 1:
            return first
        await self.streams.wait()
        more = [
            {
                "id": f"C{number}-USD",
                "base_currency": f"C{number}",
                "quote_currency": "USD",
                "quote_increment": "0.01",
                "base_increment": "0.0001",
            }
            for number in range(COUNT)
        ]
        return msgspec.json.encode([*msgspec.json.decode(first), *more])

    def _put(self, kind: ArrivalKind, number: int, data: bytes, url: str = "") -> None:
        self.said += kind is ArrivalKind.FRAME
        if self.said > 100:
            self.streams.set()
        super()._put(kind, number, data, url)

    @property
    def waiting(self) -> int:
        return len(self._waiting)


async def test_ten_thousand_listings_are_registered_while_frames_flow(
    small_relay: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    work: Counter[str] = Counter()
    entry, learn = convert.entry, ListingIndex.learn

    def counted_entry(*told: Any) -> convert.Entry:
        work["made"] += 1
        return entry(*told)

    def counted_learn(index: ListingIndex, entries: tuple[VenueSymbol, ...], ids: Any = None) -> None:
        work["learned"] += len(entries)
        learn(index, entries, ids)

    monkeypatch.setattr(convert, "entry", counted_entry)
    monkeypatch.setattr(ListingIndex, "learn", counted_learn)
    most: Counter[str] = Counter()
    frames_between: list[int] = []
    registry, server = Counting(), grpc.aio.server()
    instrument_service_pb2_grpc.add_InstrumentServiceServicer_to_server(registry, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    made: list[Grown] = []

    def transport() -> Grown:
        made.append(Grown(SimulatedVenue(SOURCES["COINBASE"], Market(1, 1_700_000_000_000_000_000), 2_000.0)))
        return made[-1]

    async def watch(runner: SourceRunner) -> None:
        """At each turn of the event loop: how much was done since the last one."""
        before, frames = Counter[str](), 0
        while True:
            await asyncio.sleep(0)
            for name in ("made", "learned"):
                most[name] = max(most[name], work[name] - before[name])
            if work != before:
                frames_between.append(runner.status().frames - frames)
            before, frames = work.copy(), runner.status().frames

    try:
        async with (
            open_channel(f"127.0.0.1:{port}") as channel,
            RegistrationStream(channel) as stream,
            RelayLink(str(small_relay.path)) as link,
        ):
            options = RunnerOptions(frozenset({"BTC/USD", "ETH/USD", "BTC/USDT"}), discovery_seconds=0.01)
            runner = SourceRunner(
                SOURCES["COINBASE"], transport, registrar=GrpcRegistrar(stream), link=link, options=options
            )
            tasks = [asyncio.create_task(runner.run()), asyncio.create_task(watch(runner))]
            async with asyncio.timeout(120):
                while len(runner.listings) < COUNT:  # noqa: ASYNC110 - both sides run on
                    await asyncio.sleep(0.01)
                while work["learned"] < COUNT:  # noqa: ASYNC110 - both sides run on
                    await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            handled, said = runner.status().frames, made[0].said - made[0].waiting
            await small_relay.until(lambda: small_relay.count() == sum(runner.status().events.values()))
    finally:
        await server.stop(0)
    assert len(made) == 1
    assert handled == said > 100
    [slot] = {at for at, _, _, _ in small_relay.frames}
    assert small_relay.sequences(slot) == list(range(1, small_relay.count() + 1))
    assert small_relay.gaps == []
    new = {f"C{number}-USD" for number in range(COUNT)}
    assert {symbol for symbol in registry.listings if symbol in new} == new
    assert {registry.listings[symbol] for symbol in new} == {1}
    assert sum(code.startswith("C") and code[1:].isdecimal() for code in registry.codes) == COUNT
    # Nobody waits for more than a portion, or two that are ready in one turn; the source has its turns between them.
    assert most["made"] <= 2 * PORTION
    assert most["learned"] <= 2 * PORTION
    assert len(frames_between) >= 3 * COUNT // PORTION
    assert sum(frames_between) > 20


class Slow:
    """A registration stream that answers when it is told to; the batch `broken` fails at once."""

    def __init__(self, broken: int = -1) -> None:
        self.broken = broken
        self.sent: list[list[Any]] = []
        self.given_up = 0
        self.answers = asyncio.Event()

    async def submit(self, entries: list[Any], *, actor: str = "") -> Any:
        self.sent.append(entries)
        number = len(self.sent)
        if number == self.broken:
            raise Unavailable("the registry is away")
        try:
            await self.answers.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        ids = [f"{number:016x}{place:016x}" for place in range(len(entries))]
        results = [
            instrument_service_pb2.RegistrationResult(instrument_id=one, listing_ids=[one] if entry.listings else [])
            for one, entry in zip(ids, entries, strict=True)
        ]
        return instrument_service_pb2.RegisterInstrumentsResponse(results=results, revision_token=f"{number}")


def coins(count: int) -> list[VenueSymbol]:
    return [VenueSymbol(f"C{number}-USD", f"C{number}", "USD", frozenset({"USD"})) for number in range(count)]


async def test_the_registry_has_one_batch_while_the_next_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Slow()
    made, entry = 0, convert.entry

    def counted(*told: Any) -> Any:
        nonlocal made
        made += 1
        return entry(*told)

    monkeypatch.setattr(convert, "entry", counted)
    registering = asyncio.create_task(GrpcRegistrar(stream).register(coins(2_000), "V", "S"))  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        while not stream.sent:  # noqa: ASYNC110 - whoever makes entries has no event to wait for
            await asyncio.sleep(0)
    assert made < 2_000, "not all currencies were made when the first of them were sent"
    stream.answers.set()
    done = await registering
    assert [len(one) for one in stream.sent] == [500, 500, 500, 500, 1, 500, 500, 500, 500]
    assert len(done.listing_ids) == 2_000
    assert done.revision_token == "9"
    assert not done.refused


async def test_a_batch_that_fails_ends_the_others() -> None:
    stream = Slow(broken=3)
    with pytest.raises(Unavailable, match="the registry is away"):
        await GrpcRegistrar(stream).register(coins(2_000), "V", "S")  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert stream.given_up == len(stream.sent) - 1
