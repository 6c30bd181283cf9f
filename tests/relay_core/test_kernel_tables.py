"""Where the kernel's memory lies, and what is read back of it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.records import QUOTE, Rows
from relay_service.kernel import histogram
from relay_service.kernel.engine import KernelEngine, KernelSettings
from relay_service.kernel.tables import LINE, table_of

BLOCKS = st.lists(st.tuples(st.integers(0, 2**40), st.integers(1, 4)), min_size=1, max_size=8)


@pytest.mark.parametrize("count", [1, 7, 1_000, 100_000])
@pytest.mark.parametrize("stride", [0, 128])
def test_a_table_is_zeros_from_a_cache_line_on_and_holds_what_is_written(count: int, stride: int) -> None:
    table = table_of(count, QUOTE.dtype, stride)
    assert table.shape == (count,)
    assert table.strides == (stride or QUOTE.row_size,)
    assert table.ctypes.data % LINE == 0
    assert not table["sequence"].any()
    table["sequence"] = np.arange(count)
    table["size_exponent"] = -1
    assert table["sequence"].tolist() == list(range(count))
    assert not table["bid_price"].any()


def quotes_of(random: np.random.Generator, count: int) -> Rows:
    """Quotes as a relay has stamped them, whatever their figures: of a log they may be anything."""
    rows = QUOTE.new(count)
    for name in QUOTE.fields:
        kind = rows.dtype[name]
        bounds = np.iinfo(kind)
        rows[name] = random.integers(bounds.min, bounds.max, count, kind.type, endpoint=True)
    rows["sequence"] = np.arange(1, count + 1)
    # An age above the bound of what may come late, and prices that are there: each is the last one of its listing.
    rows["flags"] = 1
    return rows


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 9))
def test_the_last_quote_of_a_listing_is_read_back_to_the_byte(seed: int, count: int, listings: int) -> None:
    random = np.random.default_rng(seed)
    engine = KernelEngine(KernelSettings(capacity=2))
    rows = quotes_of(random, count)
    rows["listing_key"] = random.integers(1, listings, count, endpoint=True)
    rows["relay_in_ns"] = 5
    engine.absorb_bytes(QUOTE.event_type, rows.view(np.uint8), count, 5)
    last = {int(row["listing_key"]): row for row in rows}
    slots = np.array([engine.slots.slot_of(key) for key in last], np.int32)
    silent = np.array([engine.slots.add(10**6)], np.int32)
    assert engine.slots.quotes_of(np.concatenate([silent, slots])).tobytes() == b"".join(
        row.tobytes() for row in last.values()
    )


@settings(max_examples=50, deadline=None)
@given(BLOCKS)
def test_each_row_is_counted_by_the_time_it_came(blocks: list[tuple[int, int]]) -> None:
    engine = KernelEngine(KernelSettings(capacity=2))
    came = [at for at, times in blocks for _ in range(times)]
    rows = QUOTE.new(len(came))
    rows["relay_in_ns"] = came
    now = 2**40
    engine.stamp_out(QUOTE.event_type, rows.view(np.uint8), len(rows), now)
    assert (rows["relay_out_ns"] == now).all()
    counts = engine.histograms[histogram.RELAY]
    assert {int(place): int(counts[place]) for place in np.flatnonzero(counts)} == Counter(
        histogram.bucket(now - at) for at in came
    )


def test_the_last_quotes_of_many_listings_are_read_back_in_the_order_asked_for() -> None:
    engine = KernelEngine(KernelSettings(capacity=4096, max_provisional=4_000))
    rows = quotes_of(np.random.default_rng(3), 3_000)
    rows["listing_key"], rows["relay_in_ns"] = np.arange(1, 3_001), 5
    slots = engine.absorb_bytes(QUOTE.event_type, rows.view(np.uint8), len(rows), 5)
    order = np.random.default_rng(4).permutation(3_000)
    assert engine.slots.quotes_of(slots[order]).tobytes() == rows[order].tobytes()
