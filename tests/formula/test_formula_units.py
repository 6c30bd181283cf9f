"""Units of formulas: what is refused and where it says so; and that what is accepted scales as its unit says."""

from __future__ import annotations

import math
import random
from collections.abc import Collection
from fractions import Fraction

import pytest

from alphapulse.domain.formula import Formula, parse
from alphapulse.domain.formula.dimensions import MAX_PRODUCTS, Dimensions, dimensions
from alphapulse.domain.formula.units import ONE, Unit

USD, EUR = Unit.parse("USD"), Unit.parse("EUR")


def pair(quote: str, base: str) -> frozenset[Unit]:
    """The readings of a pair's price."""
    return frozenset({Unit.parse(quote), Unit.parse(f"{quote}/{base}")})


UNITS: dict[str, Collection[Unit]] = {
    "apple": [USD],
    "sap": [EUR],
    "eurusd": pair("USD", "EUR"),
    "btc": pair("USD", "BTC"),
    "eth": pair("USD", "ETH"),
    "ethbtc": pair("BTC", "ETH"),
    "rate": [ONE],
    "dax": [Unit.parse("points")],
}


def check(text: str, declared: str = "") -> Dimensions:
    formula = parse(text)
    return dimensions(formula.root, text, {name: UNITS[name] for name in formula.variables if name in UNITS}, declared)


@pytest.mark.parametrize(
    ("text", "declared"),
    [
        ("apple", "USD"),
        ("-apple + 2 * btc", "USD"),
        ("apple + sap * eurusd", "USD"),
        ("apple / eurusd + sap", "EUR"),
        ("apple / sap", "USD/EUR"),
        ("(apple / apple - 1) * 10000", "bps"),
        ("(ethbtc * btc / eth - 1) * 10000", "bps"),
        ("eth / btc", "BTC/ETH"),
        ("eth / btc", "ratio"),
        ("0.5 * btc + 0.5 * ethbtc * btc", "USD"),
        ("eurusd + btc", "USD"),
        ("sqrt(apple * btc)", "USD"),
        ("(apple**2 * btc)**0.5 / sqrt(btc)", "USD"),
        ("log(apple / btc)", "rate"),
        ("apple - 100 * exp(-rate * 0.25)", "USD"),
        ("apple - 100", "USD"),
        ("max(apple - 100, 0)", "USD"),
        ("min(apple, btc, 1000)", "USD"),
        ("apple * rate", "USD"),
        ("rate**rate", "rate"),
        ("apple * sap", "USD*EUR"),
        ("apple + unknown", "USD"),
        ("apple * unknown", "EUR"),
        ("5", "USD"),
        ("apple * sap * btc", "points"),
        ("dax - dax", "points"),
        ("dax / dax", "ratio"),
    ],
)
def test_what_makes_sense_is_taken(text: str, declared: str) -> None:
    assert check(text, declared).violations == ()


@pytest.mark.parametrize(
    ("text", "declared", "rule", "where"),
    [
        ("apple + sap", "USD", "formula-dimension-sum", "apple + sap"),
        ("2 * (btc - sap) / apple", "ratio", "formula-dimension-sum", "btc - sap"),
        ("apple + sap / eurusd", "USD", "formula-dimension-sum", "apple + sap / eurusd"),
        ("apple + 1.08 * sap", "USD", "formula-dimension-sum", "apple + 1.08 * sap"),
        ("btc +\r\n\t ethbtc", "USD", "formula-dimension-sum", "btc +\r\n\t ethbtc"),
        ("min(apple, sap)", "USD", "formula-dimension-sum", "min(apple, sap)"),
        ("apple + rate", "USD", "formula-dimension-sum", "apple + rate"),
        ("apple + (apple / btc - 1) * 100", "USD", "formula-dimension-sum", "apple + (apple / btc - 1) * 100"),
        ("1 + log(apple)", "", "formula-dimension-argument", "log(apple)"),
        ("exp(sap)", "", "formula-dimension-argument", "exp(sap)"),
        ("2**apple", "", "formula-dimension-argument", "2**apple"),
        ("apple**rate", "", "formula-dimension-argument", "apple**rate"),
        ("dax + apple", "points", "formula-dimension-sum", "dax + apple"),
    ],
)
def test_what_makes_none_is_refused_where_it_stands(text: str, declared: str, rule: str, where: str) -> None:
    (violation,) = check(text, declared).violations
    assert (violation.rule, violation.field, violation.value) == (rule, "formula", where)
    start = text.index(where)
    assert f"characters {start + 1} to {start + len(where)}" in violation.description


def test_every_fault_is_told_at_once() -> None:
    found = check("log(apple) + exp(sap) + 0 * (apple - sap)", "rate").violations
    assert [one.value for one in found] == ["log(apple)", "exp(sap)", "apple - sap"]


@pytest.mark.parametrize(
    ("text", "declared", "rule", "told"),
    [
        ("apple", "EUR", "unit-mismatch", "USD"),
        ("apple / btc", "USD", "unit-mismatch", "a plain number"),
        ("apple / apple", "USD", "unit-mismatch", "a plain number"),
        ("apple * sap", "USD", "unit-mismatch", "EUR*USD"),
        ("apple * apple", "", "formula-dimension-product", "USD^2"),
        ("apple**2", "", "formula-dimension-product", "USD^2"),
        ("sqrt(apple)", "", "formula-dimension-product", "USD^1/2"),
    ],
)
def test_the_unit_of_the_whole_has_to_agree(text: str, declared: str, rule: str, told: str) -> None:
    (violation,) = check(text, declared).violations
    assert (violation.rule, violation.field) == (rule, "unit" if declared else "formula")
    assert told in violation.description


@pytest.mark.parametrize(
    ("text", "shown"),
    [("USD", "USD"), ("USD/EUR", "USD/EUR"), ("EUR*USD", "EUR*USD"), ("USD*EUR/EUR", "USD"), ("1/USD", "1/USD")],
)
def test_units_have_one_text(text: str, shown: str) -> None:
    assert str(Unit.parse(text)) == shown


@pytest.mark.parametrize(
    "text", ["", "USD EUR", "USD per barrel", "*USD", "USD//EUR", "2*USD", "U" * 33, "a/" * 80, "ratio/USD", "€"]
)
def test_what_is_no_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unit"):
        Unit.parse(text)


def test_a_formula_of_many_pairs_is_checked_in_bounded_work() -> None:
    names = [f"p{at}" for at in range(64)]
    text = " + ".join("*".join(names) for _ in range(7))
    found = dimensions(parse(text).root, text, {name: pair("USD", f"C{at}") for at, name in enumerate(names)}, "USD")
    # Too many readings to tell: taken as unknown, not as wrong, after at most MAX_PRODUCTS products.
    assert found.violations == ()
    assert MAX_PRODUCTS <= 100_000


SYMBOLS = ("USD", "EUR", "BTC")
VARIABLES = {"u": "USD", "v": "USD", "e": "EUR", "x": "USD/EUR", "b": "USD/BTC"}


def test_what_is_accepted_scales_as_its_unit_says() -> None:
    """A formula in USD is worth a hundred times as much in cents. Numbers of the text multiply only: added, they would take a unit and not scale."""
    rng, compared = random.Random(5), 0
    for _ in range(4_000):
        text = _grown(rng, 3)
        formula = parse(text)
        found = dimensions(formula.root, text, {name: [Unit.parse(VARIABLES[name])] for name in formula.variables})
        if found.readings is None or any(one.rule != "formula-dimension-product" for one in found.violations):
            continue
        (unit,) = found.readings
        compared += _scales(formula, text, unit, {symbol: rng.choice((0.5, 2.0, 4.0)) for symbol in SYMBOLS})
    assert compared > 1_000


def _scales(formula: Formula, text: str, unit: Unit, scale: dict[str, float]) -> bool:
    """Whether there was something to compare; it has to agree."""
    values = {"u": 3.0, "v": 5.0, "e": 7.0, "x": 1.25, "b": 9.0}
    scaled = {name: value * _factor(Unit.parse(VARIABLES[name]), scale) for name, value in values.items()}
    before = formula.evaluate([values[name] for name in formula.variables])
    after = formula.evaluate([scaled[name] for name in formula.variables])
    if not (math.isfinite(before) and math.isfinite(after)):
        return False
    expected = before * _factor(unit, scale)
    assert math.isclose(after, expected, rel_tol=1e-6, abs_tol=1e-6 * max(1.0, abs(before), abs(expected))), text
    return True


def _grown(rng: random.Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.25:
        return rng.choice(tuple(VARIABLES))
    kind = rng.random()
    left, right = _grown(rng, depth - 1), _grown(rng, depth - 1)
    if kind < 0.5:
        return f"({left} {rng.choice('+-*/')} {right})"
    if kind < 0.65:
        return f"{rng.choice(('2', '0.25'))} * {left}"
    if kind < 0.8:
        return f"{rng.choice(('min', 'max'))}({left}, {right})"
    return rng.choice(
        (f"abs({left})", f"sqrt({left})", f"({left})**2", f"({left})**-1", f"log({left})", f"exp({left})")
    )


def _factor(unit: Unit, scale: dict[str, float]) -> float:
    return math.prod(scale[symbol] ** float(Fraction(power)) for symbol, power in unit.powers)
