"""The fixed layouts: array -> bytes -> protobuf -> same values, and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from google.protobuf import timestamp_pb2
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.marketdata.v1 import marketdata_pb2
from alphapulse.records import (
    LAYOUTS,
    QUOTE,
    TRADE,
    RecordLayout,
    RecordLayoutError,
    derive_layout,
    pack_messages,
    split_batch,
    unpack_rows,
)

RANGES = {
    "<u8": st.integers(0, 2**64 - 1),
    "<i8": st.integers(-(2**63), 2**63 - 1),
    "<u4": st.integers(0, 2**32 - 1),
    "<i4": st.integers(-(2**31), 2**31 - 1),
    "<f8": st.floats(),
}


def texts(size: int) -> st.SearchStrategy[bytes]:
    """Any text that fits, and what is none: bytes as they come."""
    return st.one_of(
        st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=size)
        .map(str.encode)
        .filter(lambda text: len(text) <= size),
        st.binary(max_size=size),
    )


LAYOUT = st.sampled_from(sorted(LAYOUTS.values(), key=lambda layout: layout.event_type))


def same(a: Any, b: Any) -> bool:
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


@st.composite
def filled(draw: st.DrawFn, layout: RecordLayout) -> np.ndarray:
    rows = layout.new(draw(st.integers(1, 4)))
    for name in layout.fields:
        kind = layout.dtype[name].str.replace("=", "<").replace("|", "<")
        values = texts(layout.texts[name]) if name in layout.texts else RANGES[kind]
        for i in range(len(rows)):
            rows[name][i] = draw(values)
    return rows


@given(st.data())
def test_rows_are_what_protobuf_parses(data: st.DataObject) -> None:
    layout = data.draw(LAYOUT)
    rows = data.draw(filled(layout))
    messages = getattr(marketdata_pb2.EventBatch.FromString(rows.tobytes()), layout.batch_field)
    assert len(messages) == len(rows)
    for row, message in zip(rows, messages, strict=True):
        for name in layout.fields:
            assert message.HasField(name), name
            found = getattr(message, name)
            if name in layout.texts:
                assert len(found) == layout.texts[name]
                found = found.rstrip(b"\0")
            assert same(row[name].item(), found), name


@given(st.data())
def test_messages_become_the_same_rows_and_bytes(data: st.DataObject) -> None:
    layout = data.draw(LAYOUT)
    rows = data.draw(filled(layout))
    batch = marketdata_pb2.EventBatch.FromString(rows.tobytes())
    again = batch.SerializeToString()
    ((found, parsed),) = split_batch(again)
    assert found is layout
    assert pack_messages(layout, getattr(batch, layout.batch_field)).tobytes() == rows.tobytes()
    if not any(np.isnan(rows[name]).any() for name in layout.fields if layout.dtype[name].kind == "f"):
        assert parsed.tobytes() == rows.tobytes()


@given(st.lists(LAYOUT.flatmap(filled), min_size=0, max_size=5))
def test_a_batch_of_many_types_splits_into_its_runs(runs: list[np.ndarray]) -> None:
    data = b"".join(run.tobytes() for run in runs)
    found = split_batch(data)
    assert b"".join(rows.tobytes() for _, rows in found) == data
    assert all((rows.dtype == layout.dtype) for layout, rows in found)
    whole = unpack_rows(found)
    for layout in LAYOUTS.values():
        assert len(getattr(whole, layout.batch_field)) == sum(len(run) for run in runs if run.dtype == layout.dtype)


def test_a_foreign_batch_with_fields_left_out_is_laid_out_anew() -> None:
    batch = marketdata_pb2.EventBatch()
    batch.quotes.add(listing_key=7, bid_price=5)
    batch.trades.add(price=3)
    (first, trades), (second, quotes) = split_batch(batch.SerializeToString())
    assert (first, second) == (TRADE, QUOTE)
    assert trades["price"].tolist() == [3]
    assert quotes["listing_key"].tolist() == [7]
    assert quotes["ask_price"].tolist() == [0]
    assert QUOTE.is_rows(quotes.tobytes())


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05abc", QUOTE.new(2).tobytes()[:-1]])
def test_bytes_that_are_no_batch_are_refused(data: bytes) -> None:
    with pytest.raises(RecordLayoutError, match="not an EventBatch"):
        split_batch(data)


def test_rows_of_another_layout_are_refused() -> None:
    with pytest.raises(RecordLayoutError, match=r"Quote: 3 bytes are not a whole number of rows"):
        QUOTE.from_bytes(b"abc")
    with pytest.raises(RecordLayoutError, match="tags"):
        QUOTE.from_bytes(bytes(QUOTE.row_size))


def test_received_rows_are_not_copied() -> None:
    data = bytearray(QUOTE.new(3).tobytes())
    rows = QUOTE.from_bytes(data)
    rows["sequence"] = [1, 2, 3]
    assert QUOTE.from_bytes(data)["sequence"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("message", "field"),
    [(common_pb2.Decimal, "mantissa"), (common_pb2.ItemViolation, "field"), (timestamp_pb2.Timestamp, "seconds")],
)
def test_a_message_that_is_not_fixed_width_is_refused(message: Any, field: str) -> None:
    with pytest.raises(RecordLayoutError, match=rf"{message.DESCRIPTOR.full_name}\.{field}: not a fixed-width field"):
        derive_layout(message.DESCRIPTOR, 1, "rows", message)


def test_a_field_without_presence_is_refused() -> None:
    from alphapulse.api.relay.v1 import relay_service_pb2  # a message of one fixed64 without presence

    message = relay_service_pb2.ExplainEventRequest
    with pytest.raises(RecordLayoutError, match=r"sequence: has no explicit presence"):
        derive_layout(message.DESCRIPTOR, 1, "rows", message)
