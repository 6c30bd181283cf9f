"""Entries as they were sent: their bytes taken apart at the name and at the identifiers' values, without a message being asked.

Only what serializers of protobuf write is understood: fields in their order, each once. Whatever is spelled otherwise is not taken
apart, and its message is read instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from registry_service.framing import chunk, number

_ASSET_CLASS, NAME, _STATUS, _IDENTIFIER = 0x10, 0x1A, 0x20, 0x2A
"""The tags of an Instrument's fields 2 to 5."""
_SCHEME, _VALUE = 0x08, 0x12
"""Of an IdentifierAssertion's fields 1 and 2."""
_BATCH_ID, _ENTRY, _WRITE = 0x08, 0x12, 0x1A
"""Of a RegisterInstrumentsRequest's fields."""
_INSTRUMENT: Final = 0x0A
"""Of an InstrumentEntry's field 1."""
_MORE: Final = 0x80
"""Set in each byte of a number but the last."""
_made: Final = tuple.__new__
"""Makes a named tuple in half the time."""


class Spelling(NamedTuple):
    """An instrument's bytes."""

    around: tuple[bytes, ...]
    """Everything but the name and the values, in order; without what says how long the name is."""
    name: bytes
    values: Sequence[bytes]


def taken_apart(raw: bytes) -> Spelling | None:
    """An Instrument that begins with class, name, status and identifiers, each with scheme and value; None for any other."""
    try:
        begin = 2 if raw[0] == _ASSET_CLASS else 0
        if raw[begin] != NAME:
            return None
        head, size = raw[:begin], raw[begin + 1]
        begin += 2
        if size >= _MORE:
            size += (raw[begin] - 1) * _MORE
            if raw[begin] >= _MORE:
                return None
            begin += 1
        at = begin + size
        name = raw[begin:at]
        around, values = [head], []
        if raw[at] == _STATUS:
            around.append(raw[at : at + 2])
            at += 2
        while raw[at] == _IDENTIFIER:
            end = at + 2 + raw[at + 1]
            value = at + 6
            rest = value + raw[at + 5]
            if raw[at + 2] != _SCHEME or raw[at + 4] != _VALUE or raw[at + 1] >= _MORE or rest > end:
                return None
            around += (raw[at:value], raw[rest:end])
            values.append(raw[value:rest])
            at = end
    except IndexError:
        return None
    around.append(raw[at:])
    return _made(Spelling, (tuple(around), name, values))


def spelled(asset_class: int, name: bytes, status: int, identifiers: Sequence[bytes], rest: bytes) -> bytes:
    """An Instrument as it is written that says this and nothing else. `rest`: the fields behind its identifiers."""
    fields = [number(2, asset_class), chunk(3, name), number(4, status), *[chunk(5, one) for one in identifiers], rest]
    return b"".join(fields)


def instruments_of(raw: bytes) -> list[bytes] | None:
    """The instruments of a RegisterInstrumentsRequest's entries, in order; no bytes for an entry that has more than an instrument. None
    where the request says something else, too."""
    found: list[bytes] = []
    at, end = 0, len(raw)
    try:
        while at < end:
            tag = raw[at]
            if tag == _BATCH_ID:
                _, at = _number(raw, at + 1)
                continue
            if tag not in (_ENTRY, _WRITE):
                return None
            size, begin = _number(raw, at + 1)
            at = begin + size
            if tag == _ENTRY:
                inner, start = _number(raw, begin + 1) if size else (0, begin)
                whole = size and raw[begin] == _INSTRUMENT and start + inner == at
                found.append(raw[start:at] if whole else b"")
    except IndexError:
        return None
    return found


def _number(raw: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = raw[at]
    if value < _MORE:
        return value, at + 1
    after = raw[at + 1]
    if after < _MORE:
        return value + (after - 1) * _MORE, at + 2
    value, shift = value & 0x7F | (after & 0x7F) << 7, 14
    at += 2
    while raw[at] >= _MORE:
        value |= (raw[at] & 0x7F) << shift
        shift += 7
        at += 1
    return value | raw[at] << shift, at + 1
