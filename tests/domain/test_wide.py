"""Amounts of 256 bits, held against Python's own integers and decimals."""

from __future__ import annotations

from decimal import Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.wide import WideDecimal, mantissa_of, words_of

WIDE = st.one_of(st.integers(0, 2**256 - 1), st.integers(0, 255).map(lambda bit: 1 << bit))


@given(WIDE)
def test_words_hold_all_of_a_mantissa(mantissa: int) -> None:
    words = words_of(mantissa)
    assert b"".join(word.to_bytes(8, "little") for word in words) == mantissa.to_bytes(32, "little")
    assert mantissa_of(words) == mantissa


@given(WIDE, st.integers(-36, 36))
def test_a_wide_decimal_is_the_number(mantissa: int, exponent: int) -> None:
    wide = WideDecimal(mantissa, exponent)
    assert wide.to_decimal() == Decimal(mantissa).scaleb(exponent, Context(prec=200))
    assert Decimal(str(wide)) == wide.to_decimal()


@given(WIDE, st.integers(-36, 36))
def test_its_text_is_read_again(mantissa: int, exponent: int) -> None:
    wide = WideDecimal(mantissa, exponent)
    assert WideDecimal.parse(str(wide)) == wide
    assert WideDecimal.of(mantissa) == WideDecimal(mantissa)


@given(st.integers(0, 2**62), st.integers(0, 40))
def test_it_equals_the_same_number_written_otherwise(mantissa: int, zeros: int) -> None:
    wide, plain = WideDecimal(mantissa * 10**zeros, -zeros), ExactDecimal(mantissa)
    assert (wide, hash(wide)) == (plain, hash(plain))
    assert not wide < plain
    assert wide < ExactDecimal(mantissa + 1)


@pytest.mark.parametrize(("mantissa", "exponent"), [(2**256, 0), (-1, 0), (1, 128), (1, -129)])
def test_what_no_wide_decimal_holds_is_refused(mantissa: int, exponent: int) -> None:
    with pytest.raises(InvalidArgument, match="decimal-oversize"):
        WideDecimal(mantissa, exponent)


@pytest.mark.parametrize("text", ["-1", str(2**256), "1e128", "NaN", ""])
def test_texts_of_other_numbers_are_refused_by_their_field(text: str) -> None:
    with pytest.raises(InvalidArgument) as found:
        WideDecimal.parse(text, "size")
    assert found.value.violations[0].field == "size"


@pytest.mark.parametrize("mantissa", [-1, 2**256])
def test_words_of_more_bits_are_none(mantissa: int) -> None:
    with pytest.raises(ValueError, match="256 bits"):
        words_of(mantissa)
