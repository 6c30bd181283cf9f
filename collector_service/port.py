"""One source's side of the connection to the relay: the rows that wait, and what is lost, in the order in which it came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from alphapulse.domain.provenance import Provenance
from alphapulse.records import LAYOUTS, MAX_PAYLOAD, FrameType, encode_frame
from collector_service import convert
from collector_service.rows import RowSink

MAX_WAITING_ROWS: Final = 200_000
"""Rows of one source that wait for a relay that is away: about 20 MB."""
_ROOM_ROWS: Final = 20_000
"""A source that can wait does so while more than this is under way."""
_MAX_LOSSES: Final = 1_024
_RELAY_AWAY: Final = "RELAY_AWAY"
_RELAY_REFUSED: Final = "RELAY_REFUSED"
_NUMBERED: Final = frozenset((_RELAY_AWAY, _RELAY_REFUSED))
"""Reasons of losses whose rows have numbers."""


class Sender(Protocol):
    """The connection."""

    def wake(self) -> None:
        """There is something to send."""
        ...

    def send_now(self, port: Port) -> bool:
        """Send a source's rows in this very turn; False where that cannot be."""
        ...


class Loss(NamedTuple):
    """Rows the relay will not get."""

    reason: str
    listing_key: int = 0
    """0: the whole source."""
    events: int = 0
    """0: not known."""


class Port:
    """One source's side of the connection."""

    def __init__(self, link: Sender, source: str, slot: int, epoch: int, provenance: Provenance, sink: RowSink) -> None:
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
        self._before: list[Loss | dict[int, list[bytes]]] = []
        """Losses, and the rows that came before each; what came after the last one is in the sink."""
        self.room = asyncio.Event()
        self.room.set()
        self._link = link

    @property
    def waits(self) -> bool:
        """Whether there is something to send to a relay that takes it."""
        return not self.refused and bool(len(self.sink) or self._before)

    @property
    def losses(self) -> list[Loss]:
        """Those the relay has not been told of."""
        return [one for one in self._before if isinstance(one, Loss)]

    @property
    def waiting(self) -> int:
        """Rows that wait."""
        count = len(self.sink)
        for one in self._before:
            if not isinstance(one, Loss):
                count += sum(map(len, one.values()))
        return count

    def flush(self, *, at_once: bool = False) -> None:
        """There are rows to send, `at_once` at the end of a turn. Never waits: what the relay cannot take yet waits, up to
        the bound."""
        waiting = self.waiting
        if self.refused and waiting:
            self.drop(_RELAY_REFUSED)
        elif waiting > MAX_WAITING_ROWS:
            self.drop(_RELAY_AWAY)
        elif waiting > _ROOM_ROWS:
            self.room.clear()
        if not (at_once and waiting and self._link.send_now(self)):
            self._link.wake()

    def gap(self, reason: str, listing_key: int = 0, count: int = 0) -> None:
        """Tells the relay of a loss of the source's own, behind the rows that wait."""
        losses = self.losses
        if len(losses) >= _MAX_LOSSES:
            # Too many to tell one by one: one that concerns the whole source stands for them all, before the first row it may concern.
            first = next(place for place, one in enumerate(self._before) if isinstance(one, Loss))
            rest = [one for one in self._before[first:] if not isinstance(one, Loss)]
            self._before[first:] = [Loss(reason, 0, sum(one.events for one in losses)), *rest]
        if len(self.sink):
            self._before.append(self.sink.take())
        self._before.append(Loss(reason, listing_key, count))
        self._link.wake()

    def drop(self, reason: str) -> None:
        """Gives up the rows that wait; their numbers stay taken."""
        count = self.waiting
        self.sink.take()
        self._before = [*self.losses]
        self.next_sequence += count
        self.dropped += count
        self.gap(reason, count=count)
        self.room.set()
        self.lost = True

    def resume(self, expected: int) -> None:
        """A relay welcomes the source and expects `expected` next. Tells first of rows that were sent into a connection that broke."""
        if expected == 1:
            # A relay that knows nothing of this epoch: it has not missed what another one took, so the numbers start again.
            self.next_sequence = 1
            self._before.insert(0, Loss("RELAY_RESTARTED"))
        else:
            dropped = sum(one.events for one in self.losses if one.reason in _NUMBERED)
            lost = self.next_sequence - expected - dropped
            if lost > 0:
                self._before.insert(0, Loss("CONNECTION_LOST", events=lost))
        self._link.wake()

    def cut(self) -> list[bytes]:
        """Frames of all rows that wait, numbered, and of losses between them; first the books, where the relay has missed some of them."""
        if self.lost:
            self.lost = False
            self.on_lost()
        frames: list[bytes] = []
        now = time.time_ns()
        before, self._before = self._before, []
        for one in (*before, self.sink.take()):
            if isinstance(one, Loss):
                frames.append(encode_frame(FrameType.SOURCE_GAP, convert.gap(self.slot, *one), slot=self.slot))
                continue
            for kind, rows in one.items():
                frames += self._numbered(kind, rows, now)
        self.room.set()
        return frames

    def _numbered(self, kind: int, rows: list[bytes], now: int) -> list[bytes]:
        frames: list[bytes] = []
        step = MAX_PAYLOAD // LAYOUTS[kind].row_size
        for at in range(0, len(rows), step):
            piece = rows[at : at + step]
            frames.append(encode_frame(kind, b"".join(piece), slot=self.slot, sequence=self.next_sequence, time_ns=now))
            self.next_sequence += len(piece)
        return frames
