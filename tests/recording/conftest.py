"""Rows of every layout with whatever bits, and rows as a venue would send them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from alphapulse.domain.ids import source_id
from alphapulse.records import LAYOUTS, QUOTE, TRADE, RecordLayout, Rows

DAY_NS = 86_400 * 10**9
NOON_NS = 20_577 * DAY_NS + DAY_NS // 2
"""12:00 UTC of 2026-05-04."""


def any_rows(layout: RecordLayout, count: int, seed: int) -> Rows:
    """Rows whose fields are any bits, among them the lowest, the highest, zero, and every kind of NaN, and whose texts are of any length; the
    sequences are left to the caller."""
    random = np.random.default_rng(seed)
    rows = layout.new(count)
    for name in layout.fields:
        kind = rows.dtype[name]
        if name in layout.texts:
            lengths = random.integers(0, layout.texts[name] // 2 + 1, count).tolist()
            rows[name] = ["".join(random.choice(list("aZ0 é"), length)).encode() for length in lengths]
            continue
        bits = random.integers(0, 256, (count, kind.itemsize), np.uint8)
        extreme = random.integers(0, 6, count)
        bits[extreme == 1] = 0
        bits[extreme == 2] = 255  # -1, the highest, a NaN
        lowest = np.zeros(kind.itemsize, np.uint8)
        lowest[-1] = 0x80
        bits[extreme == 3] = lowest  # the lowest, minus zero
        bits[extreme == 4] = ~lowest  # the highest
        rows[name] = bits.reshape(-1).view(kind)
    return rows


def quotes(count: int, first_sequence: int = 1, relay_in_ns: int = NOON_NS) -> Rows:
    """Quotes of three listings, a microsecond apart, some without a bid; prices in hundredths, sizes with eight digits."""
    numbers = np.arange(first_sequence, first_sequence + count)
    random = np.random.default_rng(first_sequence)
    rows = QUOTE.new(count)
    rows["listing_key"] = 1 + numbers % 3
    rows["sequence"] = numbers
    rows["relay_in_ns"] = relay_in_ns + 1_000 * np.arange(count)
    rows["relay_out_ns"] = rows["relay_in_ns"] + 500
    rows["source_id"] = source_id("KRAKEN")
    rows["flags"] = np.where(numbers % 10 == 0, 1 | 1 << 16, 1)
    rows["bid_price"] = np.where(numbers % 10 == 0, 0, random.integers(1, 10**9, count))
    rows["ask_price"] = random.integers(1, 10**9, count)
    rows["bid_size"] = np.where(numbers % 10 == 0, 0, random.integers(1, 10**12, count))
    rows["ask_size"] = random.integers(1, 10**12, count)
    rows["price_exponent"] = random.integers(-8, 1, count)
    rows["size_exponent"] = -8
    return rows


def trades(count: int, first_sequence: int = 1, relay_in_ns: int = NOON_NS) -> Rows:
    """Trades, two days on a boundary where `relay_in_ns` is near one."""
    rows = TRADE.new(count)
    rows["sequence"] = np.arange(first_sequence, first_sequence + count)
    rows["relay_in_ns"] = relay_in_ns + 1_000 * np.arange(count)
    rows["source_id"] = source_id("NOBODY TOLD")
    rows["flags"] = 3
    rows["price"] = 5
    rows["size"] = 7
    return rows


class _Build:
    any_rows: Callable[[RecordLayout, int, int], Rows] = staticmethod(any_rows)
    quotes: Callable[..., Rows] = staticmethod(quotes)
    trades: Callable[..., Rows] = staticmethod(trades)
    noon_ns = NOON_NS
    day_ns = DAY_NS
    layouts = tuple(LAYOUTS.values())


@pytest.fixture(scope="session")
def build() -> Any:
    """The builders of this file."""
    return _Build()
