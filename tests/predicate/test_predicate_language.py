"""What a predicate may say, and what is refused, under which rule and where."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.predicate import (
    CATALOGUE,
    MAX_COMPARISONS,
    MAX_LENGTH,
    MAX_NESTING,
    MAX_NODES,
    MAX_REPORTED,
    Kind,
    Predicate,
    parse,
    violations,
)

REFUSED = [
    ("", "empty", "needed"),
    (" \n\t", "empty", "needed"),
    ("x" * (MAX_LENGTH + 1), "length", "4096"),
    ("strike = 1", "character", "character 8: compare with '=='"),
    ("strike < 1 & primary", "character", "write 'and'"),
    ("venue == 'XNAS", "character", "never closed"),
    ("strike < [1]", "character", "'[' at character 10"),
    ("strike < 1\x00", "character", "character 11"),
    ("ｓtrike < 1", "character", "character 1"),
    ("venue == \ud800", "character", "character 10"),
    ("strike * 2 < 1", "character", "'*' at character 8"),
    ("strike < +1", "character", "'+'"),
    ("strike < 0x10", "number", "'0x10' at character 10"),
    ("strike < 1_000", "number", "character 10"),
    ("strike < 007", "number", "character 10"),
    ("strike < 1j", "number", "character 10"),
    ("strike < 1e999", "number", "exponent"),
    ("strike < 1e9999", "number", "character 10"),
    ("strike < 9223372036854775808", "number", "64 signed bits"),
    ("strike < " + "9" * 4000, "number", "at most 32"),
    (f"symbol == '{'x' * 129}'", "text", "at most 128"),
    ("sector == ''", "text", "has(sector)"),
    ("_strike < 1", "name", "character 1"),
    ("strike.real < 1", "name", "character 1"),
    ("lambda", "name", "reserved"),
    ("strike < 1 if primary else inverse", "name", "reserved"),
    ("f'strike' == 1", "operands", "is no field"),
    ("venue == r'XNAS'", "operands", "character 10 is no value"),
    ("strike <", "syntax", "its end"),
    ("strike < 1 strike", "syntax", "character"),
    ("(strike < 1", "syntax", "character 1 is never closed"),
    ("strike < 1)", "syntax", "character 11 closes none"),
    ("()", "syntax", "no condition"),
    ("primary, inverse", "syntax", "no condition"),
    ("1", "syntax", "no condition"),
    ("true", "syntax", "no condition"),
    ("-primary", "syntax", "no condition"),
    ("venue in 'XNAS,XLON'", "syntax", "write a list"),
    ("strike in ()", "syntax", "'()' at character 11 is an empty list"),
    ("primary is true", "syntax", "only missing can"),
    ("color == 'red'", "field", "known: symbol, venue, "),
    ("missing < 1", "field", "character 1"),
    ("has(color)", "field", "character 5"),
    ("strike < lot_size", "operands", "'lot_size' at character 10"),
    ("1 < 2", "operands", "no field"),
    ("'US' in country", "operands", "no field"),
    ("strike < - - 1", "operands", "no value"),
    ("strike < -'1'", "operands", "no value"),
    ("symbol == 'a' 'b'", "operands", "no value"),
    ("strike in (1, lot_size)", "operands", "no value"),
    ("len(symbol) < 1", "operands", "no field"),
    ("all(primary)", "function", "known: has"),
    ("'a'(1) == 1", "operands", "no field"),
    ("has()", "arguments", "got 0"),
    ("has(strike, expiry)", "arguments", "got 2"),
    ("strike", "type", "no condition by itself"),
    ("strike < '1'", "type", "'1' at character 10 is a text"),
    ("strike == true", "type", "true at character 11 is a flag"),
    ("currency == 1", "type", "1 at character 13 is a number"),
    ("primary == 1", "type", "1 at character 12 is a number"),
    ("expiry < 2026", "type", "a time in quotes"),
    ("currency < 'USD'", "operator", "not with <"),
    ("primary >= true", "operator", "not with >="),
    ("expiry < '2026-02-30'", "time", "character 10"),
    ("expiry < '2026-01-01T00:00:00+01:00'", "time", "character 10"),
    ("status == 'trading'", "word", "known: TRADING, HALTED"),
    ("underlying_id == 'abc'", "id", "32 hexadecimal"),
    ("(" * (MAX_NESTING + 1) + "primary" + ")" * (MAX_NESTING + 1), "nesting", "at most 32"),
    ("not " * (MAX_NESTING + 1) + "primary", "nesting", "at most 32"),
    ("(not not not " * MAX_NESTING + "primary" + ")" * MAX_NESTING, "depth", "at most 64"),
    (" or ".join(["primary"] * (MAX_COMPARISONS + 1)), "comparisons", "at most 64 comparisons, got 65"),
    (f"strike in ({', '.join('1' for _ in range(MAX_COMPARISONS + 1))})", "comparisons", "got 65"),
    (f"symbol in ({', '.join('1' for _ in range(MAX_NODES))})", "nodes", "1024"),
]


@pytest.mark.parametrize(("text", "rule", "told"), REFUSED)
def test_a_text_that_is_no_predicate_is_refused_with_rule_and_place(text: str, rule: str, told: str) -> None:
    found = violations(text, field="filter.predicate")
    assert f"predicate-{rule}" in {one.rule for one in found}
    assert any(told in one.description for one in found if one.rule == f"predicate-{rule}")
    assert {one.field for one in found} == {"filter.predicate"}
    with pytest.raises(InvalidArgument):
        parse(text)


def test_all_violations_come_at_once() -> None:
    text = "strike < 'x' and color == 1 or currency < 'USD' and 1e999 > lot_size"
    assert [one.rule for one in violations(text)] == [
        "predicate-type",
        "predicate-field",
        "predicate-operator",
        "predicate-number",
    ]
    assert len(violations(" ".join(f"x{n}.y" for n in range(100)))) == MAX_REPORTED


EQUAL = [
    ("strike<1", "strike < 1.000"),
    ("strike < 1e2", "100 > strike"),
    ("0.1 <= strike < 5", "strike >= 0.10 and strike < 5"),
    ("venue in ('A', 'B')", 'venue in ("B", "A",)'),
    ("venue == 'A'", "(venue in ('A'))"),
    ("primary", "primary == True"),
    ("strike is missing", "not has(strike)"),
    ("strike is not missing", "has ( strike )"),
    ("strike in (1)", "strike == 1"),
    ("underlying_id == '" + "A" * 32 + "'", "underlying_id == '" + "a" * 32 + "'"),
    ("expiry < '2026-01-01'", "expiry < '2026-01-01T00:00:00.0Z'"),
    ("primary\nand\r\n inverse", "primary and inverse"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_spelling_does_not_count(one: str, other: str) -> None:
    assert parse(one) == parse(other)
    assert hash(parse(one)) == hash(parse(other))
    assert parse(one).text == one


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("strike < 1", "strike <= 1"),
        ("strike < 0.1", "strike < 0.10000000000000001"),
        ("venue == 'a b'", "venue == 'a  b'"),
        ("venue != 'A'", "not venue == 'A'"),
        ("primary and inverse", "primary or inverse"),
    ],
)
def test_what_differs_in_meaning_differs(one: str, other: str) -> None:
    assert parse(one) != parse(other)


def test_what_stands_in_quotes_is_taken_as_it_is() -> None:
    text = "sector == \"Él'é\\nergie ) and #\" and industry == '\"'"
    predicate = parse(text)
    assert predicate.fields == {"sector", "industry"}
    assert predicate == parse("sector == \"Él'é\\nergie ) and #\"   and industry in ('\"')")


PIECES = ["(", ")", "not ", " and ", " or ", " in ", "is ", "missing", "has(", "strike", "venue", "primary", "expiry", "<", "==",
          "!=", ">=", "-", ",", "1", "0.5", "1e300", "9" * 30, "'XNAS'", '"2026-01-01"', "'", '"', "true", "\n", "\\", "é", "**", "lambda x: ",
          "__import__('os')", "[", "{", ":=", "x.y", "\x00", "\ud800", "if", "await ", "*"]  # fmt: skip
hostile = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
    st.text(max_size=200),
    st.tuples(st.sampled_from(PIECES), st.integers(1, 5000)).map(lambda one: one[0] * one[1]),
)


@given(hostile)
@example("not(" * 32 + "primary" + ")" * 32)
@example("9**" * 1300 + "9")
@example("(" * 4096)
@example("-" * 4096)
@example("strike<" * 585)
@example("primary is " * 300)
def test_any_text_is_read_or_refused(text: str) -> None:
    found = violations(text)
    if found:
        assert len(found) <= MAX_REPORTED
        assert all(re.fullmatch(r"predicate-[a-z]+", one.rule) and len(one.value) <= 200 for one in found)
        assert all(len(one.description) < 1500 for one in found)
        return
    predicate = parse(text)
    assert isinstance(predicate, Predicate)
    assert predicate.fields <= CATALOGUE.keys()
    # What passed means the same wherever it stands.
    assert parse(f" {text}\n") == predicate


@pytest.mark.parametrize(
    ("name", "module", "enum", "left_out"),
    [
        ("status", "instrument.v1.instrument_pb2", "ListingStatus", {"DELISTED"}),
        ("instrument_status", "instrument.v1.instrument_pb2", "InstrumentStatus", set()),
        ("option_kind", "instrument.v1.instrument_pb2", "OptionRight", set()),
        ("exercise_style", "instrument.v1.instrument_pb2", "ExerciseStyle", set()),
        ("asset_class", "common.v1.common_pb2", "AssetClass", set()),
        ("venue_type", "venue.v1.venue_pb2", "VenueType", set()),
        ("venue_status", "venue.v1.venue_pb2", "VenueStatus", set()),
    ],
)
def test_words_are_those_of_the_api(name: str, module: str, enum: str, left_out: set[str]) -> None:
    theirs: Any = getattr(importlib.import_module(f"alphapulse.api.{module}"), enum)
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum).upper() + "_"
    named = {text.removeprefix(prefix): number for text, number in theirs.items() if number}
    assert dict(CATALOGUE[name].words) == {text: number for text, number in named.items() if text not in left_out}
    assert CATALOGUE[name].kind is Kind.WORD
