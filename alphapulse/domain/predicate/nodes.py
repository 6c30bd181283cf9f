"""The checked tree of a predicate. Trees are equal, and hash alike, when they say the same in the same order.

A comparison with a field that is missing is false, whatever the operator; `Has` tells whether it is there. `Not`, `All` and `Any` are two-valued.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from alphapulse.domain.decimal import ExactDecimal

Operator = Literal["<", "<=", ">", ">=", "==", "!="]


@dataclass(frozen=True, slots=True)
class Compare:
    """field operator value, of a NUMBER or TIME. A time is in seconds since the Unix epoch, with six decimals."""

    field: str
    operator: Operator
    value: ExactDecimal


@dataclass(frozen=True, slots=True)
class Among:
    """The field is one of the values, or, where `negated`, is there and none of them; of a TEXT, ID, WORD or FLAG."""

    field: str
    values: frozenset[str]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Has:
    """The field is there."""

    field: str


@dataclass(frozen=True, slots=True)
class Not:
    """What is below does not hold."""

    operand: Node


@dataclass(frozen=True, slots=True)
class All:
    """Everything below holds."""

    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """Something below holds."""

    operands: tuple[Node, ...]


Node = Compare | Among | Has | Not | All | Any


def leaves(root: Node) -> Iterator[Compare | Among | Has]:
    """Every comparison and Has, without recursion."""
    pending = [root]
    while pending:
        node = pending.pop()
        match node:
            case Not():
                pending.append(node.operand)
            case All() | Any():
                pending.extend(node.operands)
            case _:
                yield node
