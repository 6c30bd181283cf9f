"""Builders of rows and definitions for the tests of the relay's core."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import uvloop

from alphapulse.api.instrument.v1.instrument_pb2 import Instrument, Listing
from alphapulse.records import QUOTE, RecordLayout, Rows
from relay_service.core import RelayCore
from relay_service.kernel.engine import KernelSettings
from relay_service.sources import SourceState

LIVE = 1
Loops = Mapping[str, Callable[[], asyncio.AbstractEventLoop]]


def pytest_asyncio_loop_factories(item: pytest.Item) -> Loops:
    """What uses sockets is tested on both loops: a service runs on uvloop, whose transports are others."""
    loops: Loops = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    on_both = item.path.name in ("test_ingress_accepting.py", "test_ingress_socket.py", "test_turns.py")
    return loops if on_both else {"asyncio": asyncio.new_event_loop}


def make_rows(layout: RecordLayout, rows: list[dict[str, Any]]) -> Rows:
    """Rows of a layout; what a dictionary leaves out is zero, the provenance LIVE."""
    made = layout.new(len(rows))
    made["flags"] = LIVE
    for k, row in enumerate(rows):
        for name, value in row.items():
            made[name][k] = value
    return made


def quote(key: int, bid: int, ask: int, **fields: Any) -> dict[str, Any]:
    """A quote in hundredths with sizes of one unit."""
    return {"listing_key": key, "bid_price": bid, "ask_price": ask, "price_exponent": -2} | {
        "bid_size": 1,
        "ask_size": 1,
        **fields,
    }


def quotes(*rows: dict[str, Any]) -> Rows:
    """Rows of quotes."""
    return make_rows(QUOTE, list(rows))


def hex_id(key: int) -> str:
    """An id whose first 64 bits are the key."""
    return f"{key:016x}{'0' * 16}"


def listing(key: int, instrument: int, venue: str, *, fee: int | None = 10, currency: str = "USD") -> Listing:
    """A listing with a taker fee in basis points and a tick of 0.01."""
    made = Listing(
        listing_id=hex_id(key),
        listing_key=key,
        instrument_id=hex_id(instrument),
        venue=venue,
        symbol=f"S{key}",
        currency=currency,
        definition_version=1,
    )
    made.rules.tick_size.mantissa, made.rules.tick_size.exponent = 1, -2
    if fee is not None:
        made.fees.taker_bps.mantissa = fee
    return made


def instrument(key: int) -> Instrument:
    """A spot pair."""
    return Instrument(instrument_id=hex_id(key), asset_class=8)


class Feeder:
    """Sends rows of one source with the right numbers."""

    def __init__(self, core: RelayCore, name: str = "TEST") -> None:
        self.core = core
        self.source: SourceState = core.sources.claim(name, 1, LIVE)[0]

    def send(self, layout: RecordLayout, rows: Rows, now_ns: int) -> Any:
        """Accept the rows at a time."""
        return self.core.accept(self.source, layout.event_type, rows, self.source.next_sequence, now_ns)

    def quotes(self, now_ns: int, *rows: dict[str, Any]) -> Any:
        """Accept quotes at a time."""
        return self.send(QUOTE, quotes(*rows), now_ns)


@pytest.fixture
def core() -> RelayCore:
    """A core with room for few, so that it grows on the way."""
    return RelayCore(KernelSettings(capacity=4))


@pytest.fixture
def feeder(core: RelayCore) -> Feeder:
    """A source of that core."""
    return Feeder(core)


@pytest.fixture
def build() -> Any:
    """The builders of this file, by name."""
    return _Builders()


class _Builders:
    rows: Callable[..., Rows] = staticmethod(make_rows)
    quote: Callable[..., dict[str, Any]] = staticmethod(quote)
    quotes: Callable[..., Rows] = staticmethod(quotes)
    listing: Callable[..., Listing] = staticmethod(listing)
    instrument: Callable[..., Instrument] = staticmethod(instrument)
    hex_id: Callable[[int], str] = staticmethod(hex_id)

    @staticmethod
    def dicts(rows: Rows, layout: RecordLayout) -> list[dict[str, Any]]:
        """Rows as dictionaries of Python values."""
        columns = {name: rows[name].tolist() for name in layout.fields}
        return [{name: column[k] for name, column in columns.items()} for k in range(len(rows))]

    @staticmethod
    def is_contiguous(rows: Rows, first: int) -> bool:
        """Whether sequences rise by one from `first`."""
        return bool((rows["sequence"] == np.arange(first, first + len(rows), dtype=np.uint64)).all())
