"""The tables of docs/import-export.md, made from the layout: `python -m alphapulse.interchange.describe` prints them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from alphapulse.domain.identifiers import Level
from alphapulse.interchange.cells import enum_names
from alphapulse.interchange.layout import COLUMNS, DETAILS, ENTRY_KEY, IDENTIFIERS, Column, Kind, Part, classes_with

_HEADINGS: Final = {
    Part.INSTRUMENT: "Of the instrument",
    Part.IDENTIFIER: "Identifiers",
    Part.LISTING: "Of the listing",
    Part.RULES: "The listing's trading rules",
    Part.FEES: "The listing's fees",
}
_SINGLE: Final = {
    ENTRY_KEY: "any text; rows that follow one another with the same one are one entry",
    IDENTIFIERS: "JSON: a list of the API's IdentifierAssertion, for what no column can say: a span of time, a source of its own",
}


def tables() -> str:
    """All of them, in Markdown."""
    parts = [_table("Which rows belong together", [_row(COLUMNS[ENTRY_KEY])])]
    for part, heading in _HEADINGS.items():
        parts.append(_table(heading, [_row(one) for one in COLUMNS.values() if one.part is part]))
        if part is Part.INSTRUMENT:
            parts.append(_table("Of its class", list(_details())))
    return "\n".join(parts)


def _table(heading: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"### {heading}", "", "| column | cell |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {text} |" for name, text in rows), ""])


def _row(column: Column) -> tuple[str, str]:
    if column.name in _SINGLE:
        return column.name, _SINGLE[column.name]
    if column.scheme is not None:
        level = f" of the level {(column.level or Level.INSTRUMENT).name.lower()}" if column.level else ""
        venue = ", at `listing_venue` where there is one" if column.at_venue else ""
        return column.name, f"{column.scheme.name}{level}{venue}"
    return column.name, cell_of(column)


def cell_of(column: Column) -> str:
    """What a cell holds."""
    match column.kind:
        case Kind.ENUM:
            assert column.field is not None
            assert column.field.enum_type is not None
            short = [name for name in enum_names(column.field.enum_type) if not name.startswith(_prefix(column))]
            return "one of " + ", ".join(short)
        case Kind.TIME:
            return "time with its zone, or a day: its midnight, UTC"
        case Kind.DECIMAL:
            return "exact decimal"
        case Kind.JSON:
            assert column.field is not None
            assert column.field.message_type is not None
            return f"JSON: {'a list of ' if column.field.is_repeated else ''}the API's {column.field.message_type.name}"
        case _:
            return str(column.kind.value)


def _prefix(column: Column) -> str:
    assert column.field is not None
    assert column.field.enum_type is not None
    return str(column.field.enum_type.values[0].name.removesuffix("UNSPECIFIED"))


def _details() -> Iterator[tuple[str, str]]:
    for name in dict.fromkeys(name for columns in DETAILS.values() for name in columns):
        classes = classes_with(name)
        yield name, f"{cell_of(DETAILS[classes[0]][name])}; {', '.join(one.name for one in classes)}"


if __name__ == "__main__":
    sys.stdout.write(tables())
