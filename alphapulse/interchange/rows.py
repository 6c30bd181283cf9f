"""Entries of the registry as rows of the native layout: what `encoding` makes entries from.

An entry has a row for each listing, or one row without any. Identifiers stand in their columns where a column can say all of
them, and as JSON in `identifiers` where it cannot: a span, a source of its own, a second one of the same scheme.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict

from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.identifiers import Level, Scheme
from alphapulse.interchange.layout import (
    COLUMNS,
    DETAILS,
    FILLED_ASSERTION,
    FILLED_INSTRUMENT,
    FILLED_LISTING,
    IDENTIFIERS,
    Column,
    Kind,
    Part,
)

Row = dict[str, str]

_PLAIN_EXPONENTS: Final = range(-30, 1)
_BY_PART: Final[Mapping[Part, tuple[Column, ...]]] = {
    part: tuple(one for one in COLUMNS.values() if one.part is part and one.name != IDENTIFIERS) for part in Part
}


def rows_of(entry: service.InstrumentEntry) -> list[Row]:
    """The rows of an entry, each with the columns that are not empty."""
    instrument = entry.instrument
    common = _cells(instrument, _BY_PART[Part.INSTRUMENT])
    if instrument.asset_class:
        asset_class = AssetClass(instrument.asset_class)
        details = getattr(instrument, asset_class.name.lower())
        common |= _cells(details, DETAILS[asset_class].values())
    rows = [common | _listing(one) for one in entry.listings] or [dict(common)]
    rest = [one for one in instrument.identifiers if not _place(one, instrument.source, rows)]
    if rest:
        rows[0][IDENTIFIERS] = msgspec.json.encode([bare(one, FILLED_ASSERTION) for one in rest]).decode()
    return rows


def bare_entry(entry: service.InstrumentEntry) -> dict[str, Any]:
    """The entry as the API's JSON, without what a registry fills itself."""
    found = bare(entry, ())
    instrument = found.get("instrument", {})
    for name in FILLED_INSTRUMENT:
        instrument.pop(name, None)
    for one in instrument.get("identifiers", ()):
        for name in FILLED_ASSERTION:
            one.pop(name, None)
    for listing in found.get("listings", ()):
        for name in FILLED_LISTING:
            listing.pop(name, None)
    return found


def bare(message: Any, leave_out: Iterable[str]) -> dict[str, Any]:
    """A message as JSON with the names of the proto, without some fields."""
    found: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    for name in leave_out:
        found.pop(name, None)
    return found


def decimal_text(value: Any) -> str:
    """A Decimal's exact text, from which the same mantissa and exponent are read again."""
    if value.exponent in _PLAIN_EXPONENTS:
        return str(ExactDecimal(value.mantissa, value.exponent))
    return f"{value.mantissa}e{value.exponent}"


def _listing(listing: wire.Listing) -> Row:
    found = _cells(listing, _BY_PART[Part.LISTING])
    found |= _cells(listing.rules, _BY_PART[Part.RULES])
    return found | _cells(listing.fees, _BY_PART[Part.FEES])


def _cells(message: Any, columns: Iterable[Column]) -> Row:
    by_number = {one.field.number: one for one in columns if one.field is not None}
    found: Row = {}
    for field, value in message.ListFields():
        column = by_number.get(field.number)
        if column is not None:
            text = _text(column, field, value)
            if text:
                found[column.name] = text
    return found


def _text(column: Column, field: FieldDescriptor, value: Any) -> str:
    match column.kind:
        case Kind.DECIMAL:
            return decimal_text(value)
        case Kind.TIME:
            return str(value.ToJsonString())
        case Kind.BOOL:
            return "true" if value else ""
        case Kind.ENUM:
            assert field.enum_type is not None
            prefix = field.enum_type.values_by_number[0].name.removesuffix("UNSPECIFIED")
            return field.enum_type.values_by_number[value].name.removeprefix(prefix)
        case Kind.TEXTS:
            return " ".join(value)
        case Kind.JSON:
            plain = [bare(one, ()) for one in value] if field.is_repeated else bare(value, ())
            return msgspec.json.encode(plain).decode()
        case _:
            return str(value)


def _place(one: wire.IdentifierAssertion, source: str, rows: list[Row]) -> bool:
    """Puts an identifier into its column where that says all of it."""
    if one.HasField("valid_from") or one.HasField("valid_to") or one.source not in ("", source):
        return False
    for column in _BY_PART[Part.IDENTIFIER]:
        if int(column.scheme or 0) != one.scheme or _level(column, one.venue) != one.level:
            continue
        row = _row_for(column, one.venue, rows)
        if row is not None and column.name not in row:
            row[column.name] = one.value
            return True
    return False


def _level(column: Column, venue: str) -> int:
    """The level that a cell of the column has in the registry."""
    if column.level is not None:
        return int(column.level)
    if column.scheme is Scheme.LEI:
        return int(Level.ISSUER)
    listing = column.scheme in (Scheme.EXCHANGE_SYMBOL, Scheme.RIC, Scheme.MIC)
    return int(Level.LISTING if listing or (column.scheme is Scheme.TICKER and venue) else Level.INSTRUMENT)


def _row_for(column: Column, venue: str, rows: list[Row]) -> Row | None:
    """The row whose listing is at the identifier's venue; of a column without venue the first."""
    if not column.at_venue:
        return None if venue else rows[0]
    return next((row for row in rows if row.get("listing_venue", "") == venue), None)
