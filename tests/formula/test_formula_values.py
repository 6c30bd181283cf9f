"""What a formula is worth: against an evaluator of its own, written from the tree and not from the text."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from alphapulse.domain.formula import Formula, parse

Tree = Any  # ("num", x) | ("var", name) | ("neg", t) | (operator, t, t) | (function, t, ...)
NAMES = ("a", "b", "c")
WHOLE = st.integers(0, 50).map(lambda value: ("num", float(value)))
LEAVES = WHOLE | st.sampled_from(NAMES).map(lambda name: ("var", name))


def grow(leaf: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return (
        st.tuples(st.sampled_from("+-*/"), leaf, leaf)
        | st.tuples(st.just("neg"), leaf)
        | st.tuples(st.sampled_from(["min", "max"]), leaf, leaf)
        | st.tuples(st.sampled_from(["abs", "sqrt", "log", "exp"]), leaf)
    )


TREES = st.recursive(LEAVES, grow, max_leaves=12)
RATIONAL = st.recursive(
    LEAVES, lambda leaf: st.tuples(st.sampled_from(["+", "-", "*", "min", "max"]), leaf, leaf), max_leaves=5
)
PRICES = st.fixed_dictionaries({name: st.floats(0.001, 1e6) for name in NAMES})


def render(tree: Tree, rng: random.Random) -> str:
    """The text, every operation in parentheses, with blanks anywhere."""
    blank = rng.choice(["", " ", "\n"])
    match tree:
        case ("num", value):
            return f"{int(value)}{rng.choice(['', '.', '.0'])}"
        case ("var", name):
            return str(name)
        case ("neg", inner):
            return f"(-{blank}{render(inner, rng)})"
        case (operator, left, right) if operator in "+-*/":
            return f"({render(left, rng)}{blank}{operator}{render(right, rng)})"
        case (function, *arguments):
            return f"{function}{blank}({','.join(render(one, rng) for one in arguments)})"


def worth(tree: Tree, values: dict[str, Any], number: type = float) -> Any:
    match tree:
        case ("num", value):
            return number(value)
        case ("var", name):
            return values[name]
        case ("neg", inner):
            return -worth(inner, values, number)
        case (operator, left, right) if operator in ("+", "-", "*", "/"):
            one, other = worth(left, values, number), worth(right, values, number)
            return {"+": one.__add__, "-": one.__sub__, "*": one.__mul__, "/": one.__truediv__}[operator](other)
        case (function, *arguments):
            given_values = [worth(one, values, number) for one in arguments]
            functions = {"min": min, "max": max, "abs": abs, "sqrt": math.sqrt, "log": math.log, "exp": math.exp}
            return functions[function](*given_values)


@given(TREES, PRICES, st.randoms(use_true_random=False))
def test_the_value_is_that_of_the_tree(tree: Tree, prices: dict[str, float], rng: random.Random) -> None:
    formula = parse(render(tree, rng))
    try:
        expected = worth(tree, prices)
    except (ZeroDivisionError, OverflowError, ValueError):
        expected = math.nan
    value = formula.evaluate([prices[name] for name in formula.variables])
    if math.isfinite(expected):
        assert value == expected
    else:
        assert math.isnan(value)


@given(RATIONAL, st.fixed_dictionaries({name: st.integers(1, 1000) for name in NAMES}), st.randoms())
def test_whole_numbers_come_out_exact(tree: Tree, prices: dict[str, int], rng: random.Random) -> None:
    exact = worth(tree, {name: Fraction(value) for name, value in prices.items()}, Fraction)
    assume(abs(exact) < 2**53)
    formula = parse(render(tree, rng))
    assert Fraction(formula.evaluate([float(prices[name]) for name in formula.variables])) == exact


@given(TREES, PRICES, st.randoms(use_true_random=False))
def test_the_normal_form_is_worth_the_same(tree: Tree, prices: dict[str, float], rng: random.Random) -> None:
    formula = parse(render(tree, rng))
    again = parse(formula.canonical)
    assert (again.canonical, again.variables) == (formula.canonical, formula.variables)
    values = [prices[name] for name in formula.variables]
    one, other = formula.evaluate(values), again.evaluate(values)
    assert one == other or (math.isnan(one) and math.isnan(other))


@given(TREES, PRICES, st.floats(1.0, 100.0), st.randoms(use_true_random=False))
def test_a_sign_is_never_wrong(tree: Tree, prices: dict[str, float], factor: float, rng: random.Random) -> None:
    formula = parse(render(tree, rng))
    for moved in formula.variables:
        _check_sign(formula, prices, moved, factor)


def _check_sign(formula: Formula, prices: dict[str, float], moved: str, factor: float) -> None:
    """A price that rises moves the value where its sign says; nothing is claimed without a sign or a value."""
    before = formula.evaluate([prices[name] for name in formula.variables])
    risen = {**prices, moved: prices[moved] * factor}
    after = formula.evaluate([risen[name] for name in formula.variables])
    sign = formula.sign(moved)
    if sign is None or not (math.isfinite(before) and math.isfinite(after)):
        return
    slack = 1e-9 * max(abs(before), abs(after), 1e9)
    assert sign * (after - before) >= -slack


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a / b", (1.0, 0.0)),
        ("0 * (a / b)", (1.0, 0.0)),
        ("log(a)", (0.0,)),
        ("log(a)", (-1.0,)),
        ("sqrt(a)", (-1.0,)),
        ("exp(a)", (1000.0,)),
        ("a * a", (1e200,)),
        ("a ** 2", (1e200,)),
        ("a ** -1", (0.0,)),
        ("a ** 0.5", (-1.0,)),
        ("a ** b", (-8.0, 1 / 3)),
        ("min(a, b)", (math.nan, 1.0)),
        ("min(a, b)", (1.0, math.nan)),
        ("a ** 0", (math.nan,)),
        ("0 * a", (math.inf,)),
        ("1 / a", (math.inf,)),
        ("min(a, 1)", (math.inf,)),
    ],
)
def test_what_has_no_value_is_nan_and_no_error(text: str, values: tuple[float, ...]) -> None:
    assert math.isnan(parse(text).evaluate(values))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 ** 10", 1024.0),
        ("-2 ** 2", -4.0),
        ("(-2) ** 3", -8.0),
        ("4 ** 0.5", 2.0),
        ("2 ** -1", 0.5),
        ("a ** b", 8.0),
        ("log(exp(1))", 1.0),
        ("1 - 2 - 3", -4.0),
        ("8 / 4 / 2", 1.0),
        ("max(1, 2, 3) + min(4, 5, 6)", 7.0),
    ],
)
def test_the_arithmetic_of_known_cases(text: str, value: float) -> None:
    formula = parse(text)
    assert formula.evaluate([2.0, 3.0][: len(formula.variables)]) == value


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("a - b", (1, -1)),
        ("a / b", (1, -1)),
        ("-a / b", (-1, 1)),
        ("a * b - c", (1, 1, -1)),
        ("(a - b) * c", (1, -1, None)),
        ("(a - b) / c", (1, -1, None)),
        ("abs(a - b)", (None, None)),
        ("a * a - a", (None,)),
        ("a - a", (None,)),
        ("a ** 2", (1,)),
        ("a ** -2", (-1,)),
        ("(-a) ** 2", (1,)),
        ("(-a) ** -2", (-1,)),
        ("1 / (-a)", (1,)),
        ("(a - b) ** 3", (1, -1)),
        ("(1 + a) ** b", (1, 1)),
        ("log(a / b)", (1, -1)),
        ("min(a, b) - max(c, 0)", (1, 1, -1)),
        ("sqrt(a) * exp(-b)", (1, -1)),
        ("0.5 * a + 0 * b", (1, 1)),
    ],
)
def test_signs_of_known_cases(text: str, signs: tuple[int | None, ...]) -> None:
    assert parse(text).signs == signs


def test_the_bid_sells_what_raises_and_buys_what_lowers() -> None:
    spread = parse("a - 2 * b")
    assert spread.bid_ask([10.0, 4.0], [11.0, 5.0]) == (10.0 - 2 * 5.0, 11.0 - 2 * 4.0)
    bid, ask = parse("abs(a - b)").bid_ask([10.0, 4.0], [11.0, 5.0])
    assert math.isnan(bid)
    assert math.isnan(ask)
    assert math.isnan(spread.bid_ask([-1.0, 4.0], [11.0, 5.0])[0])


def test_the_sign_of_a_foreign_variable_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        parse("a").sign("b")


def test_a_formula_takes_exactly_its_variables() -> None:
    with pytest.raises(TypeError):
        parse("a + b").evaluate([1.0])
