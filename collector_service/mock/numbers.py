"""Numbers, times and sides in a venue's form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from collector_service.amounts import Amount
from collector_service.mock.blanks import Blank, Render
from collector_service.mock.draft import UnwritableError, encoded
from collector_service.spec import fields

_NANOS: Final = 10**9
UNKNOWN_SIDE: Final = "mock-unknown"
_UNITS: Final[Mapping[type, int]] = {
    fields.Seconds: _NANOS,
    fields.Millis: 10**6,
    fields.Micros: 10**3,
    fields.Nanos: 1,
}


@dataclass(frozen=True, slots=True)
class Form:
    """How numbers are written where the specification leaves it open."""

    bare: bool = False
    """Without quotes."""
    powers: bool = False
    """With an exponent: 1E-8."""


def decimal_text(amount: Amount) -> str:
    """As venues write it, with every digit: `0.0010`."""
    mantissa, exponent = amount
    sign, digits = ("-" if mantissa < 0 else ""), str(abs(mantissa))
    if exponent >= 0:
        return sign + digits + "0" * exponent
    digits = digits.rjust(1 - exponent, "0")
    return f"{sign}{digits[:exponent]}.{digits[exponent:]}"


def power_text(amount: Amount) -> str:
    """The same with an exponent: `10E-4`."""
    return f"{amount[0]}E{amount[1]}"


def number(text: str, *, bare: bool) -> Any:
    """A number as JSON: bare, or in quotes."""
    return msgspec.Raw(text.encode()) if bare else text


def units(amount: Amount, digits: int) -> int:
    """How many units of 10**-digits. Raises UnwritableError where it is no whole number of them."""
    mantissa, exponent = amount
    places = exponent + digits
    if places < 0 and mantissa % 10**-places:
        raise UnwritableError(f"{decimal_text(amount)} is no whole number of 10**-{digits}")
    return mantissa * int(10**places) if places >= 0 else mantissa // int(10**-places)


def digits_of(field: Any, extras: Mapping[str, str]) -> int | None:
    """Decimals of an amount that is a whole number of units; None for one that is written out."""
    match field:
        case fields.Scaled(_, digits):
            return digits
        case fields.ScaledBy(_, name):
            text = extras.get(name, "")
            if not text.isdecimal():
                raise UnwritableError(f"the list tells no {name} of it")
            return int(text)
    return None


def path_of(field: Any) -> str:
    """Where an amount or time stands."""
    path: str = field if isinstance(field, str) else field.path
    return path


def amount_value(field: Any, amount: Amount | Blank, extras: Mapping[str, str], *, form: Form, sign: int = 1) -> Any:
    """What stands at an amount's path."""
    if isinstance(amount, Blank):
        return amount.token((repr(field), sign), _writer_of(field, extras, form, sign))
    digits = digits_of(field, extras)
    if digits is not None:
        return sign * units(amount, digits)
    text = power_text(amount) if form.powers else decimal_text(amount)
    return number(("-" if sign < 0 else "") + text, bare=form.bare)


def _writer_of(field: Any, extras: Mapping[str, str], form: Form, sign: int) -> Render:
    """What writes amounts at one path as JSON."""
    digits = digits_of(field, extras)
    if digits is not None:
        return lambda amount: b"%d" % (sign * units(amount, digits))
    text = power_text if form.powers else decimal_text
    written = (b"-%b" if form.bare else b'"-%b"') if sign < 0 else (b"%b" if form.bare else b'"%b"')
    return lambda amount: written % text(amount).encode()


def as_read(field: Any, amount: Amount, extras: Mapping[str, str]) -> Amount:
    """The amount with the digits that its reader sees: checksums are of these."""
    digits = digits_of(field, extras)
    return amount if digits is None else (units(amount, digits), -digits)


def unit_ns(field: Any) -> int:
    """Nanoseconds that a time's number counts; 0 for ISO 8601."""
    return _UNITS.get(type(field), 0)


def time_value(field: Any, time_ns: int | Blank) -> Any:
    """What stands at a time's path."""
    if isinstance(time_ns, Blank):
        return time_ns.token(repr(field), lambda known: encoded(time_value(field, known)))
    unit = unit_ns(field)
    if isinstance(field, fields.Period):
        return f"{datetime.fromtimestamp(time_ns // _NANOS, UTC):%Y-%m}"
    if not unit:
        seconds, rest = divmod(time_ns, _NANOS)
        return f"{_second(seconds)}.{rest // 1000:06d}Z"
    whole, rest = divmod(time_ns, unit)
    if not rest:
        return whole
    places = len(str(unit)) - 1
    return msgspec.Raw(f"{whole}.{str(rest).rjust(places, '0').rstrip('0')}".encode())


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def month_of(time_ns: int) -> int:
    """When its month began."""
    moment = datetime.fromtimestamp(time_ns // _NANOS, UTC)
    return int(datetime(moment.year, moment.month, 1, tzinfo=UTC).timestamp()) * _NANOS


def side_word(field: Any, side: int) -> Any:
    """The venue's word for a side: 1 buy or bid, 2 sell or ask; for 0 one that nobody knows."""
    return {1: field.buy, 2: field.sell}.get(side, UNKNOWN_SIDE)
