"""Book machines: nothing before the snapshot, nothing after a gap, and always equal to a book kept the simple way."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_service.book import (
    BookUpdate,
    ChecksumMachine,
    PreviousIdMachine,
    RangeSequenceMachine,
    Side,
    SnapshotUpdatesMachine,
    Step,
    digits_of_top,
)
from collector_service.book.machine import ASK, BID, LevelChange


def change(side: int, price: int, size: int) -> LevelChange:
    return side, (price, 0), (size, 0)


def update(first: int, last: int, *changes: LevelChange) -> BookUpdate:
    return BookUpdate(list(changes), first, last)


SNAPSHOT = update(10, 10, change(BID, 99, 1), change(ASK, 101, 1))


def test_range_sequence_holds_updates_until_the_snapshot_is_there() -> None:
    machine = RangeSequenceMachine()
    assert machine.update(update(8, 9, change(BID, 97, 5))).step is Step.WAITING
    assert machine.update(update(10, 12, change(BID, 98, 5))).step is Step.WAITING
    assert machine.update(update(13, 13, change(ASK, 102, 5))).step is Step.WAITING
    result = machine.snapshot(SNAPSHOT)
    assert [(one.snapshot, one.sequence) for one in result.deliveries] == [(True, 10), (False, 12), (False, 13)]
    assert [price for price, _ in machine.book.bids] == [(99, 0), (98, 0)]


def test_range_sequence_asks_again_for_a_snapshot_older_than_the_stream() -> None:
    machine = RangeSequenceMachine()
    machine.update(update(20, 21, change(BID, 98, 5)))
    result = machine.snapshot(SNAPSHOT)
    assert (result.step, result.reason, result.deliveries) == (Step.RESYNC, "SNAPSHOT_TOO_OLD", ())
    assert machine.snapshot(update(19, 19, change(BID, 99, 1))).step is Step.DELIVERED
    assert machine.sequence == 21


def test_range_sequence_first_update_may_overlap_later_ones_may_not() -> None:
    machine = RangeSequenceMachine()
    machine.snapshot(SNAPSHOT)
    assert machine.update(update(9, 10)).step is Step.IGNORED
    assert machine.update(update(8, 12)).step is Step.DELIVERED
    assert machine.update(update(12, 13)).step is Step.RESYNC
    assert not machine.synced


def test_range_sequence_gap_empties_the_book_and_keeps_what_follows() -> None:
    machine = RangeSequenceMachine()
    machine.snapshot(SNAPSHOT)
    result = machine.update(update(12, 12, change(BID, 98, 1)))
    assert (result.step, result.reason) == (Step.RESYNC, "SEQUENCE_GAP")
    assert machine.image(0) is None
    assert machine.snapshot(update(11, 11, change(BID, 99, 1))).step is Step.DELIVERED
    assert [price for price, _ in machine.book.bids] == [(99, 0), (98, 0)]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=30), st.integers(0, 100), st.data())
def test_range_sequence_delivers_every_number_once_or_asks_again(
    lengths: list[int], start: int, data: st.DataObject
) -> None:
    updates, first = [], 1
    for length in lengths:
        updates.append(update(first, first + length - 1, change(BID, first, 1)))
        first += length
    kept = [one for one in updates if data.draw(st.integers(0, 9)) > 0]
    machine, snapshot_at = RangeSequenceMachine(), start % (len(kept) + 1)
    number = data.draw(st.integers(0, first))
    reached = number
    for place in range(len(kept) + 1):
        results = [machine.snapshot(update(number, number))] if place == snapshot_at else []
        results += [machine.update(kept[place])] if place < len(kept) else []
        for delivery in (one for result in results for one in result.deliveries):
            if not delivery.snapshot:
                source = next(one for one in updates if one.last == delivery.sequence)
                assert source.first <= reached + 1 <= source.last
            reached = delivery.sequence
        if any(result.step is Step.RESYNC for result in results):
            assert not machine.synced
            return


def test_previous_id_follows_a_venue_that_begins_its_count_anew() -> None:
    """Source: OKX, "Order book channel": a maintenance may reset the numbers; 15 is then followed by 3, which says that 15 was before it."""
    machine = PreviousIdMachine()
    machine.snapshot(SNAPSHOT)
    steps = [(10, 15), (15, 15), (15, 3), (3, 5), (10, 12), (10, 2)]
    found = [machine.update(BookUpdate([], previous=previous, last=last)).step for previous, last in steps]
    assert found == [Step.DELIVERED, Step.IGNORED, Step.DELIVERED, Step.DELIVERED, Step.RESYNC, Step.WAITING]


def test_snapshot_updates_ignores_what_comes_before_the_snapshot() -> None:
    machine = SnapshotUpdatesMachine()
    assert machine.update(SNAPSHOT).step is Step.WAITING
    assert machine.snapshot(SNAPSHOT).step is Step.DELIVERED
    assert machine.update(update(0, 0, change(BID, 99, 0))).step is Step.DELIVERED
    assert not len(machine.book.bids)


def _kraken_checksum(bids: dict[int, int], asks: dict[int, int]) -> int:
    text = "".join(f"{price}{asks[price]}" for price in sorted(asks)[:10])
    text += "".join(f"{price}{bids[price]}" for price in sorted(bids, reverse=True)[:10])
    return zlib.crc32(text.encode())


@given(
    st.lists(st.tuples(st.sampled_from((BID, ASK)), st.integers(1, 60), st.integers(0, 9)), max_size=80),
    st.integers(10, 30),
)
def test_checksum_machine_equals_a_simple_book_and_truncates_to_its_depth(
    changes: list[tuple[int, int, int]], depth: int
) -> None:
    machine = ChecksumMachine(depth)
    machine.snapshot(BookUpdate([]))
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    shown: dict[tuple[int, int], int] = {}
    for side, price, size in changes:
        ladder = bids if side == BID else asks
        ladder[price] = size
        if not size:
            del ladder[price]
        for gone in sorted(bids, reverse=True)[depth:]:
            del bids[gone]
        for gone in sorted(asks)[depth:]:
            del asks[gone]
        result = machine.update(BookUpdate([change(side, price, size)], checksum=_kraken_checksum(bids, asks)))
        assert result.step is Step.DELIVERED
        for one, (at, _), (now, _) in result.deliveries[0].changes:
            shown[one, at] = now
    # Whoever only sees the rows holds the same book: what fell out of the depth was removed there too.
    assert {at: now for at, now in shown.items() if now} == {
        **{(BID, at): now for at, now in bids.items()},
        **{(ASK, at): now for at, now in asks.items()},
    }


def test_checksum_mismatch_delivers_nothing_and_asks_for_a_snapshot() -> None:
    machine = ChecksumMachine()
    machine.snapshot(SNAPSHOT)
    wrong = BookUpdate([change(BID, 98, 1)], checksum=zlib.crc32(digits_of_top(machine.book).encode()) ^ 1)
    result = machine.update(wrong)
    assert (result.step, result.reason, result.deliveries) == (Step.RESYNC, "CHECKSUM_MISMATCH", ())
    assert machine.update(BookUpdate([])).step is Step.WAITING


def test_checksum_of_krakens_own_example() -> None:
    """Source: Kraken, "Spot Websockets (v1) Book Checksum": this book's checksum is 974947235."""
    machine = ChecksumMachine()
    texts = {
        ASK: "0.05005 500 0.05010 500 0.05015 500 0.05020 500 0.05025 500 0.05030 500 0.05035 500 0.05040 500 0.05045 500 0.05050 500",
        BID: "0.05000 500 0.04995 500 0.04990 500 0.04980 500 0.04975 500 0.04970 500 0.04965 500 0.04960 500 0.04955 500 0.04950 500",
    }
    changes: list[LevelChange] = []
    for side, text in texts.items():
        words = text.split()
        changes += [
            (side, (int(price.replace(".", "")), -5), (int(size), -8))
            for price, size in zip(words[::2], words[1::2], strict=True)
        ]
    machine.snapshot(BookUpdate(changes))
    assert zlib.crc32(digits_of_top(machine.book).encode()) == 974947235


@pytest.mark.parametrize("bids", [True, False])
@given(changes=st.lists(st.tuples(st.integers(1, 20), st.integers(-3, 0), st.integers(0, 3))))
def test_a_side_is_sorted_and_knows_equal_prices_however_written(
    bids: bool, changes: list[tuple[int, int, int]]
) -> None:
    side = Side(bids=bids)
    simple: dict[float, int] = {}
    for mantissa, exponent, size in changes:
        side.set((mantissa, exponent), (size, 0))
        price = mantissa * 10 ** (exponent + 3)
        simple[price] = size
        if not size:
            del simple[price]
    prices = [price[0] * 10 ** (price[1] + 3) for price, _ in side]
    assert prices == sorted(simple, reverse=bids)
