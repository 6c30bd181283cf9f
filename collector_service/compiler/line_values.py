"""Reads one value of a line of a list. Not on the path of events, so paths are followed one step at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import InvalidArgument
from collector_service.compiler import values
from collector_service.compiler.faults import fault
from collector_service.spec import fields

_STEP: Final = re.compile(r"\.?([^.\[\]?]+)|\[(\d+)\]|\[([^=\]]+)=([^\]]*)\]")
_MAX_DECIMALS: Final = 36


def steps_of(path: str, where: str) -> tuple[Any, ...]:
    """The steps of a path: names, places, and what a line of a list has to say. Raises SpecificationError."""
    steps: list[Any] = []
    at = 1 if path.startswith(".") else 0
    end = len(path) - path.endswith("?")
    while at < end:
        found = _STEP.match(path, at, end)
        if found is None:
            raise fault(where, path, "a path is names, [places] and [name=word], such as filters[type=LOT].step")
        steps.append(
            found[1] if found[1] is not None else int(found[2]) if found[2] is not None else (found[3], found[4])
        )
        at = found.end()
    return tuple(steps)


def value_at(value: Any, steps: Sequence[Any]) -> Any:
    """What is at the steps; None where nothing is."""
    for step in steps:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            name, wanted = step
            lines = value if isinstance(value, list) else ()
            value = next((one for one in lines if isinstance(one, dict) and word_of(one.get(name)) == wanted), None)
    return value


def word_of(value: Any) -> str:
    """As it is written: true, 1, a text; empty for nothing."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int)) else ""


def text_of(field: Any, where: str) -> Callable[[Any], str]:
    """The function that reads a text of a line, empty where there is none. Raises SpecificationError."""
    match field:
        case str():
            steps = steps_of(field, where)
            return lambda line: word_of(value_at(line, steps))
        case fields.Const(value):
            return lambda _line: value
        case fields.Text():
            inner = text_of(field.path, where)
            return lambda line: _cased(
                field, values.cut(inner(line), field.heads, field.after, field.before, field.split)
            )
        case fields.Join(parts, separator):
            found = [text_of(part, where) for part in parts]
            return lambda line: separator.join(one(line) for one in found)
        case fields.Match(path, pattern):
            whole, form = text_of(path, where), re.compile(pattern)
            return lambda line: _matched(form, whole(line))
        case fields.Lookup():
            return _lookup(field, where)
    raise fault(where, field, "is no field of a text")


def _lookup(field: fields.Lookup, where: str) -> Callable[[Any], str]:
    word = text_of(field.path, where)
    table, key, value = (steps_of(path, where) for path in (field.table, field.key, field.value))

    def find(line: Any) -> str:
        wanted, rows = word(line), value_at(line, table)
        found = (row for row in (rows if isinstance(rows, list) else ()) if word_of(value_at(row, key)) == wanted)
        return word_of(value_at(next(found, None), value))

    return find


def _cased(field: fields.Text, text: str) -> str:
    return text.upper() if field.upper else text.lower() if field.lower else text


def _matched(form: re.Pattern[str], text: str) -> str:
    found = form.fullmatch(text)
    if found is None:
        raise InvalidArgument.field("symbol", text[:64], "symbol-grammar", f"{form.pattern} has to match all of it")
    return found[1]


def amount_of(field: Any, where: str) -> Callable[[Any], ExactDecimal | None]:
    """The function that reads an amount of a line; None for what is not there, and for zero. Raises SpecificationError."""
    match field:
        case None:
            return lambda _line: None
        case tuple():
            ways = [amount_of(one, where) for one in field]
            return lambda line: next((found for way in ways if (found := way(line)) is not None), None)
        case fields.Decimals(path, times):
            steps, units = steps_of(path, where), steps_of(times, where)
            return lambda line: _step(value_at(line, steps), value_at(line, units) if times else None)
        case fields.Product(paths):
            factors = [amount_of(path, where) for path in paths]
            return lambda line: _product([factor(line) for factor in factors])
        case fields.Const(value):
            return lambda _line: _rule(value)
        case fields.Text():
            number = text_of(field, where)
            return lambda line: _rule(number(line))
        case fields.Scaled(path, digits):
            steps = steps_of(path, where)
            return lambda line: _units(value_at(line, steps), digits)
        case str():
            steps = steps_of(field, where)
            return lambda line: _rule(value_at(line, steps))
    raise fault(where, field, "is no field of an amount")


def _rule(value: Any) -> ExactDecimal | None:
    """A tick, lot or limit; None where the venue gives none or zero, which is how venues say 'no limit'."""
    if value is None or value == "":
        return None
    found = ExactDecimal.parse(word_of(value)).normalised()
    return found if found.is_positive else None


def _product(factors: Iterable[ExactDecimal | None]) -> ExactDecimal | None:
    found = ExactDecimal(1, 0)
    for factor in factors:
        if factor is None:
            return None
        found = ExactDecimal(found.mantissa * factor.mantissa, found.exponent + factor.exponent)
    return found.normalised()


def _units(value: Any, digits: int) -> ExactDecimal | None:
    found = _rule(value)
    return None if found is None else ExactDecimal(found.mantissa, found.exponent - digits).normalised()


def _step(value: Any, units: Any) -> ExactDecimal | None:
    times = _rule(units)
    if value is None or value == "" or (times is None and units not in (None, "")):
        return None
    digits = int(value) if re.fullmatch(r"-?\d{1,2}", word_of(value), re.ASCII) else _MAX_DECIMALS + 1
    if abs(digits) > _MAX_DECIMALS:
        raise InvalidArgument.field("decimals", word_of(value)[:64], "range", f"-{_MAX_DECIMALS} to {_MAX_DECIMALS}")
    return ExactDecimal(1, -digits) if times is None else ExactDecimal(times.mantissa, times.exponent - digits)


def choice_of(field: Any, where: str, default: Any) -> Callable[[Any], Any]:
    """The function that reads what a word of a line stands for. Raises SpecificationError."""
    if field is None:
        return lambda _line: default
    if isinstance(field, tuple):
        ways = [choice_of(one, where, None) for one in field]
        return lambda line: next((found for way in ways if (found := way(line)) is not None), default)
    if not isinstance(field, fields.Choice):
        raise fault(where, field, "is no Choice")
    word = text_of(field.path, where)
    fallback = default if field.default is None else field.default
    return lambda line: field.words.get(word(line), fallback)


def time_of(field: Any, where: str) -> Callable[[Any], datetime | None]:
    """The function that reads a time of a line. Raises SpecificationError."""
    if field is None:
        return lambda _line: None
    if isinstance(field, fields.Written):
        text = text_of(field.text, where)
        return lambda line: _written(text(line), field.form)
    read = values.TIMES.get(type(field))
    if read is None:
        raise fault(where, field, "is no field of a time")
    if isinstance(field, fields.Iso):
        read = partial(values.iso, zone=field.zone)
    steps = steps_of(field.path, where)

    def moment(line: Any) -> datetime | None:
        found = read(value_at(line, steps))
        return datetime.fromtimestamp(found // 10**9, UTC) if found else None

    return moment


def _written(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC) if text else None
    except ValueError as error:
        raise InvalidArgument.field("time", text[:64], "time-format", f"has to be written as {form}") from error


def need(text: str, what: str) -> str:
    """A text that has to be there. Raises InvalidArgument."""
    if not text:
        raise InvalidArgument.field(what, text, "field-missing", "the venue's list has to tell it")
    return text
