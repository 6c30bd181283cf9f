"""A format of a venue's messages: how their kinds are told apart, which become records, and what the venue is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from collector_service.spec.body import Body
from collector_service.spec.books import Books
from collector_service.spec.fields import Has, Learned, Listed, Nested, Text
from collector_service.spec.listing import Instruments
from collector_service.spec.records import BookSnapshot, Record


class Marker(Enum):
    """What a template of a message leaves open."""

    SYMBOL = "symbol"
    SYMBOLS = "symbols"
    CHANNEL = "channel"
    TOPIC = "topic"
    TOPICS = "topics"
    NUMBER = "number"
    UUID = "uuid"
    NOW = "now"


SYMBOL: Final = Marker.SYMBOL
SYMBOLS: Final = Marker.SYMBOLS
"""All symbols, of one channel."""
CHANNEL: Final = Marker.CHANNEL
TOPIC: Final = Marker.TOPIC
"""What `channels` says, its `{symbol}` filled in: one a message. As the key `...` of an object, its fields are put beside the others."""
TOPICS: Final = Marker.TOPICS
"""All of them in one list; one whose template has SYMBOLS is one for all symbols. As `{...: TOPICS}` in a list they stand among its items."""
NUMBER: Final = Marker.NUMBER
"""1, 2, 3 ..."""
UUID: Final = Marker.UUID
"""A new one."""
NOW: Final = Marker.NOW
"""Seconds since the Unix epoch, whole."""


@dataclass(frozen=True, slots=True)
class ForEach:
    """In the list that a message is: this template once for each channel, for venues that take all of them in one message."""

    template: Any


@dataclass(frozen=True, slots=True)
class Told:
    """The number that the connection gave a channel of the symbol, as `Learn` has it; where it gave none, the message is not said."""

    channel: str


class Compression(Enum):
    """What binary frames are."""

    NONE = "none"
    """Text."""
    GZIP = "gzip"
    DEFLATE = "deflate"
    """Without a header."""
    ZLIB = "zlib"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """The messages that subscribe. In texts `{symbol}`, `{lower}` (in small letters), `{base}`, `{quote}`, `{channel}` and the names of the
    listing's extras are filled in, in keys `{channel}`; `{symbols}` is all symbols of one channel with commas between, `{topics}` all topics."""

    message: Any
    channels: Mapping[Any, Any]
    """By Channel: what the venue calls it, as text or template, or a tuple of these where it has several."""
    first: tuple[Any, ...] = ()
    """What is said before anything else. `{secret:NAME}` in texts, here and in `message`, is filled in from the environment when it is sent."""
    after: str = ""
    """The kind of message that has to come before `message` is said: that the venue knows who we are."""
    spelling: str = "{symbol}"
    """How symbols are written here, where it is not the listing's own way."""
    at_once: int = 0
    """Symbols or topics in one message at most; 0: all of them."""
    resync: tuple[Any, ...] = ()
    """Messages that bring a book's snapshot again, in the place of `message`: unsubscribe and subscribe, mostly."""
    leave: tuple[Any, ...] | None = None
    """Messages that unsubscribe, in the place of `message`. None: the first of the two of `resync`, where it leaves open what `message` does."""
    replaces: bool = False
    """What is said takes the place of what was said before on the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestSnapshot:
    """A book that is fetched beside the stream."""

    path: str
    """Behind the REST address, with `{symbol}`, and names of the listing's extras."""
    record: BookSnapshot
    """Its symbol is that of the request, whatever it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """A request that is made again and again."""

    path: str
    """Behind the REST address. With `{symbol}` it is made for each symbol; `{secret:NAME}` is filled in from the environment, `SOURCE_NAME`;
    `{utc:%Y%m}` is the time of the request as `strftime` writes it, `{utc-30d:%Y-%m-%d}` that of thirty days before, `{utc+30d:...}` after."""
    every_s: float
    record: Record | tuple[Record, ...]
    """Of an answer to a request for a symbol, without a symbol of its own, it is that symbol's."""
    body: Body = Body.JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """An address that is asked for by POST before each connection, since it holds for one alone."""

    path: str
    """Behind the REST address."""
    url: str
    """Where to connect: `{data.token}` is what the answer has at this path, `{uuid}` a new one."""


KindPart = str | Text | Has | Learned | Nested | Listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A format, and from when to when (exclusive) the venue spoke it."""

    name: str
    kind: tuple[tuple[KindPart, ...], ...] | Callable[[bytes], str] = ()
    """How a message's kind is told: the first of these whose first part is there, its parts joined by `:`."""
    many: bool | Callable[[bytes], Sequence[bytes]] = False
    """A frame is a list of messages, each of a kind of its own; or what makes such a list of a frame."""
    routes: Mapping[str, Record | tuple[Record, ...]] = field(default_factory=dict)
    subscribe: Subscribe | None = None
    """None for a venue that has no stream: it is polled."""
    polls: tuple[Poll, ...] = ()
    silent: frozenset[str] = frozenset()
    """Kinds that carry no event: acknowledgements, heartbeats."""
    errors: frozenset[str] = frozenset({"error"})
    """Kinds that say the venue refuses something."""
    words: frozenset[str] = frozenset()
    """Frames that are a bare word, such as `pong`."""
    snapshot: RestSnapshot | None = None
    instruments: tuple[Instruments, ...] = ()
    books: Books | None = None
    """The machine that keeps its books, where that is not the source's."""
    marks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Where `kind` is a function: by kind, what stands at which path of its messages. For the mock venue, which writes them."""
    path: str = ""
    """Behind the WebSocket address. Names of the listing's extras in it, `/{socket}`, are filled in: a connection has symbols of one path alone.
    `{secret:NAME}` is filled in from the environment."""
    ticket: Ticket | None = None
    """Where the address to connect to is asked for, in the place of WebSocket address and `path`."""
    compression: Compression = Compression.NONE
    valid_from: datetime = field(default=datetime(1970, 1, 1, tzinfo=UTC))
    valid_to: datetime = field(default=datetime(9999, 1, 1, tzinfo=UTC))
