"""How a venue lists its instruments: where the list is, and what its lines mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from collector_service.spec.body import Body
from collector_service.spec.fields import Choice, Const, Decimals, Join, Lookup, Match, Product, Scaled, Text, Time
from collector_service.spec.records import Where

LineText = str | Text | Join | Const | Match | Lookup
_LineNumber = str | Text | Decimals | Const | Product | Scaled
LineAmount = _LineNumber | tuple[_LineNumber, ...]
"""A path alone is a number, a Text is what is left of one; of several the first that the line has."""
Choices = Choice | tuple[Choice, ...]
"""Of several the first that knows the word."""
NOTHING: Final = Const("")
NO_CURRENCY: Final = Const("XXX")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The terms of a derivative."""

    kind: AssetClass | Choice
    """PERPETUAL, FUTURE or OPTION."""
    settle: LineText
    """Code of the currency that it settles in."""
    size: LineAmount | None = None
    inverse: bool | Choice = False
    """Whether it is worth an amount of the quote currency, paid in the base."""
    expiry: Time | None = None
    strike: LineAmount | None = None
    right: Choice | None = None
    """To "call" or "put"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What is no pair: a figure that somebody publishes, such as a consumer price index, a rate or a mood."""

    name: LineText
    provider: LineText
    """Who computes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """What is no pair: a share, or a share of a fund, at the exchange that lists it. Identifiers that are not there, or not valid, are left out:
    vendors write notes in their place."""

    name: LineText
    kind: AssetClass | Choice = AssetClass.EQUITY
    """EQUITY or ETF."""
    mic: LineText | Choice = NOTHING
    """Of the exchange, ISO 10383; a word that `Choice` does not know says nothing."""
    country: LineText = NOTHING
    isin: LineText = NOTHING
    cusip: LineText = NOTHING
    share_class_figi: LineText = NOTHING
    composite_figi: LineText = NOTHING
    figi: LineText = NOTHING
    """Of the listing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a list. Codes are taken in capitals."""

    symbol: LineText
    """The venue's exact spelling."""
    base: LineText = NOTHING
    quote: LineText = NO_CURRENCY
    """Of an index the currency it is computed in; ISO 4217 calls none XXX."""
    status: Choices | None = None
    """To a ListingStatus; without one it trades."""
    tick: LineAmount | None = None
    lot: LineAmount | None = None
    min_size: LineAmount | None = None
    max_size: LineAmount | None = None
    min_notional: LineAmount | None = None
    contract: Contract | None = None
    index: Index | None = None
    security: Security | None = None
    """Without these two it is a pair, or a contract on it."""
    aliases: tuple[LineText, ...] = ()
    """Other spellings of the same, on streams and in requests. `@base` and `@quote` are the codes as everybody writes them."""
    extras: Mapping[str, LineText] = field(default_factory=dict)
    """What templates and scales of this source need to know of it."""
    where: Where = field(default_factory=dict)
    """Lines that have other words are no instruments of this kind: passed over."""
    having: str = ""
    """A path that has to be there and not be empty."""
    like: Mapping[str, str] = field(default_factory=dict)
    """By path a regular expression that all of a text has to match: lines of other forms are passed over as those of `where`."""
    streamed: bool = True
    elsewhere: bool = False
    """Of a security that the list tells no identifiers of: it is looked up by its ticker at its exchange, as others registered it, and left out as
    long as nobody has. A claim by the ticker alone would be a collision case for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """A list and how its lines are read; several ways for lines of several kinds."""

    path: str = ""
    """Behind the REST address."""
    given: tuple[Mapping[str, str], ...] = ()
    """In the place of a path the lines themselves: what is chosen here, and not listed by the venue."""
    lines: tuple[Line, ...]
    """The first whose `where` holds reads a line."""
    body: Body = Body.JSON
    codes: Mapping[str, str] | None = None
    """The venue's own codes of assets in this list, where they are not those of the source."""
    each: str | tuple[str, ...] = ""
    """Where the lines are; of an object its values, each with its name under `@name`. Of several paths those that are there."""
    follow: str = ""
    """Another request for each line, `{line}` in its path; its answer is the line that is read."""
    then: str | None = None
    """Where the lines are in the answers of `follow`; None: such an answer is one line."""
    next: str = ""
    """Where an answer has the address of the list's next part, as long as there is one."""
    across: str = ""
    """The path of another list: every line of this one, `@line`, is an instrument with every line of that, `@across`."""
    post: Any = None
    """What is sent by POST; None: it is a GET. Behind a `#` in `path` stands what tells two such requests apart, and is not sent."""
