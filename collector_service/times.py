"""From a venue's time to nanoseconds since the Unix epoch. 0 means that the venue gave none."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from collector_service.amounts import parse_amount

Millis = Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000_000)]
"""Milliseconds since the Unix epoch, in a message."""
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A number of the venue's: of a trade or an update."""

NANOS_PER_MILLI: Final = 1_000_000
_NANOS: Final = 1_000_000_000
_SECOND_LENGTH: Final = len("2021-04-17T16:44:07")
_LATEST: Final = 9_000_000_000
"""Seconds since the Unix epoch, in the year 2255: what nanoseconds in 64 signed bits hold, with room."""


def nanos_of_iso(text: str) -> int:
    """`2021-04-17T16:44:07.849205Z`, up to nine digits of a second, UTC, 1970 to 2255. Raises InvalidArgument, rule
    `time-format`."""
    fraction = text[_SECOND_LENGTH:].rstrip("Z")
    digits = fraction[1:]
    well_formed = text.endswith("Z") and (
        not fraction or (fraction[0] == "." and len(digits) <= 9 and digits.isdecimal() and digits.isascii())
    )
    if not well_formed:
        raise _no_time(text)
    second = _second(text[:_SECOND_LENGTH])
    if not 0 <= second <= _LATEST:
        raise _no_time(text)
    return second * _NANOS + int(digits.ljust(9, "0") or 0)


def nanos_of_seconds(text: str) -> int:
    """`1618678157.908269`, exactly. Raises InvalidArgument."""
    mantissa, exponent = parse_amount(text)
    if not -9 <= exponent <= 0 or mantissa > _LATEST * 10**-exponent:
        raise _no_time(text)
    return int(mantissa * 10 ** (9 + exponent))


@lru_cache(maxsize=64)
def _second(text: str) -> int:
    try:
        return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp())
    except ValueError as error:
        raise _no_time(text) from error


def _no_time(text: str) -> InvalidArgument:
    return InvalidArgument.field("time", text, "time-format", "not a time in the venue's format")
