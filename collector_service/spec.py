"""What a source is: a value. The runtime takes it as it is; there is no class to derive from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from collector_service.book import MachineFactory
from collector_service.emitter import Emitter
from collector_service.listings import VenueSymbol


class Channel(Enum):
    """What can be subscribed to."""

    TRADES = "trades"
    QUOTES = "quotes"
    BOOKS = "books"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Base addresses, without a trailing slash."""

    websocket: str
    rest: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What the venue allows. Sources: the venues' documentation of 2025."""

    symbols_per_connection: int
    messages_per_second: float
    """Of ours, a connection."""
    requests_per_second: float
    """REST, all together."""
    connection_lifetime_s: float = 0.0
    """The venue ends a connection after this. 0: never."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """How a silent connection is told from a dead one."""

    stale_after_s: float
    """Without a frame for so long the connection is taken as dead."""
    ping: str = ""
    """What we send to have an answer; empty: WebSocket pings alone."""
    interval_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Route:
    """Which message becomes which record: decoded with `decode`, handed on by `emit`."""

    decode: Callable[[Any], Any]
    emit: Callable[[Any, Emitter], None]


@dataclass(frozen=True, slots=True)
class Dialect:
    """A format of the venue's messages, and from when to when (exclusive) the venue spoke it."""

    name: str
    split: Callable[[bytes], tuple[str, Any]]
    """A frame's kind, and what its route decodes. Raises as a decoder does."""
    routes: Mapping[str, Route]
    books: frozenset[str]
    """Kinds that change books: one that cannot be read costs a book that has no numbers or checksums of its own."""
    silent: frozenset[str]
    """Kinds that are known and carry no event: acknowledgements, heartbeats."""
    subscribe: Callable[[Sequence[VenueSymbol], Sequence[Channel]], Sequence[str]]
    """The frames that subscribe."""
    resync: Callable[[VenueSymbol], Sequence[str]]
    """The frames that ask for one book anew; empty where it is fetched by REST."""
    path: str = ""
    """Behind the WebSocket address."""
    valid_from: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    valid_to: datetime = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class InstrumentList:
    """A venue's list, read."""

    entries: tuple[VenueSymbol, ...]
    refused: tuple[str, ...] = ()
    """What could not be read, a sentence each: one bad line costs no other."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """Where the venue lists its instruments, and how a list is read."""

    path: str
    """Behind the REST address."""
    parse: Callable[[bytes], InstrumentList]
    """Raises msgspec.DecodeError or InvalidArgument when the list as a whole cannot be read."""


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """How a book's snapshot is fetched beside the stream."""

    path: Callable[[str], str]
    """Behind the REST address, for a symbol."""
    symbol: Callable[[str], str | None]
    """The symbol in a request's address, None for another kind of request."""
    route: Route
    """Emits the snapshot of the symbol `Emitter.requested`."""


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A source. Its page in the documentation says how it was verified."""

    name: str
    venue: str
    """The code its listings bear."""
    endpoints: Endpoints
    limits: Limits
    heartbeat: Heartbeat
    discovery: Discovery
    dialects: tuple[Dialect, ...]
    """Oldest first; the last one serves live connections."""
    book_machine: str
    new_book: MachineFactory
    snapshot: SnapshotRequest | None = None
    quirks: tuple[str, ...] = field(default=())
    """What had to be said in code because it could not be said as data: one line each, counted by a test."""

    @property
    def live(self) -> Dialect:
        """The format the venue speaks now."""
        return self.dialects[-1]

    def dialect_at(self, time_ns: int) -> Dialect:
        """The format the venue spoke at a time, nanoseconds since the Unix epoch; the nearest one where none is known."""
        moment = datetime.fromtimestamp(time_ns / 1e9, UTC)
        for dialect in self.dialects:
            if moment < dialect.valid_to:
                return dialect
        return self.live
