"""A recorder that is stopped, killed at any byte, or comes back to what another left: everything is recorded or said to be missing."""

from __future__ import annotations

import json
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.api.instrument.v1.instrument_pb2 import Instrument, Listing
from alphapulse.api.relay.v1.relay_service_pb2 import ListingDefinition
from alphapulse.domain.errors import FailedPrecondition, InvalidArgument
from alphapulse.recording import (
    JOURNAL_DAMAGED,
    RECORDER_DIED,
    RECORDER_STOPPED,
    Bounds,
    Missing,
    Point,
    Recorder,
    read_definitions,
    read_gaps,
    read_rows,
)
from alphapulse.records import QUOTE

FRAMES = 6
ROWS = 5


def sequences(folder: Path) -> list[int]:
    return [one for _, rows in read_rows(folder) for one in rows["sequence"].tolist()]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*.parquet")}


def record(folder: Path, build: Any, first: int, count: int, relay_id: str = "relay.1") -> Missing | None:
    """One recorder from its start to its end in order."""
    with Recorder(folder) as recorder:
        gap = recorder.follow(relay_id, from_sequence=first)
        recorder.rows(QUOTE, build.quotes(count, first_sequence=first), 1)
    return gap


@pytest.fixture
def abandoned(build: Any) -> Iterator[Path]:
    """What a recorder leaves that was killed: a folder with a journal of several frames, never closed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        live, dead = folder / "live", folder / "dead"
        with Recorder(live) as recorder:
            recorder.follow("relay.1", from_sequence=1)
            for k in range(FRAMES):
                recorder.rows(QUOTE, build.quotes(ROWS, first_sequence=1 + k * ROWS), 1)
            shutil.copytree(live, dead)
        yield dead


def test_a_recorder_that_stopped_is_followed_by_a_gap_up_to_where_the_next_begins(build: Any, tmp_path: Path) -> None:
    assert record(tmp_path, build, 1, 10) is None
    assert record(tmp_path, build, 21, 5) == Missing(
        RECORDER_STOPPED, after_relay_id="relay.1", after_sequence=10, before_sequence=21
    )
    assert record(tmp_path, build, 26, 5) is None  # the relay had nothing in between
    assert record(tmp_path, build, 3, 2, "relay.2") == Missing(
        RECORDER_STOPPED, after_relay_id="relay.1", after_sequence=30, before_sequence=3
    )
    assert sequences(tmp_path) == [*range(1, 11), *range(21, 31), 3, 4]
    assert [one.missing.before_sequence for one in read_gaps(tmp_path)] == [21, 3]
    assert [one.relay_id for one in read_gaps(tmp_path)] == ["relay.1", "relay.2"]


def test_a_single_event_that_nobody_recorded_is_a_gap(build: Any, tmp_path: Path) -> None:
    record(tmp_path, build, 1, 10)
    gap = record(tmp_path, build, 12, 1)
    assert gap is not None
    assert (gap.after_sequence, gap.before_sequence) == (10, 12)


def test_an_end_that_a_closed_journal_lost_is_declared(build: Any, tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        recorder.follow("relay.1", from_sequence=1)
        recorder.rows(QUOTE, build.quotes(5), 1)
        recorder.rows(QUOTE, build.quotes(5, first_sequence=6), 1)
        (journal,) = (tmp_path / "journal").iterdir()
        os.truncate(journal, journal.stat().st_size - 1)
    assert sequences(tmp_path) == [1, 2, 3, 4, 5]
    assert [one.missing for one in read_gaps(tmp_path)] == [
        Missing(JOURNAL_DAMAGED, after_relay_id="relay.1", after_sequence=5)
    ]


@pytest.mark.parametrize("cut", [0, 1, 31, 32, 200, 400, -1, -32, -40, None])
def test_a_journal_cut_short_anywhere_gives_what_was_whole_and_a_gap(
    build: Any, abandoned: Path, cut: int | None
) -> None:
    (journal,) = (abandoned / "journal").iterdir()
    data = journal.read_bytes()
    journal.write_bytes(data[:cut])
    gap = record(abandoned, build, 1_000, 3)
    found = sequences(abandoned)
    kept = found[:-3]
    assert found == [*range(1, len(kept) + 1), 1_000, 1_001, 1_002]
    assert len(kept) % ROWS == 0
    assert len(kept) >= {None: FRAMES * ROWS, -1: (FRAMES - 1) * ROWS}.get(cut, 0)
    started = cut is None or len(data[:cut]) > 400
    if started:
        assert gap == Missing(RECORDER_DIED, after_relay_id="relay.1", after_sequence=len(kept), before_sequence=1_000)
    assert not list((abandoned / "unfinished").iterdir())


@given(place=st.integers(0, 4_000), bit=st.integers(0, 7), data=st.data())
@settings(max_examples=30)
def test_a_bit_that_flips_in_a_journal_costs_its_frame_and_is_declared(
    build: Any, place: int, bit: int, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Recorder(folder) as recorder:
            recorder.follow("relay.1", from_sequence=1)
            (journal,) = (folder / "journal").iterdir()
            begin = journal.stat().st_size
            for k in range(FRAMES):
                recorder.rows(QUOTE, build.quotes(ROWS, first_sequence=1 + k * ROWS), 1)
            raw = bytearray(journal.read_bytes())
            raw[begin + place % (len(raw) - begin)] ^= 1 << bit
            journal.write_bytes(bytes(raw))
        found = sequences(folder)
        gaps = [one.missing for one in read_gaps(folder)]
        lost = sorted(set(range(1, FRAMES * ROWS + 1)) - set(found))
        assert found == sorted(set(found))
        assert lost
        assert {one.reason for one in gaps} == {JOURNAL_DAMAGED}
        assert gaps[0].after_sequence == lost[0] - 1


def test_parts_are_written_again_to_the_byte_where_writing_them_was_cut_short(build: Any, abandoned: Path) -> None:
    journals = {one.name: one.read_bytes() for one in (abandoned / "journal").iterdir()}
    with Recorder(abandoned):
        pass
    whole = snapshot(abandoned)
    assert whole
    for name, data in journals.items():
        (abandoned / "journal" / name).write_bytes(data)
    for name in list(whole)[::2]:
        (abandoned / name).unlink()
    (abandoned / "unfinished/quote-1").write_bytes(b"half")
    with Recorder(abandoned):
        pass
    assert snapshot(abandoned) == whole
    assert not list((abandoned / "journal").iterdir())


def test_files_of_two_journals_never_take_each_others_name(build: Any, tmp_path: Path) -> None:
    for _ in range(
        3
    ):  # a relay that numbers anew under the same id: against its contract, and nothing is lost all the same
        with Recorder(tmp_path) as recorder:
            recorder.follow("again")
            recorder.rows(QUOTE, build.quotes(4), 1)
    assert sorted(sequences(tmp_path)) == sorted([1, 2, 3, 4] * 3)


def test_readers_see_no_file_before_it_is_whole(build: Any, tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        recorder.follow("relay.1")
        recorder.rows(QUOTE, build.quotes(10), 1)
        assert sequences(tmp_path) == []
        recorder.rotate()
        recorder.rows(QUOTE, build.quotes(10, first_sequence=11), 1)
        recorder.write_closed()
        assert sequences(tmp_path) == list(range(1, 11))
        assert not list((tmp_path / "unfinished").iterdir())
    assert sequences(tmp_path) == list(range(1, 21))


def test_a_journal_is_due_by_its_size_and_not_while_it_is_empty(build: Any, tmp_path: Path) -> None:
    with Recorder(tmp_path, Bounds(seconds=1e-9)) as recorder:
        recorder.follow("relay.1")
        assert not recorder.is_due()
        recorder.rows(QUOTE, build.quotes(1), 1)
        assert recorder.is_due()
    with Recorder(tmp_path, Bounds(seconds=1e9, journal_bytes=1 << 16)) as recorder:
        recorder.follow("relay.2")
        recorder.rows(QUOTE, build.quotes(10), 1)
        assert not recorder.is_due()
        recorder.rows(QUOTE, build.quotes(1_000, first_sequence=11), 1)
        assert recorder.is_due()
    with pytest.raises(InvalidArgument) as refused:
        Bounds(seconds=0)
    assert refused.value.violations[0].rule == "recording-seconds"


def test_gaps_of_the_stream_stand_where_they_were(build: Any, tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        recorder.follow("relay.1", from_sequence=1)
        recorder.rows(QUOTE, build.quotes(7), 1)
        recorder.missing(Missing("QUEUE_FULL", count=3, from_number=8, to_number=10))
        recorder.missing(Missing("SOURCE_GAP", source="KRAKEN", listing_key=2**64 - 1))
    found = [one.missing for one in read_gaps(tmp_path)]
    assert found == [
        Missing("QUEUE_FULL", 3, 8, 10, after_relay_id="relay.1", after_sequence=7),
        Missing("SOURCE_GAP", 0, 0, 0, "KRAKEN", 2**64 - 1, "relay.1", 7),
    ]


def test_definitions_are_kept_whole(tmp_path: Path) -> None:
    messages = [
        ListingDefinition(
            listing=Listing(listing_key=2**64 - k, definition_version=k, venue="XNAS", symbol=f"S{k}", etag="e"),
            instrument=Instrument(asset_class=1, name="Apple Inc.", identity_text="text"),
        )
        for k in range(1, 5_000)  # more than are held at a time
    ]
    with Recorder(tmp_path) as recorder:
        recorder.follow("relay.1")
        recorder.definitions(one.SerializeToString() for one in messages)
    found = list(read_definitions(tmp_path))
    assert [ListingDefinition.FromString(one.definition) for one in found] == messages
    assert (found[0].listing_key, found[0].definition_version) == (2**64 - 1, 1)


def test_a_disk_that_fails_ends_the_recorder_and_the_next_says_so(build: Any, tmp_path: Path) -> None:
    def fill() -> None:
        usual = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            with Recorder(tmp_path) as recorder:
                recorder.follow("relay.1", from_sequence=1)
                recorder.rows(QUOTE, build.quotes(5), 1)
                (journal,) = (tmp_path / "journal").iterdir()
                resource.setrlimit(resource.RLIMIT_FSIZE, (journal.stat().st_size + 100, usual[1]))
                recorder.rows(QUOTE, build.quotes(5, first_sequence=6), 1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, usual)

    with pytest.raises(OSError, match="too large"):
        fill()
    gap = record(tmp_path, build, 20, 2)
    assert gap == Missing(RECORDER_DIED, after_relay_id="relay.1", after_sequence=5, before_sequence=20)
    assert sequences(tmp_path) == [1, 2, 3, 4, 5, 20, 21]


def test_one_recorder_at_a_time(tmp_path: Path) -> None:
    with Recorder(tmp_path), pytest.raises(FailedPrecondition, match="another recorder"), Recorder(tmp_path):
        pass
    with Recorder(tmp_path):
        pass


def test_a_folder_that_is_no_recordings_is_named(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    for text, rule in (("{", "recording-state"), (json.dumps({"format": 9}), "recording-format")):
        state.write_text(text)
        with pytest.raises(InvalidArgument, match=r"state\.json") as refused, Recorder(tmp_path):
            pass
        assert refused.value.violations[0].rule == rule
    with pytest.raises(InvalidArgument) as refused, Recorder(state / "below"):
        pass
    assert refused.value.violations[0].rule == "folder-writable"


def resumable(folder: Path, wanted: str = "") -> tuple[str, Point] | None:
    with Recorder(folder) as recorder:
        return recorder.point_for(wanted)


def test_where_the_relay_goes_on_is_kept_across_recorders_however_they_end(build: Any, tmp_path: Path) -> None:
    assert resumable(tmp_path) is None
    with Recorder(tmp_path) as recorder:
        recorder.follow("relay.1", from_sequence=1, wanted="{}")
        recorder.rows(QUOTE, build.quotes(2), 1)
        recorder.point(Point("token-1", 2))
        recorder.rows(QUOTE, build.quotes(2, first_sequence=5), 1)
        recorder.missing(Missing("QUEUE_FULL", 3, 5, 7, last_sequence=11))
        recorder.missing(Missing("SOURCE_GAP", source="KRAKEN", last_sequence=11, source_gap=4))
    stopped = ("relay.1", Point("token-1", 7, 11, 4))
    assert resumable(tmp_path, "{}") == stopped
    assert resumable(tmp_path, "another filter") is None
    with Recorder(tmp_path) as recorder:
        recorder.follow("relay.1", wanted="{}", goes_on=True)
        recorder.rows(QUOTE, build.quotes(1, first_sequence=12), 1)
        recorder.rotate()  # every journal says it by itself
        recorder.write_closed()
        recorder.rows(QUOTE, build.quotes(1, first_sequence=14), 1)
        shutil.copytree(tmp_path, tmp_path.parent / "killed")
        recorder.point(Point(""))  # the stream started anew: there is no point any more
        recorder.rows(QUOTE, build.quotes(1, first_sequence=20), 1)
        shutil.copytree(tmp_path, tmp_path.parent / "anew")
    assert resumable(tmp_path.parent / "killed", "{}") == ("relay.1", Point("token-1", 9, 14, 4))
    assert resumable(tmp_path.parent / "anew", "{}") is None
    assert read_gaps(tmp_path.parent / "killed")[-1].missing.reason == "SOURCE_GAP"


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_relay_that_goes_on_leaves_no_gap(build: Any, tmp_path: Path, goes_on: bool) -> None:
    record(tmp_path, build, 1, 10)
    with Recorder(tmp_path) as recorder:
        gap = recorder.follow("relay.1", goes_on=goes_on)
        recorder.rows(QUOTE, build.quotes(5, first_sequence=21), 1)
    assert (gap is None) == goes_on
    assert len(read_gaps(tmp_path)) == (not goes_on)


def test_rows_that_fall_back_begin_another_file(build: Any, tmp_path: Path) -> None:
    quotes = build.quotes(6)
    quotes["sequence"] = [5, 6, 1, 2, 2, 9]
    with Recorder(tmp_path) as recorder:
        recorder.follow("relay.1")
        recorder.rows(QUOTE, quotes, 1)
    assert sequences(tmp_path) == [1, 2, 2, 5, 6, 9]
    again = np.concatenate([rows for _, rows in read_rows(tmp_path)])
    assert again.tobytes() == quotes[np.argsort(quotes["sequence"], kind="stable")].tobytes()
