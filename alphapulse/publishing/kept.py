"""A source that keeps what it sends until the relay acknowledges it: nothing is lost by a connection that breaks, a relay that ends, or a log that
is away."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

import numpy as np

from alphapulse.domain.domains import Domain
from alphapulse.domain.provenance import Provenance, RecordFlag
from alphapulse.publishing.messages import Rejected
from alphapulse.publishing.port import Link, Piece, Port
from alphapulse.records import LAYOUTS

_PAUSE_SECONDS: Final = 0.05
"""How long after a refusal the same is sent again at first; doubled up to _LONGEST_PAUSE."""
_LONGEST_PAUSE: Final = 1.0
_DUPLICATE: Final = np.uint32(RecordFlag.POSSIBLE_DUPLICATE)


class RowBuffer:
    """Rows that wait, by type, each type in its order."""

    def __init__(self) -> None:
        self._rows: dict[int, list[bytes]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def put(self, event_type: int, row: bytes) -> None:
        """One more."""
        self._rows.setdefault(event_type, []).append(row)

    def take(self) -> dict[int, list[bytes]]:
        """The rows that wait, by type; they wait no longer."""
        taken, self._rows = self._rows, {}
        return taken


class KeptPort(Port):
    """A source's side. Nothing is dropped: whoever writes rows looks at `unacknowledged`, and waits."""

    domain: ClassVar[Domain] = Domain.SIGNAL
    acknowledges: ClassVar[bool] = True

    def __init__(self, link: Link, source: str, slot: int, epoch: int, provenance: Provenance, sink: RowBuffer) -> None:
        super().__init__(link, source, slot, epoch, provenance, sink)
        self._kept: deque[Piece] = deque()
        self._unsent = 0
        """The first of `_kept` that is to be sent (again)."""
        self._sent_to = 0
        """The last sequence that was ever sent in this epoch."""
        self._pause = _PAUSE_SECONDS
        self._held: asyncio.TimerHandle | None = None
        """Until it fires nothing is sent: the relay cannot take it."""
        self._renewed = False
        """A new epoch waits to be welcomed."""
        self.moved: Callable[[], None] = lambda: None
        """Called when something is acknowledged, or the source is refused."""
        self.refusals: Callable[[Rejected], None] = lambda _: None
        """Called with what is refused for good."""

    @property
    def unacknowledged(self) -> int:
        """Rows that are not known to be relayed."""
        return len(self.sink) + sum(one.rows for one in self._kept)

    @property
    def waits(self) -> bool:
        return not self.refused and (bool(len(self.sink)) or self._unsent < len(self._kept))

    def flush(self, *, at_once: bool = False) -> None:
        """There are rows to send."""
        if not (at_once and self._link.send_now(self)):
            self._link.wake()

    def pieces(self) -> Sequence[Piece]:
        """What is to be sent now: what has to be sent again, and what is new."""
        self.lost = False
        if self._held is not None or self.refused:
            return []
        self._kept.extend(one for one in super().pieces() if isinstance(one, Piece))
        found = [self._kept[place] for place in range(self._unsent, len(self._kept))]
        self._unsent = len(self._kept)
        if found:
            self._sent_to = max(self._sent_to, found[-1].sequence + found[-1].rows - 1)
        return found

    def acknowledged(self, sequence: int) -> None:
        """Everything up to a sequence is relayed, or was refused for good."""
        kept = self._kept
        while kept and kept[0].sequence + kept[0].rows - 1 <= sequence:
            kept.popleft()
            self._unsent = max(self._unsent - 1, 0)
        self._pause = _PAUSE_SECONDS
        self.moved()

    def rejected(self, answer: Rejected) -> None:
        """The relay refuses something for good, or asks for it again."""
        if not answer.resend_from:
            self.refusals(answer)
            return
        if self._held is not None:
            return  # it is waited for already
        self._rewind(answer.resend_from)
        self._held = asyncio.get_running_loop().call_later(self._pause, self._go_on)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _go_on(self) -> None:
        self._held = None
        self._link.wake()

    def _rewind(self, sequence: int) -> None:
        """Send again from a sequence, which may lie inside of what was sent as one."""
        for place, one in enumerate(self._kept):
            if one.sequence + one.rows > sequence:
                skip = max(sequence - one.sequence, 0)
                if skip:  # what the relay took of it is kept until it is acknowledged
                    end = skip * (len(one.payload) // one.rows)
                    self._kept[place] = one._replace(payload=one.payload[:end], rows=skip)
                    place += 1
                    rest = one._replace(payload=one.payload[end:], sequence=sequence, rows=one.rows - skip)
                    self._kept.insert(place, rest)
                self._unsent = min(self._unsent, place)
                return

    def resume(self, expected: int, acknowledged: int) -> bool:
        """A relay welcomes the source. One that does not know what an earlier one took gets everything that was not acknowledged, marked as possibly
        relayed before where it had been sent; under a new epoch, for numbers are never given twice in one."""
        if self._held is not None:
            self._held.cancel()
            self._held = None
        if self._renewed or self.next_sequence == 1:
            self._renewed = False
            return False
        if expected == 1 or not self._first <= expected <= self.next_sequence:
            self._start_over()
            return True
        self.acknowledged(acknowledged)
        self._unsent = len(self._kept)
        self._rewind(expected)
        return False

    @property
    def _first(self) -> int:
        """The sequence of the first row that is kept; where none is, the next one."""
        return self._kept[0].sequence if self._kept else self.next_sequence

    def _start_over(self) -> None:
        kept, sent_to = list(self._kept), self._sent_to
        self._kept.clear()
        self.next_sequence, self._unsent, self._sent_to = 1, 0, 0
        self.epoch = max(self.epoch + 1, time.time_ns())
        self._renewed = True
        for one in kept:
            payload = _marked(one) if one.sequence <= sent_to else one.payload
            self._kept.append(one._replace(payload=payload, sequence=self.next_sequence))
            self.next_sequence += one.rows

    def gap(self, reason: str, listing_key: int = 0, count: int = 0) -> None:
        """Nothing is ever lost."""
        raise AssertionError(f"a source that keeps what it sends loses nothing ({reason})")

    def drop(self, reason: str) -> None:
        """Nothing is ever dropped."""
        raise AssertionError(f"a source that keeps what it sends drops nothing ({reason})")


class KeptExecutionPort(KeptPort):
    """The same of the execution domain."""

    domain: ClassVar[Domain] = Domain.EXECUTION


def _marked(piece: Piece) -> bytes:
    rows = LAYOUTS[piece.event_type].from_bytes(bytearray(piece.payload), check=False)
    rows["flags"] |= _DUPLICATE
    return rows.tobytes()
