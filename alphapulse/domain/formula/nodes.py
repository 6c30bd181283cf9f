"""The checked tree of a formula, and its normal form as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

FUNCTIONS: Final[dict[str, tuple[int, int]]] = {
    "min": (2, 64),
    "max": (2, 64),
    "abs": (1, 1),
    "sqrt": (1, 1),
    "log": (1, 1),
    "exp": (1, 1),
}
"""Functions and how many arguments they take, least and most. `log` is the natural logarithm."""


@dataclass(frozen=True, slots=True)
class Number:
    """A finite constant, not negative."""

    value: float


@dataclass(frozen=True, slots=True)
class Variable:
    """An input."""

    name: str


@dataclass(frozen=True, slots=True)
class Negation:
    """Unary minus."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Operation:
    """left operator right; the operator is one of + - * / **."""

    operator: str
    left: Node
    right: Node
    span: tuple[int, int] = field(default=(0, 0), compare=False, repr=False)
    """Where it stands in the text: first character and the one after the last, from 0."""


@dataclass(frozen=True, slots=True)
class Call:
    """One of FUNCTIONS."""

    function: str
    arguments: tuple[Node, ...]
    span: tuple[int, int] = field(default=(0, 0), compare=False, repr=False)
    """Where it stands in the text, as an Operation's."""


Node = Number | Variable | Negation | Operation | Call

_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(5)
_PRECEDENCE: Final = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "**": _POWER}


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below."""
    match node:
        case Negation():
            return (node.operand,)
        case Operation():
            return (node.left, node.right)
        case Call():
            return node.arguments
        case _:
            return ()


def walk(root: Node) -> Iterator[Node]:
    """Every node, without recursion."""
    pending = [root]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(children(node))


def canonical(node: Node) -> str:
    """The normal form: one blank around + - * /, none around **, no parenthesis that changes nothing."""
    return _text(node)[0]


def _text(node: Node) -> tuple[str, int]:
    """(text, precedence) of a node."""
    match node:
        case Number():
            return _number(node.value), _ATOM
        case Variable():
            return node.name, _ATOM
        case Call():
            return f"{node.function}({', '.join(canonical(one) for one in node.arguments)})", _ATOM
        case Negation():
            return f"-{_bound(node.operand, _SIGN)}", _SIGN
        case Operation():
            level = _PRECEDENCE[node.operator]
            if node.operator == "**":
                # The base binds tighter than a sign, the exponent may carry one: (-a)**-2.
                return f"{_bound(node.left, _ATOM)}**{_bound(node.right, _SIGN)}", level
            return f"{_bound(node.left, level)} {node.operator} {_bound(node.right, level + 1)}", level


def _bound(node: Node, least: int) -> str:
    text, level = _text(node)
    return text if level >= least else f"({text})"


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and value < 1e15 else repr(value)
