"""Which way a formula's value moves when a variable rises, for all positive values of all variables.

The derivative's sign is carried through the tree beside an interval of each node's value (interval arithmetic, as in
Moore, Methods and Applications of Interval Analysis, 1979). It is cautious: an answer is right, and where the rules
cannot tell there is none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from alphapulse.domain.formula.nodes import Call, Negation, Node, Number, Operation, Variable


@dataclass(frozen=True, slots=True)
class Motion:
    """Bounds of a node's value, and the sign of its change: +1, -1, 0 (does not move), None (cannot tell)."""

    low: float
    high: float
    sign: int | None

    @property
    def side(self) -> int | None:
        """+1: never negative; -1: never positive; None: either."""
        return 1 if self.low >= 0 else -1 if self.high <= 0 else None


def motion(node: Node, variable: str) -> Motion:
    """How a node moves with a variable."""
    match node:
        case Number():
            return Motion(node.value, node.value, 0)
        case Variable():
            return Motion(0.0, math.inf, int(node.name == variable))
        case Negation():
            inner = motion(node.operand, variable)
            return Motion(-inner.high, -inner.low, _times(inner.sign, -1))
        case Call():
            return _call(node.function, [motion(one, variable) for one in node.arguments])
        case Operation():
            return _operation(node.operator, motion(node.left, variable), motion(node.right, variable))


def _operation(operator: str, left: Motion, right: Motion) -> Motion:
    match operator:
        case "+":
            return Motion(left.low + right.low, left.high + right.high, _both(left.sign, right.sign))
        case "-":
            return Motion(left.low - right.high, left.high - right.low, _both(left.sign, _times(right.sign, -1)))
        case "*":
            sign = _both(_times(left.sign, right.side), _times(right.sign, left.side))
            return Motion(*_products(left, right), sign)
        case "/":
            if right.side is None:
                return Motion(-math.inf, math.inf, _unmoved(left, right))
            sign = _both(_times(left.sign, right.side), _times(_times(right.sign, left.side), -1))
            inverse = Motion(_inverse(right.high, right.side), _inverse(right.low, right.side), None)
            return Motion(*_products(left, inverse), sign)
        case _:
            return _power(left, right)


def _power(base: Motion, exponent: Motion) -> Motion:
    if base.side == 1:
        grows = exponent.side
        around_one = 1 if base.low >= 1 else -1 if base.high <= 1 else None
        sign = _both(_times(base.sign, grows), _times(exponent.sign, around_one))
        return Motion(0.0, math.inf, sign)
    constant = exponent.low if exponent.low == exponent.high else None
    if constant is None or not constant.is_integer():
        return Motion(-math.inf, math.inf, _unmoved(base, exponent))
    even = constant % 2 == 0
    low = 0.0 if even else -math.inf
    if constant > 0 and not even:
        return Motion(low, math.inf, base.sign)
    if base.side is None:
        return Motion(low, math.inf, _unmoved(base, exponent))
    # Below zero: x**2 and 1/x fall when x rises, x**-2 rises.
    return Motion(low, math.inf if even else 0.0, _times(base.sign, 1 if even and constant <= 0 else -1))


def _call(function: str, arguments: list[Motion]) -> Motion:
    first = arguments[0]
    match function:
        case "min" | "max":
            pick = min if function == "min" else max
            sign: int | None = 0
            for one in arguments:
                sign = _both(sign, one.sign)
            return Motion(pick(one.low for one in arguments), pick(one.high for one in arguments), sign)
        case "abs":
            if first.side is None:
                return Motion(0.0, math.inf, _unmoved(first))
            low, high = sorted((abs(first.low), abs(first.high)))
            return Motion(low, high, _times(first.sign, first.side))
        case "sqrt":
            return Motion(math.sqrt(max(first.low, 0.0)), math.inf, first.sign)
        case "exp":
            return Motion(1.0 if first.low >= 0 else 0.0, 1.0 if first.high <= 0 else math.inf, first.sign)
        case _:
            return Motion(0.0 if first.low >= 1 else -math.inf, 0.0 if first.high <= 1 else math.inf, first.sign)


def _both(one: int | None, other: int | None) -> int | None:
    """The sign of a sum of two changes."""
    if one == 0 or one == other:
        return other
    return one if other == 0 else None


def _times(sign: int | None, factor: int | None) -> int | None:
    if sign == 0:
        return 0
    return None if sign is None or factor is None else sign * factor


def _unmoved(*parts: Motion) -> int | None:
    return 0 if all(part.sign == 0 for part in parts) else None


def _products(one: Motion, other: Motion) -> tuple[float, float]:
    """Bounds of a product; 0 times infinity is 0, because the bound is not reached."""
    corners = [
        0.0 if 0.0 in (left, right) else left * right
        for left in (one.low, one.high)
        for right in (other.low, other.high)
    ]
    return min(corners), max(corners)


def _inverse(value: float, side: int) -> float:
    return side * math.inf if value == 0 else 1.0 / value
