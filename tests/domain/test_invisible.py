"""Characters that nobody sees: refused where they could pass one name off as another, allowed where a script or a sign needs them."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers import Scheme, identifier_type
from alphapulse.domain.invisible import broken_sight


@pytest.mark.parametrize(
    "char",
    [
        *(chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))),
        *"\u00ad\u034f\u061c\u115f\u200b\u200c\u200d\u200e\u200f\u2028\u2060\u2063\u2800\u3164\ufe0f\ufeff\uffa0\U000e0041\U000e0100",
    ],
)
@pytest.mark.parametrize("text", ["Ap{}ple", "{}Apple", "Apple{}", "Сбербанк{}", "日本{}A", "A{}א"])
def test_what_nobody_sees_is_told_by_its_number(char: str, text: str) -> None:
    if char == "\U000e0100" and text.startswith("日本"):
        return  # there it is a variant of a character
    told = broken_sight(text.format(char))
    assert told is not None
    assert f"U+{ord(char):04X}" in told


@pytest.mark.parametrize(
    "text",
    [
        "Apple Inc. – Société Générale",
        "می\u200cخواهم",  # Persian: a plural that does not join
        "क्\u200dष",  # Hindi: a half form
        "ശ്രീ\u200c",
        "葛\U000e0100城",  # the variant of a place's name
        "❤\ufe0f Coin",
        "👨\u200d👩\u200d👧",
        "👩🏽\u200d🚀",
        "❤\ufe0f\u200d🔥",
        "ᠮᠣᠩᠭᠣᠯ\u180b",
        "שלום עולם",
        "ｱｯﾌﾟﾙ",
    ],
)
def test_what_a_script_or_a_sign_needs_is_text(text: str) -> None:
    assert broken_sight(text) is None


def test_every_format_character_is_judged() -> None:
    """Those of Unicode that are seen by themselves are the only ones taken: signs over numbers, controls of hieroglyphs and notations."""
    taken = [
        char
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(char := chr(code)) == "Cf" and broken_sight(f"a{char}a") is None
    ]
    assert {unicodedata.name(char).split()[0] for char in taken} == {"ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN"}


@pytest.mark.parametrize("scheme", [Scheme.TICKER, Scheme.EXCHANGE_SYMBOL])
def test_a_symbol_is_told_by_the_same_rule(scheme: Scheme) -> None:
    with pytest.raises(InvalidArgument) as caught:
        identifier_type(scheme).canonical("BTC\u202eDSU", "symbol")
    assert [one.rule for one in caught.value.violations] == ["text-invisible"]
