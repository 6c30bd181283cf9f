"""Environment variables into a frozen dataclass: each field declares its variable, default and rule where it stands.

    @dataclass(frozen=True, slots=True)
    class RelayConfig(ServerConfig):
        queue_bytes: int = setting("RELAY_QUEUE_BYTES", default=64 << 20, ge=1 << 16)
        \"\"\"Bytes a subscription may hold before it is cut.\"\"\"

    config = load(RelayConfig, os.environ)

A variable that is absent or empty takes its default. All bad variables are reported at once.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeVar

from alphapulse.domain.errors import ConfigurationError, FieldViolation

_KEY: Final = "alphapulse.setting"
_TRUE: Final = frozenset(("1", "true", "yes", "on"))
_FALSE: Final = frozenset(("0", "false", "no", "off"))
ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True, slots=True)
class Setting:
    """How one field is read; made by `setting`. A parser raises ValueError when the text breaks the rule."""

    variable: str
    parse: Callable[[str], Any] | None = None
    rule: str = ""
    ge: float | None = None
    le: float | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable as documentation shows it. `default` is None where the variable is required."""

    name: str
    field: str
    type: str
    default: str | None
    rule: str
    doc: str
    secret: bool


def setting(
    variable: str,
    *,
    default: Any = dataclasses.MISSING,
    parse: Callable[[str], Any] | None = None,
    rule: str = "",
    ge: float | None = None,
    le: float | None = None,
    choices: tuple[str, ...] = (),
    secret: bool = False,
    doc: str = "",
) -> Any:
    """A dataclass field read from `variable`; without a default it is required.

    Without `parse` the field's type decides: str, int, float, bool, Path, an Enum, tuple[str, ...] (comma separated),
    each also `| None`. `ge` and `le` bound numbers, `choices` lists texts; `rule` is the sentence an error and the
    documentation show, made from these when empty. A secret's value is never shown. `doc`, or the docstring under the
    field, says what it is for.
    """
    held = Setting(variable, parse, rule, ge, le, choices, secret, doc)
    return dataclasses.field(default=default, kw_only=True, metadata={_KEY: held})


def load(config_class: type[ConfigT], environ: Mapping[str, str]) -> ConfigT:
    """The configuration these variables give; ConfigurationError names every bad variable, its value and its rule."""
    values: dict[str, Any] = {}
    problems: list[ConfigurationError] = []
    for field, held, kind in _settings(config_class):
        text = environ.get(held.variable, "").strip()
        if not text:
            if field.default is dataclasses.MISSING:
                problems.append(_refused(held, kind, None))
            continue
        try:
            values[field.name] = _parsed(held, kind, text)
        except ValueError:
            problems.append(_refused(held, kind, text))
    if problems:
        raise merged(problems)
    return config_class(**values)


def describe(config_class: type[Any]) -> tuple[Variable, ...]:
    """Every variable of the class in the order declared: what the configuration reference is generated from."""
    docs = _docstrings(config_class)
    return tuple(
        Variable(
            name=held.variable,
            field=field.name,
            type=_type_name(kind),
            default=None if field.default is dataclasses.MISSING else _shown(field.default),
            rule=_rule(held, kind),
            doc=held.doc or docs.get(field.name, ""),
            secret=held.secret,
        )
        for field, held, kind in _settings(config_class)
    )


def merged(problems: list[ConfigurationError]) -> ConfigurationError:
    """One error for all of them: every message, the metadata of the first, a violation for each variable."""
    violations = tuple(
        FieldViolation(
            problem.metadata["variable"], problem.metadata["value"], "configuration", problem.metadata["rule"]
        )
        for problem in problems
    )
    message = "; ".join(problem.message for problem in problems)
    return ConfigurationError(message, metadata=problems[0].metadata, violations=violations)


def _settings(config_class: type[Any]) -> Iterator[tuple[dataclasses.Field[Any], Setting, Any]]:
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        held = field.metadata.get(_KEY)
        if held is not None:
            yield field, held, hints[field.name]


def _bare(kind: Any) -> Any:
    """The type without `| None`."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return next(part for part in typing.get_args(kind) if part is not types.NoneType)
    return kind


def _parsed(held: Setting, kind: Any, text: str) -> Any:
    value = held.parse(text) if held.parse else _by_type(_bare(kind), text)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # Written so that NaN fails both.
        if held.ge is not None and not value >= held.ge:
            raise ValueError(text)
        if held.le is not None and not value <= held.le:
            raise ValueError(text)
    if held.choices and any(one not in held.choices for one in (value if isinstance(value, tuple) else (value,))):
        raise ValueError(text)
    return value


def _by_type(kind: Any, text: str) -> Any:
    if kind is bool:
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise ValueError(text)
    if typing.get_origin(kind) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if kind in (str, int, float, Path) or (isinstance(kind, type) and issubclass(kind, Enum)):
        return kind(text)
    raise TypeError(f"no parser for {kind!r}: give setting(..., parse=...)")


def _rule(held: Setting, kind: Any) -> str:
    if held.rule:
        return held.rule
    if held.choices:
        each = "a comma-separated list of " if typing.get_origin(_bare(kind)) is tuple else "one of "
        return each + ", ".join(held.choices)
    bare = _bare(kind)
    if bare is bool:
        return "true or false"
    if isinstance(bare, type) and issubclass(bare, Enum):
        return "one of " + ", ".join(str(member.value) for member in bare)
    if bare in (int, float):
        return ("a whole number" if bare is int else "a number") + _bounds(held)
    if typing.get_origin(bare) is tuple:
        return "a comma-separated list"
    return "a path" if bare is Path else "a text"


def _bounds(held: Setting) -> str:
    if held.ge is not None and held.le is not None:
        return f" from {held.ge} to {held.le}"
    if held.ge is not None:
        return f" of at least {held.ge}"
    return f" of at most {held.le}" if held.le is not None else ""


def _refused(held: Setting, kind: Any, text: str | None) -> ConfigurationError:
    need = "required, " if text is None else "must be "
    return ConfigurationError.for_variable(held.variable, text, need + _rule(held, kind), secret=held.secret)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join(str(one) for one in value)
    if isinstance(value, Enum):
        return str(value.value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _type_name(kind: Any) -> str:
    bare = _bare(kind)
    return bare.__name__ if isinstance(bare, type) and typing.get_origin(bare) is None else str(bare)


def _docstrings(config_class: type[Any]) -> dict[str, str]:
    """The string literal under each field, of the class and its bases; the class nearest to it wins."""
    found: dict[str, str] = {}
    for owner in reversed(config_class.__mro__):
        if not dataclasses.is_dataclass(owner):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
        except (OSError, TypeError):  # made without a source file
            continue
        body = typing.cast(ast.ClassDef, tree.body[0]).body
        for statement, after in itertools.pairwise(body):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                found[statement.target.id] = " ".join(after.value.value.split())
    return found
