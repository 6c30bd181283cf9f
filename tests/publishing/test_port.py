"""A source's side of a connection that breaks: what is told again, and what is not."""

from __future__ import annotations

from alphapulse.domain.provenance import Provenance
from alphapulse.publishing.kept import RowBuffer
from alphapulse.publishing.port import Loss, Piece, Port
from alphapulse.records import QUOTE


class Link:
    """A connection that sends nothing by itself."""

    def wake(self) -> None:
        """Nothing."""

    def send_now(self, port: Port) -> bool:
        """Never."""
        return False


def a_port() -> tuple[Port, RowBuffer]:
    """A source's side, and where its rows are put."""
    sink = RowBuffer()
    return Port(Link(), "A", 0, 1, Provenance.LIVE, sink), sink


def put(sink: RowBuffer, rows: int) -> None:
    """So many quotes wait."""
    for _ in range(rows):
        sink.put(QUOTE.event_type, QUOTE.new(1).tobytes())


def sent(port: Port) -> list[object]:
    """What goes into the connection: numbers of rows, and losses."""
    return [(one.sequence, one.rows) if isinstance(one, Piece) else one for one in port.pieces()]


def test_losses_in_a_connection_that_broke_are_told_again() -> None:
    port, sink = a_port()
    put(sink, 2)
    port.gap("BOOK_RESYNC", 7, 1)
    put(sink, 3)
    port.gap("RECONNECTED")
    assert sent(port) == [(1, 2), Loss("BOOK_RESYNC", 7, 1), (3, 3), Loss("RECONNECTED")]
    port.resume(6, 0)  # every row arrived; of the loss behind them nobody knows
    assert sent(port) == [Loss("RECONNECTED")]
    put(sink, 1)
    assert sent(port) == [(6, 1)]
    port.resume(7, 0)  # a row behind it arrived, so it did
    assert sent(port) == []


def test_losses_between_rows_that_were_lost_are_told_behind_these() -> None:
    port, sink = a_port()
    put(sink, 2)
    port.gap("BOOK_RESYNC", 7, 1)
    put(sink, 3)
    port.gap("RECONNECTED")
    sent(port)
    put(sink, 1)
    port.resume(3, 0)
    lost = Loss("CONNECTION_LOST", events=3)
    assert sent(port) == [lost, Loss("BOOK_RESYNC", 7, 1), Loss("RECONNECTED"), (6, 1)]
    port.resume(3, 0)  # and once more, before anything of it arrived
    lost = Loss("CONNECTION_LOST", events=4)
    assert sent(port) == [lost, Loss("BOOK_RESYNC", 7, 1), Loss("RECONNECTED")]
    port.resume(1, 0)  # another relay: that all may be missing says it
    assert sent(port) == [Loss("RELAY_RESTARTED")]


def test_a_loss_before_the_first_row_is_not_forgotten_with_its_connection() -> None:
    port, _ = a_port()
    before = port.began
    port.gap("RECONNECTED")
    sent(port)
    assert (before, port.began) == (False, True)
    port.resume(1, 0)
    assert sent(port) == [Loss("RELAY_RESTARTED")]
