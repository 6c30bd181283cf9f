"""Identifier rules against python-stdnum where it is right, and known examples where it is not."""

from __future__ import annotations

import string
from collections.abc import Callable
from datetime import date

import pycountry
import pytest
import stdnum.cfi
import stdnum.cusip
import stdnum.figi
import stdnum.isin
import stdnum.lei
from hypothesis import given
from hypothesis import strategies as st
from stdnum.gb import sedol as stdnum_sedol

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers import (
    ISIN_PREFIXES,
    ISO_3166_ALPHA_2,
    Caip2,
    Caip19,
    Cfi,
    Cusip,
    Figi,
    Isin,
    Lei,
    Level,
    Mic,
    OccSymbol,
    Scheme,
    Sedol,
    identifier_type,
    is_valid,
    parse,
)
from alphapulse.domain.identifiers.check_digits import double_add_double, isins_around, luhn_expanded, sedol_weighted
from alphapulse.domain.identifiers.evm import broken_checksum, checksum_address
from alphapulse.domain.identifiers.figi import EXCLUDED_PREFIXES

ALNUM = string.digits + string.ascii_uppercase
CONSONANTS = "BCDFGHJKLMNPQRSTVWXYZ"

GOOD = {
    Scheme.ISIN: ["US0378331005", "GB0002634946", "DE0007164600", "AN8068571086", "XS0356705219", "AU0000XVGZA3"],
    Scheme.CUSIP: ["037833100", "17275R102", "38259P508", "G01719114"],
    Scheme.SEDOL: ["0263494", "B0YBKJ7", "2046251"],
    Scheme.FIGI: ["BBG000B9XRY4", "BBG000BLNQ16", "NRG92C84SB39"],
    Scheme.LEI: ["5493001KJTIIGC8Y1R12", "213800KUD8LAJWSQ9D15"],
    Scheme.CFI: ["ESVUFR", "FFICSX", "OCASPS"],
    Scheme.MIC: ["XNAS", "360T", "24EX"],
    Scheme.RIC: ["VOD.L", ".SPX", "EUR=", "BRKa.N"],
    Scheme.CAIP2: ["eip155:1", "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "bip122:000000000019d6689c085ae165831e93"],
    Scheme.CAIP19: ["eip155:1/slip44:60", "eip155:1/erc20:0x6b175474e89094c44da98b954eedeac495271d0f"],
    Scheme.DTI: ["4H95J0R2X", "X9J9K872S", "2QWSBDMNC", "5R3XFPZSM", "820B7G1NL", "M3Z631TN4"],
    Scheme.OCC: ["AAPL  240119C00100000", "SPXW  251231P05900500"],
    Scheme.TICKER: ["AAPL", "BRK.B", "7203", "BAC PRL"],
    Scheme.EXCHANGE_SYMBOL: ["BTCUSDT", "BTC-USD", "XBT/USD", "币安人生USDT"],
    Scheme.OWN: ["desk-7/alpha"],
}
BAD = {
    Scheme.ISIN: {
        "CH1012549785": "isin-check-digit",
        "US0378331006": "isin-check-digit",
        "QQ0378331005": "isin-prefix",
        "US03783310O5": "isin-check-digit",
        "US037833100": "isin-length",
        "US037833100X": "isin-format",
        "US-378331005": "isin-format",
        "ＵＳ0378331005": "isin-format",
        "US037833100٥": "isin-format",
        "": "isin-length",
    },
    Scheme.CUSIP: {
        "037833101": "cusip-check-digit",
        "03783310": "cusip-length",
        "0378331 0": "cusip-format",
        "O37833100": "cusip-cins",
    },
    Scheme.SEDOL: {"0263495": "sedol-check-digit", "A263494": "sedol-format", "9B00000": "sedol-style"},
    Scheme.FIGI: {
        "GHG000000018": "figi-prefix",
        "KYG000000017": "figi-prefix",
        "BBG000B9XRY5": "figi-check-digit",
        "BBX000B9XRY4": "figi-format",
        "ABG000B9XRY4": "figi-format",
    },
    Scheme.LEI: {"5493001KJTIIGC8Y1R13": "lei-check-digits", "5493001KJTIIGC8Y1R1": "lei-length"},
    Scheme.CFI: {"ZZZZZZ": "cfi-category", "EZVUFR": "cfi-group", "E1VUFR": "cfi-format"},
    Scheme.MIC: {"XNA": "mic-length", "XN-S": "mic-format"},
    Scheme.CAIP2: {
        "1": "caip2-format",
        "EIP155:1": "caip2-format",
        "eip155:01": "caip2-reference",
        "eip155:mainnet": "caip2-reference",
        "bip122:000000000019D6689C085AE165831E93": "caip2-reference",
        "solana:0OIl": "caip2-reference",
    },
    Scheme.CAIP19: {
        "eip155:1/erc20:0x12": "caip19-address",
        "eip155:1": "caip19-format",
        "eip155:01/slip44:60": "caip2-reference",
        "eip155:1/slip44:060": "caip19-reference",
        "eip155:1/slip44:60/1": "caip19-token",
        "eip155:1/token:0x6b175474e89094c44da98b954eedeac495271d0f": "caip19-namespace",
        "eip155:1/erc721:0x06012c8cf97bead5deae237070f9587f8e7a266d/0771769": "caip19-token",
        "eip155:1/erc20:0x6b175474e89094c44da98b954eedeac495271d0f/1": "caip19-token",
        "eip155:1/erc20:0x6B175474E89094C44Da98b954EedeAC495271d0f ": "address-checksum",
        "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp/token:0PjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v": "caip19-address",
    },
    Scheme.DTI: {
        "0H95J0R2X": "dti-format",
        "4H95J0R2Y": "dti-format",
        "4H95J0R2T": "dti-check-character",
        "X9J9K872T": "dti-check-character",
    },
    Scheme.OCC: {"AAPL  240230C00100000": "occ-expiry", "AAPL240119C00100000": "occ-length"},
    Scheme.RIC: {"VOD L": "ric-format", "": "ric-length"},
    Scheme.EXCHANGE_SYMBOL: {
        "BTC\x00": "exchange-symbol-format",
        "x" * 129: "exchange-symbol-length",
        "x" * 200: "exchange-symbol-length",
    },
}


@pytest.mark.parametrize(("scheme", "text"), [(scheme, text) for scheme, texts in GOOD.items() for text in texts])
def test_known_good(scheme: Scheme, text: str) -> None:
    assert parse(scheme, text).value == text
    assert is_valid(scheme, text)
    assert parse(scheme, f" \t{text}\r\n").value == text


@pytest.mark.parametrize(
    ("scheme", "text", "rule"), [(scheme, text, rule) for scheme, texts in BAD.items() for text, rule in texts.items()]
)
def test_known_bad_names_field_value_and_rule(scheme: Scheme, text: str, rule: str) -> None:
    assert not is_valid(scheme, text)
    with pytest.raises(InvalidArgument) as caught:
        parse(scheme, text, "request.key")
    (violation,) = caught.value.violations
    assert (violation.field, violation.value, violation.rule) == ("request.key", text, rule)
    with pytest.raises(InvalidArgument):
        identifier_type(scheme)(text)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_any_size_is_refused_by_its_length(scheme: Scheme) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse(scheme, "A" * 10_000_000)
    assert caught.value.violations[0].rule.endswith("-length")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("scheme", list(Scheme))
@given(text=st.text(max_size=40))
def test_whatever_the_text_the_answer_is_a_value_or_one_violation(scheme: Scheme, text: str) -> None:
    if is_valid(scheme, text):
        made = parse(scheme, text)
        assert parse(scheme, made.value) == made
        return
    with pytest.raises(InvalidArgument) as caught:
        parse(scheme, text)
    assert len(caught.value.violations) == 1


def test_countries_are_those_of_iso_3166() -> None:
    assert {country.alpha_2 for country in pycountry.countries} == ISO_3166_ALPHA_2
    assert len(ISO_3166_ALPHA_2) == 249


@given(st.lists(st.sampled_from(sorted(ISIN_PREFIXES))), st.text(ALNUM, min_size=9, max_size=9))
def test_the_isins_around_a_number_are_those_of_the_slow_form(prefixes: list[str], nsin: str) -> None:
    assert isins_around(nsin, tuple(prefixes)) == [f"{one}{nsin}{luhn_expanded(one + nsin)}" for one in prefixes]


@given(st.sampled_from(sorted(ISIN_PREFIXES)), st.text(ALNUM, min_size=9, max_size=9), st.sampled_from(string.digits))
def test_isin_agrees_with_the_oracle(prefix: str, nsin: str, digit: str) -> None:
    right = f"{prefix}{nsin}{luhn_expanded(prefix + nsin)}"
    oracle = "US" if prefix in {"EZ", "ZZ", "XT", "QW", "QY"} else prefix  # the oracle does not know these
    assert stdnum.isin.calc_check_digit(right[:11]) == right[11]
    assert Isin(right).value == right
    assert stdnum.isin.is_valid(f"{oracle}{nsin}{luhn_expanded(oracle + nsin)}")
    assert is_valid(Scheme.ISIN, right[:11] + digit) == (right[11] == digit)


@pytest.mark.parametrize("prefix", ["EZ", "ZZ", "XT", "QY", "EU", "XS", "AN"])
def test_prefixes_beyond_the_countries(prefix: str) -> None:
    assert Isin.from_nsin(prefix, "ABCDEF123").country == prefix


@given(st.text(ALNUM, min_size=12, max_size=12))
def test_isin_fast_path_accepts_only_what_the_rules_accept(text: str) -> None:
    expected = text[:2] in ISIN_PREFIXES and text[11].isdigit() and luhn_expanded(text[:11]) == int(text[11])
    assert is_valid(Scheme.ISIN, text) == expected


@given(
    st.text(ALNUM + "*@#", min_size=8, max_size=8).filter(lambda body: body[0] not in "IOZ"),
    st.sampled_from(string.digits),
)
def test_cusip_agrees_with_the_oracle(body: str, digit: str) -> None:
    assert Cusip(f"{body}{double_add_double(body)}").value[8] == stdnum.cusip.calc_check_digit(body)
    assert is_valid(Scheme.CUSIP, body + digit) == stdnum.cusip.is_valid(body + digit)


@pytest.mark.parametrize("letter", "IOZ")
def test_no_cins_number_starts_with_a_letter_that_names_no_region(letter: str) -> None:
    text = f"{letter}0171911"
    assert stdnum.cusip.is_valid(text + stdnum.cusip.calc_check_digit(text))  # the oracle does not know the regions
    assert not is_valid(Scheme.CUSIP, text + stdnum.cusip.calc_check_digit(text))


@given(st.text(string.digits + CONSONANTS, min_size=6, max_size=6), st.sampled_from(string.digits))
def test_sedol_agrees_with_the_oracle(body: str, digit: str) -> None:
    assert is_valid(Scheme.SEDOL, body + digit) == stdnum_sedol.is_valid(body + digit)
    assert is_valid(Scheme.SEDOL, f"{body}{sedol_weighted(body)}") == (body.isdigit() or not body[0].isdigit())


@given(
    st.text(CONSONANTS, min_size=2, max_size=2),
    st.text(string.digits + CONSONANTS, min_size=8, max_size=8),
    st.sampled_from(string.digits),
)
def test_figi_agrees_with_the_oracle_but_for_two_prefixes(prefix: str, body: str, digit: str) -> None:
    text = f"{prefix}G{body}{digit}"
    assert is_valid(Scheme.FIGI, text) == (stdnum.figi.is_valid(text) and prefix not in EXCLUDED_PREFIXES)
    right = f"BBG{body}{double_add_double('BBG' + body)}"
    assert stdnum.figi.is_valid(right)
    assert Figi(right).provider == "BB"


@given(st.text(ALNUM, min_size=18, max_size=18), st.integers(0, 99))
def test_lei_agrees_with_the_oracle_but_for_aliases(body: str, check: int) -> None:
    text = f"{body}{check:02}"
    assert is_valid(Scheme.LEI, text) == (stdnum.lei.is_valid(text) and check not in (0, 1, 99))


@given(st.text(ALNUM, min_size=18, max_size=18))
def test_every_lei_body_has_exactly_one_pair_of_check_digits(body: str) -> None:
    assert sum(is_valid(Scheme.LEI, f"{body}{check:02}") for check in range(100)) == 1


@given(st.text(string.ascii_uppercase, min_size=6, max_size=6))
def test_what_the_oracle_takes_as_cfi_is_one(text: str) -> None:
    if stdnum.cfi.is_valid(text):
        assert is_valid(Scheme.CFI, text)


@pytest.mark.parametrize(
    "text", ["ESVUFR", "DBFTFB", "CIOGES", "RWSTCE", "OPESPS", "FFSCSX", "SRCCSP", "IFXXXP", "TIEXXX"]
)
def test_common_cfi_codes(text: str) -> None:
    assert Cfi(text).category == text[0]


def test_derived_identifiers() -> None:
    assert Isin("US0378331005").cusip() == Cusip("037833100")
    assert Isin("GB0002634946").sedol() == Sedol("0263494")
    assert Isin("DE0007164600").wkn() == "716460"
    assert Isin("DE0007164600").cusip() is None
    assert Isin("US0378331005").sedol() is None
    assert Isin("US0378331005").wkn() is None
    assert Cusip("037833100").isin("US") == Isin("US0378331005")
    assert Sedol("0263494").isin() == Isin("GB0002634946")
    assert Isin("US0378331005").nsin == "037833100"
    assert Isin("IE00B4BNMY34").sedol() == Sedol("B4BNMY3")
    assert Isin("KYG017191142").cusip() == Cusip("G01719114")
    assert Isin("AN8068571086").cusip() == Cusip("806857108")
    assert Isin("IL0010811243").cusip() is None  # its nine characters pass as a CUSIP, and are none
    assert Isin("LR0008862868").cusip() is None
    assert (Cusip("G01719114").is_cins, Cusip("037833100").is_cins) == (True, False)


def test_a_private_placement_has_no_isin() -> None:
    private = Cusip(f"12345*A@{double_add_double('12345*A@')}")
    assert private.is_private_placement
    with pytest.raises(InvalidArgument, match="cusip-no-isin"):
        private.isin()


@pytest.mark.parametrize("make", [lambda: Cusip("037833100").isin("usa"), lambda: Isin.from_nsin("QQ", "037833100")])
def test_no_isin_from_a_wrong_prefix(make: Callable[[], Isin]) -> None:
    with pytest.raises(InvalidArgument):
        make()


def test_case_folds_only_where_the_alphabet_has_capitals_alone() -> None:
    assert Isin("us0378331005") == Isin("US0378331005")
    assert parse(Scheme.RIC, "BRKa.N").value == "BRKa.N"
    assert parse(Scheme.TICKER, "aapl") != parse(Scheme.TICKER, "AAPL")
    assert not is_valid(Scheme.MIC, "xnaſ")  # long s: upper() would make it an S


def test_inner_separators_are_not_repaired() -> None:
    assert not is_valid(Scheme.ISIN, "US 0378331005")
    assert not is_valid(Scheme.ISIN, "US-0378331005")


def test_evm_addresses_have_one_spelling() -> None:
    mixed = Caip19("eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48")
    assert mixed.value == "eip155:1/erc20:0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
    assert mixed.chain == Caip2("eip155:1")
    assert (mixed.asset_namespace, mixed.reference[:6]) == ("erc20", "0xa0b8")
    solana = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp/token:EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
    assert Caip19(solana).value == solana


EIP_55 = (
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
)
"""The test cases of EIP-55 itself: all capitals, all lower case, mixed."""


@pytest.mark.parametrize("address", EIP_55)
def test_checksums_of_evm_addresses(address: str) -> None:
    assert checksum_address(address.lower()) == address
    for spelling in (address, address.lower(), "0x" + address[2:].upper()):
        assert Caip19(f"eip155:1/erc20:{spelling}").value == f"eip155:1/erc20:{address.lower()}"


@given(st.integers(0, (1 << 160) - 1), st.integers(2, 41))
def test_one_letter_in_the_other_case_breaks_the_checksum(number: int, place: int) -> None:
    address = checksum_address(f"0x{number:040x}")
    swapped = address[:place] + address[place].swapcase() + address[place + 1 :]
    one_case = swapped[2:] in (swapped[2:].lower(), swapped[2:].upper())
    expected = swapped == address or one_case
    assert is_valid(Scheme.CAIP19, f"eip155:1/erc20:{swapped}") == expected
    assert (broken_checksum(swapped) is None) == expected


DTI_ALPHABET = "0123456789BCDFGHJKLMNPQRSTVWXZ"


@given(st.text(DTI_ALPHABET, min_size=8, max_size=8), st.sampled_from(DTI_ALPHABET), st.integers(0, 8))
def test_a_dti_has_one_check_character_and_no_two_differ_in_one_place(body: str, other: str, place: int) -> None:
    right = [body + last for last in DTI_ALPHABET if is_valid(Scheme.DTI, body + last)]
    assert len(right) == (body[0] != "0")
    for text in right:
        changed = text[:place] + other + text[place + 1 :]
        assert is_valid(Scheme.DTI, changed) == (changed == text)


def test_occ_parts() -> None:
    option = OccSymbol("AAPL  240119C00100500")
    assert (option.root, option.expiry, option.is_call) == ("AAPL", date(2024, 1, 19), True)
    assert option.strike_thousandths == 100_500


def test_mic_membership_is_data() -> None:
    Mic("XNAS").require_member({"XNAS"})
    with pytest.raises(InvalidArgument, match="mic-unknown"):
        Mic("XQQQ").require_member({"XNAS"}, "listing.venue")


def test_identifiers_are_values() -> None:
    assert len({Isin("US0378331005"), Isin("us0378331005")}) == 1
    assert len({parse(Scheme.TICKER, "AAPL"), parse(Scheme.RIC, "AAPL")}) == 2
    with pytest.raises(AttributeError):
        Isin("US0378331005").value = "other"  # type: ignore[misc]
    assert not hasattr(Isin("US0378331005"), "__dict__")
    assert str(Lei("5493001KJTIIGC8Y1R12")) == "5493001KJTIIGC8Y1R12"


def test_fix_codes_and_levels() -> None:
    assert (Scheme.ISIN.fix_code, Scheme.FIGI.fix_code, Scheme.CFI.fix_code) == ("4", "S", None)
    assert all(Scheme.from_fix(scheme.fix_code) is scheme for scheme in Scheme if scheme.fix_code)
    assert Scheme.from_fix("?") is None
    assert Scheme.LEI.levels == {Level.ISSUER}
    assert Scheme.OWN.levels == set(Level)
