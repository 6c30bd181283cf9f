"""How one value is found in a message, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Text:
    """A text at a path; a number is taken as it is written. The steps are taken in the order of the fields."""

    path: str
    heads: tuple[str, ...] = ()
    """The first of these that it begins with, without separators at its end: the kind in `lightning_board_BTC_JPY`."""
    after: tuple[str, ...] = ()
    """What stands behind the first of these that it begins with."""
    before: str = ""
    """What stands before the first of these separators."""
    split: tuple[str, int] | None = None
    """(separator, which part: from 0, or from -1 at the end)."""
    upper: bool = False
    lower: bool = False


@dataclass(frozen=True, slots=True)
class Has:
    """The name itself where the message has it, whatever it holds."""

    path: str


@dataclass(frozen=True, slots=True)
class Join:
    """Several texts with a separator between. In a notice nothing, where one of them is not there."""

    parts: tuple[str | Text | Const | Match, ...]
    separator: str = ""


@dataclass(frozen=True, slots=True)
class Const:
    """Always this."""

    value: str


@dataclass(frozen=True, slots=True)
class Learned:
    """The symbol that a `Learn` record told of this number, on the same connection."""

    path: str


@dataclass(frozen=True, slots=True)
class Requested:
    """The symbol that was asked for, where an answer does not name it."""


@dataclass(frozen=True, slots=True)
class Nested:
    """`many` where a list of lists stands at the path, or an empty one; for kinds."""

    path: str


@dataclass(frozen=True, slots=True)
class Listed:
    """`list` where a list stands at the path; for kinds."""

    path: str


@dataclass(frozen=True, slots=True)
class Match:
    """The first group of a regular expression over a text. In lists of instruments it has to match; in a record a text that does not is empty."""

    path: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """What another list of the same answer tells of the word at a path; for lists of instruments, whose answer is `@all`."""

    path: str
    table: str
    """Where that list is: `@all.tokens`."""
    key: str
    """Of its lines the one that has the word at this path."""
    value: str


@dataclass(frozen=True, slots=True)
class Scaled:
    """A whole number that counts units of 10**-digits."""

    path: str
    digits: int


@dataclass(frozen=True, slots=True)
class ScaledBy:
    """A whole number that counts units of 10**-n, where n is in the listing's `extras` under this name."""

    path: str
    name: str


@dataclass(frozen=True, slots=True)
class Magnitude:
    """A number whose sign says something else."""

    path: str


@dataclass(frozen=True, slots=True)
class Decimals:
    """A step of 10**-n, where n stands at the path; for lists of instruments."""

    path: str
    times: str = ""
    """The step is so many of these; where nothing stands at this path, one."""


@dataclass(frozen=True, slots=True)
class Product:
    """The product of the numbers at several paths, none where one is not there; for lists of instruments."""

    paths: tuple[str, ...]


Amount = str | Scaled | ScaledBy | Magnitude
"""A price or size; a path alone is a number as it is written, in quotes or not."""


@dataclass(frozen=True, slots=True)
class Millis:
    """Milliseconds since the Unix epoch, with a fraction perhaps."""

    path: str


@dataclass(frozen=True, slots=True)
class Micros:
    """Microseconds since the Unix epoch."""

    path: str


@dataclass(frozen=True, slots=True)
class Nanos:
    """Nanoseconds since the Unix epoch."""

    path: str


@dataclass(frozen=True, slots=True)
class Seconds:
    """Seconds since the Unix epoch, with a fraction perhaps."""

    path: str


@dataclass(frozen=True, slots=True)
class Iso:
    """ISO 8601; a day is its beginning."""

    path: str
    zone: str = "Z"
    """The offset where it names none: `+09:00`; Z is UTC."""


@dataclass(frozen=True, slots=True)
class Period:
    """A year, quarter or month, by its beginning in UTC: 2024, 2024-Q2, 2024Q2, 2024-05, 2024M05."""

    path: str


@dataclass(frozen=True, slots=True)
class Written:
    """A time in a form of the venue's own, in UTC; not for what comes many times a second."""

    text: str | Text | Join | Const | Match
    form: str
    """As for `datetime.strptime`: `%d%b%y`."""


@dataclass(frozen=True, slots=True)
class MailDate:
    """RFC 5322, as RSS writes it: Wed, 28 Jan 2026 19:00:00 GMT."""

    path: str


Time = Millis | Micros | Nanos | Seconds | Iso | Period | MailDate | Written


@dataclass(frozen=True, slots=True)
class Side:
    """Buy or sell by a word, a number or a truth value. In a trade it is the aggressor's: give the maker's words crosswise."""

    path: str
    buy: str | int | bool = "buy"
    sell: str | int | bool = "sell"


@dataclass(frozen=True, slots=True)
class SignedSide:
    """Buy above zero, sell below."""

    path: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A word translated; of one that is not known, `default`, and it is counted."""

    path: str | Text
    words: Mapping[str, object] = field(default_factory=dict)
    default: object = None


TextField = str | Text | Join | Const | Match
SymbolField = str | Text | Join | Const | Learned | Requested
SideField = int | Side | SignedSide
