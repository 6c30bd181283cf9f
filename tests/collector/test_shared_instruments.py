"""Shares and futures that several sources list, in the real instrument registry: each is one instrument, whoever lists it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_service_pb2, instrument_service_pb2_grpc
from alphapulse.client import RegistrationStream, open_channel
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.identifiers import Level, Scheme
from alphapulse.domain.instruments import ExerciseStyle, OptionRight
from collector_service.instruments import instrument_of, listing_of
from collector_service.listings import ContractTerms, ProductTerms, SecurityTerms, VenueSymbol
from collector_service.runtime import GrpcFinder, GrpcRegistrar
from collector_service.runtime.discovery import Discovery
from collector_service.sources import SOURCES


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
        registered = await registrar.register([apple], "TWELVE_DATA", "TWELVE_DATA")
        held = registered.listing_ids["AAPL"]
        done = await registrar.register(filers, "SEC_EDGAR", "SEC_EDGAR")
        assert dict(done.listing_ids) == {"AAPL": held}
        assert dict(done.instrument_ids) == dict(registered.instrument_ids) == {"AAPL": min(registered.instruments)}
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
