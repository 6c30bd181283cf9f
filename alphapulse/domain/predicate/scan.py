"""The first look at a predicate's text: its tokens and their limits, in one pass, before Python's parser sees it.

As with formulas (`alphapulse.domain.formula.scan`): few tokens, little nesting, short numbers, so that no text can exhaust the parser. What stands
in quotes is blanked out for it, so no escape, no line end and no character of a foreign script is ever its business.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from typing import Final, Literal

from alphapulse.domain.predicate.findings import Findings

MAX_LENGTH: Final = 4096
"""Characters of a predicate."""
MAX_NODES: Final = 1024
"""Tokens, and with them nodes of the tree."""
MAX_NESTING: Final = 32
"""Parentheses within each other, and `not` in a row: both nest in Python's parser."""
MAX_NUMBER_LENGTH: Final = 32
"""Characters of a number."""
MAX_TEXT_LENGTH: Final = 128
"""Characters between two quotes."""
MAX_NAME_LENGTH: Final = 32

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r\n]+)|(?P<text>"[^"\r\n]*"|'[^'\r\n]*')"""
    r"""|(?P<word>[0-9.]+[eE][+-]?[A-Za-z0-9_.]+|[A-Za-z0-9_.]+)"""
    r"""|(?P<operator><=|>=|==|!=|[-<>(),])|(?P<other>.)""",
    re.DOTALL,
)
_NUMBER: Final = re.compile(r"(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_KEYWORDS: Final = frozenset({"and", "or", "not", "in", "is", "True", "False"})
_HINTS: Final = {
    "=": "compare with '=='",
    "&": "write 'and'",
    "|": "write 'or'",
    "!": "write 'not', or '!='",
    '"': "the text that begins here is never closed",
    "'": "the text that begins here is never closed",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text."""

    kind: Literal["text", "number", "name", "operator"]
    text: str
    """As it stands there, quotes included."""
    start: int
    """Its first character, from 0."""

    @property
    def end(self) -> int:
        """The character after its last."""
        return self.start + len(self.text)


def scan(text: str, findings: Findings) -> tuple[Token, ...]:
    """The tokens. Adds every violation that they alone show; with none, `blanked` is safe for Python's parser."""
    if len(text) > MAX_LENGTH:
        findings.object_to(
            text, "predicate-length", f"a predicate has at most {MAX_LENGTH} characters, got {len(text)}"
        )
        return ()
    if not text.strip(" \t\r\n"):
        findings.object_to(text, "predicate-empty", "a predicate is needed")
        return ()
    tokens: list[Token] = []
    opened: list[int] = []
    negations = 0
    for found in _TOKEN.finditer(text):
        group, piece, start = found.lastgroup, found.group(), found.start()
        if group == "space":
            continue
        if group == "other":
            hint = _HINTS.get(piece, "it has no place in a predicate")
            findings.object_to(piece, "predicate-character", f"{piece!r} at character {start + 1}: {hint}")
            if piece in "\"'" or findings.is_full:
                break  # all that follows stands in a text; or nothing more would be told
            continue
        token = Token(_kind(group, piece), piece, start)
        tokens.append(token)
        _check(token, findings)
        negations = negations + 1 if piece == "not" else 0
        if piece == "(":
            opened.append(start)
        elif piece == ")" and not opened:
            findings.object_to(piece, "predicate-syntax", f"the parenthesis at character {start + 1} closes none")
            break
        elif piece == ")":
            opened.pop()
        if max(len(opened), negations) > MAX_NESTING:
            too_deep = f"parentheses nest, and 'not' follows itself, at most {MAX_NESTING} deep"
            findings.object_to(text, "predicate-nesting", too_deep)
            break
        if len(tokens) > MAX_NODES:
            findings.object_to(
                text, "predicate-nodes", f"a predicate has at most {MAX_NODES} names, values and operators"
            )
            break
    else:
        for start in opened:
            findings.object_to("(", "predicate-syntax", f"the parenthesis at character {start + 1} is never closed")
    return tuple(tokens)


def blanked(text: str, tokens: tuple[Token, ...]) -> str:
    """The text on one line, each character at its place, with blanks for what stands in quotes: ASCII alone."""
    pieces = list(" " * len(text))
    for token in tokens:
        shown = f'"{" " * (len(token.text) - 2)}"' if token.kind == "text" else token.text
        pieces[token.start : token.end] = shown
    return "".join(pieces)


def _kind(group: str | None, piece: str) -> Literal["text", "number", "name", "operator"]:
    if group == "text":
        return "text"
    if group == "operator":
        return "operator"
    return "number" if piece[0].isdigit() or piece[0] == "." else "name"


def _check(token: Token, findings: Findings) -> None:
    piece, column, size = token.text, token.start + 1, len(token.text)
    if token.kind == "text" and size - 2 > MAX_TEXT_LENGTH:
        long_text = f"the text at character {column} has at most {MAX_TEXT_LENGTH} characters, got {size - 2}"
        findings.object_to(piece, "predicate-text", long_text)
    elif token.kind == "number" and size > MAX_NUMBER_LENGTH:
        long_number = f"the number at character {column} has at most {MAX_NUMBER_LENGTH} characters, got {size}"
        findings.object_to(piece, "predicate-number", long_number)
    elif token.kind == "number" and _NUMBER.fullmatch(piece) is None:
        no_number = f"{piece!r} at character {column} is no number such as 2, 0.5 or 1e-8"
        findings.object_to(piece, "predicate-number", no_number)
    elif token.kind == "name" and (_NAME.fullmatch(piece) is None or size > MAX_NAME_LENGTH):
        no_name = (
            f"the name at character {column} is a letter, then letters, digits and _, at most {MAX_NAME_LENGTH} in all"
        )
        findings.object_to(piece, "predicate-name", no_name)
    elif token.kind == "name" and keyword.iskeyword(piece) and piece not in _KEYWORDS:
        findings.object_to(piece, "predicate-name", f"{piece!r} at character {column} is a reserved word")
