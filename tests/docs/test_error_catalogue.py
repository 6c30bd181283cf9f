"""docs/errors.md leaves out no reason and no rule."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from alphapulse.domain.errors import FieldViolation, InvalidArgument, reasons
from alphapulse.domain.identifiers import Scheme, identifier_type

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/errors.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def catalogue() -> Iterator[ModuleType]:
    """The tool that writes the page."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        yield importlib.import_module("error_catalogue")
    finally:
        sys.path.remove(str(ROOT / "tools"))


def listed() -> list[re.Pattern[str]]:
    """The rules of the page."""
    table = PAGE.partition("## Rules of violations")[2]
    return [
        re.compile(re.sub(r"<[^>]*>", "[a-z0-9_-]+", name))
        for name in re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    ]


def test_every_rule_can_be_read_from_the_code(catalogue: Any) -> None:
    found, puzzles = catalogue.rules()
    assert puzzles == [], "name the rule as a text, or in violation_rules.ELSEWHERE"
    assert len(found) > 150


def test_a_rule_that_cannot_be_read_is_noticed(catalogue: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rules = sys.modules["violation_rules"]
    module = tmp_path / "alphapulse" / "some.py"
    module.parent.mkdir()
    module.write_text(
        "def told(rule, text):\n"
        "    return FieldViolation('a', 'b', f'some-{rule}', text)\n"
        "def one(x):\n"
        "    told('thing', f'it is {x}')\n"
        "    rule = 'this' if x else 'that'\n"
        "    InvalidArgument.field('a', 'b', rule, 'one of two')\n"
        "    FieldViolation('a', 'b', made_up(x), 'nobody knows')\n"
        "    return 'pair-one', 'told in a pair'\n"
        "_ORDERED: Final = (('low', 'looped'), ('high', 'looped-twice'))\n"
        "def two():\n"
        "    for name, rule in _ORDERED:\n"
        "        FieldViolation(name, 'b', rule, 'out of order')\n"
    )
    monkeypatch.setattr(rules, "ROOT", tmp_path)
    monkeypatch.setattr(rules, "ELSEWHERE", {})
    found, puzzles = catalogue.rules()
    assert {name: list(one.sentences) for name, one in found.items()} == {
        "some-thing": ["it is …"],
        "this": ["one of two"],
        "that": ["one of two"],
        "pair-one": ["told in a pair"],
        "looped": ["out of order"],
        "looped-twice": ["out of order"],
    }
    assert [one.place for one in puzzles] == ["alphapulse/some.py:7"]


def test_every_reason_stands_on_the_page_with_what_to_do(catalogue: Any) -> None:
    catalogue.import_error_classes()
    known = {reason for reason, _ in reasons()}
    assert known - catalogue.ADVICE.keys() == set()
    for reason in known & set(catalogue.ADVICE):
        assert f"| `{reason}` |" in PAGE


@pytest.mark.parametrize("scheme", Scheme)
def test_rules_that_identifiers_break_are_listed(scheme: Scheme) -> None:
    patterns = listed()
    broken: list[FieldViolation] = []
    for text in ("", "A", "US0378331006", "0" * 600, "eip155:1/erc20:0xZZ", "BBG00000000A", "\ud800", " A", "1" * 9):
        try:
            identifier_type(scheme).canonical(text, "value")
        except InvalidArgument as error:
            broken += error.violations
    assert broken
    for violation in broken:
        assert any(pattern.fullmatch(violation.rule) for pattern in patterns), violation
