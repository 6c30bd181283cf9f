"""An identifier must not contradict the class or the details of what bears it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.consistency import contradictions
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.identifiers import Scheme
from alphapulse.domain.ids import InstrumentId
from alphapulse.domain.instruments import (
    CurrencyDetails,
    CurrencyKind,
    EquityDetails,
    ExerciseStyle,
    IdentifierAssertion,
    Instrument,
    LpTokenDetails,
    OptionDetails,
    OptionRight,
    PerpetualDetails,
    PoolDetails,
    TokenDetails,
)
from alphapulse.domain.validation import validate_instrument

USD = InstrumentId.of("ap1|currency|fiat|USD")
BTC = InstrumentId.of("ap1|currency|crypto|BTC")
USDC = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
MIXED = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eb48"
"""The same with one letter in the other case: a checksum that does not fit."""
EXPIRY = datetime(2024, 1, 19, 21, tzinfo=UTC)


def option(symbol: str, **changed: object) -> Instrument:
    given: dict[str, object] = {
        "underlying_id": USD,
        "expiry": EXPIRY,
        "strike": ExactDecimal(1005, -1),
        "right": OptionRight.CALL,
        "style": ExerciseStyle.AMERICAN,
    }
    details = OptionDetails(**{**given, **changed})  # type: ignore[arg-type]
    return Instrument(AssetClass.OPTION, "An option", details, (IdentifierAssertion(Scheme.OCC, symbol),))


def told(instrument: Instrument) -> list[tuple[str, str]]:
    found = contradictions(instrument)
    assert set(found) <= set(validate_instrument(instrument))
    return [(one.rule, one.description) for one in found]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"series": "aapl"},
        {"strike": ExactDecimal(100_500, -3)},
        {"expiry": datetime(2024, 1, 19, tzinfo=UTC)},
        {"expiry": datetime(2024, 1, 20, 5, tzinfo=timezone(timedelta(hours=9)))},
    ],
)
def test_an_occ_symbol_that_agrees(changed: dict[str, object]) -> None:
    assert told(option("AAPL  240119C00100500", **changed)) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"expiry": datetime(2024, 1, 20, tzinfo=UTC)}, "it expires on 2024-01-19, the option on 2024-01-20"),
        ({"right": OptionRight.PUT}, "it is a call, the option a put"),
        ({"strike": ExactDecimal(1006, -1)}, "its strike is 100.5, the option's 100.6"),
        ({"strike": ExactDecimal(1005)}, "its strike is 100.5, the option's 1005"),
        ({"series": "AAPL7"}, "its root is AAPL, the option's series AAPL7"),
    ],
)
def test_an_occ_symbol_that_contradicts_its_option(changed: dict[str, object], words: str) -> None:
    ((rule, description),) = told(option("AAPL  240119C00100500", **changed))
    assert rule == "derived-id-mismatch"
    assert description.startswith(words)


def test_all_parts_that_contradict_are_named() -> None:
    ((_, description),) = told(option("MSFT  250620P00001000", series="AAPL"))
    assert [part.split(" ")[:2] for part in description.split("; ")] == [
        ["it", "expires"],
        ["it", "is"],
        ["its", "root"],
        ["its", "strike"],
    ]


@given(
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=6),
    st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    st.sampled_from(list(OptionRight)),
    st.integers(0, 99_999_999),
    st.integers(0, 86_399),
)
def test_the_symbol_made_from_an_option_agrees_with_it(
    root: str, day: date, right: OptionRight, thousandths: int, second: int
) -> None:
    symbol = f"{root:6}{day:%y%m%d}{right.name[0]}{thousandths:08d}"
    expiry = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=second)
    made = option(symbol, expiry=expiry, right=right, strike=ExactDecimal(thousandths, -3), series=root)
    assert told(made) == []
    assert validate_instrument(made) == ()


def test_only_options_bear_occ_symbols() -> None:
    symbol = IdentifierAssertion(Scheme.OCC, "AAPL  240119C00100500")
    isin = IdentifierAssertion(Scheme.ISIN, "US0378331005")
    share = Instrument(AssetClass.EQUITY, "Apple", EquityDetails("USD"), (isin, symbol))
    assert [rule for rule, _ in told(share)] == ["identifier-class"]


def test_what_is_malformed_is_told_once_and_by_its_own_rule() -> None:
    wrong = option("AAPL  240230C00100500", expiry=None)
    assert {one.rule for one in validate_instrument(wrong)} == {"occ-expiry", "required"}


def token(address: str, *names: str, chain: str = "eip155:1") -> Instrument:
    claims = tuple([IdentifierAssertion(Scheme.CAIP19, name) for name in names])
    return Instrument(AssetClass.TOKEN, "A token", TokenDetails(chain, address), claims)


def test_a_token_bears_the_name_of_its_own_contract() -> None:
    assert told(token(USDC, f"eip155:1/erc20:{USDC}", f"eip155:1/erc20:{USDC.lower()}")) == []
    assert told(token("slip44:60", "eip155:1/slip44:60")) == []
    for other in (f"eip155:10/erc20:{USDC}", "eip155:1/slip44:60", f"eip155:1/erc20:0x{'0' * 40}"):
        ((rule, description),) = told(token(USDC, other))
        assert rule == "derived-id-mismatch"
        assert description.endswith(f"eip155:1/erc20:{USDC.lower()}")
    share = LpTokenDetails(USD, "eip155:1", USDC)
    claim = (IdentifierAssertion(Scheme.CAIP19, "eip155:1/slip44:60"),)
    assert [rule for rule, _ in told(Instrument(AssetClass.LP_TOKEN, "LP", share, claim))] == ["derived-id-mismatch"]
    coin = CurrencyDetails("ETH", CurrencyKind.CRYPTO)
    assert told(Instrument(AssetClass.CURRENCY, "Ether", coin, claim)) == []


def addressed(instrument: Instrument) -> list[tuple[str, str]]:
    return [(one.field.rpartition(".")[2], one.rule) for one in validate_instrument(instrument)]


def test_addresses_with_capitals_have_a_checksum() -> None:
    assert addressed(token(USDC)) == addressed(token(USDC.lower())) == addressed(token(f"erc20:{USDC}")) == []
    assert addressed(token(MIXED)) == addressed(token(f"erc20:{MIXED}")) == [("address", "address-checksum")]
    assert addressed(token(f"token:{USDC}")) == [("address", "caip19-namespace")]
    assert addressed(token(USDC, chain="eip155:01")) == [("chain", "caip2-reference")]
    assert addressed(token("0lll", chain="solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp")) == [("address", "caip19-address")]

    def pool(address: str) -> Instrument:
        return Instrument(AssetClass.POOL, "A pool", PoolDetails("eip155:1", address, (USD, BTC)))

    assert addressed(pool(USDC)) == addressed(pool("0x" + "aB" * 32)) == []
    assert addressed(pool(MIXED)) == [("address", "address-checksum")]
    share = Instrument(AssetClass.LP_TOKEN, "LP", LpTokenDetails(USD, "eip155:1", f"erc20:{USDC}"))
    assert addressed(share) == [("address", "address-format")]


@pytest.mark.parametrize(
    ("code", "asset_class", "fits"),
    [
        ("ESVUFR", AssetClass.EQUITY, True),
        ("CEOGES", AssetClass.ETF, True),
        ("OCASPS", AssetClass.EQUITY, False),
        ("DBFTFB", AssetClass.EQUITY, False),
        ("CBOIXS", AssetClass.EQUITY, True),
        ("CEOGES", AssetClass.EQUITY, False),
        ("RSFTFB", AssetClass.EQUITY, True),
        ("ESVUFR", AssetClass.BOND, False),
        ("DTFTFB", AssetClass.ETF, True),
        ("ESVUFR", AssetClass.ETF, False),
        ("MCAXXX", AssetClass.EQUITY, True),
        ("TCNXXX", AssetClass.CURRENCY, True),
        ("TIEXXX", AssetClass.CURRENCY, False),
        ("ESVUFR", AssetClass.PERPETUAL, False),
        ("FFCCSX", AssetClass.PERPETUAL, True),
        ("FFCCSX", AssetClass.CURRENCY, False),
        ("ESVUFR", AssetClass.TOKEN, True),
    ],
)
def test_the_category_and_group_of_a_cfi_are_ones_the_class_can_have(
    code: str, asset_class: AssetClass, fits: bool
) -> None:
    details = {
        AssetClass.PERPETUAL: PerpetualDetails(BTC, USD, None, "DERIBIT"),
        AssetClass.CURRENCY: CurrencyDetails("BTC", CurrencyKind.CRYPTO),
        AssetClass.TOKEN: TokenDetails("eip155:1", USDC),
    }.get(asset_class, EquityDetails("USD"))
    claims = (IdentifierAssertion(Scheme.CFI, code),)
    found = contradictions(Instrument(asset_class, "Something", details, claims))
    assert [one.rule for one in found] == ([] if fits else ["identifier-class"])
