"""The native column layout: which column is which field of the API, derived from the protos.

One row is one instrument with at most one listing; rows of one entry that follow one another are joined by their
`entry` column, or by `instrument_id` where there is no such column. `docs/import-export.md` has the table of all columns, which
`describe` makes. A field added to the protos is a column by itself; what has no flat form is a column of JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.identifiers import Level, Scheme


class Kind(Enum):
    """How a cell is written."""

    TEXT = "text"
    ENUM = "name"
    DECIMAL = "decimal"
    TIME = "time"
    BOOL = "true or false"
    INTEGER = "whole number"
    TEXTS = "texts, separated by spaces"
    JSON = "JSON"


class Part(Enum):
    """To which message of an entry a column belongs."""

    ENTRY = "entry"
    INSTRUMENT = "instrument"
    DETAILS = "details"
    IDENTIFIER = "identifier"
    LISTING = "listing"
    RULES = "rules"
    FEES = "fees"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `field` is the descriptor it fills; None for the entry's key and for identifiers."""

    name: str
    part: Part
    kind: Kind
    field: FieldDescriptor | None = None
    scheme: Scheme | None = None
    level: Level | None = None
    """Of an identifier: the level to state; None: the scheme's usual one."""
    at_venue: bool = False
    """Of an identifier: whether it is spelled at the row's `listing_venue`."""


ENTRY_KEY: Final = "entry"
IDENTIFIERS: Final = "identifiers"
_WRITES: Final = ("etag", "revision", "create_time", "update_time", "events")
FILLED_INSTRUMENT: Final = ("identity_text", "merged_into", "predecessor_ids", *_WRITES)
FILLED_LISTING: Final = ("listing_key", "definition_version", "instrument_id", *_WRITES)
FILLED_ASSERTION: Final = ("target_id", "recorded_from", "recorded_to")
"""What a registry fills itself: another one fills it anew. Ids are told all the same, so that an import can hold them against its own."""
_FILLED: Final = frozenset((*FILLED_INSTRUMENT, *FILLED_LISTING, "details", "identifiers", "rules", "fees")) - {
    "instrument_id"
}
"""What has no column: what is filled, and what has columns of its own."""
_RENAMED: Final = {
    ("token", "symbol"): "token_symbol",
    ("synthetic", "name"): "synthetic_name",
    **{(kind, "venue"): "contract_venue" for kind in ("future", "perpetual", "option")},
}
_DECIMAL: Final = common.Decimal.DESCRIPTOR.full_name
_TIMESTAMP: Final = "google.protobuf.Timestamp"
_INTEGERS: Final = frozenset({FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32})
_AT_VENUE: Final = frozenset({Scheme.TICKER, Scheme.EXCHANGE_SYMBOL})


def _kind(field: FieldDescriptor) -> Kind:
    text = field.cpp_type == FieldDescriptor.CPPTYPE_STRING
    if field.is_repeated:
        return Kind.TEXTS if text else Kind.JSON
    if field.message_type is not None:
        return {_DECIMAL: Kind.DECIMAL, _TIMESTAMP: Kind.TIME}.get(field.message_type.full_name, Kind.JSON)
    if field.enum_type is not None:
        return Kind.ENUM
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return Kind.BOOL
    return Kind.INTEGER if field.cpp_type in _INTEGERS else Kind.TEXT


def _of(message: Descriptor, part: Part, prefix: str = "", leave_out: frozenset[str] = _FILLED) -> Iterator[Column]:
    for field in message.fields:
        if field.name not in leave_out and field.containing_oneof is None:
            yield Column(_prefixed(prefix, field.name), part, _kind(field), field)


def _prefixed(prefix: str, name: str) -> str:
    """A listing's column says so where it has to: `listing_id` does already, `tick_size` can be nothing else."""
    if not prefix and (name in wire.Instrument.DESCRIPTOR.fields_by_name or not _in_details(name)):
        return name
    return name if name.startswith("listing_") else f"listing_{name}"


def _in_details(name: str) -> bool:
    return any(name in columns for columns in DETAILS.values())


def _details() -> Mapping[AssetClass, Mapping[str, Column]]:
    found: dict[AssetClass, dict[str, Column]] = {}
    for one in AssetClass:
        member = DETAILS_FIELDS[one]
        assert member.message_type is not None
        columns: dict[str, Column] = {}
        for field in member.message_type.fields:
            name = _RENAMED.get((member.name, field.name), field.name)
            columns[name] = Column(name, Part.DETAILS, _kind(field), field)
        found[one] = columns
    return found


def _identifiers() -> Iterator[Column]:
    for scheme in Scheme:
        yield Column(scheme.name.lower(), Part.IDENTIFIER, Kind.TEXT, scheme=scheme, at_venue=scheme in _AT_VENUE)
        if scheme is Scheme.FIGI:
            yield Column("figi_composite", Part.IDENTIFIER, Kind.TEXT, scheme=scheme, level=Level.COMPOSITE)
            yield Column("figi_listing", Part.IDENTIFIER, Kind.TEXT, scheme=scheme, level=Level.LISTING, at_venue=True)
    yield Column(IDENTIFIERS, Part.INSTRUMENT, Kind.JSON, wire.Instrument.DESCRIPTOR.fields_by_name["identifiers"])


DETAILS_FIELDS: Final[Mapping[AssetClass, FieldDescriptor]] = {
    one: wire.Instrument.DESCRIPTOR.fields_by_name[one.name.lower()] for one in AssetClass
}
"""Which member of the oneof holds the details of a class."""
DETAILS: Final = _details()
"""The columns of the details of each class."""
_LISTING = wire.Listing.DESCRIPTOR
COLUMNS: Final[Mapping[str, Column]] = {
    one.name: one
    for one in (
        Column(ENTRY_KEY, Part.ENTRY, Kind.TEXT),
        *_of(wire.Instrument.DESCRIPTOR, Part.INSTRUMENT),
        *_identifiers(),
        *_of(_LISTING, Part.LISTING, "listing_", _FILLED | {"instrument_id"}),
        *_of(wire.TradingRules.DESCRIPTOR, Part.RULES),
        *_of(wire.ListingFees.DESCRIPTOR, Part.FEES),
    )
}
"""Every column but those of details, in the order of an export."""


def known(name: str) -> bool:
    """Whether a column of this name is part of the layout."""
    return name in COLUMNS or _in_details(name)


def classes_with(name: str) -> tuple[AssetClass, ...]:
    """The classes whose details have a column."""
    return tuple(one for one, columns in DETAILS.items() if name in columns)


def names() -> tuple[str, ...]:
    """Every column's name, in the order of an export: instrument, details, identifiers, listing, rules, fees."""
    details = dict.fromkeys(name for columns in DETAILS.values() for name in columns)
    by_part = {part: [one.name for one in COLUMNS.values() if one.part is part] for part in Part}
    head = [name for name in by_part[Part.INSTRUMENT] if name != IDENTIFIERS]
    return (
        *(ENTRY_KEY, *head, *details, *by_part[Part.IDENTIFIER], IDENTIFIERS),
        *(*by_part[Part.LISTING], *by_part[Part.RULES], *by_part[Part.FEES]),
    )


def kind_of(name: str) -> Kind:
    """How the cells of a column are written."""
    if name in COLUMNS:
        return COLUMNS[name].kind
    return DETAILS[classes_with(name)[0]][name].kind


def column_of(path: str, entry: object = None) -> str:
    """The column of a field's path as the registry names it (`listings[0].rules.tick_size`); the path itself where it has none.

    `entry` is the InstrumentEntry that was sent: it tells which identifier `identifiers[2]` is.
    """
    head, _, rest = path.partition(".")
    if head.startswith("listings["):
        part, _, last = rest.rpartition(".")
        inner = part in ("rules", "fees")
        named = _prefixed("", last) if inner else _prefixed("listing_", rest.partition("[")[0])
        return named if named in COLUMNS else path
    if head != "instrument":
        return path
    if rest.startswith("identifiers"):
        return _identifier_column(rest, entry)
    member, _, field = rest.partition(".")
    if field:
        name = _RENAMED.get((member, field), field)
        bare = name.partition("[")[0]
        return bare if classes_with(bare) else path
    bare = rest.partition("[")[0]
    return bare if bare in COLUMNS else path


def _identifier_column(rest: str, entry: object) -> str:
    number = rest.removeprefix("identifiers[").partition("]")[0]
    if not number.isdigit() or not hasattr(entry, "instrument"):
        return IDENTIFIERS
    held = entry.instrument.identifiers
    if int(number) >= len(held):
        return IDENTIFIERS
    one = held[int(number)]
    if one.scheme not in list(Scheme):
        return IDENTIFIERS
    for column in COLUMNS.values():
        if column.scheme == one.scheme and int(column.level or 0) == one.level:
            return column.name
    return IDENTIFIERS
