"""A source as the runtime takes it: functions made of a specification by `collector_service.compiler`, or written by hand."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from collector_service.book import MachineFactory, SnapshotUpdatesMachine
from collector_service.emitter import Emitter
from collector_service.listings import VenueSymbol
from collector_service.spec.source import Channel, Endpoints, Heartbeat, Limits, SignIn, SourceSpec

if TYPE_CHECKING:
    from collector_service.transport.base import Transport


@dataclass(frozen=True, slots=True)
class Route:
    """Which message becomes which record: decoded with `decode`, handed on by `emit`."""

    decode: Callable[[Any], Any]
    emit: Callable[[Any, Emitter], None]


@dataclass(frozen=True, slots=True)
class AddressRequest:
    """How the address of a connection is asked for, before each."""

    path: str
    """Behind the REST address, by POST."""
    url: Callable[[bytes], str]
    """The address in the answer. Raises msgspec.DecodeError or InvalidArgument."""


Numbers = Callable[[str, VenueSymbol], object]
"""The number that the connection gave a channel of a symbol; None where it gave none."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """A format of the venue's messages, and from when to when (exclusive) the venue spoke it."""

    name: str
    split: Callable[[bytes, Emitter], tuple[str, Any]]
    """A frame's kind, and what its route decodes. Raises as a decoder does."""
    routes: Mapping[str, Route]
    books: frozenset[str]
    """Kinds that change books: one that cannot be read costs a book that has no numbers or checksums of its own."""
    silent: frozenset[str]
    """Kinds that are known and carry no event: acknowledgements, heartbeats."""
    subscribe: Callable[[Sequence[VenueSymbol], Sequence[Channel]], Sequence[str]]
    """The frames that subscribe."""
    resync: Callable[[VenueSymbol, Numbers], Sequence[str]]
    """The frames that ask for one book anew; empty where it is fetched by REST."""
    join: Callable[[Sequence[VenueSymbol], Sequence[Channel]], Sequence[str]] | None = None
    """The frames that subscribe to more on a connection that has subscribed before; None: as `subscribe`."""
    leave: Callable[[Sequence[VenueSymbol], Sequence[Channel], Numbers], Sequence[str]] | None = None
    """The frames that unsubscribe; None: that cannot be said."""
    subscribes_always: bool = False
    """`subscribe` has something to say where there is no symbol, too."""
    replaces: bool = False
    """What is subscribed to takes the place of what was subscribed to before: `join` is given all of it."""
    parts: Callable[[bytes], Sequence[bytes]] | None = None
    """The messages in a frame, each of which is split; None: a frame is one. Raises as a decoder does."""
    greet: Callable[[], Sequence[str]] | None = None
    """The frames that are sent first, where `subscribe` has to wait for an answer."""
    welcome: str = ""
    """The kind of that answer."""
    errors: frozenset[str] = frozenset({"error"})
    """Kinds that say the venue refuses something."""
    snapshot: SnapshotRequest | None = None
    polls: tuple[PollRequest, ...] = ()
    discovery: Discovery | None = None
    """None: as the newest dialect."""
    new_book: MachineFactory | None = None
    """Makes what keeps its books; None: as the source's."""
    path: str = ""
    """Behind the WebSocket address."""
    path_of: Callable[[VenueSymbol], str] | None = None
    """The path for a symbol, where not all have one; None: `path`."""
    address: AddressRequest | None = None
    """None: the WebSocket address and `path`."""
    valid_from: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    valid_to: datetime = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class InstrumentList:
    """A venue's list, read."""

    entries: tuple[VenueSymbol, ...]
    refused: tuple[str, ...] = ()
    """What could not be read, a sentence each: one bad line costs no other."""


@dataclass(frozen=True, slots=True)
class ListRequest:
    """One request for a list of instruments, and how its answer is read."""

    path: str
    """Behind the REST address; empty for lines that are given."""
    parse: Callable[[bytes], InstrumentList]
    """Raises msgspec.DecodeError or InvalidArgument when the list as a whole cannot be read. Of a list with `follow` it reads the answers of that."""
    follow: Callable[[bytes], Sequence[str]] | None = None
    """The paths of further requests, one for each line; what they answer is what is read."""
    followed: re.Pattern[str] | None = None
    """What these paths look like."""
    body: bytes | None = None
    """What is sent by POST; None: it is a GET."""
    across: str = ""
    """The path of another list, for `cross`; empty: this one stands alone."""
    cross: Callable[[bytes, bytes], InstrumentList] | None = None
    """Reads the answers of both lists: every line of the one with every line of the other."""
    next: Callable[[bytes], str] | None = None
    """The path of the list's next part, which is read as this one; empty at its end."""
    given: InstrumentList | None = None
    """The list itself, where nothing is asked for it."""


class Asking(Protocol):
    """Fetches what is behind a path of the REST address: by POST, where there is a body."""

    def __call__(self, path: str, body: bytes | None = None, /) -> Awaitable[bytes]: ...


@dataclass(frozen=True, slots=True)
class Discovery:
    """Where the venue lists its instruments."""

    requests: tuple[ListRequest, ...]
    ask: Callable[[Asking], Awaitable[InstrumentList]] | None = None
    """In the place of the requests, where what is asked follows from what was answered. Raises as `ListRequest.parse` and asking do."""

    def reader(self, url: str) -> Callable[[bytes], InstrumentList] | None:
        """How the answer of an address is read, whatever its host; None for another address, and for one whose answer only names others."""
        path = path_of(url)
        for request in self.requests:
            if request.given is not None:
                continue
            same = request.path == path or (
                request.next is not None and request.path.partition("?")[0] == path.partition("?")[0]
            )
            if request.follow is None and request.cross is None and same:
                return request.parse
            if request.followed is not None and request.followed.fullmatch(path):
                return request.parse
        return None

    def crossing(self, url: str) -> ListRequest | None:
        """The request of an address whose answer is read with that of another one; None for another address."""
        path = path_of(url)
        return next((one for one in self.requests if one.cross is not None and one.path == path), None)


POSTED: Final = "#post="
"""Behind the recorded address of a request stands so what it posted: two that differ in that alone have different answers."""


def path_of(url: str) -> str:
    """An address without its host, and without what was posted to it."""
    return re.sub(r"^[a-z]+://[^/]+", "", url).partition(POSTED)[0]


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """How a book's snapshot is fetched beside the stream."""

    path: Callable[[str, Mapping[str, str]], str]
    """Behind the REST address, for a symbol and the extras of its listing."""
    symbol: Callable[[str], str | None]
    """The symbol in a request's address, None for another kind of request."""
    route: Route
    """Emits the snapshot. Its symbol is that of the request: see `Emitter.requested`."""


@dataclass(frozen=True, slots=True)
class PollRequest:
    """A request that is made again and again."""

    path: str
    """Behind the REST address; with `{symbol}` for each symbol."""
    every_s: float
    route: Route
    form: re.Pattern[str]
    """What its addresses look like; the group is the symbol, where there is one."""

    def paths(self, symbols: Iterable[str]) -> list[str]:
        """The addresses to ask."""
        if "{symbol}" not in self.path:
            return [self.path]
        return [self.path.replace("{symbol}", symbol) for symbol in symbols]


class Memory(Protocol):
    """What a source has to remember between messages, where its routes alone cannot say what they mean."""

    def lost(self) -> None:
        """The connection is gone. Whether anything is lost by that, it tells by `Emitter.gaps` when it knows."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
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
    quirks: tuple[str, ...] = field(default=())
    """What had to be said in code because it could not be said as data: or what surprises: a sentence each, shown in the table of sources."""
    spec: SourceSpec | None = None
    """What it was made of; None for one written by hand."""
    new_memory: Callable[[], Memory] | None = None
    """Makes what its routes find as `Emitter.memory`; it has one connection then."""
    sign_in: SignIn | None = None
    """A token that is asked for before anything else."""
    reach: Callable[[Source, Mapping[str, str]], Transport] | None = None
    """Opens the way to its venue where another library has it, given the environment's secrets; None: its addresses are connected to."""

    @classmethod
    def of(
        cls,
        spec: SourceSpec,
        dialects: tuple[Dialect, ...],
        discovery: Discovery,
        *,
        new_book: MachineFactory = SnapshotUpdatesMachine,
        book_machine: str = "",
        new_memory: Callable[[], Memory] | None = None,
        reach: Callable[[Source, Mapping[str, str]], Transport] | None = None,
    ) -> Source:
        """The source of a specification, whoever made its dialects."""
        return cls(
            name=spec.name,
            venue=spec.venue or spec.name,
            endpoints=spec.endpoints,
            limits=spec.limits,
            heartbeat=spec.heartbeat,
            discovery=discovery,
            dialects=dialects,
            book_machine=book_machine,
            new_book=new_book,
            quirks=spec.notes,
            spec=spec,
            new_memory=new_memory,
            sign_in=spec.sign_in,
            reach=reach,
        )

    def discovery_at(self, time_ns: int) -> Discovery:
        """How the venue listed its instruments at a time."""
        return self.dialect_at(time_ns).discovery or self.discovery

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
