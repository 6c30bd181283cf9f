"""Instrument lists in the real instrument registry: recorded ones, and one that changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_pb2, instrument_service_pb2, instrument_service_pb2_grpc
from alphapulse.client import RegistrationStream, open_channel
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.identifiers import Level, Scheme
from alphapulse.domain.instruments import ExerciseStyle, OptionRight
from collector_service.decode import read_instruments, recording_files
from collector_service.instruments import instrument_of, listing_of
from collector_service.listings import ContractTerms, PoolTerms, ProductTerms, SecurityTerms, TokenTerms, VenueSymbol
from collector_service.runtime import GrpcFinder, GrpcRegistrar, Registration, RunnerOptions, SourceRunner
from collector_service.runtime.discovery import Discovery
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


def shares(source: str) -> tuple[VenueSymbol, ...]:
    """The lines of a documented list."""
    told = json.loads((Path(__file__).parent / "fixtures" / f"{source}.json").read_text())["lists"]
    found: list[VenueSymbol] = []
    for one in told:
        read = SOURCES[source].discovery.reader(one["path"])
        assert read is not None
        found += read(json.dumps(one["answer"]).encode()).entries
    return tuple(found)


async def test_shares_are_registered_at_their_exchanges_and_found_by_identifiers_whoever_lists_them(
    registry_address: str,
) -> None:
    async with open_channel(registry_address) as channel, RegistrationStream(channel) as stream:
        registrar = GrpcRegistrar(stream)
        stub = instrument_service_pb2_grpc.InstrumentServiceStub(channel)

        async def found(scheme: common_pb2.IdentifierScheme.ValueType, value: str, venue: str = "") -> tuple[str, str]:
            item = instrument_service_pb2.LookupItem(scheme=scheme, value=value, venue=venue)
            answer = await stub.BatchLookup(instrument_service_pb2.BatchLookupRequest(items=[item]))
            result = answer.results[0]
            assert result.outcome == common_pb2.LOOKUP_OUTCOME_RESOLVED, (value, result)
            return result.entries[0].instrument.instrument_id, result.listing_ids[0] if result.listing_ids else ""

        listings: dict[str, dict[str, str]] = {}
        for source in ("TWELVE_DATA", "ALPACA", "FINNHUB", "MASSIVE", "TIINGO"):
            entries, spec = shares(source), SOURCES[source]
            done = await registrar.register(entries, spec.venue, source)
            if source == "FINNHUB":
                # It shares no identifier with the fund that is known at this place but the ticker, and tickers are given to one
                # after another: somebody has to decide.
                assert done.refused["SPY"].endswith("a collision case holds it")
                assert set(done.refused) == {"SPY"}
                entries = tuple(entry for entry in entries if entry.symbol != "SPY")
            else:
                assert not done.refused, source
            assert (await registrar.register(entries, spec.venue, source)).listing_ids == done.listing_ids
            listings[source] = {symbol: str(one) for symbol, one in done.listing_ids.items()}
            # No currencies, and nothing but the shares themselves.
            assert len(done.instruments) == len(shares(source))
            for entry in entries:
                assert entry.security is not None
                made = await found(common_pb2.IDENTIFIER_SCHEME_TICKER, entry.symbol, entry.security.mic)
                assert made[1] == listings[source][entry.symbol]
        apple, listing = await found(common_pb2.IDENTIFIER_SCHEME_TICKER, "AAPL", "XNAS")
        # One source knows its ISIN, another one its CUSIP: it is one share with one listing there.
        assert listings["ALPACA"]["AAPL"] == listings["TWELVE_DATA"]["AAPL"] == listing
        for scheme, value in (
            (common_pb2.IDENTIFIER_SCHEME_ISIN, "US0378331005"),
            (common_pb2.IDENTIFIER_SCHEME_CUSIP, "037833100"),
            (common_pb2.IDENTIFIER_SCHEME_FIGI, "BBG000B9XVV8"),
        ):
            assert (await found(scheme, value))[0] == apple
        held = (await stub.GetInstrument(instrument_service_pb2.GetInstrumentRequest(instrument_id=apple))).entry
        assert held.instrument.asset_class == common_pb2.ASSET_CLASS_EQUITY
        assert (held.instrument.equity.currency, held.instrument.equity.country) == ("USD", "US")
        assert {one.venue for one in held.listings} == {"XNAS"}
        fund, listing = await found(common_pb2.IDENTIFIER_SCHEME_TICKER, "SPY", "ARCX")
        assert (await found(common_pb2.IDENTIFIER_SCHEME_FIGI, "BBG000BDTF76"))[0] == fund
        assert listing == listings["TWELVE_DATA"]["SPY"]
        # A ticker alone is not enough to say that two sources mean one share, whichever of them came first: somebody has to decide.
        figi = (Scheme.FIGI, Level.INSTRUMENT, "BBG001SQKGD7")
        tesla = replace(shares("ALPACA")[1], security=SecurityTerms(AssetClass.EQUITY, "Tesla", "XNAS", "US", (figi,)))
        berkshire = replace(
            shares("ALPACA")[1], symbol="BRK.B", security=SecurityTerms(AssetClass.EQUITY, "Berkshire", "XNYS")
        )
        assert set((await registrar.register([tesla], "FINNHUB", "FINNHUB")).refused) == {"TSLA"}
        assert set((await registrar.register([berkshire], "ALPACA", "ALPACA")).refused) == {"BRK.B"}


async def test_shares_that_a_list_knows_by_ticker_alone_are_those_that_others_registered(registry_address: str) -> None:
    async with open_channel(registry_address) as channel, RegistrationStream(channel) as stream:
        registrar = GrpcRegistrar(stream, GrpcFinder(channel))
        filers = shares("SEC_EDGAR")
        nobody = await registrar.register(filers, "SEC_EDGAR", "SEC_EDGAR")
        assert nobody.missing == {"NVDA", "AAPL", "BRK.B"}
        assert not nobody.listing_ids
        assert not nobody.refused
        apple = next(entry for entry in shares("TWELVE_DATA") if entry.symbol == "AAPL")
        held = (await registrar.register([apple], "TWELVE_DATA", "TWELVE_DATA")).listing_ids["AAPL"]
        done = await registrar.register(filers, "SEC_EDGAR", "SEC_EDGAR")
        assert dict(done.listing_ids) == {"AAPL": held}
        assert done.missing == {"NVDA", "BRK.B"}
        # What is listed there under a ticker, and not what was listed under it before.
        gone = await registrar.register([replace(filers[1], symbol="AAPL2")], "SEC_EDGAR", "SEC_EDGAR")
        assert gone.missing == {"AAPL2"}
        source = SOURCES["SEC_EDGAR"]
        discovery = Discovery(source, registrar, None)
        await discovery._learn(filers, done)
        assert [entry.symbol for entry in discovery.listings] == ["AAPL"]
        assert discovery.listings.bearing("cik", "320193") == [held.key]
        assert not discovery.listings.bearing("cik", "1045810")


async def test_futures_are_registered_at_their_exchange_once_whoever_lists_them(registry_address: str) -> None:
    terms = ContractTerms(
        AssetClass.FUTURE, "USD", expiry=datetime(2026, 12, 18, tzinfo=UTC), size=ExactDecimal.parse("50")
    )
    index = ProductTerms("ES", "E-mini S&P 500", "XCME")
    december = VenueSymbol("ESZ6", "", "USD", frozenset({"USD"}), contract=terms, product=index)
    march = replace(december, symbol="ESH7", contract=replace(terms, expiry=datetime(2027, 3, 19, tzinfo=UTC)))
    crude = replace(december, symbol="CLZ6", product=ProductTerms("CL", "Crude oil", "XNYM"))
    right = ContractTerms(
        AssetClass.OPTION,
        "USD",
        expiry=terms.expiry,
        strike=ExactDecimal.parse("6000"),
        right=OptionRight.CALL,
        style=ExerciseStyle.AMERICAN,
    )
    call = replace(december, symbol="ESZ6 C6000", contract=right, on=december)
    async with open_channel(registry_address) as channel, RegistrationStream(channel) as stream:
        registrar = GrpcRegistrar(stream)
        stub = instrument_service_pb2_grpc.InstrumentServiceStub(channel)
        entries = [december, march, crude]
        done = await registrar.register(entries, "DATABENTO_GLBX", "DATABENTO_GLBX")
        assert not done.refused
        assert done.listing_ids == {entry.symbol: listing_of(entry, "DATABENTO_GLBX").id for entry in entries}
        # The dollar, two products, three series; no pair is made up.
        assert len(done.instruments) == 6
        # Another source calls its products otherwise: the series are the same.
        other = [replace(one, product=replace(one.product, name="other")) for one in entries if one.product is not None]
        again = await registrar.register(other, "INTERACTIVE_BROKERS", "INTERACTIVE_BROKERS")
        assert not again.refused
        assert (again.listing_ids, again.instruments) == (done.listing_ids, done.instruments)
        request = instrument_service_pb2.GetListingRequest(listing_id=str(done.listing_ids["ESZ6"]))
        listing = (await stub.GetListing(request)).listing
        assert (listing.venue, listing.symbol, listing.currency) == ("XCME", "ESZ6", "USD")
        held = instrument_service_pb2.GetInstrumentRequest(instrument_id=listing.instrument_id)
        future = (await stub.GetInstrument(held)).entry.instrument
        assert (future.name, future.future.series, future.future.venue) == ("ES 2026-12-18", "ES", "XCME")
        asked = instrument_service_pb2.GetInstrumentRequest(instrument_id=future.future.underlying_id)
        product = (await stub.GetInstrument(asked)).entry.instrument
        assert (product.asset_class, product.name) == (common_pb2.ASSET_CLASS_INDEX, "E-mini S&P 500")
        # An option is of the future that is there.
        made = await registrar.register([call], "DATABENTO_GLBX", "DATABENTO_GLBX")
        assert not made.refused
        assert made.listing_ids == {call.symbol: listing_of(call, "DATABENTO_GLBX").id}
        asked = instrument_service_pb2.GetInstrumentRequest(instrument_id=str(instrument_of(call, "X").id))
        option = (await stub.GetInstrument(asked)).entry.instrument
        assert option.option.underlying_id == listing.instrument_id
        assert (option.option.series, option.option.venue, option.option.style) == (
            "ES",
            "XCME",
            int(ExerciseStyle.AMERICAN),
        )


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
