"""From tokens to the checked tree: Python's parser, then a white list of node types, then the catalogue for each comparison."""

from __future__ import annotations

import ast
import warnings
from typing import Final

from alphapulse.domain.predicate.catalogue import CATALOGUE, Field, Kind
from alphapulse.domain.predicate.findings import Findings
from alphapulse.domain.predicate.nodes import All, Among, Any, Compare, Has, Node, Not, Operator
from alphapulse.domain.predicate.scan import Token, blanked
from alphapulse.domain.predicate.values import Literal, decimal_of, kind_of_literal, member_of, moment_of

MAX_DEPTH: Final = 64
"""Levels of the tree."""
MAX_COMPARISONS: Final = 64
"""Comparisons of a predicate: each is a pass over all definitions when it is first asked. An `in` of texts is one, of numbers
one a number."""
_OPERATORS: Final[dict[type[ast.cmpop], Operator]] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
_TURNED: Final[dict[Operator, Operator]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_CONSTANTS: Final = {"true": "true", "True": "true", "false": "false", "False": "false"}
_ORDERED: Final = (Kind.NUMBER, Kind.TIME)


def read(text: str, tokens: tuple[Token, ...], findings: Findings) -> Node | None:
    """The checked tree of a scanned text; None with the violations added to `findings`."""
    # In parentheses leading blanks mean nothing; and what stands at a column of the line is the character of that number.
    source = f"({blanked(text, tokens)})"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # "'str' object is not callable": refused below
            tree = ast.parse(source, mode="eval")
    except SyntaxError as error:
        column = min(max((error.offset or 1) - 1, 1), len(text) + 1)
        where = f"character {column}" if column <= len(text.rstrip()) else "its end"
        found = next((token.text for token in tokens if token.start + 1 >= column), "")
        findings.object_to(found or text, "predicate-syntax", f"no predicate at {where}: {error.msg}")
        return None
    except (RecursionError, MemoryError):
        findings.object_to(text, "predicate-nesting", "the predicate nests too deep")
        return None
    reader = _Reader(text, tokens, findings)
    root = reader.condition(tree.body, 0)
    if reader.comparisons > MAX_COMPARISONS:
        description = f"a predicate has at most {MAX_COMPARISONS} comparisons, got {reader.comparisons}"
        findings.object_to(text, "predicate-comparisons", description)
    return root


class _Reader:
    """Turns checked parts of Python's tree into nodes; what has no place adds a violation and gives None."""

    def __init__(self, text: str, tokens: tuple[Token, ...], findings: Findings) -> None:
        self._text = text
        self._tokens = {token.start: token for token in tokens}
        self._findings = findings
        self.comparisons = 0

    def condition(self, tree: ast.expr, depth: int) -> Node | None:
        """A part that is true or false."""
        if depth > MAX_DEPTH:
            self._findings.object_to(self._text, "predicate-depth", f"the tree has at most {MAX_DEPTH} levels")
            return None
        match tree:
            case ast.BoolOp():
                below = [self.condition(one, depth + 1) for one in tree.values]
                whole = tuple([one for one in below if one is not None])
                if len(whole) < len(below):
                    return None
                return All(whole) if isinstance(tree.op, ast.And) else Any(whole)
            case ast.UnaryOp(op=ast.Not()):
                operand = self.condition(tree.operand, depth + 1)
                return None if operand is None else Not(operand)
            case ast.Compare():
                return self._chain(tree)
            case ast.Call():
                return self._has(tree)
            case ast.Name():
                return self._flag(tree)
            case _:
                return self._refuse(tree, "predicate-syntax", "is no condition: compare a field with a value")

    def _chain(self, tree: ast.Compare) -> Node | None:
        """`1 <= tick_size < 5` is both comparisons."""
        operands = [tree.left, *tree.comparators]
        found = [
            self._comparison(left, operator, right)
            for left, operator, right in zip(operands, tree.ops, operands[1:], strict=False)
        ]
        whole = tuple([one for one in found if one is not None])
        if len(whole) < len(found):
            return None
        return whole[0] if len(whole) == 1 else All(whole)

    def _comparison(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> Node | None:
        self.comparisons += 1
        if isinstance(operator, ast.Is | ast.IsNot):
            return self._missing(left, operator, right)
        if isinstance(operator, ast.In | ast.NotIn):
            return self._membership(left, operator, right)
        relation = _OPERATORS[type(operator)]
        if not self._names_field(left):
            left, right, relation = right, left, _TURNED[relation]
        if self._names_field(right):
            return self._refuse(right, "predicate-operands", "is a field, too: compare a field with a value")
        field = self._field(left)
        literal = self._literal(right)
        if field is None or literal is None:
            return None
        if relation not in ("==", "!=") and field.kind not in _ORDERED:
            description = f"{field.name} is a {field.kind.value}: compare it with == != or in, not with {relation} (character {literal.column})"
            self._findings.object_to(field.name, "predicate-operator", description)
            return None
        return self._typed(field, relation, (literal,))

    def _membership(self, left: ast.expr, operator: ast.In | ast.NotIn, right: ast.expr) -> Node | None:
        field = self._field(left)
        values = right.elts if isinstance(right, ast.Tuple) else [right]
        if not isinstance(right, ast.Tuple) and self._text[: right.col_offset - 1].rstrip()[-1:] != "(":
            return self._refuse(right, "predicate-syntax", 'stands behind in: write a list, such as ("XNAS", "XLON")')
        if not values:
            return self._refuse(right, "predicate-syntax", "is an empty list: nothing can be in it")
        literals = [self._literal(one) for one in values]
        whole = tuple([one for one in literals if one is not None])
        if field is None or len(whole) < len(literals):
            return None
        return self._typed(field, "!=" if isinstance(operator, ast.NotIn) else "==", whole)

    def _typed(self, field: Field, relation: Operator, literals: tuple[Literal, ...]) -> Node | None:
        """A comparison whose values are of the field's kind; of several values it holds by one, or by none of them."""
        if field.kind not in _ORDERED:
            members = [member_of(field, one, self._findings) for one in literals]
            kept = frozenset(one for one in members if one is not None)
            return Among(field.name, kept, relation == "!=") if None not in members else None
        read_value = moment_of if field.kind is Kind.TIME else decimal_of
        values = [read_value(field, one, self._findings) for one in literals]
        found = tuple([Compare(field.name, relation, one) for one in values if one is not None])
        if len(found) < len(values):
            return None
        self.comparisons += len(found) - 1
        return found[0] if len(found) == 1 else All(found) if relation == "!=" else Any(found)

    def _missing(self, left: ast.expr, operator: ast.Is | ast.IsNot, right: ast.expr) -> Node | None:
        if not isinstance(right, ast.Name) or right.id != "missing":
            return self._refuse(right, "predicate-syntax", "stands behind is: only missing can")
        field = self._field(left)
        if field is None:
            return None
        return Has(field.name) if isinstance(operator, ast.IsNot) else Not(Has(field.name))

    def _has(self, tree: ast.Call) -> Node | None:
        if not isinstance(tree.func, ast.Name) or tree.func.id != "has":
            return self._refuse(tree.func, "predicate-function", "is no function; known: has")
        self.comparisons += 1
        if len(tree.args) != 1 or tree.keywords:
            return self._refuse(
                tree.func, "predicate-arguments", f"takes the name of one field, got {len(tree.args)} arguments"
            )
        field = self._field(tree.args[0])
        return None if field is None else Has(field.name)

    def _flag(self, tree: ast.Name) -> Node | None:
        self.comparisons += 1
        if tree.id in _CONSTANTS:
            return self._refuse(tree, "predicate-syntax", "is no condition: compare a field with a value")
        field = self._field(tree)
        if field is None:
            return None
        if field.kind is not Kind.FLAG:
            return self._refuse(
                tree, "predicate-type", f"is a {field.kind.value}, no condition by itself: compare it with a value"
            )
        return Among(field.name, frozenset({"true"}))

    @staticmethod
    def _names_field(tree: ast.expr) -> bool:
        return isinstance(tree, ast.Name) and tree.id not in _CONSTANTS

    def _field(self, tree: ast.expr) -> Field | None:
        if not isinstance(tree, ast.Name) or tree.id in _CONSTANTS:
            self._refuse(tree, "predicate-operands", "is no field: compare a field with a value")
            return None
        found = CATALOGUE.get(tree.id)
        if found is None:
            self._refuse(tree, "predicate-field", f"is no field; known: {', '.join(CATALOGUE)}")
        return found

    def _literal(self, tree: ast.expr) -> Literal | None:
        """A value as it is written, with its kind; its text is taken from the tokens, not from Python's reading of them."""
        sign, inner = "", tree
        if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
            sign, inner = "-", tree.operand
        token = self._tokens.get(inner.col_offset - 1)
        if (
            isinstance(inner, ast.Constant | ast.Name)
            and token is not None
            and token.end == (inner.end_col_offset or 0) - 1
        ):
            kind = kind_of_literal(token)
            if kind is not None and (not sign or kind is Kind.NUMBER):
                return Literal(kind, sign + _CONSTANTS.get(token.text, token.text), tree.col_offset)
        self._refuse(tree, "predicate-operands", "is no value: a number, a text in quotes, true or false")
        return None

    def _refuse(self, tree: ast.expr, rule: str, what: str) -> Node | None:
        """Adds a violation about a part; there is no node of it."""
        start, end = tree.col_offset - 1, (tree.end_col_offset or 0) - 1
        shown = self._text[max(start, 0) : end]
        self._findings.object_to(shown, rule, f"{_short(shown)!r} at character {max(start, 0) + 1} {what}")
        return None


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
