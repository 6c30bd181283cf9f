"""What every transport is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, Self, runtime_checkable

import msgspec

from alphapulse.domain.errors import Unavailable
from alphapulse.domain.provenance import Provenance
from collector_service.source import InstrumentList, Source


class ArrivalKind(Enum):
    """What arrived."""

    OPENED = "opened"
    """A connection is open: `url` says where to."""
    FRAME = "frame"
    """A WebSocket frame."""
    RESPONSE = "response"
    """The body of a request answered beside the stream: `url` says which."""
    FAILED = "failed"
    """A request was not answered: `url` says which, `data` why."""
    CLOSED = "closed"
    """A connection is gone: `data` says why."""
    SUCCEEDING = "succeeding"
    """A connection is about to be opened that takes the place of its partner, which stays open until it is asked to retire."""
    RETIRED = "retired"
    """A connection was closed that nothing depends on any more, or nothing depended on yet."""
    BROKEN = "broken"
    """Part of a recording that cannot be read: `data` says why."""
    LOST = "lost"
    """Part of a recording that was never written: `data` says how many arrivals its recorder could not take."""
    BEGUN = "begun"
    """A recorded conversation begins, or this is said of it again: `data` has what its connections carry, as JSON."""


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """One thing that arrived, in the order of arrival."""

    kind: ArrivalKind
    time_ns: int
    """When the collector received it; of a recording: when the recorder did."""
    data: bytes = b""
    connection: int = 0
    url: str = ""


@dataclass(frozen=True, slots=True)
class Send:
    """A frame for the venue."""

    connection: int
    text: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """A request beside the stream; its answer arrives among the frames."""

    path: str
    """Behind the REST address."""
    every_s: float = 0.0
    """Above 0: again and again, so many seconds apart."""


@dataclass(frozen=True, slots=True)
class Retire:
    """A connection has a successor that gives all that it gave: it can be closed."""

    connection: int


@dataclass(frozen=True, slots=True)
class Cease:
    """A request that was made again and again is made no more."""

    path: str


Request = Send | Fetch | Retire | Cease


class TransportError(Unavailable):
    """A venue cannot be reached, or answers with an error. `retry_after` is the venue's own where it gave one."""

    reason = "VENUE_UNAVAILABLE"


class Transport(Protocol):
    """One source's way to its venue. An async context manager."""

    provenance: Provenance
    lossless: bool
    """True where the transport can wait for a slow relay, because nothing is lost by it."""

    @property
    def pauses(self) -> bool:
        """Whether the transport waits, or gives others a turn, before the next arrival: a good moment to hand on what was made of this
        one."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def instruments(self, source: Source) -> InstrumentList:
        """The venue's list. Raises TransportError, and msgspec.DecodeError or InvalidArgument for an answer that is no list."""
        ...

    def arrivals(self, connections: int, paths: Sequence[str] = ()) -> AsyncIterator[Arrival]:
        """What arrives over so many connections, which are opened anew when they break; ends when a recording does. `paths` has that of
        each, where they differ. Those of place n, which take turns, have the numbers 2n and 2n + 1 (`subscriptions`)."""
        ...

    def extend(self, path: str | None) -> None:
        """Opens a connection at one more place, with a path of its own, where they differ."""
        ...

    def submit(self, request: Request) -> None:
        """Sends, within the venue's limits, without waiting."""
        ...


@runtime_checkable
class Draining(Protocol):
    """A transport that can tell at once what has arrived behind an arrival that it gave."""

    def ready(self, limit: int, /) -> Sequence[Arrival]:
        """What has arrived already, at most so many; it is given once."""
        ...
