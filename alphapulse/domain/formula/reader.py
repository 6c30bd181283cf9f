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
        column = max((error.offset or 2) - 1, 1)
        findings.add(text, "syntax", f"not arithmetic at character {column}: {error.msg}")
        return None
    except (RecursionError, MemoryError):
        findings.add(text, "nesting", "the formula nests too deep")
        return None
    # One character less on the first line: the parenthesis in front is ours.
    findings.lines = (-1, *(found.end() for found in _LINE_END.finditer(text)))
    node = _read(tree.body, findings, 0)
    if node is None or findings.found:
        return None
    used = {one.name for one in walk(node) if isinstance(one, Variable)}
    if len(used) > MAX_VARIABLES:
        findings.add(text, "variables", f"a formula has at most {MAX_VARIABLES} variables, got {len(used)}")
        return None
    return node


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
            findings.add(shown, "syntax", f"{shown} at character {max(tree.col_offset, 1)} has no place in a formula")
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


def _span(tree: ast.expr, findings: Findings) -> tuple[int, int]:
    """Where a part stands in the text."""
    last = tree.end_lineno or tree.lineno
    start = findings.lines[tree.lineno - 1] + tree.col_offset
    return start, findings.lines[last - 1] + (tree.end_col_offset or 0)
