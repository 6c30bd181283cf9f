"""What a formula may say, and what is refused, under which rule."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.formula import MAX_LENGTH, MAX_NESTING, Formula, parse, violations

REFUSED = [
    ("", "formula-empty"),
    (" \n\t", "formula-empty"),
    ("a" * (MAX_LENGTH + 1), "formula-length"),
    ("a $ b", "formula-character"),
    ("'a'", "formula-character"),
    ("#", "formula-character"),
    ("\x00", "formula-character"),
    ("\ud800", "formula-character"),
    ("ａ + b", "formula-character"),
    ("a // b", "formula-operator"),
    ("0x10", "formula-number"),
    ("1_000", "formula-number"),
    ("1e999", "formula-number"),
    ("9" * 33, "formula-number"),
    ("1..2", "formula-number"),
    ("007", "formula-number"),
    ("_a", "formula-variable"),
    ("a.b", "formula-variable"),
    ("x" * 33, "formula-variable"),
    ("lambda", "formula-variable"),
    ("a if b else c", "formula-variable"),
    ("a b", "formula-syntax"),
    ("a +", "formula-syntax"),
    ("(a", "formula-syntax"),
    ("a)", "formula-syntax"),
    ("a) + (b", "formula-syntax"),
    ("()", "formula-syntax"),
    ("a, b", "formula-syntax"),
    ("+a", "formula-syntax"),
    ("min(*a, b)", "formula-syntax"),
    ("sin(a)", "formula-function"),
    ("1(a)", "formula-function"),
    ("min", "formula-function"),
    ("a + max", "formula-function"),
    ("min(a)", "formula-arguments"),
    ("log(a, b)", "formula-arguments"),
    ("a ** 65", "formula-exponent"),
    ("a ** -65", "formula-exponent"),
    ("a ** (8 * 9)", "formula-exponent"),
    ("a ** b ** c", "formula-exponent-tower"),
    ("9 ** 9 ** 9", "formula-exponent-tower"),
    ("(" * (MAX_NESTING + 1) + "a" + ")" * (MAX_NESTING + 1), "formula-nesting"),
    ("-" * (MAX_NESTING + 1) + "a", "formula-nesting"),
    ("2" + "**2" * 200, "formula-nesting"),
    ("+".join(["a"] * 400), "formula-depth"),
    ("*".join(["1"] * 1000), "formula-nodes"),
    ("+".join(f"v{n}" for n in range(65)), "formula-variables"),
]


@pytest.mark.parametrize(("text", "rule"), REFUSED)
def test_a_text_that_is_no_formula_is_refused_with_its_rule(text: str, rule: str) -> None:
    found = violations(text)
    assert rule in {violation.rule for violation in found}
    assert all(violation.field == "formula" for violation in found)
    with pytest.raises(InvalidArgument):
        parse(text)


def test_all_violations_come_at_once() -> None:
    found = violations("a.b + 1e999 + 'x' // 0x1")
    assert {violation.rule for violation in found} == {
        "formula-variable",
        "formula-number",
        "formula-character",
        "formula-operator",
    }


def test_faults_of_the_tree_come_at_once_too() -> None:
    rules = {violation.rule for violation in violations("sin(a) + min(b) + c ** 99 + d ** e ** f")}
    assert rules == {"formula-function", "formula-arguments", "formula-exponent", "formula-exponent-tower"}


@pytest.mark.parametrize(
    "text",
    [
        "(" * 4096,
        "-" * 4096,
        "(-" * 2048,
        "1**" * 1365,
        "a**-" * 1000 + "a",
        "min(" * 1024,
        "[" * 4096,
        "f" * 4096,
        "9" * 4096,
        "9**9**9**9**9**9",
        "a" + "(1)" * 1000,
        "a\\\n" * 1000,
        "('" * 2000,
        "\n" * 4096,
        "x" * 10_000_000,
        "(" * 10_000_000,
    ],
)
def test_hostile_texts_are_refused(text: str) -> None:
    assert violations(text)


@given(st.text(max_size=200))
def test_any_text_is_taken_or_refused_and_never_breaks(text: str) -> None:
    found = violations(text)
    if not found:
        assert isinstance(parse(text), Formula)


@given(st.text(alphabet="abx01.e_+-*/(), \nminlogsqrt", max_size=60))
def test_near_formulas_are_taken_or_refused_and_never_break(text: str) -> None:
    if violations(text):
        return
    formula = parse(text)
    value = formula.evaluate([2.0] * len(formula.variables))
    assert isinstance(value, float)
    again = parse(formula.canonical)
    assert again.canonical == formula.canonical
    repeated = again.evaluate([2.0] * len(formula.variables))
    assert repeated == value or (math.isnan(value) and math.isnan(repeated))


def test_declared_and_used_variables_have_to_agree() -> None:
    found = violations("a + b", ("b", "c"))
    assert [(violation.value, violation.rule) for violation in found] == [
        ("a", "formula-variable-undeclared"),
        ("c", "formula-variable-unused"),
    ]


def test_the_order_of_values_is_that_of_the_declaration() -> None:
    assert parse("a - b").evaluate([3.0, 1.0]) == 2.0
    assert parse("a - b", ("b", "a")).evaluate([3.0, 1.0]) == -2.0
    assert parse("z - a").variables == ("a", "z")


def test_the_field_of_a_violation_is_the_callers() -> None:
    assert violations("", field="synthetic.formula")[0].field == "synthetic.formula"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("a+b", "a + b"),
        ("((a))", "a"),
        ("a-(b-c)", "a - (b - c)"),
        ("(a-b)-c", "a - b - c"),
        ("a/(b*c)", "a / (b * c)"),
        ("-a**2", "-a**2"),
        ("(-a)**2", "(-a)**2"),
        ("a**-2", "a**-2"),
        ("a**(b+1)", "a**(b + 1)"),
        ("2.50*a\n+ 1e-8", "2.5 * a + 1e-08"),
        ("min( a,max(b ,1))", "min(a, max(b, 1))"),
        ("-(a+b)", "-(a + b)"),
        ("a*-b", "a * -b"),
        ("a - -b", "a - -b"),
    ],
)
def test_the_normal_form(text: str, canonical: str) -> None:
    assert parse(text).canonical == canonical
    assert parse(canonical).canonical == canonical


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a * (b + c", "at character 5: '(' was never closed"),
        ("((a) + (b", "at character 8: '(' was never closed"),
        ("a\n+ (b - c\r\n* d", "at character 5: '(' was never closed"),
        ("a * * b", "at character 5: invalid syntax"),
        ("a +\nb * * c", "at character 9: invalid syntax"),
        ("a +", "at character 4: the formula ends too early"),
        ("a +\n", "at character 5: the formula ends too early"),
        ("a +\nb - +c", "unary + at character 9"),
        ("a,\nb", "tuple at character 1"),
    ],
)
def test_a_syntax_error_points_at_its_character(text: str, told: str) -> None:
    (violation,) = violations(text)
    assert violation.rule == "formula-syntax"
    assert told in violation.description
