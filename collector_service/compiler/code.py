"""Lines of code and the objects they name."""

from __future__ import annotations

import re
from typing import Any, Final

from collector_service.compiler import values
from collector_service.compiler.faults import fault
from collector_service.compiler.paths import Path, read_path
from collector_service.compiler.shapes import Shape
from collector_service.spec import fields

NAME: Final = "@name"
"""The path of the name that an item has in its object."""


class Writer:
    """The body of one function `emit(m, out)`, for one record. `where` names the record in errors."""

    def __init__(self, root: Shape, names: dict[str, Any], where: str) -> None:
        self.root = root
        self.names = names
        self.where = where
        self.lines: list[str] = []
        self.depth = 1

    def bind(self, value: Any, hint: str) -> str:
        """A name for an object."""
        name = f"{hint}{len(self.names)}"
        self.names[name] = value
        return name

    def later(self, reach: Reach) -> str:
        """A placeholder for code that is known once the shape is complete."""
        name = f"\N{LEFT DOUBLE ANGLE BRACKET}{len(self.names)}\N{RIGHT DOUBLE ANGLE BRACKET}"
        self.names[name] = reach
        return name

    def line(self, code: str) -> None:
        """One line at the depth of now."""
        self.lines.append("    " * self.depth + code)


class Scope:
    """Where paths begin: a variable, and the shape behind it."""

    def __init__(
        self, writer: Writer, shape: Shape, variable: str, root: Scope | None = None, name: str | None = None
    ) -> None:
        self.writer = writer
        self.shape = shape
        self.variable = variable
        self.root = root or self
        self.name = name
        """The variable that holds the item's name."""

    def path(self, text: str, what: str) -> tuple[Scope, Path]:
        """The scope and path that a text means."""
        found = read_path(text, f"{self.writer.where}.{what}")
        return (self.root if found.from_root else self), found

    def value(self, text: str, what: str) -> str:
        """Code for the value at a path: a placeholder, since places in a type are known only when all its paths are."""
        if text == NAME:
            if self.name is None:
                raise fault(f"{self.writer.where}.{what}", text, "only the values of an object have names: see `each`")
            return self.name
        scope, path = self.path(text, what)
        if not path.steps:
            return scope.variable
        scope.shape.leaf(path)
        return self.writer.later(Reach(scope.shape, path, scope.variable))


class Reach:
    """Code that is known once the shape is complete."""

    def __init__(self, shape: Shape, path: Path, variable: str) -> None:
        self._shape, self._path, self._variable = shape, path, variable

    def __str__(self) -> str:
        return self._shape.reach(self._path, self._variable)


def resolved(lines: list[str], names: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """The lines with their placeholders filled in, and the names that are left."""
    places = {name: str(value) for name, value in names.items() if isinstance(value, Reach)}
    for name, code in places.items():
        lines = [line.replace(name, code) for line in lines]
    return lines, {name: value for name, value in names.items() if name not in places}


def text_code(scope: Scope, field: Any, what: str, *, optional: bool = False) -> str:
    """Code for a text; an `optional` one is empty where nothing is at a path that may be absent."""
    writer = scope.writer

    def read(path: str) -> str:
        return "optional_text" if optional and path.endswith("?") else "text"

    match field:
        case str():
            return f"{read(field)}({scope.value(field, what)})"
        case fields.Const(value):
            return repr(value)
        case fields.Requested():
            return "out.requested"
        case fields.Learned(path):
            return f"out.learned({scope.value(path, what)})"
        case fields.Match(path, pattern):
            form = writer.bind(_pattern(pattern, f"{writer.where}.{what}"), "form")
            return f"matched({form}, optional_text({scope.value(path, what)}))"
        case fields.Join(parts, separator):
            found = ", ".join(text_code(scope, part, what, optional=optional) for part in parts)
            return f"joined({separator!r}, {found})" if optional else f"{separator!r}.join(({found},))"
        case fields.Text():
            code = f"{read(field.path)}({scope.value(field.path, what)})"
            if field.heads or field.after or field.before or field.split:
                code = f"cut({code}, {field.heads!r}, {field.after!r}, {field.before!r}, {field.split!r})"
            return f"{code}.upper()" if field.upper else f"{code}.lower()" if field.lower else code
    raise fault(f"{writer.where}.{what}", field, "is no field of a text")


def _pattern(text: str, where: str) -> re.Pattern[str]:
    try:
        found = re.compile(text)
    except re.error as error:
        raise fault(where, text, f"is no regular expression: {error}") from error
    if not found.groups:
        raise fault(where, text, "needs a group")
    return found


def amount_code(scope: Scope, field: Any, what: str, read: str, symbol: str) -> str:
    """Code for (mantissa, exponent). `read` is the function for a plain number."""
    match field:
        case str():
            return f"{read}({scope.value(field, what)})"
        case fields.Scaled(path, digits):
            return f"scaled({scope.value(path, what)}, {digits})"
        case fields.ScaledBy(path, name):
            return f"scaled({scope.value(path, what)}, out.scale({symbol}, {name!r}))"
        case fields.Magnitude(path):
            return f"magnitude({scope.value(path, what)})"
    raise fault(f"{scope.writer.where}.{what}", field, "is no field of an amount")


def time_code(scope: Scope, field: Any, what: str = "time") -> str:
    """Code for nanoseconds since the Unix epoch; 0 where the venue gives none."""
    if field is None:
        return "0"
    if isinstance(field, fields.Written):
        return f"written({text_code(scope, field.text, what)}, {field.form!r})"
    read = values.TIMES.get(type(field))
    if read is None:
        raise fault(f"{scope.writer.where}.{what}", field, "is no field of a time")
    zone = f", {field.zone!r}" if isinstance(field, fields.Iso) else ""
    return f"{read.__name__}({scope.value(field.path, what)}{zone})"


def side_code(scope: Scope, field: Any, what: str, *, strict: bool) -> str:
    """Code for 1 (buy, bid), 2 (sell, ask) or 0."""
    match field:
        case None:
            return "0"
        case int():
            return str(field)
        case fields.SignedSide(path):
            return f"side_of_sign({scope.value(path, what)})"
        case fields.Side(path, buy, sell):
            function = scope.writer.bind(values.side_by({buy: 1, sell: 2}, strict=strict), "side")
            found = scope.value(path, what)
            if strict:
                return f"{function}({found})"
            # An empty word is one that the venue leaves out, not one that nobody knows.
            return f"({function}({found}) or ({found} != '' and out.unknown_value({what!r}, {found})) or 0)"
    raise fault(f"{scope.writer.where}.{what}", field, "is no field of a side")
