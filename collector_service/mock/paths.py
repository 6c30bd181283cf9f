"""The paths that records read, as steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from collector_service.compiler.paths import Path, read_path
from collector_service.mock.draft import Steps
from collector_service.mock.numbers import path_of
from collector_service.spec import fields, records

NAME: Final = "@name"
"""The path of the name that an item has in its object."""


@cache
def _read(path: str) -> Path:
    return read_path(path, "mock")


def steps_at(base: Steps, path: str) -> Steps:
    """The absolute steps of a path that begins at a base, or with `^` at the whole message."""
    found = _read(path)
    return (*(() if found.from_root else base), *found.steps)


def is_optional(path: str) -> bool:
    """Whether it may be absent."""
    return path.endswith("?")


def parts_of(record: Any) -> tuple[str, ...]:
    """The paths of `each`, one within the other; none for a message that is one record."""
    each = getattr(record, "each", "")
    return each if isinstance(each, tuple) else (each,) if each else ()


def paths_of(record: Any) -> Iterator[str]:
    """What a record reads, but for its levels."""
    yield from getattr(record, "where", {})
    for name in ("having", "lacking", "trade_id", "first", "last", "previous", "checksum", "key"):
        if path := getattr(record, name, None):
            yield path_of(path)
    for name in (
        "price",
        "size",
        "bid",
        "ask",
        "bid_size",
        "ask_size",
        "value",
        "time",
        "effective",
        "side",
        "state",
        "depth",
    ):
        field = getattr(record, name, None)
        if field is not None and not isinstance(field, int):
            yield path_of(field)
    yield from _symbol_paths(getattr(record, "symbol", None))
    if isinstance(record, records.Reply):
        yield from template_paths(record.template)


def _symbol_paths(field: Any) -> Iterator[str]:
    match field:
        case str():
            yield field
        case fields.Text(path) | fields.Learned(path):
            yield path
        case fields.Join(parts):
            for part in parts:
                yield from _symbol_paths(part)


def paths_of_level(levels: records.Levels) -> Iterator[str]:
    """What a list of levels reads of each."""
    yield from levels.where
    yield from levels.gone
    yield from levels.unless
    for field in (levels.price, levels.size, levels.time, levels.side):
        if field is not None and not isinstance(field, int):
            yield path_of(field)
    yield from (path for path in (levels.id, levels.offset, levels.symbol) if path)


def template_paths(template: Any) -> Iterator[str]:
    """The paths that a reply's template names."""
    if isinstance(template, Mapping):
        for part in template.values():
            yield from template_paths(part)
    elif isinstance(template, (list, tuple)):
        for part in template:
            yield from template_paths(part)
    elif isinstance(template, str) and template[:1] == "{" and template[-1:] == "}":
        yield template[1:-1]
