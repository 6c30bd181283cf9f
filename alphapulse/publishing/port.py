"""One source's side of a connection to the relay: the rows that wait, their numbers, and what is lost, in the order in which it came."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import ClassVar, Final, NamedTuple, Protocol

from alphapulse.domain.domains import Domain
from alphapulse.domain.provenance import Provenance
from alphapulse.publishing import messages
from alphapulse.records import LAYOUTS, MAX_PAYLOAD, FrameType, encode_frame

MAX_WAITING_ROWS: Final = 200_000
"""Rows of one source that wait for a relay that is away: about 20 MB."""
_ROOM_ROWS: Final = 20_000
"""A source that can wait does so while more than this is under way."""
_MAX_LOSSES: Final = 1_024
_RELAY_AWAY: Final = "RELAY_AWAY"
_RELAY_REFUSED: Final = "RELAY_REFUSED"
_CONNECTION_LOST: Final = "CONNECTION_LOST"
_NUMBERED: Final = frozenset((_RELAY_AWAY, _RELAY_REFUSED))
"""Reasons of losses whose rows have numbers."""
_COUNTED: Final = _NUMBERED | {_CONNECTION_LOST}
"""Reasons of losses that a relay is told of by what it expects next."""


class RowSource(Protocol):
    """Where the rows of one source wait to be sent."""

    def __len__(self) -> int:
        """How many wait."""
        ...

    def take(self) -> dict[int, list[bytes]]:
        """The rows that wait, by type, in pieces of one row or several; they wait no longer."""
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

    def frame(self, slot: int, now_ns: int) -> bytes:
        """As the ingress socket takes it."""
        return encode_frame(self.event_type, self.payload, slot=slot, sequence=self.sequence, time_ns=now_ns)


class Loss(NamedTuple):
    """Rows the relay will not get."""

    reason: str
    listing_key: int = 0
    """0: the whole source."""
    events: int = 0
    """0: not known."""

    def frame(self, slot: int, now_ns: int) -> bytes:
        """As the ingress socket takes it."""
        return encode_frame(FrameType.SOURCE_GAP, messages.gap(slot, *self), slot=slot)


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
        self._before: list[Loss | dict[int, list[bytes]]] = []
        """Losses, and the rows that came before each; what came after the last one is in the sink."""
        self._told: deque[tuple[int, Loss]] = deque(maxlen=_MAX_LOSSES)
        """Losses that were sent, each with the number of the row behind it: what a connection had under way when it broke is told again."""
        self.room = asyncio.Event()
        self.room.set()
        self._link = link

    @property
    def waits(self) -> bool:
        """Whether there is something to send to a relay that takes it."""
        return not self.refused and bool(len(self.sink) or self._before)

    @property
    def began(self) -> bool:
        """Whether anything was ever sent, or given up."""
        return self.next_sequence > 1 or bool(self._told)

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
                count += sum(sum(map(len, rows)) // LAYOUTS[kind].row_size for kind, rows in one.items())
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

    def resume(self, expected: int, acknowledged: int) -> bool:
        """A relay welcomes the source and expects `expected` next. Tells first of rows that were sent into a connection that broke. Whether the
        source has to be introduced again, because it has another epoch now."""
        if expected == 1:
            # A relay that knows nothing of this epoch: it has not missed what another one took, so the numbers start again.
            self.next_sequence = 1
            self._before.insert(0, Loss("RELAY_RESTARTED"))
        else:
            dropped = sum(one.events for one in self.losses if one.reason in _NUMBERED)
            lost = self.next_sequence - expected - dropped
            # Whoever has taken a row has heard of what was lost before it; of what stands behind its last one nobody knows.
            self._before[:0] = [one for behind, one in self._told if behind >= expected]
            if lost > 0:
                self._before.insert(0, Loss(_CONNECTION_LOST, events=lost))
        self._told.clear()
        self._link.wake()
        return False

    def acknowledged(self, sequence: int) -> None:
        """Everything up to a sequence is relayed."""

    def rejected(self, answer: messages.Rejected) -> None:
        """Something was refused."""

    def pieces(self) -> Sequence[Piece | Loss]:
        """All rows that wait, numbered, and the losses between them; first the books, where the relay has missed some of them."""
        if self.lost:
            self.lost = False
            self.on_lost()
        found: list[Piece | Loss] = []
        before, self._before = self._before, []
        for one in (*before, self.sink.take()):
            if isinstance(one, Loss):
                found.append(one)
                if one.reason not in _COUNTED:
                    self._told.append((self.next_sequence, one))
                continue
            for kind, rows in one.items():
                found += self._numbered(kind, rows)
        self.room.set()
        return found

    def _numbered(self, kind: int, rows: list[bytes]) -> list[Piece]:
        found: list[Piece] = []
        size = LAYOUTS[kind].row_size
        data, step = b"".join(rows), MAX_PAYLOAD // size * size
        for at in range(0, len(data), step):
            piece = data[at : at + step]
            found.append(Piece(kind, piece, self.next_sequence, len(piece) // size))
            self.next_sequence += len(piece) // size
        return found

    def cut(self) -> list[bytes]:
        """The pieces as frames."""
        now_ns = time.time_ns()
        return [one.frame(self.slot, now_ns) for one in self.pieces()]
