"""Validation lists everything that is wrong at once, each fault at its path."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers import Level, Scheme
from alphapulse.domain.ids import InstrumentId
from alphapulse.domain.instruments import (
    DETAILS_OF,
    BondDetails,
    CurrencyDetails,
    CurrencyKind,
    EquityDetails,
    FutureDetails,
    IdentifierAssertion,
    Instrument,
    Listing,
    ListingFees,
    PairDetails,
    PoolDetails,
    TokenDetails,
    TradingRules,
)
from alphapulse.domain.validation import require_valid, required_fields, validate_instrument, validate_listing

USD = InstrumentId.of("ap1|currency|fiat|USD")
BTC = InstrumentId.of("ap1|currency|crypto|BTC")
ISIN = IdentifierAssertion(Scheme.ISIN, "US0378331005")
APPLE = Instrument(
    AssetClass.EQUITY,
    "Apple Inc.",
    EquityDetails("USD", "US", "Technology", "Hardware", "HWUPKR0MPOU8FGXBT394"),
    (ISIN,),
)
LISTING = Listing("XNAS", "AAPL", "USD", rules=TradingRules(tick_size=ExactDecimal(1, -2)), fees=ListingFees())


def faults(instrument: Instrument) -> dict[str, str]:
    return {violation.field: violation.rule for violation in validate_instrument(instrument)}


def listing_faults(listing: Listing) -> dict[str, str]:
    return {violation.field: violation.rule for violation in validate_listing(listing)}


def test_a_valid_one_has_no_fault() -> None:
    assert validate_instrument(APPLE) == ()
    assert validate_listing(LISTING) == ()
    require_valid(())


def test_all_faults_at_once() -> None:
    wrong = Instrument(
        AssetClass.EQUITY,
        "x" * 10_000_000,
        EquityDetails("QQQ", "ZZ", "a\x00b", "i" * 300, "LEI"),
        (
            IdentifierAssertion(Scheme.ISIN, "US0378331006"),
            IdentifierAssertion(Scheme.LEI, "HWUPKR0MPOU8FGXBT394", Level.LISTING),
        ),
    )
    assert faults(wrong) == {
        "instrument.name": "text-length",
        "instrument.identifiers[0].value": "isin-check-digit",
        "instrument.identifiers[1].level": "identifier-level",
        "instrument.equity.currency": "currency-unknown",
        "instrument.equity.country": "country-unknown",
        "instrument.equity.sector": "text-characters",
        "instrument.equity.industry": "text-length",
        "instrument.equity.issuer_lei": "lei-length",
    }
    with pytest.raises(InvalidArgument) as caught:
        require_valid(validate_instrument(wrong))
    assert len(caught.value.violations) == 8
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("asset_class", list(AssetClass))
def test_every_required_field_is_asked_for(asset_class: AssetClass) -> None:
    found = faults(Instrument(asset_class, "", DETAILS_OF[asset_class]()))
    path = f"instrument.{asset_class.name.lower()}"
    assert {f"{path}.{name}" for name in required_fields(asset_class)} <= set(found)
    assert set(required_fields(asset_class)) <= {spec.name for spec in fields(DETAILS_OF[asset_class])}
    assert found


@pytest.mark.parametrize("asset_class", list(AssetClass))
def test_details_of_another_class_or_none_are_refused(asset_class: AssetClass) -> None:
    other = BondDetails() if asset_class is not AssetClass.BOND else EquityDetails()
    path = f"instrument.{asset_class.name.lower()}"
    assert faults(Instrument(asset_class, "", other))[path] == "details-class"
    assert faults(Instrument(asset_class, "", None))[path] == "details-class"


def test_no_class_is_a_fault() -> None:
    assert faults(replace(APPLE, asset_class=None)) == {"instrument.asset_class": "required"}


def test_a_security_needs_an_identifier_or_a_ticker_at_a_venue() -> None:
    assert faults(replace(APPLE, identifiers=())) == {"instrument.identifiers": "required"}
    ticker = IdentifierAssertion(Scheme.TICKER, "AAPL", Level.LISTING)
    assert faults(replace(APPLE, identifiers=(ticker,))) == {"instrument.identifiers": "required"}
    assert faults(replace(APPLE, identifiers=(ticker._replace(venue="XNAS"),))) == {}


def test_spans_run_forward_and_have_zones() -> None:
    early, late = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
    backwards = ISIN._replace(valid_from=late, valid_to=early)
    assert faults(replace(APPLE, identifiers=(backwards,))) == {"instrument.identifiers[0].valid_to": "span-order"}
    naive = ISIN._replace(valid_from=early.replace(tzinfo=None))
    assert faults(replace(APPLE, identifiers=(naive,))) == {"instrument.identifiers[0].valid_from": "time-zone"}


def test_a_pair_has_two_different_sides() -> None:
    pair = Instrument(AssetClass.SPOT_PAIR, "BTC/BTC", PairDetails(BTC, BTC))
    assert faults(pair) == {"instrument.spot_pair.quote_id": "pair-distinct"}
    half = Instrument(AssetClass.FX_PAIR, "A name", PairDetails(None, USD))
    assert faults(half) == {"instrument.fx_pair.base_id": "required"}


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        (CurrencyDetails("USD", CurrencyKind.FIAT, 2), {}),
        (CurrencyDetails("HRK", CurrencyKind.FIAT), {}),
        (CurrencyDetails("XAU", CurrencyKind.METAL), {}),
        (CurrencyDetails("1INCH", CurrencyKind.CRYPTO), {}),
        (CurrencyDetails("币安人生", CurrencyKind.CRYPTO), {}),
        (CurrencyDetails("USDX", CurrencyKind.FIAT), {"instrument.currency.code": "currency-unknown"}),
        (CurrencyDetails("USD", CurrencyKind.METAL), {"instrument.currency.code": "currency-unknown"}),
        (CurrencyDetails("A B", CurrencyKind.CRYPTO), {"instrument.currency.code": "currency-code"}),
        (CurrencyDetails("BTC", CurrencyKind.CRYPTO, -1), {"instrument.currency.minor_units": "range"}),
    ],
)
def test_currencies(details: CurrencyDetails, expected: dict[str, str]) -> None:
    assert faults(Instrument(AssetClass.CURRENCY, "A name", details)) == expected


def test_chain_assets() -> None:
    token = Instrument(AssetClass.TOKEN, "A name", TokenDetails("eip155:1", "0x12", 999))
    assert faults(token) == {"instrument.token.address": "address-format", "instrument.token.decimals": "range"}
    pool = Instrument(AssetClass.POOL, "A name", PoolDetails("1", "0x" + "ab" * 32, (BTC, BTC), -1))
    assert faults(pool) == {
        "instrument.pool.chain": "caip2-format",
        "instrument.pool.asset_ids": "pool-distinct",
        "instrument.pool.fee_pips": "range",
    }


def test_a_future_needs_a_venue_or_a_series_and_a_size_above_zero() -> None:
    expiry = datetime(2026, 3, 27, tzinfo=UTC)
    details = FutureDetails(BTC, "", expiry, USD, ExactDecimal(0))
    assert faults(Instrument(AssetClass.FUTURE, "A name", details)) == {
        "instrument.future.contract_size": "positive",
        "instrument.future.venue": "required",
    }


def test_listing_faults_at_once() -> None:
    rules = TradingRules(ExactDecimal(0), ExactDecimal(-1), ExactDecimal(5), ExactDecimal(4), ExactDecimal(-1))
    wrong = Listing("x nas", "S" * 200, "usd", rules=rules, definition_version=0)
    assert listing_faults(wrong) == {
        "listing.venue": "venue-format",
        "listing.symbol": "exchange-symbol-length",
        "listing.currency": "currency-code",
        "listing.rules.tick_size": "positive",
        "listing.rules.lot_size": "positive",
        "listing.rules.max_size": "size-order",
        "listing.rules.min_notional": "not-negative",
        "listing.definition_version": "positive",
    }


@given(st.text(max_size=600), st.text(max_size=300), st.text(max_size=40))
def test_any_text_gives_faults_that_can_be_put_on_the_wire(name: str, sector: str, value: str) -> None:
    details = EquityDetails("USD", sector=sector)
    instrument = Instrument(AssetClass.EQUITY, name, details, (IdentifierAssertion(Scheme.ISIN, value),))
    for violation in validate_instrument(instrument):
        assert violation.field.startswith("instrument.")
        violation.value.encode()


def test_the_prefix_is_the_place_in_the_request() -> None:
    found = validate_instrument(replace(APPLE, identifiers=()), "instruments[7]")
    assert [violation.field for violation in found] == ["instruments[7].identifiers"]


@pytest.mark.parametrize("name", ["", " ", "\t\n", "\u00a0\u2003", "\u200b\u200b", "\u200b \u2060"])
@pytest.mark.parametrize("asset_class", list(AssetClass))
def test_a_name_shows_something(asset_class: AssetClass, name: str) -> None:
    assert faults(Instrument(asset_class, name, DETAILS_OF[asset_class]()))["instrument.name"] == "required"


@pytest.mark.parametrize("name", ["A", " Apple ", "币安人生", "🚀"])
def test_any_text_that_shows_something_is_a_name(name: str) -> None:
    assert faults(replace(APPLE, name=name)) == {}
