"""What compiled code calls for one value: from what JSON gives (a text, a whole number, the text of a fraction) to what a row holds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final

from alphapulse.domain.decimal import parse_unbounded
from alphapulse.domain.errors import InvalidArgument
from collector_service import amounts
from collector_service.amounts import Amount
from collector_service.spec import fields

_NANOS: Final = 10**9
_LATEST: Final = 9_000_000_000 * _NANOS
_MAX_NUMBER: Final = 2**63 - 1
_DIGITS: Final = 9
_LONGEST: Final = 1_000
"""Characters of a text that a regular expression is tried on."""
_CHECKSUM_DIGITS: Final = 11
_POWERS: Final[tuple[int, ...]] = tuple(10 ** (_DIGITS - digits) for digits in range(_DIGITS + 1))
_ISO: Final = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:?\d\d)?)?")
_WITHOUT_SECONDS: Final = re.compile(r"^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d)(Z|[+-]\d\d:?\d\d)$")
_PERIOD: Final = re.compile(r"(\d{4})(?:-?Q([1-4])|-(\d\d)|-?M(\d\d))?", re.ASCII)


@lru_cache(maxsize=1 << 16, typed=True)
def amount(value: Any) -> Amount:
    """A price or size that is not negative. Raises InvalidArgument. Sizes repeat, so the answers are remembered."""
    return amounts.parse_amount(value) if type(value) is str else _whole_amount(value)


@lru_cache(maxsize=1 << 16, typed=True)
def price(value: Any) -> Amount:
    """A price above zero. Raises InvalidArgument. Prices repeat, so the answers are remembered."""
    found = amount(value)
    if not found[0]:
        raise InvalidArgument.field("price", str(value), "price-zero", "a price is above zero here")
    return found


def _whole_amount(value: Any) -> Amount:
    if type(value) is not int:
        raise InvalidArgument.field("amount", str(value)[:64], "amount-format", "a number, or one as text")
    if value < 0:
        raise InvalidArgument.field(
            "amount", str(value)[:64], "amount-negative", "a price or size is not below zero here"
        )
    return value, 0


def magnitude(value: Any) -> Amount:
    """A number without its sign."""
    return (
        amounts.parse_amount(value.lstrip("-"))
        if type(value) is str
        else _whole_amount(abs(value) if type(value) is int else value)
    )


def signed(value: Any) -> Amount:
    """A number of either sign: for figures, not for prices and sizes."""
    if type(value) is str:
        mantissa, exponent = parse_unbounded(value, "value")
        if not amounts.FINEST <= exponent <= -amounts.FINEST:
            raise InvalidArgument.field(
                "value", value[:64], "amount-range", f"the exponent must be {amounts.FINEST} to {-amounts.FINEST}"
            )
        return mantissa, exponent
    if type(value) is not int:
        raise InvalidArgument.field("value", str(value)[:64], "amount-format", "a number, or one as text")
    return value, 0


def scaled(value: Any, digits: int) -> Amount:
    """A whole number that counts units of 10**-digits."""
    found = amount(value)
    return found[0], found[1] - digits


def number(value: Any) -> int:
    """A number of the venue's, 0 where it gave none. Raises InvalidArgument for what is none."""
    if value is None:
        return 0
    if type(value) is str:
        value = int(value) if value.isascii() and value.isdecimal() and len(value) <= 20 else value
    if type(value) is not int or not 0 <= value <= _MAX_NUMBER:
        raise InvalidArgument.field("number", str(value)[:64], "number-format", "a whole number from 0 to 2**63 - 1")
    return value


def identity(value: Any) -> int:
    """The number of a trade; 0 where the venue's is no number, such as a UUID."""
    if type(value) is str:
        value = int(value) if value.isascii() and value.isdecimal() and len(value) <= 20 else 0
    return value if type(value) is int and 0 <= value <= _MAX_NUMBER else 0


def checksum(value: Any) -> int | None:
    """An unsigned number of 32 bits, given signed or not."""
    if value is None:
        return None
    if (
        type(value) is str
        and value.removeprefix("-").isdecimal()
        and value.isascii()
        and len(value) <= _CHECKSUM_DIGITS
    ):
        value = int(value)
    if type(value) is not int or not -(2**31) <= value < 2**32:
        raise InvalidArgument.field("checksum", str(value)[:64], "checksum", "a number of 32 bits")
    return value & 0xFFFFFFFF


def _time(value: Any, power: int) -> int:
    """Of a number that counts 10**-power seconds, the nanoseconds, digits beyond cut off; 0 where there is none."""
    if type(value) is int and value >= 0:
        found: int = value * _POWERS[power]
    elif value is None or value == "":
        return 0
    else:
        # Not remembered: times do not repeat.
        mantissa, exponent = amounts.read_amount(value) if type(value) is str else _whole_amount(value)
        places = exponent + _DIGITS - power
        found = mantissa * 10**places if places >= 0 else mantissa // 10**-places
    if found > _LATEST:
        raise InvalidArgument.field("time", str(value)[:64], "time-format", "not a time in the venue's format")
    return found


def seconds(value: Any) -> int:
    """Nanoseconds of seconds since the Unix epoch."""
    return _time(value, 0)


def millis(value: Any) -> int:
    """Nanoseconds of milliseconds since the Unix epoch."""
    return _time(value, 3)


def micros(value: Any) -> int:
    """Nanoseconds of microseconds since the Unix epoch."""
    return _time(value, 6)


def nanos(value: Any) -> int:
    """Nanoseconds since the Unix epoch."""
    return _time(value, 9)


def iso(value: Any, zone: str = "Z") -> int:
    """Nanoseconds of ISO 8601, in the zone where it names no offset, the day's beginning where it is a day; 0 where there is none."""
    if type(value) is str and value[-1:] == "Z" and value[19:20] == ".":  # what most venues write
        digits = value[20:-1]
        if digits.isdecimal() and digits.isascii() and len(digits) <= _DIGITS:
            second: int = _second_of(value[:19])
            return second * _NANOS + int(digits) * _POWERS[len(digits)]
    return _iso(value, zone)


@lru_cache(maxsize=64)
def _second_of(text: str) -> int:
    found: int = _iso(text) // _NANOS
    return found


def _iso(value: Any, zone: str = "Z") -> int:
    if value is None or value == "":
        return 0
    if type(value) is str:
        # Some leave out seconds that are none.
        value = _WITHOUT_SECONDS.sub(r"\1:00\2", value)
    found = _ISO.fullmatch(value) if type(value) is str else None
    if found is None:
        raise InvalidArgument.field("time", str(value)[:64], "time-format", "not a time in the venue's format")
    second = _second(found[1], found[2] or "00:00:00", found[4] or zone)
    return second * _NANOS + int((found[3] or "0").ljust(9, "0"))


@lru_cache(maxsize=64)
def _second(day: str, clock: str, zone: str) -> int:
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}")
        offset = (
            timedelta()
            if zone == "Z"
            else timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:])) * (-1 if zone[0] == "-" else 1)
        )
        found = int((moment.replace(tzinfo=UTC) - offset).timestamp())
    except (ValueError, OverflowError) as error:
        raise InvalidArgument.field(
            "time", f"{day} {clock}", "time-format", "not a time in the venue's format"
        ) from error
    if not 0 <= found * _NANOS <= _LATEST:
        raise InvalidArgument.field("time", f"{day} {clock}", "time-format", "not a time from 1970 to 2255")
    return found


def period(value: Any) -> int:
    """Nanoseconds of the beginning of a year, quarter or month; 0 where there is none."""
    if value is None or value == "":
        return 0
    found = _PERIOD.fullmatch(value) if type(value) is str else None
    if found is None:
        raise InvalidArgument.field("time", str(value)[:64], "time-format", "not a year, quarter or month")
    month = found[3] or found[4] or (int(found[2]) * 3 - 2 if found[2] else 1)
    return _second(f"{found[1]}-{int(month):02}-01", "00:00:00", "Z") * _NANOS


def mail_date(value: Any) -> int:
    """Nanoseconds of RFC 5322; 0 where there is none. A zone it does not know is refused, not guessed."""
    if value is None or value == "":
        return 0
    try:
        moment = parsedate_to_datetime(value if type(value) is str else "")
        if moment.tzinfo is None and not value.rstrip().endswith("-0000"):
            raise ValueError("a zone it does not know")
        found = int((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp())
    except (TypeError, ValueError, OverflowError, IndexError):
        found = -1
    return _moment(found, value)


def written(value: str, form: str) -> int:
    """Nanoseconds of a time in a form of the venue's own, in UTC; 0 where there is none."""
    if not value:
        return 0
    try:
        found = int(datetime.strptime(value, form).replace(tzinfo=UTC).timestamp())
    except (ValueError, OverflowError):
        found = -1
    return _moment(found, value)


def _moment(second: int, value: Any) -> int:
    if not 0 <= second * _NANOS <= _LATEST:
        raise InvalidArgument.field("time", str(value)[:64], "time-format", "not a time in the venue's format")
    return second * _NANOS


def real(value: Any) -> float | None:
    """A number that is no amount, such as a sentiment; None where there is none. Raises InvalidArgument for what is no finite one."""
    if value is None or value == "":
        return None
    try:
        found = float(value) if type(value) in (str, int) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise InvalidArgument.field("number", str(value)[:64], "number-format", "a number")
    return found


def optional_text(value: Any) -> str:
    """A text; empty where there is none."""
    return "" if value is None else text(value)


def matched(form: re.Pattern[str], value: str) -> str:
    """The first group of a form that fits the whole text; empty where it does not, and of a text so long that trying might take for ever."""
    found = form.fullmatch(value) if len(value) <= _LONGEST else None
    return (found[1] or "") if found is not None else ""


def joined(separator: str, *parts: str) -> str:
    """The parts with a separator between; nothing where one of them is not there, since the rest would mean something else."""
    return separator.join(parts) if all(parts) else ""


def words_in(value: str, separator: str) -> tuple[str, ...]:
    """The words of a text with a separator between them; without one the text itself. An empty text has none."""
    parts = value.split(separator) if separator else (value,)
    return tuple(word for part in parts if (word := part.strip()))


TIMES: Final[Mapping[type, Callable[..., int]]] = {
    fields.Millis: millis,
    fields.Micros: micros,
    fields.Nanos: nanos,
    fields.Seconds: seconds,
    fields.Iso: iso,
    fields.Period: period,
    fields.MailDate: mail_date,
}
"""What reads a time of each form."""


def text(value: Any) -> str:
    """A text; a number as it is written. Raises InvalidArgument for what is neither."""
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    raise InvalidArgument.field("text", str(value)[:64], "text-format", "a text or a number")


def word(raw: Any) -> str:
    """The text of raw JSON: of a string its characters, of a number or truth value what is written, of anything else nothing."""
    data = bytes(raw)
    if data[:1] == b'"':
        return data[1:-1].decode("utf-8", "replace")
    return data.decode("ascii", "replace") if data[:1] in b"-0123456789tf" and data else ""


def cut(value: str, heads: tuple[str, ...], after: tuple[str, ...], before: str, split: tuple[str, int] | None) -> str:
    """The steps of a `Text`."""
    if heads:
        value = next((head.rstrip("_-.:/") for head in heads if value.startswith(head)), "")
    for prefix in after:
        if value.startswith(prefix):
            value = value[len(prefix) :]
            break
    if before:
        value = value.partition(before)[0]
    if split is not None:
        parts = value.split(split[0])
        value = parts[split[1]] if -len(parts) <= split[1] < len(parts) else ""
    return value


def side_by(words: Mapping[Any, int], *, strict: bool) -> Callable[[Any], int]:
    """1 for buy and 2 for sell. Another word is 0, or where `strict` refused: a level has to have a side."""

    def find(value: Any) -> int:
        found = words.get(value) if isinstance(value, (str, int)) else None
        if found is None:
            if strict:
                raise InvalidArgument.field("side", str(value)[:64], "side", f"one of {', '.join(map(str, words))}")
            return 0
        return found

    return find


def side_of_sign(value: Any) -> int:
    """1 for a number above zero, 2 for one below. Raises InvalidArgument for what is no number."""
    if type(value) is str:
        return 2 if value.startswith("-") else 1
    if type(value) is not int:
        raise InvalidArgument.field("side", str(value)[:64], "side", "a number whose sign says it")
    return 2 if value < 0 else 1
