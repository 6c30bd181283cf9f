"""Rows as columns and back. The integers and floats of a row are columns of their own types, so that the way back gives the same bytes.

A price or size is three columns: `price_mantissa` and `price_exponent` as the row has them, and `price`, the exact decimal. `provenance` and
`source` are the flags' and the source's number in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from alphapulse.api.marketdata.v1 import marketdata_pb2
from alphapulse.domain.provenance import PROVENANCE_MASK, Provenance, RecordFlag
from alphapulse.domain.wide import WideDecimal, is_wide_enough, mantissa_of
from alphapulse.recording.amounts import DECIMAL, decimal_column
from alphapulse.recording.arrays import binaries, numbers, picked, texts
from alphapulse.records import (
    BAR,
    BOOK_LEVEL,
    COMMON_FIELDS,
    EXECUTION_REPORT,
    LAYOUTS,
    NOTICE,
    OPPORTUNITY,
    QUOTE,
    STATISTIC,
    TRADE,
    WIDE_AMOUNT,
    RecordLayout,
    Rows,
)


class Amount(NamedTuple):
    """A price or size of a row."""

    name: str
    """The field of the mantissa."""
    exponent: str
    """The field of the exponent."""
    absent: int = 0
    """Flags that say there is none."""


_BID: Final = int(RecordFlag.BID_ABSENT)
_ASK: Final = int(RecordFlag.ASK_ABSENT)
_SIZE: Final = int(RecordFlag.SIZE_ABSENT)

AMOUNTS: Final[Mapping[int, tuple[Amount, ...]]] = {
    TRADE.event_type: (Amount("price", "price_exponent"), Amount("size", "size_exponent", _SIZE)),
    QUOTE.event_type: (
        Amount("bid_price", "price_exponent", _BID),
        Amount("bid_size", "size_exponent", _BID | int(RecordFlag.BID_SIZE_ABSENT)),
        Amount("ask_price", "price_exponent", _ASK),
        Amount("ask_size", "size_exponent", _ASK | int(RecordFlag.ASK_SIZE_ABSENT)),
    ),
    BOOK_LEVEL.event_type: (Amount("price", "price_exponent"), Amount("size", "size_exponent")),
    BAR.event_type: (
        *(Amount(name, "price_exponent") for name in ("open", "high", "low", "close")),
        Amount("volume", "size_exponent"),
    ),
    STATISTIC.event_type: (Amount("value", "value_exponent"),),
    NOTICE.event_type: (
        Amount("actual", "actual_exponent", int(RecordFlag.ACTUAL_ABSENT)),
        Amount("forecast", "forecast_exponent", int(RecordFlag.FORECAST_ABSENT)),
        Amount("previous", "previous_exponent", int(RecordFlag.PREVIOUS_ABSENT)),
    ),
    OPPORTUNITY.event_type: (
        Amount("buy_price", "buy_price_exponent"),
        Amount("sell_price", "sell_price_exponent"),
        Amount("size", "size_exponent", _SIZE),
    ),
    EXECUTION_REPORT.event_type: (
        Amount("price", "price_exponent", int(RecordFlag.PRICE_ABSENT)),
        Amount("size", "size_exponent", _SIZE),
        Amount("filled_size", "size_exponent"),
        Amount("last_price", "price_exponent"),
        Amount("last_size", "size_exponent"),
    ),
}
"""The prices and sizes of each event type that has any."""

FOLDERS: Final[Mapping[int, str]] = {
    number: name.removeprefix("EVENT_TYPE_").lower() for name, number in marketdata_pb2.EventType.items() if number
}
"""The folder of each event type, such as "quote"."""

_PROVENANCES: Final = texts([None, *(one.name for one in sorted(Provenance))])
_OVERSIZE: Final = int(RecordFlag.OVERSIZE)


WIDE: Final = "amount"
"""The column with a wide amount as decimal digits, of which it has too many for the decimals that every reader knows."""


def _require_all_amounts() -> None:
    """A new event type's prices must not be recorded as bare integers, so an exponent that no amount names is refused at import."""
    for number, layout in LAYOUTS.items():
        named = {one.exponent for one in AMOUNTS.get(number, ())}
        forgotten = {name for name in layout.fields if name.endswith("_exponent")} - named
        if forgotten:
            raise TypeError(f"{layout.name}: no amount of a recording has the exponent {', '.join(sorted(forgotten))}")


_require_all_amounts()


def _stored(layout: RecordLayout) -> dict[str, str]:
    """Of each field of a row the column that holds it."""
    mantissas = {one.name for one in AMOUNTS.get(layout.event_type, ())}
    return {name: f"{name}_mantissa" if name in mantissas else name for name in layout.fields}


STORED: Final[Mapping[int, Mapping[str, str]]] = {number: _stored(layout) for number, layout in LAYOUTS.items()}
"""Of each event type: which column holds which field of a row."""


def schema_of(layout: RecordLayout) -> Any:
    """The columns of an event type: those of the row in its order, then the decimals, then the words."""
    described = layout.dtype.fields
    assert described is not None  # a structured dtype
    kinds = [
        (column, pa.string() if name in layout.texts else pa.from_numpy_dtype(described[name][0]))
        for name, column in STORED[layout.event_type].items()
    ]
    required = [pa.field(column, kind, nullable=False) for column, kind in kinds]
    amounts = [pa.field(one.name, DECIMAL) for one in AMOUNTS.get(layout.event_type, ())]
    if layout is WIDE_AMOUNT:
        amounts.append(pa.field(WIDE, pa.string()))
    return pa.schema([*required, *amounts, pa.field("provenance", pa.string()), pa.field("source", pa.string())])


SCHEMAS: Final[Mapping[int, Any]] = {number: schema_of(layout) for number, layout in LAYOUTS.items()}
"""The columns of each event type."""


_FEW: Final = frozenset(
    {"listing_key", "source_id", "definition_version", "flags", "provenance", "source", "side", "aggressor", "state"}
)
"""Columns of few values, beside exponents: a dictionary of them is the smallest."""


def encoding_of(layout: RecordLayout) -> dict[str, Any]:
    """How the columns are written, for ParquetWriter. Numbers that rise are written as differences: half the time and a third of the size of what is
    usual. Every reader has these encodings (of a split of decimals by bytes polars has not). Bounds are kept of the columns that every
    type has, to leave out what a reader does not look for."""
    integers = {field.name for field in SCHEMAS[layout.event_type] if pa.types.is_integer(field.type)}
    few = {name for name in SCHEMAS[layout.event_type].names if name in _FEW or name.endswith("_exponent")}
    return {
        "compression": "zstd",
        "use_dictionary": sorted(few),
        "column_encoding": dict.fromkeys(sorted(integers - few), "DELTA_BINARY_PACKED"),
        "write_statistics": list(COMMON_FIELDS),
    }


def table_of(layout: RecordLayout, rows: Rows, sources: Mapping[int, str]) -> Any:
    """Rows as a table. `sources` are the names by number; a source that is not among them is null."""
    columns = [
        binaries(rows[name].tolist(), pa.string()) if name in layout.texts else numbers(rows[name])
        for name in layout.fields
    ]
    flags = np.ascontiguousarray(rows["flags"])
    for one in AMOUNTS.get(layout.event_type, ()):
        mantissas = np.ascontiguousarray(rows[one.name])
        absent = (flags & one.absent != 0) | ((flags & _OVERSIZE != 0) & (mantissas == 0))
        columns.append(decimal_column(mantissas, np.ascontiguousarray(rows[one.exponent]), absent))
    if layout is WIDE_AMOUNT:
        columns.append(texts([_digits(row) for row in rows]))
    columns.append(picked(_PROVENANCES, (flags & PROVENANCE_MASK).astype(np.int64)))
    known, places = np.unique(rows["source_id"], return_inverse=True)
    columns.append(picked(texts([sources.get(number) for number in known.tolist()]), places))
    return pa.Table.from_arrays(columns, schema=SCHEMAS[layout.event_type])


def _digits(row: Any) -> str | None:
    """A wide amount in plain digits; None for an exponent that no amount has."""
    mantissa, exponent = mantissa_of([row[f"word_{place}"] for place in range(4)]), int(row["exponent"])
    return str(WideDecimal(mantissa, exponent)) if is_wide_enough(mantissa, exponent) else None


def rows_of(layout: RecordLayout, table: Any) -> Rows:
    """The rows of a table (or a batch of one), byte for byte. A column that an older recording does not have is zero, as in protobuf a field that a
    message leaves out."""
    rows = layout.new(table.num_rows)
    held = frozenset(table.schema.names)
    for name, column in STORED[layout.event_type].items():
        if column in held:
            found = table.column(column)
            rows[name] = (found.cast(pa.binary()) if name in layout.texts else found).to_numpy(zero_copy_only=False)
    return rows
