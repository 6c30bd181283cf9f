"""How the values of a row become the attributes of an event: by their places, made exact or a text only when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from operator import itemgetter
from typing import Any, Final, Protocol, cast

from alphapulse.domain.decimal import INT64_MAX, ExactDecimal
from alphapulse.domain.provenance import RecordFlag
from alphapulse.domain.wide import WideDecimal
from alphapulse.records import RecordLayout

OVERSIZE: Final = int(RecordFlag.OVERSIZE)


class _Int(Protocol):
    def __get__(self, instance: object, owner: type, /) -> int: ...


class _Float(Protocol):
    def __get__(self, instance: object, owner: type, /) -> float: ...


class _Exact(Protocol):
    def __get__(self, instance: object, owner: type, /) -> ExactDecimal: ...


class _MaybeExact(Protocol):
    def __get__(self, instance: object, owner: type, /) -> ExactDecimal | None: ...


# property over itemgetter runs in C; the protocols above are what the type checker sees of it.
def _place(layout: RecordLayout | int, name: str) -> property:
    return property(itemgetter(layout if isinstance(layout, int) else layout.fields.index(name)), doc=name)


def int_of(layout: RecordLayout | int, name: str) -> _Int:
    """A number."""
    return cast(_Int, _place(layout, name))


def float_of(layout: RecordLayout, name: str) -> _Float:
    """A double; NaN is none."""
    return cast(_Float, _place(layout, name))


class _Text(Protocol):
    def __get__(self, instance: object, owner: type, /) -> str: ...


def text_of(layout: RecordLayout, name: str) -> _Text:
    """A text; empty is none."""
    place = layout.fields.index(name)
    return cast(_Text, property(lambda event: event[place].decode("utf-8", "replace"), doc=f"{name}; empty: none"))


def exact_of(layout: RecordLayout, mantissa: str, exponent: str) -> _Exact:
    """A mantissa with its exponent, exact."""
    pair = itemgetter(layout.fields.index(mantissa), layout.fields.index(exponent))
    return cast(_Exact, property(lambda event: ExactDecimal(*pair(event)), doc=f"{mantissa}, exact"))


def exact_unless(layout: RecordLayout, mantissa: str, exponent: str, absent: int = 0) -> _MaybeExact:
    """Of a number that fits no row (OVERSIZE) a zero stands in the row: it is none, as one the venue did not give, unless the amount that came beside
    the row has taken its place."""
    pair = itemgetter(layout.fields.index(mantissa), layout.fields.index(exponent))
    flags, place, mask = layout.fields.index("flags"), layout.fields.index(mantissa), int(absent)

    def read(event: Any) -> ExactDecimal | None:
        flagged = event[flags]
        if flagged & mask:
            return None
        number = event[place]
        if flagged & OVERSIZE and not number:
            return None
        return ExactDecimal(*pair(event)) if number <= INT64_MAX else WideDecimal(*pair(event))

    return cast(_MaybeExact, property(read, doc=f"{mantissa}, exact; None where there is none or it fits no row"))


def enum_of(layout: RecordLayout, name: str, kind: type[IntEnum]) -> Callable[[Any], Any]:
    """The member of an enumeration; 0 for a number it does not know."""
    at = layout.fields.index(name)

    def read(event: Any) -> Any:
        number = event[at]
        return kind(number) if number in kind._value2member_map_ else kind(0)

    return read
