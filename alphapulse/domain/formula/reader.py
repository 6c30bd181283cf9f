"""From text to the checked tree: Python's parser, then a white list of node types."""

from __future__ import annotations

import ast
import re
import warnings
from typing import Final

from alphapulse.domain.formula.nodes import FUNCTIONS, Call, Negation, Node, Number, Operation, Variable, walk
from alphapulse.domain.formula.scan import MAX_EXPONENT, MAX_VARIABLES, Findings

MAX_DEPTH: Final = 256
"""Levels of the tree: a sum of 200 terms has 200."""
_OPERATORS: Final[dict[type[ast.operator], str]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
}


_LINE_END: Final = re.compile(r"\r\n|\r|\n")


def read(text: str, findings: Findings) -> Node | None:
    """The checked tree of a scanned text; None with the violations added to `findings`."""
    # Parentheses make line ends and leading blanks mean nothing; the scan has shown that the text's own are harmless.
    source = f"({text}\n)"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # "'float' object is not callable": refused below
            tree = ast.parse(source, mode="eval")
    except SyntaxError as error:
        findings.add(text, "syntax", _complaint(text, error))
        return None
    except (RecursionError, MemoryError):
        findings.add(text, "nesting", "the formula nests too deep")
        return None
    findings.lines = _lines(text)
    node = _read(tree.body, findings, 0)
    if node is None or findings.found:
        return None
    used = {one.name for one in walk(node) if isinstance(one, Variable)}
    if len(used) > MAX_VARIABLES:
        findings.add(text, "variables", f"a formula has at most {MAX_VARIABLES} variables, got {len(used)}")
        return None
    return node


def _lines(text: str) -> tuple[int, ...]:
    """Where each line begins; one character less on the first: the parenthesis in front is ours."""
    return (-1, *(found.end() for found in _LINE_END.finditer(text)))


def _complaint(text: str, error: SyntaxError) -> str:
    """What the parser says, at the character of the text it is about."""
    unclosed: list[int] = []
    for at, one in enumerate(text):
        if one == "(":
            unclosed.append(at)
        elif one == ")":
            unclosed.pop()  # the scan has shown that each closes one
    if unclosed and "never closed" in error.msg:
        # The parenthesis behind the text is ours and closed this one: the parser misses the one in front.
        return f"not arithmetic at character {unclosed[-1] + 1}: '(' was never closed"
    starts = _lines(text)
    line = error.lineno or 1
    if line > len(starts):
        return f"not arithmetic at character {len(text) + 1}: the formula ends too early"
    column = min(max(starts[line - 1] + (error.offset or 1), 1), len(text))
    return f"not arithmetic at character {column}: {error.msg}"


def _read(tree: ast.expr, findings: Findings, depth: int) -> Node | None:
    if depth > MAX_DEPTH:
        findings.add(str(depth), "depth", f"the tree has at most {MAX_DEPTH} levels")
        return None
    match tree:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return Number(float(value))
        case ast.Name(id=name) if name in FUNCTIONS:
            findings.add(name, "function", f"{name} is a function: give it arguments")
            return None
        case ast.Name(id=name):
            return Variable(name)
        case ast.UnaryOp(op=ast.USub()):
            operand = _read(tree.operand, findings, depth + 1)
            return None if operand is None else Negation(operand)
        case ast.BinOp() if type(tree.op) in _OPERATORS:
            return _operation(tree, findings, depth)
        case ast.Call():
            return _call(tree, findings, depth)
        case _:
            shown = "unary +" if isinstance(tree, ast.UnaryOp) else type(tree).__name__.lower()
            column = max(_start(tree, findings) + 1, 1)
            findings.add(shown, "syntax", f"{shown} at character {column} has no place in a formula")
            return None


def _operation(tree: ast.BinOp, findings: Findings, depth: int) -> Node | None:
    left = _read(tree.left, findings, depth + 1)
    right = _read(tree.right, findings, depth + 1)
    if left is None or right is None:
        return None
    operator = _OPERATORS[type(tree.op)]
    if operator == "**":
        _exponent(right, findings)
    return Operation(operator, left, right, _span(tree, findings))


def _exponent(node: Node, findings: Findings) -> None:
    inner = node.operand if isinstance(node, Negation) else node
    if any(isinstance(one, Operation) and one.operator == "**" for one in walk(node)):
        findings.add("**", "exponent-tower", "an exponent holds no power itself")
    elif isinstance(inner, Number) and inner.value > MAX_EXPONENT:
        findings.add(
            str(inner.value), "exponent", f"a constant exponent lies within -{MAX_EXPONENT} and {MAX_EXPONENT}"
        )
    elif not isinstance(inner, Number) and not any(isinstance(one, Variable) for one in walk(node)):
        findings.add("**", "exponent", "write a constant exponent as one number")


def _call(tree: ast.Call, findings: Findings, depth: int) -> Node | None:
    name = tree.func.id if isinstance(tree.func, ast.Name) else ""
    arguments = [_read(one, findings, depth + 1) for one in tree.args]
    if name not in FUNCTIONS:
        known = ", ".join(FUNCTIONS)
        findings.add(name or "call", "function", f"{name or 'this'} is no function; known: {known}")
        return None
    least, most = FUNCTIONS[name]
    if tree.keywords or not least <= len(arguments) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        findings.add(name, "arguments", f"{name} takes {wanted} arguments, got {len(arguments)}")
        return None
    checked = [one for one in arguments if one is not None]
    return Call(name, tuple(checked), _span(tree, findings)) if len(checked) == len(arguments) else None


def _start(tree: ast.expr, findings: Findings) -> int:
    """Where a part begins in the text; -1 for the parenthesis in front of it."""
    return findings.lines[tree.lineno - 1] + tree.col_offset


def _span(tree: ast.expr, findings: Findings) -> tuple[int, int]:
    """Where a part stands in the text."""
    last = tree.end_lineno or tree.lineno
    return _start(tree, findings), findings.lines[last - 1] + (tree.end_col_offset or 0)
