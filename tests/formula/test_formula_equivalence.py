"""100,000 random formulas, each worth what an evaluator of its own makes of the same text, and some of them what simpleeval does.

The evaluator here reads the text itself, character by character with two stacks (Dijkstra's shunting yard), so that neither Python's parser nor the
compiler under test has a part in it. Values are doubles on both sides, in the same order of operations: they are equal to the last bit.
"""

from __future__ import annotations

import math
import random
import re
from fractions import Fraction
from typing import Any

import pytest
import simpleeval

from alphapulse.domain.formula import parse

NAMES = ("a", "b", "c", "d", "px_1", "Q")
VALUES = {"a": 101.25, "b": 0.0375, "c": 3.0, "d": 64250.5, "px_1": 1.0, "Q": 17.75}
FORMULAS = 100_000
TOKEN = re.compile(r"\s*(?:(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+)|([A-Za-z]\w*)|(\*\*|[-+*/(),]))")
BINARY = {"+": 1, "-": 1, "*": 2, "/": 2, "**": 4}
SIGN = 3


def random_formula(rng: random.Random, depth: int) -> str:
    """Text with few parentheses, so that precedence decides."""
    if depth == 0 or rng.random() < 0.2:
        return rng.choice(NAMES) if rng.random() < 0.7 else number(rng)
    kind = rng.random()
    blank = rng.choice(("", " ", "  "))
    if kind < 0.55:
        operator = rng.choice("+-*/")
        return f"{random_formula(rng, depth - 1)}{blank}{operator}{blank}{random_formula(rng, depth - 1)}"
    if kind < 0.70:
        return f"({random_formula(rng, depth - 1)})"
    if kind < 0.78:
        return f"-{random_formula(rng, depth - 1)}"
    if kind < 0.86:
        base = rng.choice(NAMES) if rng.random() < 0.5 else f"({random_formula(rng, depth - 1)})"
        exponent = rng.choice(("2", "3", "-1", "0.5", "-2", "0", "1.5"))
        return f"{base}**{exponent}"
    if kind < 0.94:
        parts = [random_formula(rng, depth - 1) for _ in range(rng.randint(2, 4))]
        return f"{rng.choice(('min', 'max'))}({', '.join(parts)})"
    return f"{rng.choice(('abs', 'sqrt', 'log', 'exp'))}({random_formula(rng, depth - 1)})"


def number(rng: random.Random) -> str:
    return rng.choice(
        (str(rng.randint(0, 999)), f"{rng.uniform(0, 10):.3f}", f"{rng.randint(1, 9)}e-{rng.randint(1, 9)}", ".5", "2.")
    )


def raised(base: float, exponent: float) -> float:
    """As IEEE pow; a negative base has a whole exponent only."""
    if base < 0 and not exponent.is_integer():
        raise ValueError("complex")
    return base**exponent


FUNCTIONS: dict[str, Any] = {"min": min, "max": max, "abs": abs, "sqrt": math.sqrt, "log": math.log, "exp": math.exp}
OPERATIONS: dict[str, Any] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "**": raised,
}


class ShuntingYard:
    """The value of a text, from its characters."""

    def __init__(self, values: dict[str, float]) -> None:
        self.values = values
        self.operands: list[Any] = []
        self.operators: list[str] = []

    def value(self, text: str) -> float:
        wants_operand, counts = True, [0]
        for found in TOKEN.finditer(text):
            digits, word, sign = found.groups()
            if digits:
                self.operands.append(float(digits))
                wants_operand = False
            elif word in FUNCTIONS:
                self.operators.append(word)
            elif word:
                self.operands.append(self.values[word])
                wants_operand = False
            elif sign == "(":
                self.operators.append("(")
                counts.append(1)
            elif sign in ",)":
                self.unwind("(")
                if sign == ",":
                    counts[-1] += 1
                    wants_operand = True
                else:
                    self.operators.pop()
                    self.call(counts.pop())
                    wants_operand = False
            elif wants_operand:
                self.operators.append("neg")
            else:
                self.reduce(sign)
                self.operators.append(sign)
                wants_operand = True
        self.unwind("")
        (result,) = self.operands
        return result

    def reduce(self, sign: str) -> None:
        """Applies what binds tighter than the operator to come. Powers take from the right, the others from the left."""
        while self.operators and self.operators[-1] not in ("(", *FUNCTIONS):
            held = SIGN if self.operators[-1] == "neg" else BINARY[self.operators[-1]]
            if held < BINARY[sign] or (held == BINARY[sign] and sign == "**"):
                return
            self.apply()

    def unwind(self, until: str) -> None:
        while self.operators and self.operators[-1] != until:
            self.apply()

    def apply(self) -> None:
        operator, right = self.operators.pop(), self.operands.pop()
        if operator == "neg":
            self.operands.append(-right)
        else:
            self.operands.append(OPERATIONS[operator](self.operands.pop(), right))

    def call(self, count: int) -> None:
        if self.operators and self.operators[-1] in FUNCTIONS:
            arguments = self.operands[-count:]
            del self.operands[-count:]
            self.operands.append(FUNCTIONS[self.operators.pop()](*arguments))


def expected(text: str, values: dict[str, float]) -> float:
    try:
        found = ShuntingYard(values).value(text)
    except (ZeroDivisionError, OverflowError, ValueError):
        return math.nan
    return found if math.isfinite(found) else math.nan


def same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


@pytest.mark.parametrize("part", range(4))
def test_a_hundred_thousand_random_formulas_are_worth_what_another_evaluator_says(part: int) -> None:
    rng = random.Random(20_260_000 + part)
    with_value = 0
    for at in range(FORMULAS // 4):
        text = random_formula(rng, rng.randint(1, 4))
        formula = parse(text)
        value = formula.evaluate([VALUES[name] for name in formula.variables])
        other = expected(text, VALUES)
        assert same(value, other), f"formula {at} of part {part}: {text!r} is {value}, expected {other}"
        with_value += not math.isnan(value)
    assert with_value > FORMULAS // 4 * 0.7


def test_simpleeval_says_the_same_of_the_same_text() -> None:
    rng = random.Random(7)
    evaluator = simpleeval.SimpleEval(functions=FUNCTIONS, names=VALUES)
    compared = 0
    for _ in range(5_000):
        text = random_formula(rng, 3)
        formula = parse(text)
        value = formula.evaluate([VALUES[name] for name in formula.variables])
        try:
            theirs = evaluator.eval(text)
        except (ZeroDivisionError, OverflowError, ValueError, simpleeval.InvalidExpression):
            continue
        except TypeError:
            # A negative base to a broken power is complex there, and cannot be compared; here it has no value.
            assert math.isnan(value), text
            continue
        if isinstance(theirs, complex) or not math.isfinite(theirs):
            assert math.isnan(value), text
            continue
        # It keeps whole numbers whole, which a double rounds.
        assert math.isclose(value, theirs, rel_tol=1e-9, abs_tol=1e-12) or math.isnan(value), text
        compared += not math.isnan(value)
    assert compared > 3_000


def test_sums_and_products_of_fractions_are_right_beyond_the_rounding_of_doubles() -> None:
    """Against exact arithmetic, so that both evaluators cannot share a mistake about what the text means."""
    rng = random.Random(11)
    for _ in range(2_000):
        terms = [(rng.choice("+-"), rng.randint(1, 99), rng.choice(NAMES)) for _ in range(rng.randint(1, 8))]
        text = "0" + "".join(f" {sign} {weight} * {name} / 7" for sign, weight, name in terms)
        exact = sum(
            ((1 if sign == "+" else -1) * weight * Fraction(VALUES[name]) / 7 for sign, weight, name in terms),
            Fraction(0),
        )
        formula = parse(text)
        value = formula.evaluate([VALUES[name] for name in formula.variables])
        assert math.isclose(value, float(exact), rel_tol=1e-9, abs_tol=1e-6)
