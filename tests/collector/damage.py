"""Damage to messages: of a frame of a venue, one that no venue sends; and what numbers a frame holds, read apart from every decoder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

_NUMBER: Final = re.compile(rb"\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?")
_LONGEST: Final = 60
"""Characters of a number that a row may hold; what is longer is looked for in no row."""

_LONGEST_FRAME: Final = 50_000
"""Bytes of a frame that may have become rows."""

VALUES: Final = (
    "null", "true", '""', "[]", "{}", '"NaN"', "NaN", "Infinity", '"-Infinity"', "-1", '"-1"', "-0.0", "1e400", '"1e400"', "1e-400",
    '"1e-300"', "18446744073709551616", '"9223372036854775808"', "0.1000000000000000055511151231257827", '"1.5.5"', '"1_000"', '"0x10"',
    '"\\u0661\\u0662"', '"\\uff11"', '" 1"', '"\\ud800"', '"\\u0000"', "9" * 5_000, f'"{"9" * 5_000}"', f'"{"x" * 10_000}"',
    "[" * 3_000 + "]" * 3_000, '{"a":' * 2_000 + "1" + "}" * 2_000, '[[["1","2"]]]', '{"0":"1"}',
)  # fmt: skip
"""In the place of a value: of other types, none at all, too large, too fine, too deep."""
FRAMES: Final = (
    b"", b" ", b"\n", b"null", b"true", b"0", b'""', b"[]", b"{}", b"[[]]", b"[{}]", b"[null]", b'{"":""}', b"\x00\xff\xfe\x80\x01",
    b"\xef\xbb\xbf{}", b'{"\xff":1}', b'{"a":"\xc3\x28"}', b"\x1f\x8b\x08\x00\x00\x00\x00\x00", b"x\x9cnot zlib", b"[" * 100_000,
    b'{"a":' * 50_000, b"9" * 100_000, b'"' + b"9" * 100_000 + b'"', b"-", b"1e999999999", b"NaN", b'{"half', b"[1,2", b"{}{}", b'{"a":1,}',
    b"<!DOCTYPE html><html><body><h1>503 Service Unavailable</h1></body></html>", b"<html><head></html>", b"a,b\n1,2,3\n", b'"',
)  # fmt: skip
"""In the place of a frame."""


class Written(float):
    """A number of a file as it is written there: 0.10 is not 0.1."""

    text: str

    def __new__(cls, text: str) -> Written:
        made = super().__new__(cls, text)
        made.text = text
        return made


class Raw(str):
    """JSON as it stands, perhaps none."""

    __slots__ = ()


def read(text: bytes | str) -> Any:
    """JSON, its numbers as they are written."""
    return json.loads(text, parse_float=Written)


def encoded(value: Any) -> str:
    """JSON again."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{encoded(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(encoded, value)) + "]"
    return value.text if isinstance(value, Written) else json.dumps(value)


def damaged(data: bytes, how: int, place: int, other: int) -> bytes:
    """A frame, damaged in one of ten ways at one of its places."""
    how %= 10
    if how == 0:
        return FRAMES[other % len(FRAMES)]
    if how == 1:
        return data[: place % (len(data) + 1)]
    if how == 2:
        at = place % (len(data) + 1)
        return data[:at] + bytes((other % 256, place % 256)) + data[at + 1 :]
    try:
        message = read(data)
    except ValueError:
        return _damaged_text(data, place, other)
    steps = list(_steps(message))
    if not steps:
        return VALUES[other % len(VALUES)].encode()
    return encoded(_changed(message, steps[place % len(steps)], how, VALUES[other % len(VALUES)])).encode()


def numbers(data: bytes) -> Iterator[tuple[int, int]]:
    """All numbers that are written in a frame, without their signs, whatever they mean: (digits without zeros at their end, power of ten)."""
    for found in _NUMBER.findall(data) if len(data) < _LONGEST_FRAME else ():
        if len(found) <= _LONGEST:
            yield plain(Decimal(found.decode()))


def plain(number: Decimal) -> tuple[int, int]:
    """A number in the one form in which equal ones are equal."""
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    mantissa = int("".join(map(str, digits)))
    if not mantissa:
        return 0, 0
    text = str(mantissa)
    short = text.rstrip("0")
    return int(short), exponent + len(text) - len(short)


def _damaged_text(data: bytes, place: int, other: int) -> bytes:
    """CSV, XML or a word with another number in it, or a part gone."""
    found = list(_NUMBER.finditer(data))
    if not found or other % 3 == 0:
        at = place % (len(data) + 1)
        return data[:at] + data[at + 1 + other % 40 :]
    at, end = found[place % len(found)].span()
    return data[:at] + VALUES[other % len(VALUES)].encode() + data[end:]


def _steps(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in parts:
        yield (*at, step)
        yield from _steps(part, (*at, step))


def _changed(value: Any, steps: tuple[Any, ...], how: int, text: str) -> Any:
    if not steps:
        wrapped = f"[{encoded(value)}]" if how == 7 else f'{{"a":{encoded(value)}}}' if how == 8 else text
        return Raw(wrapped)
    step, *rest = steps
    if isinstance(value, dict):
        if not rest and how == 5:
            return {name: part for name, part in value.items() if name != step}
        if not rest and how == 6:
            twice = ",".join(f"{json.dumps(name)}:{encoded(part)}" for name, part in value.items())
            return Raw(f"{{{twice},{json.dumps(step)}:{text}}}")
        return {name: _changed(part, tuple(rest), how, text) if name == step else part for name, part in value.items()}
    if not rest and how == 5:
        return value[:step] + value[step + 1 :]
    if not rest and how == 6:
        return [*value, value[step]]
    return [*value[:step], _changed(value[step], tuple(rest), how, text), *value[step + 1 :]]
