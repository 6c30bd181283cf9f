"""The numbering of a source: duplicates, gaps, epochs, fencing, the wrap of 64 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.errors import InvalidArgument, ResourceExhausted, SequenceFenced
from alphapulse.records import OPPORTUNITY, QUOTE
from relay_service.core import RelayCore
from relay_service.sources import MAX_SOURCES, SourceState, SourceTable, take_run

GAP_BEFORE = 1 << 13
SECOND = 1_000_000_000


@given(
    st.integers(0, 2**64 - 1),
    st.lists(st.tuples(st.integers(-20, 20), st.integers(1, 10)), max_size=30),
)
def test_every_number_is_taken_once_or_missing(start: int, runs: list[tuple[int, int]]) -> None:
    source = SourceState("A", 1, next_sequence=start)
    expected = 0  # counted from `start`
    for offset, count in runs:
        run = take_run(source, (start + expected + offset) % 2**64, count)
        assert run.missing == max(offset, 0)
        assert run.skip == min(max(-offset, 0), count)
        expected = max(expected, expected + offset + count)
        assert source.next_sequence == (start + expected) % 2**64
    assert source.gap_events >= 0


def test_rows_that_came_before_are_dropped_and_counted(core: RelayCore, feeder: Any, build: Any) -> None:
    source = feeder.source
    core.accept(source, 2, build.quotes(*[build.quote(k, 1, 2) for k in (1, 2, 3)]), 1, SECOND)
    result = core.accept(source, 2, build.quotes(*[build.quote(k, 1, 2) for k in (2, 3, 4)]), 2, SECOND)
    assert (result.accepted, result.duplicates) == (1, 2)
    assert result.groups[0].rows["listing_key"].tolist() == [4]
    assert core.accept(source, 2, build.quotes(build.quote(1, 1, 2)), 1, SECOND).groups == ()
    assert (source.duplicates, core.last_sequence) == (3, 4)


def test_a_gap_is_counted_told_and_marked_once(core: RelayCore, feeder: Any, build: Any) -> None:
    source = feeder.source
    core.accept(source, 2, build.quotes(build.quote(1, 1, 2)), 1, SECOND)
    result = core.accept(source, 2, build.quotes(build.quote(1, 1, 2), build.quote(2, 1, 2)), 6, SECOND)
    assert [(gap.reason, gap.events, gap.before_sequence) for gap in result.gaps] == [("SOURCE_GAP", 4, 2)]
    assert (result.groups[0].rows["flags"] & GAP_BEFORE != 0).tolist() == [True, False]
    assert core.counters().gap_events == 4
    assert core.accept(source, 2, build.quotes(build.quote(1, 1, 2)), 8, SECOND).gaps == ()


def test_a_gap_before_a_refused_row_marks_the_next_one_taken(core: RelayCore, feeder: Any, build: Any) -> None:
    core.accept(feeder.source, 2, build.quotes(build.quote(0, 1, 2)), 5, SECOND)
    result = core.accept(feeder.source, 2, build.quotes(build.quote(1, 1, 2)), 6, SECOND)
    assert result.groups[0].rows["flags"][0] & GAP_BEFORE
    assert core.counters().rejects == {"NO_LISTING_KEY": 1}


def test_a_newer_epoch_fences_the_older_and_numbers_anew(core: RelayCore, build: Any) -> None:
    fenced: list[str] = []
    old, _ = core.sources.claim("A", 10, 1, lambda _: fenced.append("old"))
    core.accept(old, 2, build.quotes(build.quote(1, 1, 2)), 1, SECOND)
    new, restarted = core.sources.claim("A", 11, 1, lambda _: fenced.append("new"))
    assert (new is old, restarted, new.next_sequence, fenced) == (True, True, 1, ["old"])
    result = core.accept(new, 2, build.quotes(build.quote(1, 1, 2)), 1, SECOND)
    assert result.groups[0].rows["flags"][0] & GAP_BEFORE
    with pytest.raises(SequenceFenced):
        core.sources.claim("A", 10, 1)


def test_the_same_epoch_goes_on_where_it_stopped() -> None:
    table = SourceTable()
    source, _ = table.claim("A", 10, 1)
    take_run(source, 1, 5)
    again, restarted = table.claim("A", 10, 1)
    assert (again.next_sequence, restarted) == (6, False)


@pytest.mark.parametrize(("name", "provenance"), [("", 1), ("x" * 65, 1), ("a\n", 1), ("A", 0), ("A", 4)])
def test_a_source_that_cannot_be_is_refused(name: str, provenance: int) -> None:
    table = SourceTable()
    with pytest.raises(InvalidArgument):
        table.claim(name, 1, provenance)
    assert table.all() == []


def test_derived_types_are_refused_from_a_source(core: RelayCore, feeder: Any) -> None:
    result = core.accept(feeder.source, OPPORTUNITY.event_type, OPPORTUNITY.new(2), 1, SECOND)
    assert (result.rejected, result.groups) == (2, ())
    assert core.counters().rejects == {"TYPE_NOT_ACCEPTED": 2}


def test_sequences_are_contiguous_over_all_groups(core: RelayCore, feeder: Any, build: Any) -> None:
    core.replica.apply_listing(build.listing(1, 9, "A"))
    core.replica.apply_listing(build.listing(2, 9, "B"))
    expected = 1
    for step in range(20):
        result = feeder.quotes(
            SECOND + step,
            build.quote(1, 9990, 10000),
            build.quote(2, 10100 - step % 3 * 100, 10110),
            build.quote(7, 1, 2),
        )
        for group in result.groups:
            assert group.first_sequence == expected
            assert build.is_contiguous(group.rows, expected)
            assert len(group.slots) == len(group.rows)
            expected += len(group.rows)
    assert core.last_sequence == expected - 1


def test_the_clock_offset_is_that_of_the_fastest_frame() -> None:
    source = SourceState("A", 1)
    for send, now in ((100, 900), (200, 700), (300, 1_500)):
        source.measure_clock(send, now)
    assert source.clock_offset_ns == 500


def test_new_slots_are_told_before_their_events(core: RelayCore, feeder: Any, build: Any) -> None:
    told: list[list[int]] = []
    core.on_definition_changed(lambda slots: told.append(slots.tolist()))
    feeder.quotes(SECOND, build.quote(5, 1, 2), build.quote(6, 1, 2))
    feeder.quotes(SECOND, build.quote(5, 1, 2))
    core.replica.apply_listing(build.listing(5, 9, "A"))
    result = feeder.quotes(SECOND, build.quote(5, 1, 2))
    assert told == [[0, 1], [0]]
    assert result.groups[0].rows["definition_version"].tolist() == [1]


def test_a_snapshot_holds_the_last_quotes_as_they_were_handed_on(core: RelayCore, feeder: Any, build: Any) -> None:
    feeder.quotes(SECOND, build.quote(1, 1, 2), build.quote(2, 3, 4), build.quote(1, 5, 6))
    slots = core.slots.slots_of(np.array([1, 2, 9], np.uint64))
    rows = core.snapshot(QUOTE.event_type, slots)
    assert rows["listing_key"].tolist() == [2, 1]
    assert rows["sequence"].tolist() == [2, 3]
    assert QUOTE.is_rows(rows.tobytes())


def test_rows_of_another_provenance_than_the_hellos_are_refused(core: RelayCore, feeder: Any, build: Any) -> None:
    rows = build.quotes(build.quote(1, 1, 2), build.quote(2, 1, 2, flags=3), build.quote(3, 1, 2, flags=2))
    result = feeder.send(QUOTE, rows, 1)
    assert (result.accepted, result.rejected) == (1, 2)
    assert core.counters().rejects == {"PROVENANCE_MISMATCH": 2}
    core.sources.claim("TEST", 2, 3)
    assert feeder.quotes(2, build.quote(1, 1, 2)).rejected == 1
    assert feeder.quotes(3, build.quote(1, 1, 2, flags=3)).accepted == 1


def test_one_source_too_many_is_refused_and_the_others_stay() -> None:
    table = SourceTable()
    for number in range(MAX_SOURCES):
        table.claim(f"S{number}", 1, 1)
    with pytest.raises(ResourceExhausted, match=f"source ANOTHER: .* {MAX_SOURCES} sources"):
        table.claim("ANOTHER", 1, 1)
    assert table.claim("S7", 2, 1)[0].epoch == 2
    assert len(table.all()) == MAX_SOURCES
