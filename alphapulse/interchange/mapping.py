"""Mapping files: how a foreign file becomes the native layout. YAML, TOML or JSON; `docs/import-export.md` describes each key.

    mapping = read_mapping(Path("acme.yaml"))

A mapping that is wrong raises InvalidArgument with every fault at once, each with the file, the key and the rule.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from alphapulse.interchange.blocks import Block, Cells
from alphapulse.interchange.csv_reader import Dialect
from alphapulse.interchange.layout import ENTRY_KEY, Kind, kind_of
from alphapulse.interchange.mapping_rules import Faults, Rules, dialect_of, read_rules
from alphapulse.interchange.rules import Broken, Template

_KEYS: Final = frozenset(
    (
        "version",
        "name",
        "source",
        "license",
        "csv",
        "constants",
        "columns",
        "group_by",
        "where",
        "ignore",
        "unmapped",
        "floats",
    )
)


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping, checked. The same file always gives the same one."""

    name: str
    rules: Rules
    """By native column."""
    source: str = ""
    licence: str = ""
    dialect: Dialect | None = None
    group_by: Sequence[str] = ()
    """Foreign columns: rows that follow one another and agree in all of them are one entry."""
    where: Sequence[tuple[str, frozenset[str]]] = ()
    """Foreign columns and the values that count; other rows are passed over, and counted."""
    ignore: frozenset[str] = frozenset()
    strict: bool = False
    """Whether a foreign column that is neither mapped nor ignored is refused."""
    shortest: bool = False
    """Whether binary floating point is taken as its shortest text."""

    @property
    def produces(self) -> Sequence[str]:
        """The native columns."""
        return (*self.rules, ENTRY_KEY) if self.group_by else tuple(self.rules)

    @property
    def needs(self) -> Sequence[str]:
        """The foreign columns."""
        named = [name for rule in self.rules.values() for name in rule.inputs]
        return tuple(dict.fromkeys([*named, *self.group_by, *(name for name, _ in self.where)]))

    def check(self, columns: Sequence[str], rounded: frozenset[str], path: Path) -> list[str]:
        """What is worth a note about a file with these columns; none are known of JSON lines. InvalidArgument where they do not fit."""
        faults = Faults(str(path))
        if not columns:
            return []
        for name in self.needs:
            if name not in columns:
                faults.add("columns", name, "column-missing", "the mapping takes a column that the file does not have")
        for native, rule in self.rules.items():
            for name in rule.inputs:
                if name in rounded and not self.shortest and kind_of(native) is Kind.DECIMAL:
                    text = "binary floating point is no exact decimal: write it as text, or say `floats: shortest`"
                    faults.add(f"columns.{native}", name, "column-float", text)
        rest = [name for name in columns if name not in self.needs and name not in self.ignore]
        if rest and self.strict:
            faults.add(
                "columns", ", ".join(rest), "column-unmapped", "neither mapped nor ignored, and `unmapped: refuse`"
            )
        faults.require_none()
        return [f"columns passed over: {', '.join(rest)}"] if rest else []

    def apply(self, block: Block) -> Block:
        """The block in the native layout."""
        kept = self._kept(block)
        left_out: Sequence[int] = ()
        if kept is not None and len(kept) < block.count:
            counted = set(kept)
            left_out = [number for at, number in enumerate(block.rows) if at not in counted]
            block = _only(block, kept)
        broken: Broken = {row: list(found) for row, found in block.broken.items()}
        columns: dict[str, Cells] = {
            name: rule.apply(block.columns, block.count, broken) for name, rule in self.rules.items()
        }
        if self.group_by:
            empty: Cells = [None] * block.count
            keys = zip(*(block.columns.get(name, empty) for name in self.group_by), strict=True)
            columns[ENTRY_KEY] = ["\x1f".join([one or "" for one in key]) if any(key) else "" for key in keys]
        return Block(columns, block.count, block.rows, block.lines, broken, passed_over=left_out)

    def foreign(self, native: str) -> str:
        """What the foreign file calls a native column."""
        rule = self.rules.get(native)
        if rule is None or not rule.inputs:
            return native
        return rule.text if isinstance(rule, Template) else ", ".join(rule.inputs)

    def _kept(self, block: Block) -> list[int] | None:
        """The rows that count, None for all."""
        if not self.where:
            return None
        rows = range(block.count)
        for name, values in self.where:
            cells = block.columns.get(name)
            rows = [row for row in rows if row in block.broken or (cells is not None and cells[row] in values)]  # type: ignore[assignment]
        return list(rows)


def _only(block: Block, rows: Sequence[int]) -> Block:
    return Block(
        {name: [cells[row] for row in rows] for name, cells in block.columns.items()},
        len(rows),
        [block.rows[row] for row in rows],
        [block.lines[row] for row in rows],
        {at: block.broken[row] for at, row in enumerate(rows) if row in block.broken},
    )


def read_mapping(path: Path) -> Mapping:
    """The mapping in a file. InvalidArgument names the file, the key and the rule of every fault."""
    faults = Faults(str(path))
    try:
        raw = path.read_bytes()
        value = _decoded(path, raw)
    except FileNotFoundError:
        faults.add("file", str(path), "file-missing", "there is no such file")
        raise faults.error() from None
    except (OSError, ValueError, msgspec.MsgspecError, ImportError, RecursionError) as error:
        faults.add("file", str(path), "mapping-format", str(error)[:500])
        raise faults.error() from error
    return mapping_of(value, path.stem, faults)


def _decoded(path: Path, raw: bytes) -> Any:
    match path.suffix.lower():
        case ".toml":
            return tomllib.loads(raw.decode())
        case ".json":
            return msgspec.json.decode(raw)
        case ".yaml" | ".yml":
            try:
                return msgspec.yaml.decode(raw)
            except ImportError as error:
                raise ImportError(
                    "YAML needs the package pyyaml: pip install pyyaml; or write the mapping as .toml"
                ) from error
        case other:
            raise ValueError(f"a mapping is .yaml, .toml or .json, not {other!r}")


def mapping_of(value: Any, name: str, faults: Faults) -> Mapping:
    """The mapping of a decoded document. InvalidArgument with every fault."""
    if not isinstance(value, dict):
        faults.add("", value, "mapping-format", "a mapping has keys, such as `columns`")
        raise faults.error()
    for key in value:
        if key not in _KEYS:
            faults.add(str(key), value[key], "key-unknown", f"one of {', '.join(sorted(_KEYS))}")
    if value.get("version", 1) != 1:
        faults.add("version", value["version"], "version-unknown", "this reads version 1")
    mapping = Mapping(
        name=faults.text(value, "name") or name,
        rules=read_rules(value, faults),
        source=faults.text(value, "source"),
        licence=faults.text(value, "license"),
        dialect=dialect_of(value.get("csv"), faults),
        group_by=tuple(faults.texts(value, "group_by")),
        where=tuple(_where(value.get("where"), faults)),
        ignore=frozenset(faults.texts(value, "ignore")),
        strict=faults.choice(value, "unmapped", ("ignore", "refuse")) == "refuse",
        shortest=faults.choice(value, "floats", ("refuse", "shortest")) == "shortest",
    )
    if mapping.group_by and ENTRY_KEY in mapping.rules:
        faults.add(
            "group_by", list(mapping.group_by), "key-exclusive", "either `group_by` or a rule for the column `entry`"
        )
    faults.require_none()
    return mapping


def _where(value: Any, faults: Faults) -> list[tuple[str, frozenset[str]]]:
    if value is None:
        return []
    if not isinstance(value, dict):
        faults.add("where", value, "type", "columns, each with the values that count")
        return []
    found = []
    for name, given in value.items():
        several = given if isinstance(given, list) else [given]
        if not several or not all(isinstance(one, str | int | bool) for one in several):
            faults.add(f"where.{name}", given, "type", "a text, or a list of texts")
            continue
        texts = {("true" if one else "false") if isinstance(one, bool) else str(one) for one in several}
        found.append((str(name), frozenset(texts)))
    return found
