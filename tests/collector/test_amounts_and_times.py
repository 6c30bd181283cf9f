"""Numbers and times from a venue's text, exactly."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.errors import InvalidArgument
from collector_service.amounts import at_one_exponent, fitted, parse_amount, price_key
from collector_service.compiler.values import iso, seconds


@given(st.decimals(min_value=0, max_value=Decimal("1e15"), places=12, allow_nan=False, allow_infinity=False))
def test_an_amount_is_the_number_in_the_text(value: Decimal) -> None:
    mantissa, exponent = parse_amount(f"{value:f}")
    assert Decimal(mantissa).scaleb(exponent) == value


@pytest.mark.parametrize("text", ["", ".", "-1", "NaN", "inf", "1,000", " 1", "1_000", "٣", "0x10", "1e99", "1" * 200])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_amount(text)


@pytest.mark.parametrize(("one", "two"), [("1", "1.000"), ("0.10", "1e-1"), ("250", "2.5e2")])
def test_equal_prices_have_one_key(one: str, two: str) -> None:
    assert price_key(parse_amount(one)) == price_key(parse_amount(two))


def test_what_does_not_fit_64_bits_is_marked_not_cut() -> None:
    assert fitted(parse_amount("12345678901234567890")) == (1234567890123456789, 1)
    assert fitted(parse_amount("12345678901234567891")) is None
    assert at_one_exponent((1, 0), (1, -30)) is None
    assert at_one_exponent((15, -1), (2, 0)) == (15, 20, -1)


def test_times() -> None:
    assert iso("2021-04-17T16:44:07.849205Z") == 1618677847_849205000
    assert (
        iso("2021-04-17T16:44:07Z")
        == iso("2021-04-17T16:44:07")
        == iso("2021-04-17T18:44:07+02:00")
        == 1618677847_000000000
    )
    assert iso("2021-04-17T16:44Z") == iso("2021-04-17T18:44+02:00") == iso("2021-04-17T16:44:00Z")
    assert iso("2021-04-17") == 1618617600_000000000
    assert iso("") == iso(None) == 0
    assert seconds("1618678157.908269") == 1618678157_908269000
    for text in ("yesterday", "2021-13-17T16:44:07Z", "2021-04-17T16:44", "1900-01-01", "2021-04-17T16:44:07.Z", 7):
        with pytest.raises(InvalidArgument):
            iso(text)
    with pytest.raises(InvalidArgument):
        seconds("9e30")
