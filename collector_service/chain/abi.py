"""The few types of Solidity's ABI that events and answers of pools need: words of 32 bytes, big-endian.

Source: the contract ABI specification, https://docs.soliditylang.org/en/latest/abi-spec.html
"""

from __future__ import annotations

import re
from typing import Final

from alphapulse.domain.errors import InvalidArgument

WORD: Final = 32
_HEX: Final = re.compile(r"0x[0-9a-fA-F]*")
_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")
_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}")
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_MAX_TEXT: Final = 256
_MAX_ARRAY: Final = 64


def quantity(text: str | None, field: str = "quantity") -> int:
    """A number as JSON-RPC writes it, `0x1b4`. Raises InvalidArgument, rule `quantity-format`."""
    if text is None or _QUANTITY.fullmatch(text) is None:
        raise _broken(field, text, "quantity-format", "0x and 1 to 64 hexadecimal digits")
    return int(text, 16)


def block_hash(text: str | None, field: str = "blockHash") -> str:
    """A hash of 32 bytes, in small letters. Raises InvalidArgument, rule `hash-format`."""
    if text is None or _HASH.fullmatch(text) is None:
        raise _broken(field, text, "hash-format", "0x and 64 hexadecimal digits")
    return text.lower()


def address(text: str | None, field: str = "address") -> str:
    """An address, in small letters. Raises InvalidArgument, rule `address-format`."""
    if text is None or _ADDRESS.fullmatch(text) is None:
        raise _broken(field, text, "address-format", "0x and 40 hexadecimal digits")
    return text.lower()


def data(text: str | None, field: str = "data") -> bytes:
    """Bytes. Raises InvalidArgument, rule `data-format`."""
    if text is None or len(text) % 2 or _HEX.fullmatch(text) is None:
        raise _broken(field, text, "data-format", "0x and hexadecimal digits, two a byte")
    return bytes.fromhex(text[2:])


def unsigned(raw: bytes, place: int, bits: int = 256) -> int:
    """The uintN at a word. Raises InvalidArgument where it is not there, or is wider than its type."""
    value = int.from_bytes(_word(raw, place), "big")
    if value >> bits:
        raise _broken("data", value, "word-range", f"word {place} is a uint{bits}")
    return value


def signed(raw: bytes, place: int, bits: int = 256) -> int:
    """The intN at a word, two's complement over the whole word. Raises InvalidArgument where it is not there, or is wider than its type."""
    value = int.from_bytes(_word(raw, place), "big", signed=True)
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise _broken("data", value, "word-range", f"word {place} is an int{bits}")
    return value


def address_at(raw: bytes, place: int) -> str:
    """The address at a word, in small letters. Raises InvalidArgument."""
    return f"0x{unsigned(raw, place, 160):040x}"


def addresses(raw: bytes, place: int = 0) -> tuple[str, ...]:
    """The `address[]` whose offset stands at a word. Raises InvalidArgument."""
    start = unsigned(raw, place, 64)
    if start % WORD:
        raise _broken("data", start, "array-offset", "an array begins at a word")
    first = start // WORD
    count = unsigned(raw, first, 64)
    if count > _MAX_ARRAY:
        raise _broken("data", count, "array-length", f"{_MAX_ARRAY} at most")
    return tuple(address_at(raw, first + 1 + number) for number in range(count))


def word(value: int) -> bytes:
    """A number as a word, two's complement below 0."""
    return (value % (1 << 256)).to_bytes(WORD, "big")


def text(raw: bytes) -> str:
    """The one `string` of an answer; the first tokens (MKR) answer with a `bytes32` instead. Raises InvalidArgument."""
    if len(raw) == WORD:
        body = raw.rstrip(b"\0")
    else:
        start = unsigned(raw, 0, 64)
        if start % WORD:
            raise _broken("data", start, "text-offset", "a string begins at a word")
        length = unsigned(raw, start // WORD, 64)
        body = raw[start + WORD : start + WORD + length]
        if len(body) != length or length > _MAX_TEXT:
            raise _broken("data", length, "text-length", f"the bytes it announces, {_MAX_TEXT} at most")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise _broken("data", body.hex(), "text-format", "UTF-8") from error


def _word(raw: bytes, place: int) -> bytes:
    found = raw[place * WORD : (place + 1) * WORD]
    if len(found) != WORD:
        raise _broken("data", len(raw), "word-missing", f"at least {place + 1} words of {WORD} bytes")
    return found


def _broken(field: str, value: object, rule: str, description: str) -> InvalidArgument:
    return InvalidArgument.field(field, str(value)[:80], rule, description)
