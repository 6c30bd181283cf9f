"""Public keys of Solana: 32 bytes, written in base 58 with Bitcoin's alphabet.

Source: https://datatracker.ietf.org/doc/html/draft-msporny-base58-03
"""

from __future__ import annotations

from typing import Final

from alphapulse.domain.errors import InvalidArgument

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES: Final = {letter: place for place, letter in enumerate(_ALPHABET)}
_BYTES: Final = 32
_MOST: Final = 44


def key_of(raw: bytes) -> str:
    """32 bytes as their text."""
    number, digits = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = _ALPHABET[digit] + digits
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + digits


def checked_key(text: str, field: str) -> str:
    """A key's text. Raises InvalidArgument, rule `solana-key`."""
    number = 0
    for letter in text[: _MOST + 1]:
        number = 58 * number + _VALUES.get(letter, 0)
    fits = len(text) <= _MOST and _VALUES.keys() >= set(text) and number < 1 << (8 * _BYTES)
    if not fits or key_of(number.to_bytes(_BYTES, "big")) != text:
        raise InvalidArgument.field(field, text[:80], "solana-key", "32 bytes in base 58")
    return text
