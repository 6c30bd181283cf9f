"""Rows in, events out: every value of every layout survives, prices exactly."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any

import numpy as np
import pytest
from google.protobuf.descriptor import EnumDescriptor
from hypothesis import given
from hypothesis import strategies as st

import strategy_sdk
from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_pb2, instrument_service_pb2
from alphapulse.api.marketdata.v1 import marketdata_pb2
from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.api.synthetic.v1 import synthetic_pb2, synthetic_service_pb2
from alphapulse.api.venue.v1 import venue_pb2, venue_service_pb2
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import DataLoss
from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import BAR, BOOK_LEVEL, LAYOUTS, QUOTE, TRADE, RecordLayout, unpack_rows
from strategy_sdk._batch import EventBatch
from strategy_sdk._envelope import read_response
from strategy_sdk._events import EVENT_CLASSES
from strategy_sdk._numbering import Numbering

RANGES = {"i8": (-(2**63), 2**63 - 1), "u8": (0, 2**64 - 1), "i4": (-(2**31), 2**31 - 1), "u4": (0, 2**32 - 1)}


def values(layout: RecordLayout) -> st.SearchStrategy[dict[str, Any]]:
    described = layout.dtype.fields
    assert described is not None
    chosen: dict[str, st.SearchStrategy[Any]] = {}
    for name in layout.fields:
        code = described[name][0].str[1:]
        if name in layout.texts:
            chosen[name] = st.text(alphabet="aZ0é-", max_size=layout.texts[name] // 2).map(str.encode)
            continue
        chosen[name] = st.floats() if code == "f8" else st.integers(*RANGES[code])
        if name.endswith("exponent"):
            chosen[name] = st.integers(-128, 127)
    return st.fixed_dictionaries(chosen)


def batch_of(layout: RecordLayout, listed: list[dict[str, Any]]) -> EventBatch:
    rows = layout.new(len(listed))
    for k, one in enumerate(listed):
        for name, value in one.items():
            rows[k][name] = value
    return EventBatch(1, 5, len(rows), 0, 99, ((layout, rows),))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
@given(data=st.data())
def test_events_out_equal_rows_in(layout: RecordLayout, data: st.DataObject) -> None:
    listed = data.draw(st.lists(values(layout), max_size=4))
    events = batch_of(layout, listed).events()
    assert [event.number for event in events] == list(range(5, 5 + len(listed)))
    for event, given_values in zip(events, listed, strict=True):
        assert type(event) is EVENT_CLASSES[layout.event_type]
        for name, value in given_values.items():
            found = event.values[name]
            assert found == value or (math.isnan(found) and math.isnan(value))
            if name in layout.texts:
                assert getattr(event, name) == value.decode()
        assert (event.listing_key, event.flags) == (given_values["listing_key"], given_values["flags"])
        for name in dir(type(event)):
            if not name.startswith("_"):
                getattr(event, name)  # whatever is in a row, no attribute fails


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-128, 127))
def test_prices_are_exact(mantissa: int, exponent: int) -> None:
    row = {"price": mantissa, "price_exponent": exponent, "open": mantissa}
    for layout, name, attribute in ((TRADE, "price", "price"), (BAR, "open", "open")):
        (event,) = batch_of(layout, [{name: mantissa, "price_exponent": exponent}]).events()
        found = getattr(event, attribute)
        assert (found.mantissa, found.exponent) == (row[name], exponent)


def test_an_empty_side_is_no_price_of_zero() -> None:
    (quote,) = batch_of(
        QUOTE, [{"flags": int(RecordFlag.BID_ABSENT | RecordFlag.ASK_SIZE_ABSENT), "ask_price": 3}]
    ).events()
    assert isinstance(quote, strategy_sdk.Quote)
    assert (quote.bid, quote.bid_size, quote.ask_size, quote.mid) == (None, None, None, None)
    assert quote.ask == ExactDecimal(3)


@given(
    first=st.integers(1, 2**64 - 100),
    conflated=st.integers(0, 2**63),
    counts=st.lists(st.integers(1, 5), max_size=4),
)
def test_the_envelope_is_read_as_protobuf_reads_it(first: int, conflated: int, counts: list[int]) -> None:
    kinds = [QUOTE, TRADE, BAR, QUOTE]
    runs = [(layout, layout.new(count)) for layout, count in zip(kinds, counts, strict=False)]
    delivery = relay.Delivery(
        batch=unpack_rows(runs),
        subscription_id=3,
        first_number=first,
        count=sum(counts),
        last_sequence=8,
        conflated=conflated,
    )
    batch = read_response(relay.SubscribeResponse(delivery=delivery).SerializeToString(), 77)
    assert isinstance(batch, EventBatch)
    assert (batch.subscription_id, batch.first_number, batch.conflated) == (3, first, conflated)
    assert (batch.last_sequence, batch.received_ns, batch.count) == (8, 77, sum(counts))


@given(st.binary(max_size=64))
def test_bytes_that_are_no_response_are_refused_or_read(data: bytes) -> None:
    for candidate in (data, b"\x0a" + bytes([len(data)]) + data):
        try:
            found = read_response(candidate, 0)
        except DataLoss:
            continue
        assert isinstance(found, (EventBatch, relay.SubscribeResponse))


@given(st.lists(st.tuples(st.sampled_from(["deliver", "lose", "declare", "repeat"]), st.integers(1, 5)), max_size=30))
def test_what_is_missing_is_declared_or_counted(steps: list[tuple[str, int]]) -> None:
    """A model: every number is delivered once, declared, or in an undeclared hole."""
    numbering = Numbering()
    numbering.begin(1)
    number = 1
    delivered = lost = declared = 0
    for kind, count in steps:
        if kind == "lose":
            lost += count
            number += count
        elif kind == "declare":
            numbering.gap(strategy_sdk.Gap(1, "QUEUE_FULL", count, number, number + count - 1))
            declared += count
            number += count
        else:
            first = number if kind == "deliver" else max(1, number - count)
            rows = QUOTE.new(count)
            rows["sequence"] = np.arange(first, first + count)
            admitted, _ = numbering.delivery(EventBatch(1, first, count, 0, 0, ((QUOTE, rows),)))
            delivered += admitted.count if admitted else 0
            number = max(number, first + count)
    trailing = numbering.reached(1, number - 1)
    counts = numbering.counts
    assert counts.gap_events == declared
    if not any(kind == "repeat" for kind, _ in steps):
        assert counts.undeclared_events == lost
        assert (trailing is not None) == (bool(steps) and steps[-1][0] == "lose")
    assert delivered + declared + counts.undeclared_events == number - 1


APIS = (
    *(common_pb2, instrument_pb2, instrument_service_pb2, marketdata_pb2),
    *(synthetic_pb2, synthetic_service_pb2, venue_pb2, venue_service_pb2),
)
RENAMED = {"DefinitionOutcome": "VenueRegistrationOutcome"}


def api_enum(name: str) -> EnumDescriptor:
    for module in APIS:
        found = module.DESCRIPTOR.enum_types_by_name.get(RENAMED.get(name, name))
        if found is not None:
            return found
    raise AssertionError(f"the API has no enum {name}")


ENUMS = sorted(
    (
        kind
        for name in strategy_sdk.__all__
        if isinstance(kind := getattr(strategy_sdk, name), type) and issubclass(kind, IntEnum)
    ),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", ENUMS, ids=lambda kind: kind.__name__)
def test_enumerations_equal_the_apis(kind: type[IntEnum]) -> None:
    described = api_enum(kind.__name__)
    prefix = described.values_by_number[0].name.removesuffix("UNSPECIFIED")
    ours = {member.name: int(member) for member in kind if member != 0}
    theirs = {value.name.removeprefix(prefix): value.number for value in described.values if value.number}
    assert ours == theirs


def test_all_is_what_is_public() -> None:
    public = {name for name in vars(strategy_sdk) if not name.startswith("_") and name not in ("run", "annotations")}
    assert public == set(strategy_sdk.__all__)
    classes = [found for name in strategy_sdk.__all__ if isinstance(found := getattr(strategy_sdk, name), type)]
    assert [found.__name__ for found in classes if not found.__doc__] == []


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        (TRADE, ("price", "size")),
        (QUOTE, ("bid", "ask", "bid_size", "ask_size", "mid")),
        (BOOK_LEVEL, ("price", "size")),
    ],
    ids=lambda value: value.name if isinstance(value, RecordLayout) else "",
)
def test_an_amount_that_fits_no_row_is_none_and_never_zero(layout: RecordLayout, names: tuple[str, ...]) -> None:
    rows = layout.new(2)
    rows["flags"] = [RecordFlag.OVERSIZE, 0]
    marked, plain = EventBatch(1, 1, 2, 2, 99, ((layout, rows),)).events()
    assert [getattr(marked, name) for name in names] == [None] * len(names)
    assert None not in [getattr(plain, name) for name in names]


def test_of_two_amounts_the_one_that_fits_is_kept() -> None:
    rows = TRADE.new(1)
    rows["flags"], rows["price"], rows["price_exponent"] = RecordFlag.OVERSIZE, 5, -1
    (trade,) = EventBatch(1, 1, 1, 1, 99, ((TRADE, rows),)).events()
    assert (trade.price, trade.size) == (ExactDecimal(5, -1), None)  # type: ignore[attr-defined]
