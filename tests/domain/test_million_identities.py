"""A million identities of all classes, and as many listings: no two ids, and no two listing keys, are the same.

The generated instruments lie as close together as real ones do: options that differ in the strike alone, pools in the fee,
contracts in one digit, tickers in one letter, futures in the size of the contract. No two of them are the same thing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pytest

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.identifiers import Level, Scheme
from alphapulse.domain.identifiers.check_digits import double_add_double, luhn_expanded
from alphapulse.domain.identity import instrument_text, listing_text
from alphapulse.domain.ids import ID_BYTES, InstrumentId, mint
from alphapulse.domain.instruments import (
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
from alphapulse.domain.validation import validate_instrument

MILLION: Final = 1_000_000

Made = tuple[Details, tuple[IdentifierAssertion, ...]]

_USD: Final = InstrumentId.of("ap1|currency|fiat|USD")
_BTC: Final = InstrumentId.of("ap1|currency|crypto|BTC")
_SIDES: Final = [InstrumentId.of(f"ap1|currency|crypto|COIN{number}") for number in range(2000)]
_START: Final = datetime(2026, 1, 1, 8, tzinfo=UTC)
_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"


def instrument(number: int) -> Instrument:
    """The instrument of a number: each number has its own, the classes come in turn."""
    asset_class, make = _TURNS[number % len(_TURNS)]
    details, identifiers = make(number // len(_TURNS))
    return Instrument(asset_class, f"{asset_class.name} {number}", details, identifiers)


def _spelled(number: int, alphabet: str, length: int) -> str:
    text = ""
    for _ in range(length):
        number, at = divmod(number, len(alphabet))
        text = alphabet[at] + text
    return text


def _isin(country: str, number: int) -> tuple[IdentifierAssertion, ...]:
    body = f"{country}{number:09d}"
    return (IdentifierAssertion(Scheme.ISIN, f"{body}{luhn_expanded(body)}"),)


def _figi(number: int) -> tuple[IdentifierAssertion, ...]:
    body = f"BBG{_spelled(number, '0123456789' + _LETTERS, 8)}"
    return (IdentifierAssertion(Scheme.FIGI, f"{body}{double_add_double(body)}"),)


def _ticker(scheme: Scheme, number: int) -> tuple[IdentifierAssertion, ...]:
    venue, symbol = ("XNAS", "XNYS", "XLON")[number % 3], _spelled(number // 3, _LETTERS, 5)
    return (IdentifierAssertion(scheme, symbol, Level.LISTING, venue=venue),)


def _equity(number: int) -> Made:
    kind, rest = number % 3, number // 3
    made = (_isin("DE", rest), _figi(rest), _ticker(Scheme.TICKER, rest))[kind]
    return EquityDetails("USD"), made


def _etf(number: int) -> Made:
    body = f"{number:08d}"
    return EtfDetails("USD"), (IdentifierAssertion(Scheme.CUSIP, f"{body}{double_add_double(body)}"),)


def _index(number: int) -> Made:
    return IndexDetails(), _ticker(Scheme.EXCHANGE_SYMBOL, number)


def _currency(number: int) -> Made:
    return CurrencyDetails(_spelled(number, _LETTERS, 6), CurrencyKind.CRYPTO), ()


def _pair(number: int) -> Made:
    base, quote = divmod(number, len(_SIDES) - 1)
    return PairDetails(_SIDES[base], _SIDES[quote if quote < base else quote + 1]), ()


def _address(number: int) -> str:
    return f"0x{number << 96 | 0xDEAD:040x}"


def _token(number: int) -> Made:
    chain, rest = (1, 10, 137, 8453)[number % 4], number // 4
    return TokenDetails(f"eip155:{chain}", _address(rest), 18), ()


def _pool(number: int) -> Made:
    fee, rest = (100, 500, 3000, 10_000)[number % 4], number // 4
    return PoolDetails("eip155:1", _address(rest), (_USD, _BTC), fee), ()


def _lp_token(number: int) -> Made:
    return LpTokenDetails(_SIDES[number % 2000], "eip155:1", _address(number // 2000)), ()


def _future(number: int) -> Made:
    days, rest = divmod(number, 40)
    size, inverse = ExactDecimal(1 + rest // 2, -2), bool(rest % 2)
    return FutureDetails(_BTC, "BTC", _START + timedelta(days=days), _USD, size, "XCME", inverse), ()


def _perpetual(number: int) -> Made:
    underlying, size = divmod(number, 200)
    return PerpetualDetails(_SIDES[underlying], _USD, ExactDecimal(1 + size, -3), "DERIBIT"), ()


def _option(number: int) -> Made:
    rest, right, style = number // 4, OptionRight(1 + number % 2), ExerciseStyle(1 + number // 2 % 2)
    days, strike = divmod(rest, 200)
    expiry = _START + timedelta(days=days)
    return OptionDetails(_BTC, expiry, ExactDecimal(5 * (1 + strike), -1), right, style, None, None, "DERIBIT"), ()


_MAKERS: Final[dict[AssetClass, Callable[[int], Made]]] = {
    AssetClass.EQUITY: _equity,
    AssetClass.ETF: _etf,
    AssetClass.FUND: lambda number: (FundDetails("EUR"), _isin("LU", number)),
    AssetClass.BOND: lambda number: (BondDetails("EUR"), _isin("XS", number)),
    AssetClass.INDEX: _index,
    AssetClass.CURRENCY: _currency,
    AssetClass.FX_PAIR: _pair,
    AssetClass.SPOT_PAIR: _pair,
    AssetClass.TOKEN: _token,
    AssetClass.POOL: _pool,
    AssetClass.LP_TOKEN: _lp_token,
    AssetClass.FUTURE: _future,
    AssetClass.PERPETUAL: _perpetual,
    AssetClass.OPTION: _option,
    AssetClass.SYNTHETIC: lambda number: (SyntheticDetails(f"basket {number}"), ()),
}
_TURNS: Final = list(_MAKERS.items())


def distinct_keys(ids: bytearray) -> int:
    """How many different keys, the first 64 bits, there are among ids one behind the other."""
    return len(np.unique(np.frombuffer(ids, ">u8")[:: ID_BYTES // 8]))


def test_what_is_generated_is_sound_and_of_every_class() -> None:
    sample = [instrument(number) for number in range(0, MILLION, 991)]
    assert {one.asset_class for one in sample} == set(AssetClass)
    assert [found for one in sample for found in validate_instrument(one)] == []


@pytest.mark.timeout(300)
def test_a_million_identities_have_a_million_keys() -> None:
    ids = bytearray()
    for number in range(MILLION):
        ids += mint(instrument_text(instrument(number)))
    assert len(ids) == MILLION * ID_BYTES
    assert distinct_keys(ids) == MILLION


def test_the_proof_sees_collisions_where_there_are_some() -> None:
    short, shorter = bytearray(), bytearray()
    for number in range(30_000):
        raw = mint(instrument_text(instrument(number)))
        short += raw[:6] + bytes(10)
        shorter += raw[:3] + bytes(13)
    assert distinct_keys(short) == 30_000
    # Of 30,000 in 2^24 places about 27 share one.
    assert 29_900 < distinct_keys(shorter) < 30_000


@pytest.mark.timeout(300)
def test_the_listings_of_a_million_symbols_have_a_million_keys() -> None:
    ids = bytearray()
    venues = ("BINANCE", "COINBASE", "KRAKEN", "XNAS", "XLON")
    coin = InstrumentId.of("ap1|currency|crypto|BTC")
    for number in range(MILLION):
        ids += mint(listing_text(venues[number % 5], f"SYM{number // 5}", coin))
    assert distinct_keys(ids) == MILLION
