"""What a source that is acknowledged keeps: everything the relay has not said it has relayed, whatever is refused, late or taken in part."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import hypothesis.strategies as st
from hypothesis import given

from alphapulse.domain.provenance import Provenance, RecordFlag
from alphapulse.publishing.kept import KeptExecutionPort, RowBuffer
from alphapulse.publishing.messages import Rejected
from alphapulse.publishing.port import Piece, Port
from alphapulse.records import EXECUTION_REPORT, LAYOUTS

SIZE = EXECUTION_REPORT.row_size


class Link:
    """Nothing is ever sent by itself: the tests ask for pieces."""

    def wake(self) -> None:
        pass

    def send_now(self, port: Port) -> bool:
        return False


def rows_of(pieces: list[Piece]) -> list[tuple[int, int, bool]]:
    """(sequence, listing, marked) of every row."""
    found = []
    for one in pieces:
        table = LAYOUTS[one.event_type].from_bytes(bytearray(one.payload), check=False)
        for place, row in enumerate(table):
            marked = bool(row["flags"] & RecordFlag.POSSIBLE_DUPLICATE)
            found.append((one.sequence + place, int(row["listing_key"]), marked))
    return found


def a_port(rows: int) -> KeptExecutionPort:
    sink = RowBuffer()
    table = EXECUTION_REPORT.new(rows)
    table["listing_key"] = range(1, rows + 1)
    for row in table:
        sink.put(EXECUTION_REPORT.event_type, row.tobytes())
    return KeptExecutionPort(Link(), "desk", 1, 1, Provenance.SIMULATED, sink)


def again_from(sequence: int) -> Rejected:
    return Rejected("LOG_UNAVAILABLE", "", 1, sequence, sequence, 1)


async def test_what_was_taken_of_a_frame_is_kept_until_it_is_acknowledged() -> None:
    port = a_port(10)
    assert rows_of(list(port.pieces())) == [(number, number, False) for number in range(1, 11)]
    port.rejected(again_from(4))
    assert port.unacknowledged == 10
    port._go_on()
    assert rows_of(list(port.pieces())) == [(number, number, False) for number in range(4, 11)]
    assert port.resume(1, 0)  # the relay died before it logged the first three; the next one knows nothing
    assert not port.resume(1, 0)
    assert rows_of(list(port.pieces())) == [(number, number, True) for number in range(1, 11)]


async def test_what_was_ever_sent_is_marked_though_a_late_refusal_asked_for_it_again() -> None:
    port = a_port(4)
    port.pieces()
    for _ in range(2):
        port.rejected(again_from(1))
        port._go_on()
    port.sink.put(EXECUTION_REPORT.event_type, EXECUTION_REPORT.new(1).tobytes())
    assert port.resume(1, 0)
    port.resume(1, 0)
    assert [marked for _, _, marked in rows_of(list(port.pieces()))] == [True] * 4 + [False]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("refuse"), st.integers(1, 30)),
        st.tuples(st.just("acknowledge"), st.integers(0, 30)),
        st.tuples(st.just("send"), st.integers(0, 3)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=20,
)


@given(st.integers(1, 30), steps)
def test_everything_is_kept_in_order_until_it_is_acknowledged(rows: int, script: list[tuple[str, int]]) -> None:
    """A plain reading: what was not acknowledged is kept, each row once, in order, whatever came between."""

    async def run() -> None:
        port, left = a_port(rows), list(range(1, rows + 1))
        for what, number in script:
            sent = rows_of(list(port.pieces())) if what == "send" else []
            assert all(one[0] + 1 == two[0] for one, two in pairwise(sent))
            if what == "refuse" and port._first <= number < port.next_sequence:
                port.rejected(again_from(number))
                port._go_on()
            elif what == "acknowledge":
                done = min(number, port.next_sequence - 1) - port._first + 1
                if done > 0 and _ends_a_piece(port, done):
                    del left[:done]
                    port.acknowledged(min(number, port.next_sequence - 1))
            elif what == "restart" and port.next_sequence > 1:
                assert port.resume(1, 0)
                port.resume(1, 0)
            assert port.unacknowledged == len(left)
        port.pieces()
        assert [listing for _, listing, _ in rows_of(list(port._kept))] == left

    asyncio.run(run())


def _ends_a_piece(port: KeptExecutionPort, rows: int) -> bool:
    """The relay acknowledges what it took, piece by piece."""
    ends, total = set(), 0
    for one in port._kept:
        total += one.rows
        ends.add(total)
    return rows in ends
