"""Gaps and definitions as rows of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.recording.arrays import binaries, numbers, texts
from alphapulse.recording.notes import Missing

GAP_COLUMNS: Final = pa.schema(
    [
        ("recorded_ns", pa.int64()),
        ("relay_id", pa.string()),
        ("reason", pa.string()),
        ("count", pa.uint64()),
        ("from_number", pa.uint64()),
        ("to_number", pa.uint64()),
        ("source", pa.string()),
        ("listing_key", pa.uint64()),
        ("after_relay_id", pa.string()),
        ("after_sequence", pa.uint64()),
        ("before_sequence", pa.uint64()),
    ]
)
"""`recorded_ns` is the recorder's time, `relay_id` the life of the relay whose stream told it; the rest is `notes.Missing`."""

DEFINITION_COLUMNS: Final = pa.schema(
    [
        ("recorded_ns", pa.int64()),
        ("relay_id", pa.string()),
        ("listing_key", pa.uint64()),
        ("definition_version", pa.uint32()),
        ("listing_id", pa.string()),
        ("instrument_id", pa.string()),
        ("venue", pa.string()),
        ("symbol", pa.string()),
        ("currency", pa.string()),
        ("asset_class", pa.string()),
        ("name", pa.string()),
        ("identity_text", pa.string()),
        ("definition", pa.binary()),
    ]
)
"""`definition` is the whole: a serialized alphapulse.api.relay.v1.ListingDefinition."""


def table_of_records(records: Sequence[Mapping[str, Any]], schema: Any) -> Any:
    """Rows of GAP_COLUMNS or DEFINITION_COLUMNS as a table."""
    columns = []
    for field in schema:
        values = [record[field.name] for record in records]
        if pa.types.is_string(field.type):
            columns.append(texts(values))
        elif pa.types.is_binary(field.type):
            columns.append(binaries(values, field.type))
        else:
            columns.append(numbers(np.array(values, field.type.to_pandas_dtype())))
    return pa.Table.from_arrays(columns, schema=schema)


def gap_row(relay_id: str, missing: Missing, recorded_ns: int) -> dict[str, Any]:
    """A gap as a row."""
    told = {name: getattr(missing, name) for name in missing.__struct_fields__ if name in GAP_COLUMNS.names}
    return {"recorded_ns": recorded_ns, "relay_id": relay_id, **told}


def definition_row(relay_id: str, definition: bytes, recorded_ns: int) -> dict[str, Any]:
    """A serialized ListingDefinition as a row."""
    found = relay.ListingDefinition.FromString(definition)
    listing, instrument = found.listing, found.instrument
    number = instrument.asset_class
    known = number in common.AssetClass.values()
    return {
        "recorded_ns": recorded_ns,
        "relay_id": relay_id,
        "listing_key": listing.listing_key,
        "definition_version": listing.definition_version,
        "listing_id": listing.listing_id,
        "instrument_id": listing.instrument_id,
        "venue": listing.venue,
        "symbol": listing.symbol,
        "currency": listing.currency,
        "asset_class": common.AssetClass.Name(number).removeprefix("ASSET_CLASS_") if known else str(number),
        "name": instrument.name,
        "identity_text": instrument.identity_text,
        "definition": definition,
    }
