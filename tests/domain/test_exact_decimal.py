"""Exact decimals: what the venue wrote is what comes out, or a refusal; never a rounded value."""

from __future__ import annotations

from decimal import Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.decimal import INT64_MAX, INT64_MIN, ExactDecimal, parse_unbounded
from alphapulse.domain.errors import InvalidArgument

EXACT = st.builds(ExactDecimal, st.integers(INT64_MIN, INT64_MAX), st.integers(-128, 127))
SMALL = st.builds(ExactDecimal, st.integers(-1000, 1000), st.integers(-4, 4))


@pytest.mark.parametrize(
    ("text", "mantissa", "exponent"),
    [
        ("0.00100000", 100000, -8),
        ("-3", -3, 0),
        ("+3.", 3, 0),
        (".5", 5, -1),
        ("1e-8", 1, -8),
        ("1.5E+3", 15, 2),
        ("-0", 0, 0),
        ("9223372036854775807", INT64_MAX, 0),
        ("-9223372036854775808", INT64_MIN, 0),
        ("1.0000000000000000000000000", 1, 0),
        ("100000000000000000000000000", 1, 26),
    ],
)
def test_parse_keeps_the_digits(text: str, mantissa: int, exponent: int) -> None:
    made = ExactDecimal.parse(text)
    assert (made.mantissa, made.exponent) == (mantissa, exponent)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("9223372036854775808", "decimal-oversize"),
        ("-9223372036854775809", "decimal-oversize"),
        ("0.123456789012345678901234567890", "decimal-oversize"),
        ("1e200", "decimal-oversize"),
        ("1e-200", "decimal-oversize"),
        ("1e99999", "decimal-format"),
        ("", "decimal-format"),
        (".", "decimal-format"),
        ("e5", "decimal-format"),
        ("NaN", "decimal-format"),
        ("Infinity", "decimal-format"),
        (" 1", "decimal-format"),
        ("1,000", "decimal-format"),
        ("1_000", "decimal-format"),
        ("٣", "decimal-format"),
        ("1" * 10_000_000, "decimal-length"),
    ],
)
def test_what_is_not_exact_is_refused(text: str, rule: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        ExactDecimal.parse(text, "trade.price")
    (violation,) = caught.value.violations
    assert (violation.field, violation.rule) == ("trade.price", rule)


@given(EXACT)
def test_text_and_decimal_round_trip(value: ExactDecimal) -> None:
    assert ExactDecimal.of(value.to_decimal()) == value
    if value.exponent <= 0 and value.exponent > -100:
        back = ExactDecimal.parse(str(value))
        assert (back.mantissa, back.exponent) == (value.mantissa, value.exponent)
    assert Decimal(str(value)) == value.to_decimal()


@given(EXACT, EXACT)
def test_order_is_that_of_decimal(left: ExactDecimal, right: ExactDecimal) -> None:
    wide = Context(prec=400)
    compared = wide.compare(left.to_decimal(), right.to_decimal())
    assert (left < right, left == right, left > right) == (compared < 0, compared == 0, compared > 0)


@given(SMALL, SMALL)
def test_equal_values_hash_alike(left: ExactDecimal, right: ExactDecimal) -> None:
    assert (left == right) == (left.to_decimal() == right.to_decimal())
    assert left != right or hash(left) == hash(right)


@given(EXACT)
def test_normalised_is_the_same_value(value: ExactDecimal) -> None:
    normal = value.normalised()
    assert normal == value
    assert normal.normalised() == normal


@given(st.integers(-(10**6), 10**6), st.integers(1, 500), st.integers(-6, 2))
def test_grid(count: int, step: int, exponent: int) -> None:
    tick = ExactDecimal(step, exponent)
    assert ExactDecimal(count * step, exponent).is_multiple_of(tick)
    assert ExactDecimal((count * step) * 10 + 1, exponent - 1).is_multiple_of(tick) is False


def test_a_chain_amount_of_256_bits_is_carried_whole() -> None:
    assert parse_unbounded(str(2**256 - 1)) == (2**256 - 1, 0)


def test_bounds_hold_for_made_values_too() -> None:
    with pytest.raises(InvalidArgument):
        ExactDecimal(2**63)
    with pytest.raises(InvalidArgument):
        ExactDecimal(1, 128)
