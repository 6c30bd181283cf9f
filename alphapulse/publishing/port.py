"""One source's side of a connection to the relay: what waits to be sent, its numbers, and what was lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import ClassVar, Final, NamedTuple, Protocol

from alphapulse.domain.domains import Domain
from alphapulse.domain.provenance import Provenance
from alphapulse.publishing import messages
from alphapulse.records import LAYOUTS, MAX_PAYLOAD, encode_frame

MAX_WAITING_ROWS: Final = 200_000
"""Rows of one source that wait for a relay that is away: about 20 MB."""
_ROOM_ROWS: Final = 20_000
"""A source that can wait does so while more than this is under way."""
_MAX_GAPS: Final = 1_024


class RowSource(Protocol):
    """Where the rows of one source wait to be sent."""

    def __len__(self) -> int:
        """How many wait."""
        ...

    def take(self) -> dict[int, list[bytes]]:
        """The rows that wait, by type; they wait no longer."""
        ...


class Link(Protocol):
    """What a source's side asks of its connection."""

    def wake(self) -> None:
        """There is something to send."""
        ...

    def send_now(self, port: Port) -> bool:
        """Sends a source's rows in this very turn; False where that cannot be."""
        ...


class Piece(NamedTuple):
    """Rows of one type that go as one frame."""

    event_type: int
    payload: bytes
    sequence: int
    """The source's own number of the first row."""
    rows: int


class Port:
    """One source's side of the connection."""

    domain: ClassVar[Domain] = Domain.MARKET
    acknowledges: ClassVar[bool] = False

    def __init__(self, link: Link, source: str, slot: int, epoch: int, provenance: Provenance, sink: RowSource) -> None:
        self.source = source
        self.slot = slot
        self.epoch = epoch
        self.provenance = provenance
        self.sink = sink
        self.next_sequence = 1
        """Of the next row that is cut into a frame."""
        self.dropped = 0
        """Rows that the relay never got because it was away."""
        self.refused = ""
        """Why the relay does not take this source; empty when it does."""
        self.lost = False
        """The relay has missed rows or is another process."""
        self.on_lost: Callable[[], None] = lambda: None
        """Writes the books into the sink anew."""
        self.gaps: list[tuple[str, int, int]] = []
        self.room = asyncio.Event()
        self.room.set()
        self._link = link

    @property
    def waits(self) -> bool:
        """Whether there is something to send to a relay that takes it."""
        return not self.refused and bool(len(self.sink) or self.gaps)

    def flush(self, *, at_once: bool = False) -> None:
        """There are rows to send, `at_once` at the end of a turn. Never waits: what the relay cannot take yet waits, up to
        the bound."""
        waiting = len(self.sink)
        if self.refused and waiting:
            self.drop("RELAY_REFUSED")
        elif waiting > MAX_WAITING_ROWS:
            self.drop("RELAY_AWAY")
        elif waiting > _ROOM_ROWS:
            self.room.clear()
        if not (at_once and waiting and self._link.send_now(self)):
            self._link.wake()

    def gap(self, reason: str, listing_key: int = 0, count: int = 0) -> None:
        """Tells the relay of a loss of the source's own."""
        if len(self.gaps) >= _MAX_GAPS:
            # Too many to tell one by one: one that concerns the whole source stands for them all.
            self.gaps = [(reason, 0, sum(gap[2] for gap in self.gaps))]
        self.gaps.append((reason, listing_key, count))
        self._link.wake()

    def drop(self, reason: str) -> None:
        """Gives up the rows that wait; their numbers stay taken."""
        count = sum(len(rows) for rows in self.sink.take().values())
        self.next_sequence += count
        self.dropped += count
        self.gap(reason, count=count)
        self.room.set()
        self.lost = True

    def resume(self, expected: int, acknowledged: int) -> bool:
        """A relay welcomes the source and expects `expected` next. Tells of rows that were sent into a connection that broke. Whether the source
        has to be introduced again, because it has another epoch now."""
        if expected == 1:
            # A relay that knows nothing of this epoch: it has not missed what another one took, so the numbers start again.
            self.next_sequence = 1
            self.gap("RELAY_RESTARTED")
            return False
        lost = self.next_sequence - expected - sum(gap[2] for gap in self.gaps)
        if lost > 0:
            self.gap("CONNECTION_LOST", count=lost)
        return False

    def acknowledged(self, sequence: int) -> None:
        """Everything up to a sequence is relayed."""

    def rejected(self, answer: messages.Rejected) -> None:
        """Something was refused."""

    def pieces(self) -> list[Piece]:
        """All rows that wait, numbered; first the books, where the relay has missed some of them."""
        if self.lost:
            self.lost = False
            self.on_lost()
        found: list[Piece] = []
        for kind, rows in self.sink.take().items():
            step = MAX_PAYLOAD // LAYOUTS[kind].row_size
            for at in range(0, len(rows), step):
                piece = rows[at : at + step]
                found.append(Piece(kind, b"".join(piece), self.next_sequence, len(piece)))
                self.next_sequence += len(piece)
        self.room.set()
        return found

    def cut(self) -> list[bytes]:
        """The pieces as frames."""
        now = time.time_ns()
        return [
            encode_frame(one.event_type, one.payload, slot=self.slot, sequence=one.sequence, time_ns=now)
            for one in self.pieces()
        ]
