"""New listings of a venue's list, registered durably by a source that streams meanwhile: listings and instruments a second, and what its frames
wait."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Final, Self

import msgspec
import structlog
from harness import Metric, Options, alternate, main, paired
from registry import BATCH, instrument_registry

from alphapulse.client.channel import open_channel
from alphapulse.client.registration import RegistrationStream
from alphapulse.domain.provenance import Provenance
from collector_service import convert
from collector_service.instruments import currency, pair_of, unnamed_listing
from collector_service.listings import VenueSymbol
from collector_service.runtime import GrpcRegistrar, Registration, RunnerOptions, SourceRunner
from collector_service.source import InstrumentList, Source
from collector_service.sources import SOURCES
from collector_service.transport.base import Arrival, ArrivalKind, Request
from collector_service.transport.listing import fetch_instruments

RATE: Final = 2_000
"""Frames a second."""
_TICK_SECONDS: Final = 0.001
_TRADE: Final = (
    '{"type":"match","trade_id":%d,"side":"sell","size":"0.1","price":"100.5","product_id":"BTC-USD",'
    '"time":"2026-01-01T00:00:00.000000Z"}'
)


@dataclass(slots=True)
class _Venue:
    """What it lists now, and when its list was asked for since it grew."""

    listed: int = 0
    asked_at: float = 0.0
    waits: list[float] = field(default_factory=list)
    """Seconds from a frame's arrival until it was decoded and handed on."""

    def body(self) -> bytes:
        """The list, as the venue writes it."""
        names = ["BTC", *(f"C{number}" for number in range(self.listed))]
        return msgspec.json.encode(
            [
                {
                    "id": f"{name}-USD",
                    "base_currency": name,
                    "quote_currency": "USD",
                    "quote_increment": "0.01",
                    "base_increment": "0.0001",
                }
                for name in names
            ]
        )


class _Feed:
    """A transport in this process: frames at a rate, a list when it is asked for."""

    provenance = Provenance.SIMULATED
    lossless = False

    def __init__(self, venue: _Venue) -> None:
        self._venue = venue
        self._arrived: asyncio.Queue[tuple[float, Arrival]] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self._feeding = asyncio.create_task(self._feed())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._feeding.cancel()
        with suppress(asyncio.CancelledError):
            await self._feeding

    @property
    def pauses(self) -> bool:
        return self._arrived.empty()

    async def instruments(self, source: Source) -> InstrumentList:
        return await fetch_instruments(source, self._get)

    async def _get(self, path: str, body: bytes | None = None) -> bytes:
        text = self._venue.body()
        self._venue.asked_at = time.perf_counter()
        return text

    async def _feed(self) -> None:
        number, begin = 0, time.perf_counter()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.perf_counter()
            while number < (now - begin) * RATE:
                # When it should have come: a loop that is held up makes every frame of that time wait.
                due = begin + number / RATE
                number += 1
                frame = Arrival(ArrivalKind.FRAME, time.time_ns(), (_TRADE % number).encode())
                self._arrived.put_nowait((due, frame))

    async def arrivals(self, connections: int, paths: Sequence[str] = ()) -> AsyncIterator[Arrival]:
        yield Arrival(ArrivalKind.OPENED, time.time_ns())
        while True:
            due, arrival = await self._arrived.get()
            yield arrival
            self._venue.waits.append(time.perf_counter() - due)

    def extend(self, path: str | None) -> None:
        return None

    def submit(self, request: Request) -> None:
        return None


class _Registrar(GrpcRegistrar):
    """Says when it has registered."""

    def __init__(self, stream: RegistrationStream) -> None:
        super().__init__(stream)
        self.done: asyncio.Queue[tuple[Registration, float]] = asyncio.Queue()

    async def register(self, entries: Sequence[VenueSymbol], venue: str, source: str) -> Registration:
        found = await super().register(entries, venue, source)
        self.done.put_nowait((found, time.perf_counter()))
        return found


class _Rounds:
    """The source, and the bare stream beside it."""

    def __init__(self, venue: _Venue, registrar: _Registrar, stream: RegistrationStream, count: int) -> None:
        self._venue, self._registrar, self._stream, self._count = venue, registrar, stream, count
        self._bare = 0
        self._known: set[str] = set()
        self.instruments: list[float] = []
        self.busy: list[float] = []
        self.idle: list[float] = []
        self.work: list[float] = []
        self.bare_work: list[float] = []

    async def discovered(self) -> float:
        """Listings a second, from the list's arrival to the last one acknowledged."""
        self._venue.waits.clear()
        used = time.process_time()
        self._venue.listed += self._count
        found, ended = await self._registrar.done.get()
        self.work.append((time.process_time() - used) / self._count * 1e6)
        if len(found.listing_ids) != self._count or found.refused:
            raise RuntimeError(f"{len(found.listing_ids)} of {self._count} listings were registered")
        self.busy.append(_p99(self._venue.waits))
        seconds = ended - self._venue.asked_at
        # The currency that all of them are priced in is told again each time, and new the first time alone.
        self.instruments.append(len(found.instruments - self._known) / seconds)
        self._known |= found.instruments
        await asyncio.sleep(_rest(self._count))
        return self._count / seconds

    async def registered(self) -> float:
        """Listings a second, of entries that are there already, while the source streams and discovers nothing."""
        names = [f"B{self._bare + number}" for number in range(self._count)]
        self._bare += self._count
        lines = [VenueSymbol(f"{name}-USD", name, "USD", frozenset({"USD"})) for name in names]
        coins = [convert.entry(currency(name, fiat=False, source="BARE")) for name in names]
        pairs = [convert.entry(pair_of(one, "BARE"), [unnamed_listing(one, "BARE", "BARE")]) for one in lines]
        await asyncio.sleep(_rest(self._count))
        self._venue.waits.clear()
        await asyncio.sleep(_rest(self._count))
        self.idle.append(_p99(self._venue.waits))
        begin, used = time.perf_counter(), time.process_time()
        for entries in (coins, pairs):
            batches = [entries[at : at + BATCH] for at in range(0, len(entries), BATCH)]
            answers = await asyncio.gather(*(self._stream.submit(batch) for batch in batches))
            if any(one.error.reason for answer in answers for one in answer.results):
                raise RuntimeError("a bare registration was refused")
        rate = self._count / (time.perf_counter() - begin)
        self.bare_work.append((time.process_time() - used) / self._count * 1e6)
        return rate


def _rest(count: int) -> float:
    """Seconds in which nothing is registered."""
    return 0.5 if count > 1_000 else 0.1


def _p99(waits: Sequence[float]) -> float:
    """Milliseconds."""
    return statistics.quantiles(waits, n=100)[98] * 1e3 if len(waits) > 1 else 0.0


async def measure(options: Options) -> Sequence[Metric]:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    count, rounds = options.pick(5_000, 200), options.pick(3, 1)
    venue = _Venue()
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(instrument_registry(durable=True))
        channel = await stack.enter_async_context(open_channel(registry.address))
        stream = await stack.enter_async_context(RegistrationStream(channel))
        bare = await stack.enter_async_context(RegistrationStream(channel))
        registrar = _Registrar(stream)
        # Only one pair is subscribed to: what is new is registered, and streams nothing.
        every = RunnerOptions(frozenset({"BTC/USD"}), discovery_seconds=0.2)
        runner = SourceRunner(SOURCES["COINBASE"], lambda: _Feed(venue), registrar=registrar, options=every)
        running = asyncio.create_task(runner.run())
        try:
            await registrar.done.get()
            rounds_of = _Rounds(venue, registrar, bare, count)
            rate, floor, ratio = await alternate(rounds, rounds_of.discovered, rounds_of.registered)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
    timed = (
        f"{count} new lines in a list, each a currency and a pair with its listing, from the list's bytes to the last one acknowledged "
        f"as durable (fsync on), by a source that decodes {RATE} frames/s meanwhile; floor: the same registrations, ready made, over "
        f"one registration stream beside the same source; median of {rounds} rounds"
    )
    made = (
        "instruments a second in the same rounds, each of them for itself: a new line is two, its currency and its pair, beside its listing; floor: "
        "twice that of the listings"
    )
    waited = (
        f"p99 of the time from when a frame of the {RATE}/s is due until it is decoded, while {count} listings are discovered; floor: "
        f"while none are; median of {rounds} rounds"
    )
    used = f"processor time of the collector a listing of the same, its {RATE} frames/s included; floor: of the bare registrations"
    busy, idle = statistics.median(rounds_of.busy), statistics.median(rounds_of.idle)
    return [
        Metric("listings", rate, "listings/s", timed, floor, ratio),
        Metric("instruments", statistics.median(rounds_of.instruments), "instruments/s", made, 2 * floor, ratio),
        paired("processor", rounds_of.work, rounds_of.bare_work, "us/listing", used),
        Metric("frame_wait_p99", busy, "ms", waited, idle, busy / idle if idle else None),
    ]


if __name__ == "__main__":
    main("discovery", measure)
