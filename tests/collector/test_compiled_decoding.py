"""Compiled code gives what the ordinary path gives, to the byte: of recordings, and of whatever becomes of their frames on the way."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alphapulse.domain.provenance import Provenance
from collector.lanes import Recorded, in_batches, one_by_one, picture, recorded
from collector.test_recorded_sources import VENUES
from collector_service.batching import BatchSession
from collector_service.lane import kernel
from collector_service.lane.program import program_of
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.sources import SOURCES
from collector_service.transport.base import Arrival, ArrivalKind

pytestmark = pytest.mark.recordings
ORDINARY: Final[set[str]] = set()
"""Recorded venues of whose frames the kernel reads none."""
BOOKS: Final = {"BITMEX"}
"""Whose books it cannot keep."""
DAMAGED: Final = (
    "BINANCE",
    "BINANCE_FUTURES",
    "BITFINEX",
    "BITGET",
    "BITSTAMP",
    "COINBASE",
    "DYDX",
    "GATEIO",
    "GEMINI",
    "HUOBI",
    "KRAKEN",
    "OKX",
    "PHEMEX",
    "UPBIT",
)
"""A machine of each kind, compressed frames, books that are fetched, levels with times of their own."""
NUMBERS: Final = (
    b"1e400", b"1E5", b"99999999999999999999", b"-5", b"-0", b"0", b"null", b"true", b'""', b'"1"', b"[]", b"{}", b"1.50", b"007",
    b"0.0000000000000000000000000000000000000001", b"NaN", b'"-1"', b'"1.5"', b"9223372036854775807", b"9223372036854775808", b"12.",
    b'"\\u0031"', b'"\xc3\xa9"',
)  # fmt: skip
SIGNS: Final = (("bids", -1), ("asks", 1))
_VALUE: Final = re.compile(rb'"[^"]*"|-?\d+(?:\.\d+)?')


@pytest.mark.parametrize("venue", sorted({*VENUES} - ORDINARY))
def test_rows_and_counters_of_a_recording_are_the_same(venue: str, recordings_dir: Path) -> None:
    found = recorded(recordings_dir, venue)
    plain = found.session(compiled=False)
    said = one_by_one(plain, found.arrivals)
    expected = picture(plain)
    sizes = random.Random(venue)
    for size in (lambda: 10_000, lambda: sizes.choice((1, 1, 2, 7, 40, 300))):
        session = found.session(compiled=True)
        assert in_batches(session, found.arrivals, size) == said
        assert session.lane is not None
        taken = session.lane.taken
        got = picture(session)
        assert got == expected
        if venue not in BOOKS:
            assert taken > 0.8 * len(found.arrivals)


def test_a_kernel_that_is_loaded_is_compiled_for_no_lane_again(recordings_dir: Path) -> None:
    """It would be in the loop, at the first frame, and take a minute."""
    found = recorded(recordings_dir, "KRAKEN")
    kernel.load()
    for size in (1, 10_000):
        in_batches(found.session(compiled=True), found.arrivals[:500], lambda size=size: size)  # type: ignore[misc]
    entry: Any = kernel.kernel()
    assert len(entry.signatures) == 1


def test_which_recorded_venues_are_compiled_is_known(recordings_dir: Path) -> None:
    for venue in VENUES:
        source = SOURCES[venue]
        spoken = source.dialect_at(recorded(recordings_dir, venue).arrivals[0].time_ns)
        assert (program_of(source, spoken) is None) == (venue in ORDINARY), venue


Damage = tuple[int, int, float, int]
"""(which arrival, how, where, by what)."""
HOWS: Final = 10


def damaged(arrivals: Sequence[Arrival], damages: Sequence[Damage]) -> list[Arrival]:
    """Frames with something done to them, and to their order."""
    found = list(arrivals)
    for which, how, where, what in damages:
        at = which % len(found)
        one = found[at]
        data = one.data
        place = int(where * len(data))
        values = list(_VALUE.finditer(data))
        match how:
            case 0:
                data = data[:place] + bytes([what]) + data[place + 1 :]
            case 1:
                data = data[:place]
            case 2 | 3 | 4 if values:
                # One value, and what stands in its place.
                value = values[int(where * len(values))]
                data = data[: value.start()] + NUMBERS[what % len(NUMBERS)] + data[value.end() :]
            case 5 if b"{" in data:
                # A name that is told twice.
                inner = data.index(b"{") + 1
                names = re.findall(rb'"([^"]*)":', data) or [b"x"]
                name = names[int(where * len(names))]
                data = data[:inner] + b'"' + name + b'":' + NUMBERS[what % len(NUMBERS)] + b"," + data[inner:]
            case 6:
                other = (at + 1 + what) % len(found)
                found[at], found[other] = found[other], found[at]
                continue
            case 7:
                del found[at]
                if not found:
                    return found
                continue
            case 8:
                found.insert(at, one)
                continue
            case 9:
                kind = (ArrivalKind.CLOSED, ArrivalKind.OPENED, ArrivalKind.FAILED, ArrivalKind.BROKEN)[what % 4]
                found.insert(at, Arrival(kind, one.time_ns, b"", max(0, one.connection), one.url))
                continue
            case _:
                continue
        found[at] = msgspec.structs.replace(one, data=data)
    return found


def beginning(found: Recorded) -> tuple[Arrival, ...]:
    """The arrivals of a few symbols' books, from the snapshots on, short ones: enough for each machine to have something to lose."""
    short = [one for one in found.arrivals if len(one.data) < 40_000 and one.kind is not ArrivalKind.OPENED]
    return (*(one for one in found.arrivals if one.kind is ArrivalKind.OPENED), *short[:70])


DAMAGES = st.lists(
    st.tuples(st.integers(0, 99), st.integers(0, HOWS - 1), st.floats(0, 1, exclude_max=True), st.integers(0, 255)),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("venue", DAMAGED)
@given(damages=DAMAGES, sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5), live=st.booleans())
@settings(max_examples=25)
@example(damages=[(70, 0, 0.5, 0)], sizes=[200], live=False)
def test_damaged_frames_make_no_difference(
    recordings_dir: Path, venue: str, damages: list[Damage], sizes: list[int], live: bool
) -> None:
    found = recorded(recordings_dir, venue)
    if venue in {"COINBASE", "KRAKEN"} and live:
        live = False  # what was recorded is of an older format
    arrivals = damaged(beginning(found), damages)
    provenance = Provenance.LIVE if live else Provenance.REPLAY
    plain, compiled = (found.session(compiled=one, provenance=provenance) for one in (False, True))
    size = cycle(sizes)
    assert in_batches(compiled, arrivals, lambda: next(size)) == one_by_one(plain, arrivals)
    assert picture(compiled) == picture(plain)


def test_a_listing_that_gets_another_key_is_told_under_it(recordings_dir: Path) -> None:
    """The registry answers after the first frames: rows from then on bear its key."""
    found = recorded(recordings_dir, "COINBASE")
    listings = type(found.listings)("COINBASE")
    listings.learn(found.listings)
    pictures: list[Any] = []
    for compiled in (False, True):
        session = replace(found, listings=listings).session(compiled=compiled)
        listings.learn(found.listings)
        in_batches(session, found.arrivals[:200], lambda: 50)
        symbol = next(iter(session.emitter.books))
        entry, other = (
            listings.entry(symbol),
            found.listings.id_of(next(one.symbol for one in listings if one.symbol != symbol)),
        )
        assert entry is not None
        assert other is not None
        listings.learn([entry], {symbol: other})
        in_batches(session, found.arrivals[200:600], lambda: 50)
        pictures.append(picture(session))
    assert pictures[0] == pictures[1]


def test_a_book_goes_back_to_its_machine_and_out_again(recordings_dir: Path) -> None:
    """Images are asked for between batches, as by a relay that has lost something."""
    found = recorded(recordings_dir, "KRAKEN")
    pictures: list[Any] = []
    for compiled in (False, True):
        session = found.session(compiled=compiled)
        for first in range(0, 600, 100):
            in_batches(session, found.arrivals[first : first + 100], lambda: 30)
            session.republish_books(found.arrivals[first].time_ns)
        pictures.append(picture(session))
    assert pictures[0] == pictures[1]


def test_updates_that_waited_for_a_long_answer_are_applied_to_it() -> None:
    """The answer is the longest message so far, and older than some of what waits."""
    listings = ListingIndex("BINANCE")
    listings.learn([VenueSymbol("ABCUSDT", "ABC", "USDT", frozenset())])
    levels = {side: [[f"{100 + sign * away / 100:.2f}", "1.5"] for away in range(1, 900)] for side, sign in SIGNS}
    arrivals = [Arrival(ArrivalKind.OPENED, 1, url="wss://local")]
    for number in range(5, 12):
        data = {"e": "depthUpdate", "E": number, "s": "ABCUSDT", "U": number, "u": number}
        data |= {"b": [["99.50", f"{number}.0"]], "a": [["100.01", "0.0"], [f"{number + 200}.00", "4.0"]]}
        frame = msgspec.json.encode({"stream": "abcusdt@depth@100ms", "data": data})
        arrivals.append(Arrival(ArrivalKind.FRAME, number, frame))
    answer = Arrival(
        ArrivalKind.RESPONSE, 20, msgspec.json.encode({"lastUpdateId": 7, **levels}),
        url="https://local/api/v3/depth?symbol=ABCUSDT&limit=1000",
    )  # fmt: skip
    pictures: list[Any] = []
    for compiled in (False, True):
        session = BatchSession(SOURCES["BINANCE"], listings, Provenance.LIVE)
        if compiled:
            session.use_compiled()
        in_batches(session, [*arrivals, answer], lambda: 100)
        if compiled:
            assert session.lane is not None
            assert session.lane.taken
        pictures.append(picture(session))
    assert pictures[0]["updates"]["ABCUSDT"] > 1
    assert pictures[0] == pictures[1]
