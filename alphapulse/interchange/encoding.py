"""Columns of the native layout made into serialized InstrumentEntry messages, a column at a time.

    encoder = EntryEncoder(columns, source="a source")
    for block in blocks:
        for entry in encoder.entries(block): ...
    for entry in encoder.rest(): ...

Rows that follow one another with the same key are one entry: the first row's instrument counts, each row adds its
identifiers and its listing, and a row that says something else of the instrument refuses the entry. The result
for a row does not depend on where a block ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.violations import FieldViolation
from alphapulse.interchange.blocks import Block, Cells, Entry
from alphapulse.interchange.cells import BrokenCell, Parse, encode, enum_names, parser, utf8
from alphapulse.interchange.framing import chunk, length_tag, number_field, number_tag
from alphapulse.interchange.layout import COLUMNS, DETAILS, DETAILS_FIELDS, ENTRY_KEY, Column, Part

Broken = dict[int, list[FieldViolation]]

_ENTRY = service.InstrumentEntry.DESCRIPTOR.fields_by_name
_INSTRUMENT = wire.Instrument.DESCRIPTOR.fields_by_name
_LISTING = wire.Listing.DESCRIPTOR.fields_by_name
_ASSERTION = wire.IdentifierAssertion.DESCRIPTOR.fields_by_name
_INSTRUMENT_TAG: Final = length_tag(_ENTRY["instrument"].number)
_LISTING_TAG: Final = length_tag(_ENTRY["listings"].number)
_IDENTIFIER_TAG: Final = length_tag(_INSTRUMENT["identifiers"].number)
_SCHEME_TAG: Final = number_tag(_ASSERTION["scheme"].number)
_LEVEL_TAG: Final = number_tag(_ASSERTION["level"].number)
_VALUE_TAG: Final = length_tag(_ASSERTION["value"].number)
_VENUE_TAG: Final = length_tag(_ASSERTION["venue"].number)
_CLASSES: Final = {name: AssetClass(number) for name, number in enum_names(common.AssetClass.DESCRIPTOR).items()}
_PARSERS: Final = {one.name: parser(one) for one in COLUMNS.values() if one.field is not None}
_DETAIL_PARSERS: Final = {
    one: {name: parser(column) for name, column in columns.items()} for one, columns in DETAILS.items()
}
_DETAIL_TAGS: Final = {one: length_tag(member.number) for one, member in DETAILS_FIELDS.items()}
_BODIES: Final = {Part.RULES: length_tag(_LISTING["rules"].number), Part.FEES: length_tag(_LISTING["fees"].number)}
_IDENTIFIERS: Final = _INSTRUMENT["identifiers"].number

Core = tuple[bytes, bytes]
"""An instrument's fields before its identifiers, and those behind them: in the order of protobuf, so that the registry knows an entry by
its bytes."""


@dataclass(slots=True)
class _Open:
    """An entry whose rows may go on."""

    key: str
    row: int
    line: int
    core: Core
    identifiers: dict[bytes, None]
    listings: list[bytes]
    next_row: int
    violations: list[FieldViolation] = field(default_factory=list)


class EntryEncoder:
    """Encodes the blocks of one file. `source` is that of rows that state none."""

    def __init__(self, columns: Iterable[str], source: str = "") -> None:
        names = set(columns)
        self._source = source
        self._key = next((one for one in (ENTRY_KEY, "instrument_id") if one in names), "")
        self._open: _Open | None = None

    def entries(self, block: Block) -> Iterator[Entry]:
        """The entries that are complete with this block. Those that may go on in the next one are held back."""
        if block.entries is not None:
            yield from _ready(block)
            return
        broken: Broken = {row: list(found) for row, found in block.broken.items()}
        columns = dict(block.columns)
        if self._source:
            given = columns.get("source", [None] * block.count)
            columns["source"] = [one or self._source for one in given]
        cores, identifiers = _instruments(columns, block.count, broken)
        listings = _listings(columns, block.count, broken)
        keys = columns.get(self._key)
        if keys is None:
            yield from _alone(block, cores, identifiers, listings, broken)
            return
        for row in range(block.count):
            key = keys[row] or ""
            done = self._take(block, row, key, cores[row], [each[row] for each in identifiers], listings[row])
            if row in broken and self._open is not None:
                self._open.violations += broken[row]
            if done is not None:
                yield _closed(done)

    def rest(self) -> Iterator[Entry]:
        """The entry held back, at the end of the file."""
        if self._open is not None:
            yield _closed(self._open)
            self._open = None

    def _take(
        self, block: Block, row: int, key: str, core: Core, identifiers: Sequence[bytes], listing: bytes
    ) -> _Open | None:
        """Adds a row to the open entry, or begins another one and gives the one that is complete."""
        held, number = self._open, block.rows[row]
        names = dict.fromkeys(one for one in identifiers if one)
        if held is not None and key and held.key == key:
            held.next_row = number + 1
            held.identifiers |= names
            held.listings += [listing] if listing else []
            if core != held.core:
                rule = f"line {block.lines[row]} says something else of the instrument than line {held.line}, the first of its entry"
                held.violations.append(FieldViolation(self._key, key, "entry-differs", rule))
            return None
        self._open = _Open(key, number, block.lines[row], core, names, [listing] if listing else [], number + 1)
        return held


def _ready(block: Block) -> Iterator[Entry]:
    assert block.entries is not None
    for row, body in enumerate(block.entries):
        number = block.rows[row]
        yield Entry(number, number + 1, block.lines[row], body, block.broken.get(row, ()))


def _alone(
    block: Block, cores: Sequence[Core], identifiers: list[list[bytes]], listings: list[bytes], broken: Broken
) -> Iterator[Entry]:
    """Each row its own entry."""
    heads, rests = zip(*cores, strict=True) if cores else ((), ())
    whole = map(b"".join, zip(heads, *identifiers, rests, strict=True))
    for row, (core, listing) in enumerate(zip(whole, listings, strict=True)):
        number = block.rows[row]
        if row in broken:
            yield Entry(number, number + 1, block.lines[row], b"", broken[row])
        else:
            yield Entry(number, number + 1, block.lines[row], chunk(_INSTRUMENT_TAG, core) + listing)


def _closed(held: _Open) -> Entry:
    if held.violations:
        return Entry(held.row, held.next_row, held.line, b"", held.violations)
    head, rest = held.core
    body = chunk(_INSTRUMENT_TAG, b"".join([head, *held.identifiers, rest])) + b"".join(held.listings)
    return Entry(held.row, held.next_row, held.line, body)


def _instruments(columns: dict[str, Cells], count: int, broken: Broken) -> tuple[list[Core], list[list[bytes]]]:
    """The instrument's own fields and its details a row; and, a column each, its identifiers."""
    parts = _encoded(columns, Part.INSTRUMENT, broken)
    heads = [fields for number, fields in parts if number < _IDENTIFIERS]
    rests = [fields for number, fields in parts if number > _IDENTIFIERS]
    rests.append(_details(columns, count, broken))
    head = map(b"".join, zip(*heads, strict=True)) if heads else [b""] * count
    rest = map(b"".join, zip(*rests, strict=True))
    return list(zip(head, rest, strict=True)), _identifiers(columns, broken)


def _encoded(columns: dict[str, Cells], part: Part, broken: Broken) -> list[tuple[int, list[bytes]]]:
    """The fields of one message in their order, each with its number: a list a column that is there."""
    found = []
    for name, cells in columns.items():
        column = COLUMNS.get(name)
        if column is not None and column.part is part and name != "identifiers":
            fields = encode(cells, _PARSERS[name], name, broken)
            if fields is not None:
                found.append((_number(column), fields))
    return sorted(found, key=lambda one: one[0])


def _number(column: Column | None) -> int:
    """Of the column's field in its message."""
    return column.field.number if column is not None and column.field is not None else 0


def _details(columns: dict[str, Cells], count: int, broken: Broken) -> list[bytes]:
    """The details of each row's class. A row without a known class has none: it is refused for that."""
    own = [name for name in columns if name not in COLUMNS]
    rows: dict[AssetClass, list[int]] = {}
    for row, text in enumerate(columns.get("asset_class", ())):
        known = _CLASSES.get(text.strip().upper()) if text else None
        if known is not None:
            rows.setdefault(known, []).append(row)
    found = [b""] * count
    for asset_class, members in rows.items():
        whole = len(members) == count
        selected = {name: columns[name] if whole else [columns[name][row] for row in members] for name in own}
        fields = _details_of(asset_class, selected, members, broken)
        tag = _DETAIL_TAGS[asset_class]
        for at, row in enumerate(members):
            found[row] = chunk(tag, fields[at])
    return found


def _details_of(asset_class: AssetClass, columns: dict[str, Cells], rows: list[int], broken: Broken) -> list[bytes]:
    parsers, parts = _DETAIL_PARSERS[asset_class], []
    for name, cells in columns.items():
        found: Broken = {}
        parse = parsers.get(name) or _foreign(asset_class)
        fields = encode(cells, parse, name, found)
        if fields is not None:
            parts.append((_number(DETAILS[asset_class].get(name)), fields))
        for at, violations in found.items():
            broken.setdefault(rows[at], []).extend(violations)
    ordered = [fields for _, fields in sorted(parts, key=lambda one: one[0])]
    return list(map(b"".join, zip(*ordered, strict=True))) if ordered else [b""] * len(rows)


def _foreign(asset_class: AssetClass) -> Parse:
    def refuse(value: str) -> bytes:
        raise BrokenCell("column-class", f"{asset_class.name} has no such field; leave the cell empty")

    return refuse


def _identifiers(columns: dict[str, Cells], broken: Broken) -> list[list[bytes]]:
    found = []
    for name, cells in columns.items():
        column = COLUMNS.get(name)
        if name == "identifiers":
            fields = encode(cells, _PARSERS[name], name, broken)
        elif column is not None and column.part is Part.IDENTIFIER:
            fields = _assertions(column, cells, columns.get("listing_venue") if column.at_venue else None, broken)
        else:
            continue
        if fields is not None:
            found.append(fields)
    return found


def _assertions(column: Column, cells: Cells, venues: Cells | None, broken: Broken) -> list[bytes] | None:
    scheme, level = number_field(_SCHEME_TAG, int(column.scheme or 0)), number_field(_LEVEL_TAG, int(column.level or 0))
    bodies = encode(cells, lambda value: scheme + chunk(_VALUE_TAG, utf8(value)) + level, column.name, broken)
    if bodies is None or venues is None:
        return bodies and [chunk(_IDENTIFIER_TAG, body) if body else b"" for body in bodies]
    return [
        chunk(_IDENTIFIER_TAG, body + chunk(_VENUE_TAG, venue.encode("utf-8", "replace")) if venue else body)
        if body
        else b""
        for body, venue in zip(bodies, venues, strict=True)
    ]


def _listings(columns: dict[str, Cells], count: int, broken: Broken) -> list[bytes]:
    parts = [fields for _, fields in _encoded(columns, Part.LISTING, broken)]
    for part, tag in _BODIES.items():
        fields = [each for _, each in _encoded(columns, part, broken)]
        if fields:
            bodies = map(b"".join, zip(*fields, strict=True))
            parts.append([chunk(tag, body) if body else b"" for body in bodies])
    if not parts:
        return [b""] * count
    return [chunk(_LISTING_TAG, body) if body else b"" for body in map(b"".join, zip(*parts, strict=True))]
