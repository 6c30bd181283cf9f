"""Levels and channels with numbers in compiled code: of levels that are gone, of many, of several connections, as the ordinary path has them."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import cycle
from typing import Any, Final

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.domain.provenance import Provenance
from collector.lanes import in_batches, one_by_one, picture
from collector_service.batching import BatchSession
from collector_service.lane.numbers import NumberTable
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.sources import SOURCES
from collector_service.transport.base import Arrival, ArrivalKind

BEFORE_V4: Final = 1_640_000_000_000_000_000
SINCE_LIMITS: Final = 1_700_000_000_000_000_000


def both(source: str, pairs: Iterable[tuple[str, str, str]], arrivals: list[Arrival], sizes: list[int]) -> BatchSession:
    """The compiled session, after it was found to be as the ordinary one is."""
    listings = ListingIndex(source)
    listings.learn([VenueSymbol(symbol, base, quote, frozenset()) for symbol, base, quote in pairs])
    plain, compiled = (BatchSession(SOURCES[source], listings, Provenance.REPLAY) for _ in range(2))
    compiled.use_compiled()
    size = cycle(sizes)
    assert in_batches(compiled, arrivals, lambda: next(size)) == one_by_one(plain, arrivals)
    assert picture(compiled) == picture(plain)
    return compiled


def frame(time_ns: int, message: Any, connection: int = 0) -> Arrival:
    return Arrival(ArrivalKind.FRAME, time_ns, msgspec.json.encode(message), connection)


def book(kind: str, symbol: str, contents: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": kind,
        "connection_id": "a",
        "message_id": 1,
        "channel": "v3_orderbook",
        "id": symbol,
        "contents": contents,
    }


AMOUNTS = st.sampled_from(("0", "1", "2.50", "100", "0.10", "1e-3", "1e3"))
PRICES = st.sampled_from(("1", "1.0", "1.00", "2", "2.5", "10", "100.0", "9", "9.99", "1e1", "0.001", "3"))
UPDATES = st.lists(
    st.tuples(
        st.sampled_from(("A-USD", "B-USD")),
        st.sampled_from((0, 3, 5, 9, 10, 11, 12, 20)),
        st.lists(st.tuples(PRICES, AMOUNTS), max_size=3),
        st.lists(st.tuples(PRICES, AMOUNTS), max_size=3),
        st.integers(0, 20),
    ),
    max_size=30,
)


@given(updates=UPDATES, sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_what_arrives_late_is_no_newer_for_it(updates: list[Any], sizes: list[int]) -> None:
    """Few prices, so that levels go and come again, cross, and are told in every order; a fifth of the messages are snapshots."""
    arrivals = [Arrival(ArrivalKind.OPENED, BEFORE_V4, url="wss://local")]
    for at, (symbol, number, bids, asks, kind) in enumerate(updates):
        message = book(
            "channel_data", symbol, {"offset": str(number), "bids": [*map(list, bids)], "asks": [*map(list, asks)]}
        )
        if kind < 5:
            whole = {
                side: [{"price": price, "offset": str(number + kind), "size": size} for price, size in levels]
                for side, levels in (("bids", bids), ("asks", asks))
            }
            message = book("subscribed", symbol, whole)
        arrivals.append(frame(BEFORE_V4 + at, message))
    both("DYDX", [("A-USD", "A", "USD"), ("B-USD", "B", "USD")], arrivals, sizes)


def test_many_numbers_are_kept_through_growth_and_after_a_visit_to_the_machine() -> None:
    rng = random.Random(5)
    whole = {
        side: [{"price": f"{price}.0", "offset": "1", "size": "1"} for price in prices]
        for side, prices in (("bids", range(1, 400)), ("asks", range(5_000, 5_400)))
    }
    arrivals = [Arrival(ArrivalKind.OPENED, BEFORE_V4, url="wss://local")]
    arrivals.append(frame(BEFORE_V4, book("subscribed", "A-USD", whole)))
    for number in range(1_500):
        # Prices that no level had, numbers that are older than what is held, and now and then a frame that the machine has to look at.
        bids = [[f"{rng.randrange(1, 500_000) / 100:.2f}", rng.choice(("0", "2"))] for _ in range(6)]
        contents = {"offset": str(rng.randrange(number, number + 40)), "bids": bids, "asks": []}
        one = frame(BEFORE_V4 + number, book("channel_data", "A-USD", contents))
        if number % 400 == 399:
            one = msgspec.structs.replace(one, data=one.data.replace(b"A-USD", b"\\u0041-USD"))
        arrivals.append(one)
    session = both("DYDX", [("A-USD", "A", "USD")], arrivals, [300])
    assert session.lane is not None
    assert session.lane.taken > 500  # it waits after each visit
    assert len(session.lane.shelf.numbers.rows) > 10_000


@given(
    lent=st.dictionaries(
        st.tuples(st.sampled_from((1, 2)), st.integers(1, 2**61).map(lambda price: price * 10**20)),
        st.integers(0, 2**62),
    ),
    more=st.integers(0, 40_000),
)
@settings(max_examples=40, deadline=None)
def test_numbers_that_were_lent_come_back(lent: dict[tuple[int, int], int], more: int) -> None:
    table = NumberTable()
    other = table.lend({(1, 10**36): 7}, [])
    tag = table.lend(lent, [other])
    assert tag > other > 0
    table.make_room(more, [tag])
    assert table.of(tag) == lent
    assert table.of(other) == {}


def test_a_number_means_what_its_connection_was_told_last() -> None:
    """Two connections call different channels by one number, one of them tells it anew, and a number that nobody told is refused."""

    def told(channel: str, pair: str, number: int) -> dict[str, Any]:
        return {"event": "subscribed", "channel": channel, "chanId": number, "symbol": f"t{pair}", "pair": pair}

    def trade(number: int, connection: int, trade_id: int) -> Arrival:
        return frame(SINCE_LIMITS + trade_id, [number, "te", [trade_id, 1_700_000_000_000, -0.5, 2.5]], connection)

    arrivals = [Arrival(ArrivalKind.OPENED, SINCE_LIMITS, connection=one, url="wss://local") for one in (0, 1)]
    arrivals += [
        frame(SINCE_LIMITS, told("trades", "ABCUSD", 7), 0),
        frame(SINCE_LIMITS, told("trades", "XYZUSD", 7), 1),
        *(trade(7, at % 2, 10 + at) for at in range(8)),
        *(trade(7, 1, 20 + at) for at in range(4)),
        frame(SINCE_LIMITS, told("trades", "XYZUSD", 8), 0),
        frame(SINCE_LIMITS, told("ticker", "XYZUSD", 7), 0),
        *(trade(one, 0, 30 + at) for at, one in enumerate((8, 7, 8, 9))),
        frame(SINCE_LIMITS, [7, [1.5, 2, 1.75, 3, 0, 0, 1.6, 5, 2, 1]], 0),
        Arrival(ArrivalKind.CLOSED, SINCE_LIMITS + 90, connection=1),
        Arrival(ArrivalKind.OPENED, SINCE_LIMITS + 91, connection=1, url="wss://local"),
        trade(7, 1, 40),
        frame(SINCE_LIMITS, told("trades", "ABCUSD", 7), 1),
        trade(7, 1, 41),
    ]
    session = both("BITFINEX", [("ABCUSD", "ABC", "USD"), ("XYZUSD", "XYZ", "USD")], arrivals, [30, 1, 4])
    assert session.lane is not None
    assert session.lane.taken >= 12
