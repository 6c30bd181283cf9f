"""Identity texts: the rules they follow. The vectors that hold them fixed have a test of their own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers import Level, Scheme
from alphapulse.domain.identity import (
    currency_text,
    escape,
    instrument_text,
    listing_text,
    mint_instrument_id,
    mint_listing_id,
    pair_text,
)
from alphapulse.domain.ids import InstrumentId
from alphapulse.domain.instruments import (
    DETAILS_OF,
    BondDetails,
    CurrencyDetails,
    CurrencyKind,
    Details,
    EquityDetails,
    EtfDetails,
    ExerciseStyle,
    FundDetails,
    FutureDetails,
    IdentifierAssertion,
    IndexDetails,
    Instrument,
    LpTokenDetails,
    OptionDetails,
    OptionRight,
    PairDetails,
    PerpetualDetails,
    PoolDetails,
    SyntheticDetails,
    TokenDetails,
)

USD = InstrumentId.of("ap1|currency|fiat|USD")
BTC = InstrumentId.of("ap1|currency|crypto|BTC")
USDC = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
EXPIRY = datetime(2026, 3, 27, 8, tzinfo=UTC)


def asserted(scheme: Scheme, value: str, level: Level = Level.INSTRUMENT, venue: str = "") -> IdentifierAssertion:
    return IdentifierAssertion(scheme, value, level, venue=venue)


def made(asset_class: AssetClass, details: Details, *identifiers: IdentifierAssertion, name: str = "") -> Instrument:
    return Instrument(asset_class, name, details, identifiers)


POOL = made(
    AssetClass.POOL,
    PoolDetails("eip155:1", "0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640", (USD, BTC), 3000, "uniswap-v3"),
)
INSTRUMENTS = {
    "equity by ISIN": made(
        AssetClass.EQUITY,
        EquityDetails("USD"),
        asserted(Scheme.CUSIP, "037833100"),
        asserted(Scheme.ISIN, "us0378331005"),
    ),
    "equity by share class FIGI": made(
        AssetClass.EQUITY,
        EquityDetails("USD"),
        asserted(Scheme.FIGI, "BBG000B9XRY4", Level.COMPOSITE),
        asserted(Scheme.FIGI, "BBG001S5N8V8", Level.INSTRUMENT),
    ),
    "etf by CUSIP": made(AssetClass.ETF, EtfDetails("USD"), asserted(Scheme.CUSIP, "78462F103")),
    "fund by SEDOL": made(AssetClass.FUND, FundDetails("GBP"), asserted(Scheme.SEDOL, "B0YBKJ7")),
    "bond by ISIN": made(AssetClass.BOND, BondDetails("EUR"), asserted(Scheme.ISIN, "XS0356705219")),
    "index by venue and ticker": made(
        AssetClass.INDEX, IndexDetails(), asserted(Scheme.TICKER, "DAX 40|%", Level.LISTING, "xetr")
    ),
    "fiat": made(AssetClass.CURRENCY, CurrencyDetails("USD", CurrencyKind.FIAT, 2)),
    "crypto": made(AssetClass.CURRENCY, CurrencyDetails("BTC", CurrencyKind.CRYPTO)),
    "crypto beyond ASCII": made(AssetClass.CURRENCY, CurrencyDetails("币安人生", CurrencyKind.CRYPTO)),
    "metal": made(AssetClass.CURRENCY, CurrencyDetails("XAU", CurrencyKind.METAL)),
    "fx pair": made(AssetClass.FX_PAIR, PairDetails(InstrumentId.of("ap1|currency|fiat|EUR"), USD)),
    "spot pair": made(AssetClass.SPOT_PAIR, PairDetails(BTC, USD)),
    "token": made(AssetClass.TOKEN, TokenDetails("eip155:1", USDC, 6, "USDC")),
    "token of another chain": made(
        AssetClass.TOKEN,
        TokenDetails("solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"),
    ),
    "coin of a chain": made(AssetClass.TOKEN, TokenDetails("eip155:1", "slip44:60", 18)),
    "pool": POOL,
    "lp token": made(
        AssetClass.LP_TOKEN,
        LpTokenDetails(mint_instrument_id(POOL), "eip155:1", "0xB4e16d0168e52d35CaCD2c6185b44281Ec28C9Dc"),
    ),
    "future": made(
        AssetClass.FUTURE, FutureDetails(BTC, "btc", EXPIRY, USD, ExactDecimal.parse("5.00"), "XCME", inverse=False)
    ),
    "future without a venue": made(AssetClass.FUTURE, FutureDetails(BTC, "BTC", EXPIRY)),
    "inverse perpetual": made(
        AssetClass.PERPETUAL, PerpetualDetails(BTC, BTC, ExactDecimal(100), "DERIBIT", inverse=True)
    ),
    "linear perpetual": made(AssetClass.PERPETUAL, PerpetualDetails(BTC, USD, None, "BINANCE_FUTURES")),
    "option": made(
        AssetClass.OPTION,
        OptionDetails(
            *(BTC, EXPIRY, ExactDecimal.parse("100000.500"), OptionRight.CALL, ExerciseStyle.EUROPEAN),
            *(ExactDecimal(1), BTC, "DERIBIT"),
        ),
    ),
    "synthetic": made(AssetClass.SYNTHETIC, SyntheticDetails("btc basket=1")),
}


def test_the_examples_cover_every_class() -> None:
    assert {instrument.asset_class for instrument in INSTRUMENTS.values()} == set(DETAILS_OF) == set(AssetClass)


def test_no_two_examples_have_one_text() -> None:
    assert len({instrument_text(instrument) for instrument in INSTRUMENTS.values()}) == len(INSTRUMENTS)


def test_names_and_decimals_are_no_part() -> None:
    token = INSTRUMENTS["token"]
    renamed = replace(token, name="Other", details=replace(token.details, decimals=18, symbol="X"))  # type: ignore[type-var]
    assert mint_instrument_id(renamed) == mint_instrument_id(token)


def test_the_same_instant_in_another_zone_is_the_same_series() -> None:
    option = INSTRUMENTS["option"]
    elsewhere = EXPIRY.astimezone(timezone(timedelta(hours=9)))
    moved = replace(option, details=replace(option.details, expiry=elsewhere))  # type: ignore[type-var]
    assert instrument_text(moved) == instrument_text(option)


def test_a_time_without_a_zone_is_refused() -> None:
    details = FutureDetails(BTC, "BTC", datetime(2026, 3, 27))
    with pytest.raises(InvalidArgument, match="time-zone"):
        instrument_text(made(AssetClass.FUTURE, details))


@pytest.mark.parametrize("asset_class", sorted(set(AssetClass)))
def test_what_is_missing_is_named(asset_class: AssetClass) -> None:
    with pytest.raises(InvalidArgument, match="identity-incomplete"):
        instrument_text(made(asset_class, DETAILS_OF[asset_class]()))


def test_the_order_of_identifiers_does_not_matter() -> None:
    first = INSTRUMENTS["equity by ISIN"]
    assert instrument_text(replace(first, identifiers=first.identifiers[::-1])) == instrument_text(first)


def test_short_forms_equal_the_long_ones() -> None:
    assert currency_text("FIAT", "usd") == instrument_text(INSTRUMENTS["fiat"])
    assert pair_text(AssetClass.SPOT_PAIR, BTC, USD) == instrument_text(INSTRUMENTS["spot pair"])


@given(st.text())
def test_escaping_is_undone_by_any_url_decoder_and_leaves_no_separator(text: str) -> None:
    escaped = escape(text)
    assert escaped.isascii()
    assert not set("|= ") & set(escaped)
    assert unquote(escaped, errors="surrogatepass") == text


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_two_listings_have_one_text_only_if_they_are_one(venue: str, symbol: str, venue2: str, symbol2: str) -> None:
    same = listing_text(venue, symbol, USD) == listing_text(venue2, symbol2, USD)
    assert same == ((listing_text(venue, "x", USD), symbol) == (listing_text(venue2, "x", USD), symbol2))


def test_case_of_a_symbol_matters_and_of_a_venue_not() -> None:
    assert mint_listing_id("xnas", "AAPL", USD) == mint_listing_id("XNAS", "AAPL", USD)
    assert mint_listing_id("XNAS", "aapl", USD) != mint_listing_id("XNAS", "AAPL", USD)


def test_a_token_has_one_text_however_its_contract_is_spelled() -> None:
    spellings = (USDC, USDC.lower(), "0x" + USDC[2:].upper(), f"erc20:{USDC}", f"erc20:{USDC.lower()}")
    tokens = [made(AssetClass.TOKEN, TokenDetails("eip155:1", spelling)) for spelling in spellings]
    assert {instrument_text(token) for token in tokens} == {f"ap1|token|eip155:1/erc20:{USDC.lower()}"}


def test_two_companies_that_bore_one_ticker_in_turn_are_two() -> None:
    def company(since: datetime | None) -> Instrument:
        ticker = asserted(Scheme.TICKER, "TWX", Level.LISTING, "XNYS")._replace(valid_from=since)
        return made(AssetClass.EQUITY, EquityDetails("USD"), ticker)

    first, second = company(datetime(1998, 1, 2, 14, 30, tzinfo=UTC)), company(datetime(2003, 10, 16, tzinfo=UTC))
    assert instrument_text(first) == "ap1|equity|venue_ticker|XNYS|TWX|1998-01-02"
    assert len({mint_instrument_id(one) for one in (first, second, company(None))}) == 3


def test_options_under_two_roots_are_two() -> None:
    def option(series: str, *symbols: str) -> Instrument:
        details = replace(INSTRUMENTS["option"].details, series=series)  # type: ignore[type-var]
        return made(AssetClass.OPTION, details, *(asserted(Scheme.OCC, symbol) for symbol in symbols))

    weekly, monthly = "SPXW  260327C00100000", "SPX   260327C00100000"
    assert (
        instrument_text(option("", weekly))
        == instrument_text(option("spxw"))
        == instrument_text(option("SPXW", weekly))
    )
    assert len({instrument_text(one) for one in (option(""), option("", weekly), option("", monthly))}) == 3
