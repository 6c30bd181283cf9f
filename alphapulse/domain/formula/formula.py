"""A parsed formula, and the functions that parse one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.formula.compiler import compile_function
from alphapulse.domain.formula.monotony import motion
from alphapulse.domain.formula.nodes import Node, Variable, canonical, walk
from alphapulse.domain.formula.reader import read
from alphapulse.domain.formula.scan import Findings, scan
from alphapulse.domain.violations import FieldViolation


@dataclass(frozen=True, slots=True)
class Formula:
    """A valid formula, compiled. Equal when text and order of variables are."""

    text: str
    """As it was given."""
    variables: tuple[str, ...]
    """In the order `evaluate` takes their values: as declared, or sorted where nothing was declared."""
    root: Node = field(repr=False, compare=False)
    """The checked tree."""
    function: Callable[..., float] = field(repr=False, compare=False)
    """The compiled function of one float a variable: what `evaluate` calls."""
    signs: tuple[int | None, ...] = field(repr=False, compare=False)
    """One a variable, as `sign` gives them."""

    @property
    def canonical(self) -> str:
        """The normal form: two formulas with the same one are the same arithmetic. May be longer than the text."""
        return canonical(self.root)

    def evaluate(self, values: Sequence[float]) -> float:
        """The value for one finite float a variable. NaN, never an error, where there is none: division by zero, the
        logarithm of what is not positive, an overflow, an input that is NaN or infinite."""
        return self.function(*values)

    def sign(self, variable: str) -> int | None:
        """+1: the value never falls when the variable rises; -1: it never rises; None: it can do both, or the rules
        cannot tell. It holds for positive values of all variables, which prices are. KeyError for a foreign one."""
        try:
            return self.signs[self.variables.index(variable)]
        except ValueError:
            raise KeyError(variable) from None

    def bid_ask(self, bids: Sequence[float], asks: Sequence[float]) -> tuple[float, float]:
        """(bid, ask) of the value from the components' own, in the order of `variables`: to sell the value one sells
        what raises it at its bid and buys what lowers it at its ask. NaN for both where a sign is None, or a price is
        not positive: the signs hold for positive prices."""
        if None in self.signs or not all(price > 0 for price in (*bids, *asks)):
            return math.nan, math.nan
        sold = [bid if sign == 1 else ask for bid, ask, sign in zip(bids, asks, self.signs, strict=True)]
        bought = [ask if sign == 1 else bid for bid, ask, sign in zip(bids, asks, self.signs, strict=True)]
        return self.function(*sold), self.function(*bought)


def parse(text: str, variables: Sequence[str] | None = None, *, field: str = "formula") -> Formula:
    """The formula in a text. `variables` declares the inputs and their order: each has to be used and no other may be.

    InvalidArgument lists every violation at once; `field` is the path they name. A text of any size is refused in
    bounded time.
    """
    root, used, found = _check(text, variables, field)
    if root is None or found:
        raise InvalidArgument.of(found)
    order = tuple(variables) if variables is not None else used
    moves = (motion(root, name).sign for name in order)
    signs = tuple(1 if sign == 0 else sign for sign in moves)
    return Formula(text, order, root, compile_function(root, order), signs)


def violations(
    text: str, variables: Sequence[str] | None = None, *, field: str = "formula"
) -> tuple[FieldViolation, ...]:
    """Every rule a text breaks as a formula; empty for a valid one."""
    return _check(text, variables, field)[2]


def _check(
    text: str, variables: Sequence[str] | None, field: str
) -> tuple[Node | None, tuple[str, ...], tuple[FieldViolation, ...]]:
    findings = Findings(field)
    scan(text, findings)
    root = None if findings.found else read(text, findings)
    if root is None:
        return None, (), tuple(findings.found)
    used = tuple(sorted({node.name for node in walk(root) if isinstance(node, Variable)}))
    if variables is not None:
        for name in used:
            if name not in variables:
                findings.add(name, "variable-undeclared", f"{name} is used and no component has that name")
        for name in variables:
            if name not in used:
                findings.add(name, "variable-unused", f"the component {name} is not used")
    return root, used, tuple(findings.found)
