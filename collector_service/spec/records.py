"""Which message becomes which record, and from which fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from collector_service.spec.fields import (
    Amount,
    Choice,
    Requested,
    Side,
    SideField,
    SignedSide,
    SymbolField,
    Text,
    TextField,
    Time,
)

REQUESTED: Final = Requested()
BID: Final = 1
ASK: Final = 2
Each = str | tuple[str, ...]
"""Where the items are that are records of their own. A path that ends with `.*` means the values of an object, each of which has its name at
`@name`. Of several paths each begins at the items of the one before; `.` is the item itself."""
Where = Mapping[str, str | tuple[str, ...]]
"""By path the words that a message has to have; another one is passed over in silence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A trade, or one for each item at `each`."""

    symbol: SymbolField
    price: Amount
    size: Amount | None = None
    """None where the venue tells prices alone: it is marked absent."""
    side: Side | SignedSide | None = None
    """The aggressor's."""
    trade_id: str | Text | None = None
    time: Time | None = None
    each: Each = ""
    where: Where = field(default_factory=dict)
    unless: Where = field(default_factory=dict)
    """Messages that have one of these words are passed over."""
    having: str = ""
    """A path that has to be there: messages without it are of another record."""
    lacking: str = ""
    """A path that must not be there."""
    repeats: bool = False
    """The venue sends trades again at a new subscription: one whose number was given already is passed over; without numbers, one whose time
    was."""
    newest_first: bool = False
    """The list at `each` begins with the newest trade: it is read from its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The best bid and offer."""

    symbol: SymbolField
    bid: Amount
    ask: Amount
    bid_size: Amount | None = None
    ask_size: Amount | None = None
    time: Time | None = None
    each: Each = ""
    where: Where = field(default_factory=dict)
    unless: Where = field(default_factory=dict)
    """Messages that have one of these words are passed over."""
    having: str = ""
    """A path that has to be there: messages without it are of another record."""
    lacking: str = ""
    """A path that must not be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Price levels in a list. With the path `.` the record itself is one level."""

    path: str
    side: SideField
    price: Amount = "[0]"
    size: Amount | None = "[1]"
    """None, or 0 in a message: the level is gone."""
    id: str | None = None
    """The venue's number of the level, by which later messages name it without its price."""
    offset: str | None = None
    """The number from which on it holds: an older one does not replace it."""
    symbol: str | None = None
    """Where the levels of one message are of several instruments."""
    time: Time | None = None
    """Where a message has no time of its own: the latest of its levels'."""
    gone: Where = field(default_factory=dict)
    """Levels that have these words are gone, whatever their size."""
    where: Where = field(default_factory=dict)
    unless: Where = field(default_factory=dict)
    """Levels that have one of these words are none, such as market orders at a price of 0: passed over."""


def sides(bids: str, asks: str, **fields: Any) -> tuple[Levels, Levels]:
    """Two lists, bids and asks."""
    return Levels(path=bids, side=BID, **fields), Levels(path=asks, side=ASK, **fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class _BookRecord:
    levels: tuple[Levels, ...]
    symbol: SymbolField = REQUESTED
    last: str | None = None
    """The number of its last change, or of the message."""
    first: str | None = None
    previous: str | None = None
    """The number of the message before."""
    checksum: str | None = None
    time: Time | None = None
    depth: Text | int | None = None
    """Levels a side that the venue sends."""
    each: Each = ""
    where: Where = field(default_factory=dict)
    having: str = ""
    """A path that has to be there: messages without it are of another record."""
    lacking: str = ""
    """A path that must not be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookSnapshot(_BookRecord):
    """A whole book."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookUpdate(_BookRecord):
    """A change of a book."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """A figure of an instrument: see StatisticKind in the API. Where its value may be absent and is, there is none."""

    symbol: SymbolField
    kind: int
    value: Amount
    absent: tuple[str, ...] = ()
    """Words in the place of the value that say there is none."""
    effective: Time | None = None
    """The time it holds for."""
    repeats: bool = False
    """The venue gives the same figures at every request: one that was given with this value and these times is passed over."""
    time: Time | None = None
    each: Each = ""
    where: Where = field(default_factory=dict)
    having: str = ""
    """A path that has to be there: messages without it are of another record."""
    lacking: str = ""
    """A path that must not be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The listings that a notice is about, by the words a message has for them. A word that no listing bears is counted, and stays a word."""

    words: TextField
    """A word; of several each."""
    each: str = ""
    """Where several are; `words` begins at each of them then."""
    separator: str = ""
    """What stands between several in one text."""
    by: str = ""
    """The name in the listings' `extras` under which they have the word: several may. Empty: it is a symbol, or another spelling of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that was published: see Notice in the API. Every item at `each` is read for itself: one that cannot be read costs no other. What was
    given already, as it is, is passed over."""

    symbol: SymbolField
    """The listing of the feed."""
    kind: int
    """See NoticeKind in the API."""
    id: TextField
    """The source's own id of what was published."""
    headline: TextField
    link: TextField | None = None
    subject: TextField | None = None
    """Whom or what it is about. None: the words of `about`."""
    about: About | None = None
    category: TextField | None = None
    """The source's own word for what it is."""
    unit: TextField | None = None
    actual: Amount | None = None
    forecast: Amount | None = None
    previous: Amount | None = None
    """None, and nothing at their paths: there is none."""
    sentiment: str | None = None
    """A number in the source's own scale."""
    importance: Choice | None = None
    """To NoticeImportance of the API."""
    effective: Time | None = None
    """The time it is about."""
    time: Time | None = None
    """When it was published."""
    apart: TextField | None = None
    """What tells tellings of one document apart that are no revisions of each other, such as the parties of a filing."""
    latest: bool = False
    """An answer holds the latest alone: where it has nothing in common with those before, what stood between is lost, and told as a gap."""
    newest_first: bool = False
    """The list at `each` begins with what was published last: it is read from its end."""
    each: Each = ""
    where: Where = field(default_factory=dict)
    unless: Where = field(default_factory=dict)
    having: str = ""
    """A path that has to be there: messages without it are of another record."""
    lacking: str = ""
    """A path that must not be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A change of the trading status: the words are translated to TradingState of the API."""

    symbol: SymbolField
    state: Choice
    time: Time | None = None
    each: Each = ""
    where: Where = field(default_factory=dict)
    having: str = ""
    """A path that has to be there: messages without it are of another record."""
    lacking: str = ""
    """A path that must not be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookDepth:
    """How many levels a side the venue will send."""

    symbol: SymbolField
    depth: Text
    each: Each = ""
    where: Where = field(default_factory=dict)
    having: str = ""
    lacking: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the venue wants to hear back. `{path}` in a text stands for the message's own value, numbers as numbers."""

    template: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Learn:
    """A connection's numbers: from now on `key` stands for this channel and symbol."""

    key: str
    channel: str
    symbol: SymbolField


@dataclass(frozen=True, slots=True)
class Hook:
    """What cannot be said as data: `emit` takes what `decode` makes of the frame, and the emitter."""

    decode: Callable[[Any], Any]
    emit: Callable[[Any, Any], None]
    book: bool = False
    """It changes books."""
    write: Callable[[Any], Any] | None = None
    """The way back, for the mock venue: of an event of `collector_service.mock.events` the message that tells it, None where it cannot."""


Record = Trade | Quote | BookSnapshot | BookUpdate | Statistic | Notice | Status | BookDepth | Reply | Learn | Hook
