"""Instrument lists in the real instrument registry: recorded ones, and one that changes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_pb2, instrument_service_pb2, instrument_service_pb2_grpc
from alphapulse.client import RegistrationStream, open_channel
from alphapulse.domain.asset_class import AssetClass
from collector_service.decode import read_instruments, recording_files
from collector_service.instruments import instrument_of, listing_of
from collector_service.listings import PoolTerms, TokenTerms, VenueSymbol
from collector_service.runtime import GrpcRegistrar, Registration, RunnerOptions, SourceRunner
from collector_service.simulation import PAIRS, Market, SimulatedVenue
from collector_service.source import InstrumentList, Source
from collector_service.sources import SOURCES
from collector_service.transport.simulated import SimulatedTransport


@pytest.mark.recordings
async def test_every_listed_instrument_is_registered_and_found_by_its_symbol(
    registry_address: str, recordings_dir: Path
) -> None:
    async with open_channel(registry_address) as channel, RegistrationStream(channel) as stream:
        registrar = GrpcRegistrar(stream)
        stub = instrument_service_pb2_grpc.InstrumentServiceStub(channel)
        for source, spec in ((name, SOURCES[name]) for name in sorted(PAIRS)):
            entries = read_instruments(recording_files(recordings_dir, source), source).entries
            done = await registrar.register(entries, spec.venue, source)
            assert not done.refused
            # Nobody collided, so what is minted without a registry is what the registry gave.
            assert done.listing_ids == {entry.symbol: listing_of(entry, spec.venue).id for entry in entries}
            again = await registrar.register(entries, spec.venue, source)
            assert again.listing_ids == done.listing_ids
            request = instrument_service_pb2.BatchLookupRequest(
                items=[
                    instrument_service_pb2.LookupItem(
                        scheme=common_pb2.IDENTIFIER_SCHEME_EXCHANGE_SYMBOL, value=entry.symbol, venue=spec.venue
                    )
                    for entry in entries
                ]
            )
            answer = await stub.BatchLookup(request)
            for entry, result in zip(entries, answer.results, strict=True):
                assert result.outcome == common_pb2.LOOKUP_OUTCOME_RESOLVED, entry.symbol
                assert list(result.listing_ids) == [str(done.listing_ids[entry.symbol])]


async def test_series_of_figures_are_registered_as_indices_and_found_by_ticker_and_symbol(
    registry_address: str,
) -> None:
    async with open_channel(registry_address) as channel, RegistrationStream(channel) as stream:
        registrar = GrpcRegistrar(stream)
        stub = instrument_service_pb2_grpc.InstrumentServiceStub(channel)
        for source in (
            *("FRED", "US_TREASURY", "NYFED", "FEAR_GREED", "BANK_OF_CANADA", "WORLD_BANK"),
            *("SEC_EDGAR", "FEDERAL_RESERVE", "ECB_PRESS", "GDELT", "REDDIT", "FINNHUB_CALENDAR"),
        ):
            spec = SOURCES[source]
            entries = [entry for request in spec.discovery.requests if request.given for entry in request.given.entries]
            done = await registrar.register(entries, spec.venue, source)
            assert not done.refused
            assert done.listing_ids == {entry.symbol: listing_of(entry, spec.venue).id for entry in entries}
            assert (await registrar.register(entries, spec.venue, source)).listing_ids == done.listing_ids
            series = [entry for entry in entries if entry.index is not None]
            # Nothing but the series themselves, where there are no pairs.
            assert len(done.instruments) == len(series) or source == "BANK_OF_CANADA"
            for scheme in (common_pb2.IDENTIFIER_SCHEME_EXCHANGE_SYMBOL, common_pb2.IDENTIFIER_SCHEME_TICKER):
                request = instrument_service_pb2.BatchLookupRequest(
                    items=[
                        instrument_service_pb2.LookupItem(scheme=scheme, value=entry.symbol, venue=spec.venue)
                        for entry in series
                    ]
                )
                answer = await stub.BatchLookup(request)
                for entry, result in zip(series, answer.results, strict=True):
                    assert result.outcome == common_pb2.LOOKUP_OUTCOME_RESOLVED, entry.symbol
                    assert list(result.listing_ids) == [str(done.listing_ids[entry.symbol])]
            made = instrument_of(series[0], spec.venue)
            assert str(made.id) in done.instruments
            held = (
                await stub.GetInstrument(instrument_service_pb2.GetInstrumentRequest(instrument_id=str(made.id)))
            ).entry.instrument
            assert (held.asset_class, held.name) == (int(AssetClass.INDEX), made.name)
            assert series[0].index is not None
            assert held.index.provider == series[0].index.provider


async def test_pools_are_registered_with_their_tokens_and_found_by_address(registry_address: str) -> None:
    usdc = TokenTerms("eip155:1", "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", 6, "USDC")
    weth = TokenTerms("eip155:1", "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", 18, "WETH")
    # What a token calls itself identifies nothing, and need not be a code.
    other = TokenTerms("eip155:1", "0xdac17f958d2ee523a2206206994597c13d831ec7", 6, "USD.e")
    entries = [
        VenueSymbol(
            address,
            weth.symbol,
            token.symbol,
            frozenset(),
            pool=PoolTerms("eip155:1", address, "uniswap-v3", fee, (token, weth), 1),
        )
        for address, token, fee in (
            ("0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640", usdc, 500),
            ("0x8ad599c3a0ff1de082011efddc58f1908eb6e6d8", usdc, 3000),
            ("0x4e68ccd3e89f51c3074ca5072bbac773960dfa36", other, 3000),
        )
    ]
    async with open_channel(registry_address) as channel, RegistrationStream(channel) as stream:
        registrar = GrpcRegistrar(stream)
        done = await registrar.register(entries, "ETHEREUM", "ETHEREUM")
        assert not done.refused
        assert done.listing_ids == {entry.symbol: listing_of(entry, "ETHEREUM").id for entry in entries}
        assert (await registrar.register(entries, "ETHEREUM", "ETHEREUM")).listing_ids == done.listing_ids
        # Three tokens and three pools; no currency and no pair is made up for them.
        assert len(done.instruments) == 6
        stub = instrument_service_pb2_grpc.InstrumentServiceStub(channel)
        pools = []
        for entry in entries:
            request = instrument_service_pb2.GetListingRequest(listing_id=str(done.listing_ids[entry.symbol]))
            listing = (await stub.GetListing(request)).listing
            held = instrument_service_pb2.GetInstrumentRequest(instrument_id=listing.instrument_id)
            pools.append(((await stub.GetInstrument(held)).entry.instrument, listing.currency))
        assert [(made.asset_class, made.pool.fee_pips, code) for made, code in pools] == [
            (int(AssetClass.POOL), 500, "USDC"),
            (int(AssetClass.POOL), 3000, "USDC"),
            (int(AssetClass.POOL), 3000, "XXX"),
        ]
        asked = instrument_service_pb2.GetInstrumentRequest(instrument_id=pools[0][0].pool.asset_ids[1])
        token = (await stub.GetInstrument(asked)).entry.instrument.token
        assert (token.address.lower(), token.decimals, token.symbol) == (weth.address, 18, "WETH")


async def test_a_pool_of_three_is_registered_with_a_pair_of_its_tokens_for_each_listing(registry_address: str) -> None:
    coin = TokenTerms("eip155:1", "", 18, "ETH")
    usdc = TokenTerms("eip155:1", "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", 6, "USDC")
    wbtc = TokenTerms("eip155:1", "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599", 8, "WBTC")
    address, held = "0x7f86bf177dd4f3494b841a37e810a34dd56c829b", (usdc, wbtc, coin)
    entries = [
        VenueSymbol(
            f"{address}/{quote}/{base}",
            held[base].symbol,
            held[quote].symbol,
            frozenset(),
            pool=PoolTerms("eip155:1", address, "curve", 0, held, base, quote),
        )
        for quote, base in ((0, 1), (0, 2), (1, 2))
    ]
    async with open_channel(registry_address) as channel, RegistrationStream(channel) as stream:
        done = await GrpcRegistrar(stream).register(entries, "ETHEREUM", "ETHEREUM")
        assert not done.refused
        assert done.listing_ids == {entry.symbol: listing_of(entry, "ETHEREUM").id for entry in entries}
        # Three assets, three pairs of them, and the pool, which no listing is of.
        assert len(done.instruments) == 7
        stub = instrument_service_pb2_grpc.InstrumentServiceStub(channel)
        made = [
            (await stub.GetInstrument(instrument_service_pb2.GetInstrumentRequest(instrument_id=one))).entry.instrument
            for one in done.instruments
        ]
        (pool,) = (one for one in made if one.asset_class == int(AssetClass.POOL))
        by_id = {one.instrument_id: one for one in made}
        assert [by_id[one].name for one in pool.pool.asset_ids] == ["USDC", "WBTC", "ETH"]
        assert by_id[pool.pool.asset_ids[2]].currency.code == "ETH"
        pairs = {one.name: one.spot_pair for one in made if one.asset_class == int(AssetClass.SPOT_PAIR)}
        assert {name: (by_id[one.base_id].name, by_id[one.quote_id].name) for name, one in pairs.items()} == {
            "WBTC/USDC": ("WBTC", "USDC"),
            "ETH/USDC": ("ETH", "USDC"),
            "ETH/WBTC": ("ETH", "WBTC"),
        }


class ChangingList(SimulatedTransport):
    """A venue whose list is what the test says it is now."""

    listed: ClassVar[list[dict[str, str]]] = []

    async def instruments(self, source: Source) -> InstrumentList:
        return source.discovery.requests[0].parse(msgspec.json.encode(self.listed))


class TellingRegistrar(GrpcRegistrar):
    """Tells how often it has registered."""

    def __init__(self, stream: RegistrationStream) -> None:
        super().__init__(stream)
        self.done: asyncio.Queue[Registration] = asyncio.Queue()

    async def register(self, entries: Sequence[VenueSymbol], venue: str, source: str) -> Registration:
        made = await super().register(entries, venue, source)
        self.done.put_nowait(made)
        return made


def product(base: str, tick: str) -> dict[str, str]:
    return {
        "id": f"{base}-USD",
        "base_currency": base,
        "quote_currency": "USD",
        "quote_increment": tick,
        "base_increment": "0.01",
    }


async def test_changed_rules_a_delisting_and_a_return_reach_the_registry(registry_address: str) -> None:
    bitcoin, ether, solana = product("BTC", "0.01"), product("ETH", "0.01"), product("SOL", "0.01")
    ChangingList.listed = [bitcoin, ether, solana]
    async with open_channel(registry_address) as channel, RegistrationStream(channel) as stream:
        registrar = TellingRegistrar(stream)
        market = Market(1, 1_700_000_000_000_000_000)
        runner = SourceRunner(
            SOURCES["COINBASE"],
            lambda: ChangingList(SimulatedVenue(SOURCES["COINBASE"], market, 500.0)),
            registrar=registrar,
            options=RunnerOptions(discovery_seconds=0.01),
        )
        stub = instrument_service_pb2_grpc.InstrumentServiceStub(channel)

        async def held(symbol: str) -> instrument_pb2.Listing:
            request = instrument_service_pb2.GetListingRequest(listing_id=str(first.listing_ids[symbol]))
            return (await stub.GetListing(request)).listing

        task = asyncio.create_task(runner.run())
        try:
            async with asyncio.timeout(60):
                first = await registrar.done.get()
                before = await held("BTC-USD")
                ChangingList.listed = [product("BTC", "0.05"), solana]
                assert (await registrar.done.get()).listing_ids.keys() == {"BTC-USD", "ETH-USD"}
                after, gone = await held("BTC-USD"), await held("ETH-USD")
                ChangingList.listed = [product("BTC", "0.05"), ether, solana]
                assert (await registrar.done.get()).listing_ids == {"ETH-USD": first.listing_ids["ETH-USD"]}
                returned = await held("ETH-USD")
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert (before.rules.tick_size.mantissa, after.rules.tick_size.mantissa) == (1, 5)
    assert after.definition_version == before.definition_version + 1
    assert gone.status == instrument_pb2.LISTING_STATUS_DELISTED
    assert gone.HasField("valid_to")
    assert returned.status == instrument_pb2.LISTING_STATUS_TRADING
    assert not returned.HasField("valid_to")
    # Four currencies and three pairs, however often they were registered.
    assert runner.status().instruments_registered == 7
