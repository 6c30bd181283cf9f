"""Messages put together as bytes: a field is its tag, and for a text or a message its length and its bytes.

An import builds a request from columns, a field of a thousand rows at a time; bytes joined are several times cheaper than
messages built and serialized, and every parser reads the same from them.
"""

from __future__ import annotations

from typing import Final

_SMALL: Final = 1 << 12


def varint(number: int) -> bytes:
    """An unsigned number below 2**64, seven bits a byte, the lowest first; a negative one in two's complement, as protobuf has it."""
    number &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_SIZES: Final = [varint(number) for number in range(_SMALL)]


def size(number: int) -> bytes:
    """The varint of a length."""
    return _SIZES[number] if number < _SMALL else varint(number)


def length_tag(field: int) -> bytes:
    """The tag of a text, bytes or message field."""
    return varint(field << 3 | 2)


def number_tag(field: int) -> bytes:
    """The tag of a number, enum or bool field."""
    return varint(field << 3)


def chunk(tag: bytes, body: bytes) -> bytes:
    """A text, bytes or message field; `tag` as `length_tag` gives it."""
    length = len(body)
    return tag + (_SIZES[length] if length < _SMALL else varint(length)) + body


def number_field(tag: bytes, number: int) -> bytes:
    """An int32, int64, uint32, enum or bool field; nothing for 0, as proto3 writes it."""
    return tag + varint(number) if number else b""
