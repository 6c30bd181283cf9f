"""What left a venue's list while no collector read it is found in the registry; a symbol that is in no list has the next one read at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from alphapulse.api.instrument.v1 import instrument_pb2, instrument_service_pb2, instrument_service_pb2_grpc
from alphapulse.client import RegistrationStream, open_channel
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.provenance import Provenance
from collector_service.listings import ContractTerms, VenueSymbol
from collector_service.runtime import GrpcRegistrar, RunnerOptions, SourceRunner
from collector_service.simulation import Market, SimulatedVenue
from collector_service.source import InstrumentList, Source
from collector_service.sources import SOURCES
from collector_service.transport.base import ArrivalKind
from collector_service.transport.simulated import SimulatedTransport

MARKET = Market(1, 1_700_000_000_000_000_000)
USD = frozenset({"USD"})


class Live(SimulatedTransport):
    """A venue that counts as a live one, with the list that the test says."""

    provenance = Provenance.LIVE
    listed: ClassVar[tuple[VenueSymbol, ...]] = ()
    read: ClassVar[int] = 0

    async def instruments(self, source: Source) -> InstrumentList:
        type(self).read += 1
        return InstrumentList(self.listed)


class Simulated(Live):
    provenance = Provenance.SIMULATED


def pair(base: str) -> VenueSymbol:
    return VenueSymbol(f"{base}-USD", base, "USD", USD)


def future(base: str, year: int) -> VenueSymbol:
    terms = ContractTerms(AssetClass.FUTURE, "USD", datetime(year, 1, 1, tzinfo=UTC))
    return replace(pair(base), symbol=f"{base}-{year}", contract=terms)


async def until_compared(runner: SourceRunner) -> None:
    task = asyncio.create_task(runner.run())
    async with asyncio.timeout(60):
        while not runner.status().frames:  # noqa: ASYNC110 - both sides run on
            await asyncio.sleep(0.005)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_what_left_the_list_meanwhile_is_delisted_after_a_restart(registry_address: str) -> None:
    async with open_channel(registry_address) as channel, RegistrationStream(channel) as stream:
        registrar = GrpcRegistrar(stream, channel=channel)
        stub = instrument_service_pb2_grpc.InstrumentServiceStub(channel)

        async def start(transport: type[Live]) -> None:
            # A new runner knows nothing of before, as a process that was started anew.
            await until_compared(
                SourceRunner(
                    SOURCES["COINBASE"],
                    lambda: transport(SimulatedVenue(SOURCES["COINBASE"], MARKET, 500.0)),
                    registrar=registrar,
                )
            )

        async def alive() -> set[str]:
            answer = await stub.ListListings(instrument_service_pb2.ListListingsRequest(venues=["COINBASE"]))
            return {one.symbol for one in answer.listings if one.status != instrument_pb2.LISTING_STATUS_DELISTED}

        before = (
            *(pair(base) for base in ("BTC", "ETH", "SOL", "XRP")),
            *(future("BTC", year) for year in range(2018, 2024)),
        )
        await registrar.register(before, "COINBASE", "COINBASE")
        await registrar.register([pair("ADA")], "COINBASE", "ANOTHER")
        # Contracts that have expired are gone because they had to; of what is left too much is gone to be believed.
        Live.listed = (pair("BTC"),)
        await start(Simulated)
        assert await alive() == {entry.symbol for entry in before} | {"ADA-USD"}, "no simulated venue says what trades"
        await start(Live)
        assert await alive() == {"BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "ADA-USD"}
        Live.listed = (pair("BTC"), pair("SOL"), pair("XRP"))
        await start(Live)
        # Another source's listing is for that source to end.
        assert await alive() == {"BTC-USD", "SOL-USD", "XRP-USD", "ADA-USD"}
        gone = [
            one
            for one in (
                await stub.ListListings(instrument_service_pb2.ListListingsRequest(venues=["COINBASE"]))
            ).listings
            if one.symbol == "ETH-USD"
        ]
        assert gone[0].HasField("valid_to")
        Live.listed = before
        await start(Live)
        assert await alive() >= {"ETH-USD"}


class Unlisted(Live):
    """Sends a trade of something that its list does not have at first."""

    async def instruments(self, source: Source) -> InstrumentList:
        found = await super().instruments(source)
        return InstrumentList((*found.entries, pair("NEW"))) if type(self).read > 1 else found

    def inject(self) -> None:
        body = b'{"type":"match","trade_id":1,"side":"sell","size":"1","price":"2","product_id":"NEW-USD","time":"2026-01-01T00:00:00.000000Z"}'
        self._put(ArrivalKind.FRAME, 0, body)


async def test_a_symbol_that_is_in_no_list_has_the_list_read_at_once() -> None:
    Unlisted.listed = (replace(pair("BTC"), symbol="BTC-USD"),)
    Unlisted.read = 0
    made: list[Any] = []

    def transport() -> Unlisted:
        made.append(Unlisted(SimulatedVenue(SOURCES["COINBASE"], MARKET, 500.0)))
        return made[-1]

    options = RunnerOptions(discovery_seconds=10_000.0, unlisted_seconds=0.02)
    runner = SourceRunner(SOURCES["COINBASE"], transport, options=options)
    task = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(30):
            while not runner.status().frames:  # noqa: ASYNC110 - both sides run on
                await asyncio.sleep(0.005)
            assert Unlisted.read == 1
            made[0].inject()
            while runner.listings.key("NEW-USD") is None:  # noqa: ASYNC110 - both sides run on
                await asyncio.sleep(0.005)
        assert Unlisted.read == 2
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
