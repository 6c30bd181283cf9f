"""DBN's records as they come, without an object of the library for each. Layouts: DBN version 3, to which the library upgrades older ones,
https://databento.com/docs/standards-and-conventions/databento-binary-encoding; a test holds them to the library's own reading.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final, NamedTuple

from alphapulse.domain.errors import InvalidArgument
from collector_service.amounts import Amount

TRADES: Final = 0
QUOTES: Final = 1
BOOKS: Final = 10
STATUS: Final = 18
ERROR: Final = 21
MAPPING: Final = 22
SYSTEM: Final = 23
"""Kinds of records (`rtype`) that are read here."""

LAST: Final = 1 << 7
"""The last record of an event: before it, a book is on its way from one state to the next."""
MAYBE_BAD_BOOK: Final = 1 << 2
"""Packets were lost on the way to Databento."""
_DIGITS: Final = 9
_NO_PRICE: Final = 2**63 - 1
_NO_TIME: Final = 2**64 - 1
_LENGTH_UNIT: Final = 4
_HEAD: Final = struct.Struct("<BBHIQ")
_EVENT: Final = struct.Struct("<qIccBB")
_LEVEL: Final = struct.Struct("<qqIIII")
_STATUS: Final = struct.Struct("<H")
_MAPPING: Final = struct.Struct("<B71sB71sQQ")
_TEXT_BEGIN: Final = 16
_TEXT_END: Final = -4
_EVENT_SIZE: Final = 48
_STATUS_AT: Final = 24


class Event(NamedTuple):
    """What trades, quotes and books have in common."""

    price: int
    size: int
    action: bytes
    side: bytes
    flags: int
    depth: int


class Mapping(NamedTuple):
    """Which symbol an instrument's number stands for, from when to when (exclusive), nanoseconds since the Unix epoch; 0: not said."""

    symbol: str
    start_ns: int
    end_ns: int


class Told(NamedTuple):
    """What the gateway says of itself."""

    code: int
    text: str


Level = tuple[int, int, int, int, int, int]
"""Bid and ask prices, bid and ask sizes, counts of orders."""


def head(data: bytes) -> tuple[int, int, int]:
    """(kind, number of the instrument, time of the event: nanoseconds since the Unix epoch, 0 where it has none). Raises struct.error or
    InvalidArgument for what is no record."""
    length, kind, _, number, time_ns = _HEAD.unpack_from(data)
    if length * _LENGTH_UNIT != len(data):
        raise InvalidArgument.field("length", str(length), "record-length", f"of {len(data)} bytes, in units of four")
    return kind, number, when(time_ns)


def event(data: bytes) -> Event:
    """A trade, or the event that changed a quote or a book."""
    return Event._make(_EVENT.unpack_from(data, _HEAD.size))


def levels(data: bytes) -> list[Level]:
    """The levels of a quote or a book, the best first."""
    return list(_LEVEL.iter_unpack(data[_EVENT_SIZE:]))


def status(data: bytes) -> int:
    """The action of a status: StatusAction."""
    found: int = _STATUS.unpack_from(data, _STATUS_AT)[0]
    return found


def mapping(data: bytes) -> Mapping:
    """A record that maps a number to a symbol."""
    _, _, _, symbol, start_ns, end_ns = _MAPPING.unpack_from(data, _HEAD.size)
    return Mapping(_text(symbol), when(start_ns), when(end_ns))


def told(data: bytes) -> Told:
    """An error, or a message of the gateway. The code of an error stands before its mark of the last of several."""
    code = data[-2] if data[1] == ERROR else data[-1]
    return Told(code, _text(data[_TEXT_BEGIN:_TEXT_END]))


def when(time_ns: int) -> int:
    """A time, 0 for none."""
    return 0 if time_ns == _NO_TIME else time_ns


@lru_cache(maxsize=1 << 16)
def price(units: int) -> Amount | None:
    """A price in units of 1e-9, exactly and without the zeros that nobody wrote; None where there is none. Raises InvalidArgument below zero."""
    if units == _NO_PRICE:
        return None
    if units < 0:
        raise InvalidArgument.field("price", str(units), "amount-negative", "a price is not below zero here")
    exponent = -_DIGITS
    while exponent < 0 and units % 10 == 0:
        units, exponent = units // 10, exponent + 1
    return units, exponent


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode()
