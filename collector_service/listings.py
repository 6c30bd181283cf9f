"""A line of a venue's list, and the terms it may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.identifiers import Level, Scheme
from alphapulse.domain.instruments import (
    ExerciseStyle,
    ListingStatus,
    OptionRight,
    TradingRules,
)


@dataclass(frozen=True, slots=True)
class ContractTerms:
    """What makes a listing a derivative of its pair."""

    kind: AssetClass
    """PERPETUAL, FUTURE or OPTION."""
    settle: str
    """Code of the currency that it settles in."""
    expiry: datetime | None = None
    size: ExactDecimal | None = None
    """What one contract is of, in the base; of an inverse one in the quote."""
    inverse: bool = False
    strike: ExactDecimal | None = None
    right: OptionRight | None = None
    style: ExerciseStyle = ExerciseStyle.EUROPEAN
    """Of an option."""


@dataclass(frozen=True, slots=True)
class ProductTerms:
    """What an exchange's contracts are of where that is no pair: ES, the price of an index, or CL, that of a barrel."""

    symbol: str
    """The root of its contracts, as the exchange writes it."""
    name: str
    mic: str
    """The exchange, ISO 10383: its contracts are listed there."""


@dataclass(frozen=True, slots=True)
class IndexTerms:
    """What makes a listing an index: a series of figures that is published, and no pair."""

    name: str
    provider: str


@dataclass(frozen=True, slots=True)
class TokenTerms:
    """A token of a chain, as its contract tells of itself."""

    chain: str
    """By CAIP-2."""
    address: str
    """Empty: the chain's own coin, which has no contract."""
    decimals: int
    symbol: str


@dataclass(frozen=True, slots=True)
class PoolTerms:
    """What makes a listing a liquidity pool of two tokens, or a pair of the tokens of one that has more."""

    chain: str
    address: str
    protocol: str
    fee_pips: int
    """Hundredths of a basis point; 0 where it can change, and what a swap cost is in its price."""
    tokens: tuple[TokenTerms, ...]
    """In the pool's order."""
    base: int
    """Which of them is the base, by its place."""
    quote: int | None = None
    """Which of them prices are in; None: the other one of two."""
    tick_spacing: int = 0
    """Of a pool of concentrated liquidity: ticks at which liquidity may begin or end are multiples of it. 0: not known."""

    @property
    def pair(self) -> tuple[int, int]:
        """The places of base and quote."""
        return self.base, 1 - self.base if self.quote is None else self.quote

    @property
    def is_shared(self) -> bool:
        """Whether the pool has several listings, one a pair of its tokens: none of them is the pool, whose price would be several."""
        return len(self.tokens) > 2


@dataclass(frozen=True, slots=True)
class SecurityTerms:
    """What makes a listing a share, or a share of a fund."""

    kind: AssetClass
    """EQUITY or ETF."""
    name: str
    mic: str = ""
    """The exchange that lists it, ISO 10383: its listing is there. Empty where nobody says: it is at the source's venue then."""
    country: str = ""
    identifiers: tuple[tuple[Scheme, Level, str], ...] = ()
    """Valid ones, beside its ticker."""


@dataclass(frozen=True, slots=True)
class VenueSymbol:
    """One line of a venue's instrument list, its names translated and its numbers exact."""

    symbol: str
    """The venue's exact spelling: the listing's symbol."""
    base: str
    quote: str
    """Codes in the platform's spelling: BTC, not XBT. Of an index the base is empty, and the quote what it is computed in, or XXX."""
    fiat: frozenset[str]
    """Which of the two codes are ISO 4217 currencies on this venue: MTL is a coin on Binance, and once was a lira."""
    rules: TradingRules = field(default_factory=TradingRules)
    status: ListingStatus = ListingStatus.TRADING
    aliases: tuple[str, ...] = ()
    """Other spellings the venue uses for it, on its streams or in its requests."""
    streamed: bool = True
    """False for what the venue lists and has no stream of, such as a dark pool."""
    contract: ContractTerms | None = None
    """None for the pair itself."""
    index: IndexTerms | None = None
    """None for a pair, and for a contract on one."""
    pool: PoolTerms | None = None
    """Base and quote are then what the tokens call themselves, which identifies nothing."""
    security: SecurityTerms | None = None
    """None for what is no share. Of a security the base is empty, and the quote the currency it trades in."""
    product: ProductTerms | None = None
    """What the contract is of where that is no pair. The base is empty then."""
    on: VenueSymbol | None = None
    """The future that an option is of: a line of the same list. The option's own product says under which root it is listed, and where."""
    extras: Mapping[str, str] = field(default_factory=dict)
    """What this source's templates and scales need to know of it."""
    elsewhere: bool = False
    """Somebody else registers it: this source knows it by its ticker alone."""

    @property
    def pair(self) -> str:
        """`BTC/USDT`; of an index or a security its symbol, of a contract on a product the product's."""
        if self.product is not None:
            return self.product.symbol
        return f"{self.base}/{self.quote}" if self.index is None and self.security is None else self.symbol

    def place(self, venue: str) -> str:
        """Where it is listed: at the venue whose list it is on, a security and a contract on a product at their exchange."""
        exchange = self.security or self.product
        return (exchange.mic if exchange is not None else "") or venue
