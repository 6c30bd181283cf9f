"""Whether a formula's arithmetic makes sense in the units of its variables, and which units its value can have.

What is added, subtracted or compared has to be in one unit; factors multiply their units; log, exp and exponents take plain numbers. A variable
may have several readings: the price of BTC in USD is an amount of USD, and as a rate USD/BTC. Each occurrence is read so that the formula makes
sense; where no reading does, the formula is refused, and the violation says where. A number in the text that is added takes the unit of what it is
added to (`spread - 5`), also with factors that are plain (`100 * exp(-rate * 0.25)`); a number that multiplies a price is a plain number, so that no
number can pass for an exchange rate. A variable whose unit is not known fits anywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from alphapulse.domain.formula.nodes import Call, Negation, Node, Number, Operation, Variable
from alphapulse.domain.formula.units import ONE, POINTS, Unit
from alphapulse.domain.violations import FieldViolation

Readings = frozenset[Unit]
MAX_READINGS: Final = 256
"""Readings of one part of a formula; a part with more is taken as unknown."""
MAX_PRODUCTS: Final = 20_000
"""Products of readings tried for one formula, about a fifth of a second; what is left then is taken as unknown."""
_SHOWN: Final = 4
_PLAIN: Final = frozenset({ONE})
_VERBS: Final = {"+": "adds", "-": "subtracts", "min": "compares", "max": "compares"}


@dataclass(frozen=True, slots=True)
class Dimensions:
    """What the check found."""

    readings: Readings | None
    """The units the value can have; None: not known."""
    violations: tuple[FieldViolation, ...]

    @property
    def shown(self) -> list[str]:
        """The readings as text, the simplest first."""
        return [] if self.readings is None else _texts(self.readings)


@dataclass(frozen=True, slots=True)
class _Value:
    readings: Readings | None
    adopts: bool = False
    """It is a number of the text, or one times plain factors: it takes the unit of what it is added to."""
    plain: bool = False
    """No price went into it."""


def dimensions(
    root: Node,
    text: str,
    units: Mapping[str, Collection[Unit] | None],
    declared: str = "",
    *,
    field: str = "formula",
    unit_field: str = "unit",
) -> Dimensions:
    """The check of a formula. `units` gives the readings of each variable, None or nothing where they are not known; `declared` is the unit the value
    is to have, empty for any. ValueError when `declared` is no unit."""
    check = _Check(text, units, field)
    value = check.value(root)
    readings = value.readings
    if readings is not None and not check.found and not value.adopts:
        check.found += _of_the_value(readings, declared, text, unit_field if declared else field)
    return Dimensions(readings, tuple(check.found))


def _of_the_value(readings: Readings, declared: str, text: str, field: str) -> list[FieldViolation]:
    """What is wrong with the unit of the whole."""
    if declared == POINTS:
        return []
    if declared:
        if Unit.parse(declared) in readings:
            return []
        rule = f"the formula gives {_either(readings)}"
        return [FieldViolation(field, declared, "unit-mismatch", rule)]
    if any(one.is_price for one in readings):
        return []
    rule = f"the value is in {_either(readings)}, a product of prices: state that as the unit if it is meant"
    return [FieldViolation(field, text, "formula-dimension-product", rule)]


class _Check:
    def __init__(self, text: str, units: Mapping[str, Collection[Unit] | None], field: str) -> None:
        self._text = text
        self._units = units
        self._field = field
        self._products = MAX_PRODUCTS
        self.found: list[FieldViolation] = []

    def value(self, node: Node) -> _Value:
        match node:
            case Number():
                return _Value(_PLAIN, adopts=True, plain=True)
            case Variable():
                units = self._units.get(node.name)
                readings = None if units is None else frozenset(units)
                return _Value(readings, plain=readings == _PLAIN)
            case Negation():
                return self.value(node.operand)
            case Call():
                return self._call(node, [self.value(one) for one in node.arguments])
            case Operation(operator="+" | "-"):
                return self._alike(node, node.operator, [self.value(node.left), self.value(node.right)])
            case Operation(operator="*" | "/"):
                return self._product(self.value(node.left), self.value(node.right), 1 if node.operator == "*" else -1)
            case Operation():
                return self._power(node, self.value(node.left), self.value(node.right))

    def _call(self, node: Call, arguments: list[_Value]) -> _Value:
        first = arguments[0]
        match node.function:
            case "min" | "max":
                return self._alike(node, node.function, arguments)
            case "abs":
                return first
            case "sqrt":
                return _raised(first, Fraction(1, 2))
            case _:
                self._need_plain(node, first, f"{node.function} takes a plain number, and this is")
                return _Value(_PLAIN, first.adopts, first.plain)

    def _alike(self, node: Operation | Call, what: str, values: Sequence[_Value]) -> _Value:
        """Of things that have to be in one unit."""
        fixed = [one.readings for one in values if one.readings is not None and not one.adopts]
        adopts, plain = all(one.adopts for one in values), all(one.plain for one in values)
        if not fixed:
            return _Value(_PLAIN if adopts else None, adopts, plain)
        common = frozenset.intersection(*fixed)
        if not common:
            sides = " and ".join(dict.fromkeys(map(_either, fixed)))
            self._add(node, "sum", f"{_VERBS[what]} {sides}: convert by a rate first")
            return _Value(None)
        return _Value(common, adopts, plain)

    def _product(self, left: _Value, right: _Value, power: int) -> _Value:
        plain = left.plain and right.plain
        adopts = plain and (left.adopts or right.adopts)
        if left.readings is None or right.readings is None:
            return _Value(None, plain=plain)
        self._products -= len(left.readings) * len(right.readings)
        if self._products < 0:
            return _Value(None)
        readings = frozenset(one.times(other, power) for one in left.readings for other in right.readings)
        return _Value(readings if len(readings) <= MAX_READINGS else None, adopts, plain)

    def _power(self, node: Operation, base: _Value, exponent: _Value) -> _Value:
        constant = _constant(node.right)
        if constant is not None:
            return _raised(base, constant)
        self._need_plain(node, exponent, "an exponent is a plain number, and this one is")
        self._need_plain(node, base, "only a plain number can be raised to what changes, and this is")
        return _Value(_PLAIN, base.adopts and exponent.plain, base.plain and exponent.plain)

    def _need_plain(self, node: Operation | Call, value: _Value, rule: str) -> None:
        if value.readings is not None and ONE not in value.readings:
            self._add(node, "argument", f"{rule} {_either(value.readings)}")

    def _add(self, node: Operation | Call, rule: str, description: str) -> None:
        start, end = node.span
        part = self._text[start:end]
        shown = part if len(part) <= 80 else f"{part[:60]} ... {part[-15:]}"
        where = f"characters {start + 1} to {end}, {shown!r}, "
        self.found.append(FieldViolation(self._field, part, f"formula-dimension-{rule}", where + description))


def _raised(base: _Value, power: Fraction) -> _Value:
    readings = None if base.readings is None else frozenset(one.to(power) for one in base.readings)
    return _Value(readings, base.adopts, base.plain)


def _constant(node: Node) -> Fraction | None:
    match node:
        case Number():
            return Fraction(node.value).limit_denominator(10**6)
        case Negation():
            inner = _constant(node.operand)
            return None if inner is None else -inner
        case _:
            return None


def _either(readings: Readings) -> str:
    texts = _texts(readings)
    more = f" or {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return " or ".join(texts[:_SHOWN]) + more


def _texts(readings: Readings) -> list[str]:
    return [str(one) for one in sorted(readings, key=lambda one: (len(one.powers), str(one)))]
