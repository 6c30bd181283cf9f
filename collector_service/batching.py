"""A session that takes arrivals in batches, and decodes by compiled code what that can read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from collector_service.session import Session
from collector_service.transport.base import Arrival, ArrivalKind, Request

if TYPE_CHECKING:
    from collector_service.lane.lane import Lane

_NEVER: Final = 2**63 - 1


class BatchSession(Session):
    """`handle_many` in the place of `handle`: with the same result."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        """As `Session`."""
        super().__init__(*arguments, **more)
        self._lane: Lane | None = None

    def use_compiled(self) -> None:
        """From now on `handle_many` decodes by compiled code what that can read. It is compiled or loaded here, where `lane.kernel.load` was not
        called before."""
        from collector_service.lane.lane import Lane  # a process that decodes little is not to load a compiler

        if self._lane is None:
            self._lane = Lane(self.spec, self.emitter, self.sink, self._provenance)

    @property
    def lane(self) -> Lane | None:
        """The compiled way; None where it is not used."""
        return self._lane

    def handle_many(self, arrivals: Sequence[Arrival], first: int = 0) -> tuple[int, list[Request]]:
        """Decodes arrivals from `first` on, in their order and with the same result as one by one: how many, and what has to be said then. It stops
        behind one that leaves something to say or a gap to tell, so that these keep their place."""
        at, lane = first, self._lane
        while at < len(arrivals):
            if lane is not None and self._is_plain(arrivals[at]):
                done, refused = lane.take(
                    arrivals,
                    at,
                    self._dialect,
                    until_ns=_NEVER if self._replays else self.staleness.next_ns,
                    retiring=self._retiring,
                    clock=self._clock,
                )
                if done:
                    self._count(arrivals, at, done)
                    at += done
                if not refused:
                    continue
            if lane is not None and arrivals[at].kind is ArrivalKind.BEGUN:
                lane.shelf.give_all_back()  # the books of the conversation before are forgotten
            told = len(self.gaps)
            requests = self.handle(arrivals[at])
            at += 1
            if requests or len(self.gaps) > told:
                return at - first, requests
        return at - first, []

    def _is_plain(self, arrival: Arrival) -> bool:
        """Whether compiled code may look at it: nothing is under way that only the ordinary path knows of."""
        emitter = self.emitter
        if arrival.kind is not ArrivalKind.FRAME and arrival.kind is not ArrivalKind.RESPONSE:
            return False
        if not self._is_placed:
            return False  # the first arrival says which format it is
        if emitter.handovers or emitter.shares_books:
            assert self._lane is not None  # it is asked for it
            self._lane.shelf.give_all_back()  # two connections are no longer told apart by the symbol alone
            return False
        if emitter.resyncs or emitter.gaps or emitter.replies:
            return False
        if not self._replays and self.staleness.is_due(arrival.time_ns):
            self.sink.received_ns = arrival.time_ns if self._clock is None else self._clock()
            told = len(self.gaps)
            self._notice_silence(arrival.time_ns)
            return len(self.gaps) == told
        return True

    def _count(self, arrivals: Sequence[Arrival], first: int, done: int) -> None:
        """Arrivals that compiled code has taken: frames, or the answer of one request."""
        last = arrivals[first + done - 1]
        if last.kind is ArrivalKind.FRAME:
            self.frames += done
            self.last_frame_ns = last.time_ns
        elif self._dialect.snapshot is not None:
            self._requests.forget((self._dialect.snapshot.symbol(last.url) or "",))
