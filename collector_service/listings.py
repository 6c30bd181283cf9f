"""What a source knows of its venue's listings: the venue's spellings, the identities behind them, their keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.currencies import METALS
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.identifiers import Level, Scheme
from alphapulse.domain.identity import mint_instrument_id, mint_listing_id
from alphapulse.domain.ids import InstrumentId, ListingId, mint
from alphapulse.domain.instruments import (
    CurrencyDetails,
    CurrencyKind,
    EquityDetails,
    EtfDetails,
    ExerciseStyle,
    FutureDetails,
    IdentifierAssertion,
    IndexDetails,
    Instrument,
    Listing,
    ListingStatus,
    OptionDetails,
    OptionRight,
    PairDetails,
    PerpetualDetails,
    PoolDetails,
    TokenDetails,
    TradingRules,
)

_KEY_BYTES: Final = 8
_CODE: Final = re.compile(r"[A-Z0-9]{1,20}")
NO_CURRENCY: Final = "XXX"
"""ISO 4217 for what is in no currency: the listing of an index needs one."""


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


def currency(code: str, *, fiat: bool, source: str = "") -> Instrument:
    """The currency or coin behind a code, its id minted."""
    kind = (CurrencyKind.METAL if code in METALS else CurrencyKind.FIAT) if fiat else CurrencyKind.CRYPTO
    made = Instrument(AssetClass.CURRENCY, code, CurrencyDetails(code, kind), source=source)
    return replace(made, id=mint_instrument_id(made))


def pair_class(entry: VenueSymbol) -> AssetClass:
    """Two fiat currencies are an FX pair."""
    return AssetClass.FX_PAIR if len(entry.fiat & {entry.base, entry.quote}) == 2 else AssetClass.SPOT_PAIR


def pair_of(entry: VenueSymbol, source: str = "") -> Instrument:
    """The pair a line lists, its id minted."""
    base = currency(entry.base, fiat=entry.base in entry.fiat)
    quote = currency(entry.quote, fiat=entry.quote in entry.fiat)
    made = Instrument(pair_class(entry), entry.pair, PairDetails(base.id, quote.id), source=source)
    return replace(made, id=mint_instrument_id(made))


def instrument_of(entry: VenueSymbol, venue: str, source: str = "") -> Instrument:
    """What a line lists, its id minted: the pair, a derivative of it, an index, a pool or a security."""
    if entry.index is not None:
        return index_of(entry, entry.index, venue, source)
    if entry.pool is not None:
        ids = tuple(one for one in (token_of(token).id for token in entry.pool.tokens) if one is not None)
        return pool_pair_of(entry, entry.pool, ids, source)
    if entry.security is not None:
        return security_of(entry, entry.security, venue, source)
    terms = entry.contract
    if terms is None:
        return pair_of(entry, source)
    settlement = currency(terms.settle, fiat=terms.settle in entry.fiat).id
    return derivative(entry, terms, venue, underlying_of(entry).id, settlement, source)


def underlying_of(entry: VenueSymbol, source: str = "") -> Instrument:
    """What the contract that a line lists is of, its id minted: a pair, the price of a product, which is an index that its exchange determines, or a
    future."""
    if entry.on is not None:
        return instrument_of(entry.on, "", source)
    if entry.product is None:
        return pair_of(entry, source)
    terms = entry.product
    named = IdentifierAssertion(Scheme.TICKER, terms.symbol, Level.LISTING, venue=terms.mic, source=source)
    made = Instrument(AssetClass.INDEX, terms.name, IndexDetails(entry.quote, terms.mic), (named,), source=source)
    return replace(made, id=mint_instrument_id(made))


def index_of(entry: VenueSymbol, terms: IndexTerms, venue: str, source: str = "") -> Instrument:
    """The index a line lists, its id minted. It is known by its ticker at the venue."""
    named = IdentifierAssertion(Scheme.TICKER, entry.symbol, Level.LISTING, venue=venue, source=source)
    details = IndexDetails("" if entry.quote == NO_CURRENCY else entry.quote, terms.provider)
    made = Instrument(AssetClass.INDEX, terms.name, details, (named,), source=source)
    return replace(made, id=mint_instrument_id(made))


def token_of(terms: TokenTerms, source: str = "") -> Instrument:
    """A token, its id minted: by chain and address, whatever it calls itself. The chain's own coin is the currency it is everywhere."""
    if not terms.address:
        return currency(terms.symbol, fiat=False, source=source)
    details = TokenDetails(terms.chain, terms.address, terms.decimals, terms.symbol)
    made = Instrument(AssetClass.TOKEN, terms.symbol, details, source=source)
    return replace(made, id=mint_instrument_id(made))


def pool_of(entry: VenueSymbol, terms: PoolTerms, asset_ids: tuple[InstrumentId, ...], source: str = "") -> Instrument:
    """The pool of these tokens, its id minted."""
    details = PoolDetails(terms.chain, terms.address, asset_ids, terms.fee_pips, terms.protocol)
    name = "/".join(token.symbol for token in terms.tokens) if terms.is_shared else entry.pair
    made = Instrument(AssetClass.POOL, f"{name} {terms.protocol}", details, source=source)
    return replace(made, id=mint_instrument_id(made))


def pool_pair_of(
    entry: VenueSymbol, terms: PoolTerms, asset_ids: tuple[InstrumentId, ...], source: str = ""
) -> Instrument:
    """What a line of a pool lists, its id minted: the pool; of one with more than two tokens the pair of two of them."""
    if not terms.is_shared:
        return pool_of(entry, terms, asset_ids, source)
    base, quote = terms.pair
    made = Instrument(AssetClass.SPOT_PAIR, entry.pair, PairDetails(asset_ids[base], asset_ids[quote]), source=source)
    return replace(made, id=mint_instrument_id(made))


def security_of(entry: VenueSymbol, terms: SecurityTerms, venue: str, source: str = "") -> Instrument:
    """The security a line lists, its id minted. It is known by its ticker at its exchange, and by the identifiers that the list tells."""
    named = (
        *(IdentifierAssertion(scheme, value, level, source=source) for scheme, level, value in terms.identifiers),
        IdentifierAssertion(Scheme.TICKER, entry.symbol, Level.LISTING, venue=entry.place(venue), source=source),
    )
    details = (EtfDetails if terms.kind is AssetClass.ETF else EquityDetails)(entry.quote, terms.country)
    made = Instrument(terms.kind, terms.name, details, named, source=source)
    return replace(made, id=mint_instrument_id(made))


def derivative(
    entry: VenueSymbol,
    terms: ContractTerms,
    venue: str,
    underlying_id: InstrumentId | None,
    settlement_id: InstrumentId | None,
    source: str = "",
) -> Instrument:
    """The derivative with these terms of an instrument, its id minted. Raises InvalidArgument where the terms are not complete."""
    details: FutureDetails | PerpetualDetails | OptionDetails
    series = entry.product.symbol if entry.product is not None else ""
    if terms.kind is AssetClass.PERPETUAL:
        details = PerpetualDetails(underlying_id, settlement_id, terms.size, venue, terms.inverse)
        name = f"{entry.pair} perpetual"
    elif terms.kind is AssetClass.OPTION:
        details = OptionDetails(
            underlying_id,
            terms.expiry,
            terms.strike,
            terms.right,
            terms.style,
            terms.size,
            settlement_id,
            entry.place(venue),
            series,
        )
        right = terms.right.name.lower() if terms.right is not None else ""
        name = f"{entry.pair} {_day(terms)} {terms.strike} {right}"
    else:
        details = FutureDetails(
            underlying_id, series, terms.expiry, settlement_id, terms.size, entry.place(venue), terms.inverse
        )
        name = f"{entry.pair} {_day(terms)}"
    made = Instrument(terms.kind, name, details, source=source)
    return replace(made, id=mint_instrument_id(made))


def _day(terms: ContractTerms) -> str:
    return terms.expiry.date().isoformat() if terms.expiry is not None else ""


def listing_of(entry: VenueSymbol, venue: str, source: str = "") -> Listing:
    """The listing a line describes, its id minted."""
    instrument_id = instrument_of(entry, venue).id
    assert instrument_id is not None  # instrument_of mints it
    listing_id = mint_listing_id(entry.place(venue), entry.symbol, instrument_id)
    return replace(unnamed_listing(entry, venue, source), instrument_id=instrument_id, id=listing_id)


def unnamed_listing(entry: VenueSymbol, venue: str, source: str = "") -> Listing:
    """The listing a line describes, without ids."""
    return Listing(
        venue=entry.place(venue),
        symbol=entry.symbol,
        currency=_listed_in(entry),
        status=entry.status,
        rules=entry.rules,
        source=source,
    )


def _listed_in(entry: VenueSymbol) -> str:
    """The code of what prices are in. A token may call itself what no code is (USDC.e): its listing is in none, and the pool names it."""
    return entry.quote if entry.pool is None or _CODE.fullmatch(entry.quote) else NO_CURRENCY


def unknown_key(venue: str, symbol: str) -> int:
    """The key that events of a symbol bear which no list names: the same in every process, and never a listing's."""
    return int.from_bytes(mint(f"unlisted|{venue}|{symbol}")[:_KEY_BYTES], "big")


class ListingIndex:
    """From a venue's spelling to the listing's key. Keys are minted here until the registry has said otherwise."""

    def __init__(self, venue: str) -> None:
        self.version = 0
        """Rises whenever a spelling may have another key."""
        self._venue = venue
        self._entries: dict[str, VenueSymbol] = {}
        self._ids: dict[str, ListingId] = {}
        self._keys: dict[str, int] = {}
        self._spellings: dict[str, str] = {}
        self._bearers: dict[str, dict[str, list[int]]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[VenueSymbol]:
        return iter(self._entries.values())

    def learn(self, entries: Iterable[VenueSymbol], registered: Mapping[str, ListingId] | None = None) -> None:
        """Adds lines of the venue's list. `registered` has the ids the registry gave, by symbol."""
        self.version += 1
        for entry in entries:
            listing_id = (registered or {}).get(entry.symbol) or listing_of(entry, self._venue).id
            assert listing_id is not None  # listing_of mints it
            self._bearers.clear()
            self._entries[entry.symbol] = entry
            self._ids[entry.symbol] = listing_id
            # An alias never hides a listing's own symbol.
            for spelling in entry.aliases:
                if spelling not in self._entries:
                    self._keys[spelling] = listing_id.key
                    self._spellings[spelling] = entry.symbol
            self._keys[entry.symbol] = listing_id.key
            self._spellings[entry.symbol] = entry.symbol

    def key(self, spelling: str) -> int | None:
        """The key behind a spelling, None for one that no list names."""
        return self._keys.get(spelling)

    def bearing(self, name: str, value: str) -> list[int]:
        """The keys of the listings that have this value in their `extras` under a name: one company may have several."""
        if name not in self._bearers:
            made = self._bearers[name] = {}
            for symbol, entry in self._entries.items():
                if name in entry.extras:
                    made.setdefault(entry.extras[name], []).append(self._ids[symbol].key)
        return self._bearers[name].get(value, [])

    def id_of(self, symbol: str) -> ListingId | None:
        """The listing's id by its symbol."""
        return self._ids.get(symbol)

    def entry(self, spelling: str) -> VenueSymbol | None:
        """The line of the list behind a spelling."""
        return self._entries.get(self._spellings.get(spelling, ""))

    def symbol_of_key(self, key: int) -> str | None:
        """The symbol behind a key; for reports, not for the data path."""
        return next((symbol for symbol, listing_id in self._ids.items() if listing_id.key == key), None)
