"""The first look at a formula's text: its tokens and their limits, in one pass, before Python's parser sees it.

Python's parser recurses on parentheses, signs and powers, and its integers have no bound: a short hostile text can
exhaust the stack or the processor. After this scan neither is possible: few tokens, little nesting, short numbers.
"""

from __future__ import annotations

import keyword
import math
import re
from typing import Final

from alphapulse.domain.formula.nodes import FUNCTIONS
from alphapulse.domain.violations import FieldViolation

MAX_LENGTH: Final = 4096
"""Characters of a formula."""
MAX_NODES: Final = 1024
"""Tokens, and with them nodes of the tree."""
MAX_NESTING: Final = 32
"""Parentheses within each other, and signs in a row: both nest in Python's parser."""
MAX_POWERS: Final = 128
"""Powers of a formula; in a row they nest too."""
MAX_EXPONENT: Final = 64
"""Magnitude of a constant exponent."""
MAX_VARIABLES: Final = 64
"""Different variables of a formula."""
MAX_VARIABLE_LENGTH: Final = 32
"""Characters of a variable's name."""
MAX_NUMBER_LENGTH: Final = 32
MAX_REPORTED: Final = 32
"""Violations listed of one formula; a text of rubbish is not answered by a page of it."""

VARIABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
_TOKEN: Final = re.compile(
    r"(?P<space>[ \t\r\n]+)|(?P<word>[0-9.]+[eE][+-]?[A-Za-z0-9_.]+|[A-Za-z0-9_.]+)"
    r"|(?P<operator>\*\*|//|[-+*/(),])|(?P<other>.)",
    re.DOTALL,
)
_NUMBER: Final = re.compile(r"(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_SIGNS: Final = frozenset({"-", "+"})


class Findings:
    """Violations of one formula, in the order found; a rule at one place is reported once."""

    __slots__ = ("field", "found", "lines")

    def __init__(self, field: str) -> None:
        self.field = field
        self.lines: tuple[int, ...] = ()
        """Where each line of the text begins, less what the reader put in front."""
        self.found: list[FieldViolation] = []

    def add(self, value: str, rule: str, description: str) -> None:
        """One broken rule."""
        violation = FieldViolation(self.field, value, f"formula-{rule}", description)
        if violation not in self.found and len(self.found) < MAX_REPORTED:
            self.found.append(violation)


def scan(text: str, findings: Findings) -> None:
    """Adds every violation that the tokens alone show. With none, the text is safe for Python's parser."""
    if len(text) > MAX_LENGTH:
        findings.add(text, "length", f"a formula has at most {MAX_LENGTH} characters, got {len(text)}")
        return
    if not text.strip(" \t\r\n"):
        findings.add(text, "empty", "a formula is needed")
        return
    nesting = signs = count = powers = 0
    for found in _TOKEN.finditer(text):
        kind, token, column = found.lastgroup, found.group(), found.start() + 1
        if kind == "space":
            continue
        count += 1
        powers += token == "**"  # noqa: S105 - an operator, no secret
        signs = signs + 1 if token in _SIGNS else 0
        nesting += (token == "(") - (token == ")")  # noqa: S105
        if kind == "other":
            findings.add(token, "character", f"{token!r} at character {column} has no place in a formula")
        elif kind == "word":
            _word(token, column, findings)
        elif token == "//":  # noqa: S105
            findings.add(token, "operator", f"'//' at character {column}: use + - * / **")
        if nesting < 0:
            findings.add(token, "syntax", f"the parenthesis at character {column} closes none")
            break
        if max(nesting, signs) > MAX_NESTING or powers > MAX_POWERS or count > MAX_NODES:
            break
    if count > MAX_NODES:
        findings.add(text, "nodes", f"a formula has at most {MAX_NODES} numbers, names and operators")
    if max(nesting, signs) > MAX_NESTING:
        findings.add(text, "nesting", f"parentheses nest, and signs follow each other, at most {MAX_NESTING} deep")
    if powers > MAX_POWERS:
        findings.add(text, "nesting", f"at most {MAX_POWERS} powers in a formula")


def _word(token: str, column: int, findings: Findings) -> None:
    """A number, a function or a variable."""
    if token[0].isdigit() or token[0] == ".":
        if len(token) > MAX_NUMBER_LENGTH:
            description = f"a number has at most {MAX_NUMBER_LENGTH} characters, got {len(token)}"
            findings.add(token, "number", description)
        elif _NUMBER.fullmatch(token) is None:
            findings.add(token, "number", f"{token!r} at character {column} is no number such as 2, 0.5 or 1e-8")
        elif not math.isfinite(float(token)):
            findings.add(token, "number", f"{token!r} is beyond what a double holds")
    elif token not in FUNCTIONS and VARIABLE.fullmatch(token) is None:
        description = (
            f"a variable is a letter, then letters, digits and _, at most {MAX_VARIABLE_LENGTH} characters in all"
        )
        findings.add(token, "variable", description)
    elif keyword.iskeyword(token):
        findings.add(token, "variable", f"{token!r} is a reserved word")
