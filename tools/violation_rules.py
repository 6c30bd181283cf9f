"""The rules that violations name, read from the code.

`FieldViolation(...)`, `InvalidArgument.field(...)` and `BrokenRule(...)` name a rule, and so does a call of a function that hands its own
parameter on to them. What cannot be read that way is a `Puzzle`: a test holds that there is none.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = (
    "alphapulse",
    "registry_service",
    "relay_service",
    "collector_service",
    "strategy_sdk",
    "alphapulse_cli",
)
ELSEWHERE: Final = {
    "alphapulse/client/status.py": (),  # gives back what the other side named
    "relay_service/subscriptions/convert.py": (
        "asset-classes",
        "event-types",
        "listing-keys",
    ),  # named for the field of the filter
}
"""Files where a rule is made from something else than a text, and the rules that come of it."""
_GENERATED: Final = ROOT / "alphapulse/api"
_RULE: Final = re.compile(r"[a-z0-9<][a-z0-9<>]*(-[a-z0-9<>]+)*")
_STARRED: Final = 99


@dataclass(slots=True)
class Found:
    """A rule: the sentences it is told with, and the packages that name it."""

    sentences: dict[str, None] = field(default_factory=dict)
    places: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Puzzle:
    """A call whose rule cannot be read from the code."""

    place: str
    text: str


@dataclass(slots=True)
class _Wrapper:
    """A function that hands a parameter on as the rule: which one, what is put before it, and which is the sentence."""

    rule: int
    rule_name: str
    prefix: str
    sentence: int
    sentence_name: str


@dataclass(slots=True)
class Site:
    """A call in a file, within its innermost function."""

    path: Path
    call: ast.Call
    function: ast.FunctionDef | ast.AsyncFunctionDef | None
    module: ast.Module

    @property
    def scopes(self) -> tuple[ast.AST, ...]:
        """Where a name of the call is looked for, the innermost first."""
        return (self.function, self.module) if self.function is not None else (self.module,)


def rules() -> tuple[dict[str, Found], list[Puzzle]]:
    """Every rule by its name, and what could not be read."""
    sites = list(sites_of())
    wrappers: dict[str, _Wrapper] = {}
    found: dict[str, Found] = {}
    while True:
        found = {}
        puzzles: list[Puzzle] = []
        more: dict[str, _Wrapper] = {}
        for site in sites:
            _read(site, wrappers, found, puzzles, more)
        if more.keys() <= wrappers.keys():
            break
        wrappers |= more
    _tuples(found)
    for name, known in ELSEWHERE.items():
        for rule in known:
            found.setdefault(rule, Found()).places.add(_package(ROOT / name))
    puzzles = [one for one in puzzles if one.place.partition(":")[0] not in ELSEWHERE]
    return dict(sorted(found.items())), puzzles


def sites_of() -> Iterator[Site]:
    """Every call in the code."""
    for path in source_files():
        module = module_of(path)
        yield from _calls(path, module, module, None)


def source_files() -> Iterator[Path]:
    """The modules written by hand."""
    for package in PACKAGES:
        yield from sorted(path for path in (ROOT / package).rglob("*.py") if _GENERATED not in path.parents)


@cache
def module_of(path: Path) -> ast.Module:
    """A module's code, read once."""
    return ast.parse(path.read_text(encoding="utf-8"))


def _calls(
    path: Path, module: ast.Module, node: ast.AST, function: ast.FunctionDef | ast.AsyncFunctionDef | None
) -> Iterator[Site]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield Site(path, child, function, module)
        inner = child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        yield from _calls(path, module, child, inner)


def _read(
    site: Site,
    wrappers: dict[str, _Wrapper],
    found: dict[str, Found],
    puzzles: list[Puzzle],
    more: dict[str, _Wrapper],
) -> None:
    name = name_of(site.call.func)
    base = {"FieldViolation": (2, 3), "BrokenRule": (0, 1)}.get(name)
    if (
        name == "field"
        and isinstance(site.call.func, ast.Attribute)
        and name_of(site.call.func.value) in ("InvalidArgument", "cls")
    ):
        base = (2, 3)
    if base is not None:
        rule, sentence = (_argument(site.call, at, key) for at, key in zip(base, ("rule", "description"), strict=True))
    elif name in wrappers:
        made = wrappers[name]
        rule, sentence = (
            _argument(site.call, made.rule, made.rule_name),
            _argument(site.call, made.sentence, made.sentence_name),
        )
    else:
        return
    if rule is None:
        if base is not None and not any(isinstance(one, ast.Starred) for one in site.call.args):
            puzzles.append(_puzzle(site))
        return
    prefix = wrappers[name].prefix if base is None else ""
    texts = list(_texts(rule, site.scopes))
    if not texts:
        _unread(site, rule, sentence, base is not None, puzzles, more)
    for text in texts:
        if _RULE.fullmatch(prefix + text):
            _put(found, prefix + text, site.path, sentence, site.scopes)


def _unread(
    site: Site,
    rule: ast.expr,
    sentence: ast.expr | None,
    is_base: bool,
    puzzles: list[Puzzle],
    more: dict[str, _Wrapper],
) -> None:
    """A rule that is no text: handed on from elsewhere (`broken.rule`), a parameter, or a puzzle."""
    prefix = ""
    if isinstance(rule, ast.JoinedStr) and len(rule.values) == 2 and isinstance(rule.values[0], ast.Constant):
        last = rule.values[1]
        prefix, rule = str(rule.values[0].value), last.value if isinstance(last, ast.FormattedValue) else rule
    if isinstance(rule, ast.Attribute):
        return
    at = _parameter(site.function, rule)
    if at is None or site.function is None:
        if is_base:
            puzzles.append(_puzzle(site))
        return
    if site.function.name in ("__init__", "field", "__new__"):
        return
    # Functions are known by their bare names: one that hands on something else has but the name of one that names rules.
    assert isinstance(rule, ast.Name)
    if rule.id != "rule":
        return
    told = (
        next((n for n in ast.walk(sentence) if _parameter(site.function, n) is not None), None)
        if sentence is not None
        else None
    )
    told_at = _parameter(site.function, told) if told is not None else None
    told_name = told.id if isinstance(told, ast.Name) else ""
    more[site.function.name] = _Wrapper(at, rule.id, prefix, _STARRED if told_at is None else told_at, told_name)


def _puzzle(site: Site) -> Puzzle:
    return Puzzle(f"{site.path.relative_to(ROOT)}:{site.call.lineno}", ast.unparse(site.call)[:160])


def name_of(node: ast.expr) -> str:
    """The last name of what is called."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _argument(call: ast.Call, at: int, name: str) -> ast.expr | None:
    args: list[ast.expr] = []
    for one in call.args:  # FieldViolation(*("field", value, "rule"), sentence) is spelled out
        args += one.value.elts if isinstance(one, ast.Starred) and isinstance(one.value, ast.Tuple) else [one]
    if len(args) > at and not any(isinstance(one, ast.Starred) for one in args[: at + 1]):
        return args[at]
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _parameter(function: ast.FunctionDef | ast.AsyncFunctionDef | None, node: ast.AST) -> int | None:
    """At which place callers give the parameter that a name is; None for another name."""
    if function is None or not isinstance(node, ast.Name):
        return None
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
    if names[:1] in (["self"], ["cls"]):
        names = names[1:]
    if node.id in names:
        return names.index(node.id)
    return _STARRED if node.id in [one.arg for one in function.args.kwonlyargs] else None


def _texts(node: ast.expr | None, scopes: tuple[ast.AST, ...]) -> Iterator[str]:
    """What an expression can be, as far as the code says; a part that varies is `<name>` in it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body, scopes)
        yield from _texts(node.orelse, scopes)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        for left in _texts(node.left, scopes):
            yield from (left + right for right in _texts(node.right, scopes))
    elif isinstance(node, ast.JoinedStr) and not _hands_on(node, scopes[0] if scopes else None):
        yield "".join(str(one.value) if isinstance(one, ast.Constant) else f"<{_short(one)}>" for one in node.values)
    elif isinstance(node, ast.Name):
        for target, value in _bound(scopes):
            yield from _assigned(target, value, node.id, scopes)


def _bound(scopes: tuple[ast.AST, ...]) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Names and what they stand for: of assignments, and of loops over what is written down."""
    for scope in scopes:
        inside = ast.walk(scope) if not isinstance(scope, ast.Module) else scope.body
        for node in inside:
            if isinstance(node, ast.Assign):
                yield from ((target, node.value) for target in node.targets)
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                yield node.target, node.value
            elif isinstance(node, ast.For | ast.comprehension):
                yield from ((node.target, item) for item in _items(node.iter, scopes))


def _items(node: ast.expr, scopes: tuple[ast.AST, ...]) -> list[ast.expr]:
    """The items of a tuple or list that is written down, here or under a name of the module."""
    if isinstance(node, ast.Tuple | ast.List):
        return node.elts
    if isinstance(node, ast.Name) and scopes and isinstance(scopes[-1], ast.Module):
        for statement in scopes[-1].body:
            target = statement.target if isinstance(statement, ast.AnnAssign) else None
            if isinstance(statement, ast.AnnAssign) and isinstance(target, ast.Name) and target.id == node.id:
                return _items(statement.value, ()) if statement.value is not None else []
    return []


def _assigned(target: ast.expr, value: ast.expr, name: str, scopes: tuple[ast.AST, ...]) -> Iterator[str]:
    if isinstance(target, ast.Name) and target.id == name:
        # A name for a name is not followed: it could lead back.
        yield from () if isinstance(value, ast.Name) else _texts(value, scopes)
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for one, held in zip(target.elts, value.elts, strict=True):
            yield from _assigned(one, held, name, scopes)


def _hands_on(node: ast.JoinedStr, function: ast.AST | None) -> bool:
    """Whether a text in braces ends with a parameter of its function: its callers know what it says."""
    last = node.values[-1]
    return (
        len(node.values) == 2
        and isinstance(last, ast.FormattedValue)
        and isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and _parameter(function, last.value) is not None
        and isinstance(last.value, ast.Name)
        and last.value.id == "rule"
    )


def _short(node: ast.expr) -> str:
    if isinstance(node, ast.FormattedValue):
        node = node.value
    words = re.findall(r"[a-z]+", ast.unparse(node).lower())
    return next((word for word in words if word not in ("self", "cls", "len", "str", "name", "lower")), "name")


def _put(
    found: dict[str, Found], rule: str, path: Path, sentence: ast.expr | None, scopes: tuple[ast.AST, ...]
) -> None:
    held = found.setdefault(rule, Found())
    held.places.add(_package(path))
    for text in _texts(sentence, scopes):
        if len(text) > 1:
            held.sentences.setdefault(re.sub(r"<[^>]*>", "…", text))


def _tuples(found: dict[str, Found]) -> None:
    """Rules that are handed on as a pair with their sentence: `return "occ-root", f"..."`."""
    for path in source_files():
        for node in ast.walk(module_of(path)):
            if (
                not isinstance(node, ast.Return | ast.Assign)
                or not isinstance(node.value, ast.Tuple)
                or len(node.value.elts) != 2
            ):
                continue
            rule, sentence = node.value.elts
            text = rule.value if isinstance(rule, ast.Constant) and isinstance(rule.value, str) else ""
            told = next(_texts(sentence, ()), "")
            if "-" in text and _RULE.fullmatch(text) and " " in told:
                _put(found, text, path, sentence, ())


def _package(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(
        parts[: 2 if parts[0] != "alphapulse" or parts[1] != "domain" else 3][: len(parts) - 1] or parts[:1]
    )
