"""Messages put together from parts that are serialized already: a field is its tag, its length and its bytes."""

from __future__ import annotations

from typing import Final

_ONE_BYTE: Final = tuple([bytes((number,)) for number in range(0x80)])


def varint(number: int) -> bytes:
    """An unsigned number, seven bits a byte, the lowest first."""
    if number < 0x80:
        return _ONE_BYTE[number]
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def chunk(field: int, body: bytes) -> bytes:
    """A length-delimited field."""
    return varint(field << 3 | 2) + varint(len(body)) + body


def number(field: int, value: int) -> bytes:
    """A varint field; nothing for 0, as proto3 writes it."""
    return varint(field << 3) + varint(value) if value else b""


def text(field: int, value: str) -> bytes:
    """A string field; nothing for an empty one."""
    return chunk(field, value.encode()) if value else b""
