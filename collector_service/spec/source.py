"""A source as a whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from collector_service.spec.books import Books
from collector_service.spec.dialect import Dialect


class Channel(Enum):
    """What can be subscribed to."""

    TRADES = "trades"
    QUOTES = "quotes"
    BOOKS = "books"
    NOTICES = "notices"


class SourceKind(Enum):
    """What kind of place it is."""

    EXCHANGE = "exchange"
    CHAIN = "chain"
    TRADITIONAL = "traditional"
    ALTERNATIVE = "alternative"


class Verification(Enum):
    """How it is known that a source reads what its venue says; the documentation's table shows it."""

    RECORDING = "recording"
    """Frames that the venue sent."""
    FIXTURE = "documentation fixture"
    """Examples in the venue's own documentation."""
    MOCK = "mock"
    """A venue made from the specification itself."""
    ADAPTER = "adapter"
    """Read by another library."""
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Base addresses, without a trailing slash."""

    websocket: str
    rest: str
    sandbox_websocket: str = ""
    sandbox_rest: str = ""
    origin: str = ""
    """What the venue wants to read in the header Origin of a WebSocket's request."""
    headers: tuple[tuple[str, str], ...] = ()
    """Of requests behind the REST address, names and values; `{secret:NAME}` in them is filled in from the environment. Requests that have any
    follow no redirection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A token that is asked for by POST before anything else, and again before it ends or when a request is refused with it (401). In addresses,
    headers and what is said it is `{secret:NAME}` as any other secret."""

    path: str
    """Behind the REST address, or a whole address."""
    body: Mapping[str, Any]
    """What is sent, as JSON; `{secret:NAME}` in its texts is filled in from the environment."""
    secret: str
    """The NAME that it becomes."""
    client: tuple[str, str] | None = None
    """The name and the secret of a client, with their places for secrets, where they prove who asks as RFC 6749 has it (2.3.1, 4.4); what is sent is
    a form then."""
    token: str = "access_token"  # noqa: S105 - where it is
    """Where the answer has it: a name of its object."""
    expires: str = ""
    """Where the answer has the seconds it holds for; empty: it does not tell."""
    lifetime_s: float = 3_600.0
    """After so long it is asked for anew, where the answer does not tell; somewhat less than the venue grants."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the venue allows. Sources: the venues' documentation."""

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


FIAT: Final = frozenset(
    "AED ARS AUD BRL CAD CHF CLP CNY COP CZK DKK EUR GBP HKD HUF IDR ILS INR JPY KRW MXN MYR NGN NOK NZD PEN PHP PLN RON RUB SAR SEK SGD THB "  # noqa: SIM905
    "TRY TWD UAH USD VND ZAR".split()
)
"""ISO 4217 codes that are money where a venue says nothing else; shorter than ISO's list, since many codes are coins as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """A source: everything there is to know of it."""

    name: str
    """Capitals, digits and underscores."""
    title: str
    kind: SourceKind
    documentation: str
    """Where the venue documents what is read here."""
    read_on: str
    """The day the documentation was read, or the state of it that a recording has: ISO 8601."""
    terms: str
    """What the venue's terms say of this data, in a sentence."""
    verified: frozenset[Verification]
    endpoints: Endpoints
    limits: Limits
    heartbeat: Heartbeat
    dialects: tuple[Dialect, ...]
    """Oldest first; the last one serves live connections."""
    books: Books | None = None
    """How its books are kept; None for a source without any."""
    aliases: tuple[str, ...] = ()
    """Other names that people call it by, such as that of before."""
    venue: str = ""
    """The code its listings bear; empty: its name."""
    fiat: frozenset[str] = FIAT
    """Codes that are ISO 4217 currencies here."""
    codes: Mapping[str, str] = field(default_factory=dict)
    """The venue's own codes of assets, and everybody else's."""
    sign_in: SignIn | None = None
    """None where keys are enough, or nothing is wanted."""
    discover: Callable[[Any], Awaitable[Any]] | None = None
    """In the place of `instruments`, where what is asked follows from what was answered: `Discovery.ask` of the source."""
    notes: tuple[str, ...] = ()
    """What surprises, a sentence each; and why a hook is needed."""
