"""Between an `EventBatch`'s bytes, its messages, and arrays of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from alphapulse.api.marketdata.v1 import marketdata_pb2
from alphapulse.records.layout import LAYOUTS, RecordLayout, RecordLayoutError, Rows

_BY_PREFIX = {layout.prefix: layout for layout in LAYOUTS.values()}
_PREFIX_LENGTHS = sorted({len(prefix) for prefix in _BY_PREFIX})


def _layout_at(data: memoryview) -> RecordLayout | None:
    for length in _PREFIX_LENGTHS:
        layout = _BY_PREFIX.get(bytes(data[:length]))
        if layout is not None:
            return layout
    return None


def _run_length(layout: RecordLayout, data: memoryview) -> int:
    """How many rows of the layout stand at the start of the data. The prefix of each is looked at: a tag and a length that fit cannot be the
    middle of something else, since every row before it had its full length."""
    whole = len(data) // layout.row_size
    size = len(layout.prefix)
    table = np.frombuffer(data[: whole * layout.row_size], np.uint8).reshape(whole, layout.row_size)
    same = (table[:, :size] == np.frombuffer(layout.prefix, np.uint8)).all(axis=1)
    return whole if same.all() else int(same.argmin())


def split_batch(data: bytes | memoryview) -> list[tuple[RecordLayout, Rows]]:
    """The runs of rows in a serialized EventBatch, in wire order; without a copy where the bytes are rows of the layouts, as the platform's own
    always are. A batch written by another serializer, with fields left out or in another order, is parsed and laid out anew. Raises
    RecordLayoutError when the bytes are no EventBatch."""
    view = memoryview(data)
    runs: list[tuple[RecordLayout, Rows]] = []
    while len(view):
        layout = _layout_at(view)
        count = 0 if layout is None else _run_length(layout, view)
        if layout is None or not count:
            return _parsed(data)
        size = count * layout.row_size
        if not layout.is_rows(view[:size]):
            return _parsed(data)
        runs.append((layout, layout.from_bytes(view[:size], check=False)))
        view = view[size:]
    return runs


def _parsed(data: bytes | memoryview) -> list[tuple[RecordLayout, Rows]]:
    try:
        batch = marketdata_pb2.EventBatch.FromString(bytes(data))
    except DecodeError as error:
        raise RecordLayoutError(f"not an EventBatch: {error}") from error
    runs = []
    for layout in LAYOUTS.values():
        messages = getattr(batch, layout.batch_field)
        if messages:
            runs.append((layout, pack_messages(layout, messages)))
    return runs


def pack_messages(layout: RecordLayout, messages: Sequence[Any]) -> Rows:
    """Messages as rows; a field a message leaves out is zero. Raises RecordLayoutError for a text longer than its field."""
    rows = layout.new(len(messages))
    for name, size in layout.texts.items():
        longest = max((len(getattr(message, name)) for message in messages), default=0)
        if longest > size:
            raise RecordLayoutError(f"{layout.name}.{name}: a text of {longest} bytes; its field has {size}")
    for name in layout.fields:
        rows[name] = [getattr(message, name) for message in messages]
    return rows


def unpack_rows(runs: Iterable[tuple[RecordLayout, Rows]]) -> marketdata_pb2.EventBatch:
    """Rows as one parsed EventBatch."""
    return marketdata_pb2.EventBatch.FromString(b"".join(rows.tobytes() for _, rows in runs))
