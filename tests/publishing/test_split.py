"""A source that is divided among relays: every row goes to one of them, in the order of its listing, whatever is lost, moved or away."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.provenance import Provenance
from alphapulse.publishing import SplitPort, links_to
from alphapulse.publishing.messages import Rejected
from alphapulse.publishing.port import Loss, Port
from alphapulse.publishing.split import PartPort, PartRows
from alphapulse.records import LAYOUTS, QUOTE, TRADE, WIDE_AMOUNT, RecordLayout

LISTINGS = range(1, 9)


class Link:
    """Nothing is ever sent by itself: the tests ask for pieces."""

    def wake(self) -> None:
        pass

    def send_now(self, port: Port) -> bool:
        return False


class Homes:
    """Listings whose instruments change as a test says."""

    def __init__(self) -> None:
        self.version = 0
        self.moved: dict[int, int] = {}

    def home_of(self, listing_key: int) -> int:
        return self.moved.get(listing_key, listing_key)


class Bench:
    """A source of quotes that are numbered in their bids, trades beside them, and what each relay would be sent."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.homes = Homes()
        self.sink = PartRows()
        self.ports: list[PartPort] = []
        self.port = SplitPort(self.sink, self.homes, self._open, count)
        self.port.on_lost = self.books
        self.written = 0
        self.sent: list[list[Any]] = [[] for _ in range(count)]
        """By partition: rows as (type, listing, bid) and losses, in their order."""
        self.expected: list[list[Any]] = [[] for _ in range(count)]
        self.numbers = [1] * count

    def _open(self, index: int, part: PartRows) -> PartPort:
        self.ports.append(PartPort(Link(), "A", index, 1, Provenance.LIVE, part))
        return self.ports[-1]

    def of(self, key: int) -> int:
        """The oracle: the remainder, written down once more."""
        home = self.homes.home_of(key)
        return home - home // self.count * self.count

    def put(self, layout: RecordLayout, keys: list[int], *, books: bool = False) -> list[Any]:
        rows = layout.new(len(keys))
        rows["listing_key"] = keys
        made: list[Any] = []
        for at, key in enumerate(keys):
            self.written += 1
            if layout is QUOTE:
                rows["bid_price"][at] = self.written
            else:
                rows["trade_id"][at] = self.written
            made.append((layout.event_type, key, self.written))
        self.sink.add(layout.event_type, rows.tobytes(), len(rows))
        if not books:
            for one in made:
                self.expected[self.of(one[1])].append(one)
        return made

    def books(self) -> None:
        """Every book, which the relay that lost something alone is to get."""
        self.book = self.put(QUOTE, list(LISTINGS), books=True)

    def send(self, index: int) -> None:
        """What goes to one relay now."""
        for piece in self.ports[index].pieces():
            if isinstance(piece, Loss):
                self.sent[index].append(piece)
                continue
            assert piece.sequence == self.numbers[index], "each relay's numbers are its own, without a hole"
            self.numbers[index] += piece.rows
            table = LAYOUTS[piece.event_type].from_bytes(piece.payload, check=False)
            name = "bid_price" if piece.event_type == QUOTE.event_type else "trade_id"
            self.sent[index] += [(piece.event_type, int(row["listing_key"]), int(row[name])) for row in table]


def by_stream(rows: list[Any]) -> dict[Any, list[Any]]:
    """Rows of each type and listing in their order; losses as a stream of their own."""
    found = defaultdict(list)
    for one in rows:
        found["loss" if isinstance(one, Loss) else one[:2]].append(one)
    return dict(found)


keys = st.lists(st.sampled_from(LISTINGS), min_size=1, max_size=5)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("quotes"), keys),
        st.tuples(st.just("trades"), keys),
        st.tuples(st.just("flush"), st.booleans()),
        st.tuples(st.just("send"), st.integers(0, 3)),
        st.tuples(st.just("gap"), st.sampled_from((0, *LISTINGS))),
        st.tuples(st.just("lost"), st.integers(0, 3)),
        st.tuples(st.just("move"), st.tuples(st.sampled_from(LISTINGS), st.integers(0, 2**64 - 1))),
    ),
    max_size=30,
)


@given(st.integers(2, 4), steps)
def test_each_row_goes_to_one_relay_in_order_and_losses_where_they_concern(count: int, script: list[Any]) -> None:
    bench = Bench(count)
    for kind, what in script:
        if kind in ("quotes", "trades"):
            bench.put(QUOTE if kind == "quotes" else TRADE, what)
        elif kind == "flush":
            bench.port.flush(at_once=what)
        elif kind == "send":
            bench.send(what % count)
        elif kind == "gap":
            bench.port.gap("RECONNECTED", what, 1)
            for index in range(count) if not what else (bench.of(what),):
                bench.expected[index].append(Loss("RECONNECTED", what, 1))
        elif kind == "lost":
            index = what % count  # rows that wait meanwhile, for others too, are not lost with it
            bench.ports[index].lost = True
            bench.send(index)
            bench.expected[index] += [one for one in bench.book if bench.of(one[1]) == index]
        else:
            bench.port.flush()  # rows of before it was known go where they belonged
            for index in range(count):
                bench.send(index)
            bench.homes.moved[what[0]] = what[1]
            bench.homes.version += 1
            goes = bench.port._of.get(what[0]) not in (None, bench.of(what[0]))
            bench.port.flush()
            bench.send(bench.of(what[0]))
            if goes:  # its new relay knows nothing of its book
                to = bench.of(what[0])
                bench.expected[to] += [one for one in bench.book if bench.of(one[1]) == to]
    bench.port.flush()
    for index in range(count):
        bench.send(index)
        assert by_stream(bench.sent[index]) == by_stream(bench.expected[index])


def test_a_loss_stands_behind_the_rows_before_it_and_ahead_of_those_behind() -> None:
    bench = Bench(2)
    bench.put(QUOTE, [2, 1, 2])
    bench.port.gap("RECONNECTED")
    bench.put(QUOTE, [2, 1])
    bench.port.flush()
    for index, listing in ((0, 2), (1, 1)):
        bench.send(index)
        kinds = [one.reason if isinstance(one, Loss) else one[1] for one in bench.sent[index]]
        assert kinds == [listing] * (2 - index) + ["RECONNECTED"] + [listing]


def test_a_relay_that_is_away_drops_its_own_rows_alone() -> None:
    bench = Bench(2)
    for _ in range(41):
        for _ in range(50):
            bench.put(QUOTE, [1] * 100)
        bench.put(QUOTE, [2])
        bench.port.flush()
        bench.send(0)
    assert bench.ports[1].dropped > 200_000 - 100
    assert bench.ports[0].dropped == 0
    assert len(bench.sent[0]) == 41


def test_a_refusal_as_misplaced_asks_for_the_instruments_again() -> None:
    bench, asked = Bench(2), []
    bench.port.on_misplaced = lambda: asked.append(1)
    bench.ports[1].rejected(Rejected("ROWS_REJECTED", "", 3))
    assert not asked
    bench.ports[1].rejected(Rejected("WRONG_PARTITION", "", 3))
    assert asked == [1]


@pytest.mark.parametrize("paths", ["a,", ",a", "a,,b", "a,b,a", ",".join(f"s{at}" for at in range(65))])
def test_paths_that_are_no_partitions_are_refused(paths: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        links_to(paths)
    assert refused.value.violations[0].rule == "partition-paths"


def test_amounts_leave_before_their_trades_whatever_waits() -> None:
    bench = Bench(2)
    for layout, key in ((TRADE, 1), (QUOTE, 3), (WIDE_AMOUNT, 1), (TRADE, 1), (WIDE_AMOUNT, 3), (TRADE, 3)):
        bench.put(layout, [key])
        bench.port.flush()
    bench.send(1)
    assert [kind for kind, _, _ in bench.sent[1]] == [
        *[WIDE_AMOUNT.event_type] * 2,
        *[TRADE.event_type] * 3,
        QUOTE.event_type,
    ]
