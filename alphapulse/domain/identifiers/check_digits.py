"""The check digits of the securities schemes. The callers have checked the alphabet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

_VALUE: Final = {char: value for value, char in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*@#")}
_EXPANDED: Final = {char: str(value) for char, value in _VALUE.items()}
_COMPLEMENT: Final = "0987654321"
"""The check digit by the last digit of the sum."""
_SEDOL_WEIGHTS: Final = (1, 3, 1, 7, 3, 9)


def _digit_sum(number: int) -> int:
    return sum(map(int, str(number)))


def _by_code(contribution: Callable[[int], int]) -> bytes:
    """A translation table from a character's code to what it adds to the sum; 0 for foreign characters."""
    table = bytearray(256)
    for char, value in _VALUE.items():
        table[ord(char)] = contribution(value)
    return bytes(table)


_PLAIN: Final = _by_code(_digit_sum)
_DOUBLED: Final = _by_code(lambda value: _digit_sum(2 * value))


def luhn_expanded(payload: str) -> int:
    """ISIN (ISO 6166 annex): letters become two digits (A=10), then Luhn from the right, the last digit doubled."""
    digits = [int(digit) for char in payload for digit in _EXPANDED[char]]
    return -sum(digits[-2::-2] + [_digit_sum(2 * digit) for digit in digits[-1::-2]]) % 10


# A whole ISIN is checked two characters at a time, from the right. A chunk adds a sum that depends on whether its last
# digit is doubled, and tells whether the next chunk's is: the 1000 in the entry, which mod 10 does not see.
_NEXT_DOUBLED: Final = 1000


def _chunk_entry(chunk: str, doubled: bool) -> int:
    total = 0
    for char in reversed(chunk):
        for digit in reversed(_EXPANDED[char]):
            total += _digit_sum(int(digit) * (1 + doubled))
            doubled = not doubled
    return total + _NEXT_DOUBLED * doubled


_ALPHANUMERIC: Final = tuple(_VALUE)[:36]
_CHUNKS: Final = tuple(
    {first + second: _chunk_entry(first + second, doubled) for first in _ALPHANUMERIC for second in _ALPHANUMERIC}
    for doubled in (False, True)
)


def isin_sum_is_right(text: str) -> bool:
    """Whether twelve capitals and digits, the check digit among them, pass: the fast form of `luhn_expanded`.

    False too for characters outside the alphabet.
    """
    plain, doubled = _CHUNKS
    try:  # unrolled: a loop costs a quarter more on the look-up path
        total = entry = plain[text[10:12]]
        total += (entry := (doubled if entry >= _NEXT_DOUBLED else plain)[text[8:10]])
        total += (entry := (doubled if entry >= _NEXT_DOUBLED else plain)[text[6:8]])
        total += (entry := (doubled if entry >= _NEXT_DOUBLED else plain)[text[4:6]])
        total += (entry := (doubled if entry >= _NEXT_DOUBLED else plain)[text[2:4]])
        total += (doubled if entry >= _NEXT_DOUBLED else plain)[text[:2]]
    except KeyError:
        return False
    return total % 10 == 0


@cache
def _beginnings(prefixes: tuple[str, ...], first: str) -> tuple[Sequence[tuple[str, int]], Sequence[tuple[str, int]]]:
    """What each prefix adds together with the first character behind it: where that character's last digit is plain, and where it is
    doubled."""
    plain, doubled = ([(one, _chunk_entry(one + first, twice)) for one in prefixes] for twice in (False, True))
    return plain, doubled


def isins_around(nsin: str, prefixes: tuple[str, ...]) -> list[str]:
    """The ISINs of these prefixes around the nine capitals and digits of an NSIN: the fast form of `luhn_expanded` for each. KeyError for
    other characters. What the prefixes add is kept for as long as the process lives: they are one of a few constants."""
    plain, doubled = _CHUNKS
    total = entry = doubled[nsin[7:]]
    total += (entry := (doubled if entry >= _NEXT_DOUBLED else plain)[nsin[5:7]])
    total += (entry := (doubled if entry >= _NEXT_DOUBLED else plain)[nsin[3:5]])
    total += (entry := (doubled if entry >= _NEXT_DOUBLED else plain)[nsin[1:3]])
    beginnings = _beginnings(prefixes, nsin[0])[entry >= _NEXT_DOUBLED]
    return [prefix + nsin + _COMPLEMENT[(total + added) % 10] for prefix, added in beginnings]


def double_add_double(payload: str) -> int:
    """CUSIP (ANSI X9.6) and FIGI: each character's value (A=10), every second doubled, the digits of all summed."""
    codes = payload.encode()
    return -(sum(codes[::2].translate(_PLAIN)) + sum(codes[1::2].translate(_DOUBLED))) % 10


def sedol_weighted(payload: str) -> int:
    """SEDOL: values (B=11) by the weights 1 3 1 7 3 9, the sum filled up to the next ten."""
    return -sum([_VALUE[char] * weight for char, weight in zip(payload, _SEDOL_WEIGHTS, strict=True)]) % 10


DTI_ALPHABET: Final = "0123456789BCDFGHJKLMNPQRSTVWXZ"
_DTI_VALUE: Final = {char: value for value, char in enumerate(DTI_ALPHABET)}


def mod_31_30(payload: str) -> str:
    """DTI: the check character of ISO/IEC 7064's hybrid system MOD 31,30 over the DTI's thirty characters."""
    product = 30
    for char in payload:
        product = ((_DTI_VALUE[char] + product) % 30 or 30) * 2 % 31
    return DTI_ALPHABET[(31 - product) % 30]


def mod_97(text: str) -> int:
    """ISO 7064 MOD 97-10 over letters expanded to two digits: 1 for a text whose last two digits are right."""
    return int("".join([_EXPANDED[char] for char in text])) % 97
