"""The bytes of the log: what is written comes back, whatever it is cut into, and entries of relays before are read."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alphapulse.records import LAYOUTS, QUOTE, TRADE
from relay_service.log.entries import Entry, EntryKind, EntryUnreadableError, encode_entry, pieces
from relay_service.log.records import LoggedGap, LoggedHole, LoggedInput, LoggedRows
from relay_service.results import Frame, SourceGapRecord

u32, u64 = st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1)
names = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)
refusals = st.lists(u32, max_size=4, unique=True).map(lambda found: tuple(sorted(found)))
frames = st.none() | st.builds(Frame, u64, u32, u64, u32, u32, refusals)


@st.composite
def logged_rows(draw: Any) -> LoggedRows:
    layout = draw(st.sampled_from([QUOTE, TRADE]))
    rows = layout.new(draw(st.integers(1, 5)))
    rows["sequence"] = draw(u64)
    first, frame = draw(st.integers(1, 1 << 60)), draw(frames)
    place = draw(u32) if frame is not None else 0
    now_ns = draw(st.integers(0, 1 << 62))
    return LoggedRows(first, len(rows), layout.event_type, rows.tobytes(), draw(names), now_ns, frame, place)


records = st.one_of(
    logged_rows(),
    st.builds(LoggedGap, u32, st.builds(SourceGapRecord, names, names, u32, st.integers(1, 1 << 60), u64)),
    st.builds(LoggedHole, st.integers(1, 1 << 60), st.integers(1, 1 << 60), u32),
    st.builds(LoggedInput, st.integers(1, 1 << 60), names, names, st.binary(max_size=30), st.integers(0, 1 << 62)),
)


@given(st.lists(records, max_size=6), st.integers(0, 40))
@example([LoggedInput(1, "abcd", "efg", b"\0\0", 0)], 38)  # a whole record
def test_what_is_logged_comes_back_and_what_is_cut_off_is_found(given_records: list[Any], cut: int) -> None:
    data = encode_entry(EntryKind.EVENTS, given_records, 7, 1, 2, 3)
    entry = Entry(5, 6, data)
    assert (entry.last, entry.high_before, entry.high, entry.offset) == (7, 1, 2, 3)
    assert entry.written_ns > 0
    assert list(entry.records()) == given_records
    if cut and given_records:
        with pytest.raises(EntryUnreadableError):
            list(Entry(5, 6, data[:-cut]).records())


@given(logged_rows(), st.integers(1, 400))
def test_pieces_of_rows_keep_their_place_in_the_frame(record: LoggedRows, most: int) -> None:
    found = list(pieces(record, most))
    assert b"".join(one.data for one in found) == record.data
    assert all(one.first - record.first == one.place - record.place for one in found)
    assert sum(one.events for one in found) == record.events


@given(st.integers(0, 3), st.lists(st.integers(0, 12), max_size=4, unique=True).map(sorted), st.integers(1, 12))
def test_the_place_of_a_row_passes_over_what_was_refused(duplicates: int, refused: list[int], rows: int) -> None:
    frame = Frame(1, 99, 0, duplicates, 0, tuple(refused))
    expected = [place for place in range(duplicates, 99) if place - duplicates not in refused]
    assert [frame.place_of(kept) for kept in range(rows)] == expected[:rows]


def test_entries_of_version_1_are_read() -> None:
    rows = QUOTE.new(2)
    data = rows.tobytes()
    gap = json.dumps([4, "S", "SOURCE_GAP", 3, 11, 0]).encode()
    written = (
        struct.pack("<BBHIQqqQ", 1, 0, 0, 2, 12, 100, 200, 300)
        + struct.pack("<BBHIIqQ", 200, 0, 0, 0, len(gap), 0, 11)
        + gap
        + struct.pack("<BBHIIqQ", QUOTE.event_type, 0, 1, 2, len(data), 150, 11)
        + b"S"
        + data
    )
    entry = Entry(9, 11, written)
    assert (entry.readable, entry.last, entry.high, entry.written_ns) == (True, 12, 200, 0)
    assert list(entry.records()) == [
        LoggedGap(4, SourceGapRecord("S", "SOURCE_GAP", 3, 11, 0)),
        LoggedRows(11, 2, QUOTE.event_type, data, "S", 150),
    ]
    assert not Entry(9, 11, b"\x03" + written[1:]).readable
    assert set(LAYOUTS)  # kinds of records beside events begin above all of them
    assert max(LAYOUTS) < 200
