"""The instruments and listings that a line of a venue's list comes to, as the registry knows them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.currencies import METALS
from alphapulse.domain.identifiers import Level, Scheme
from alphapulse.domain.identity import mint_instrument_id, mint_listing_id
from alphapulse.domain.ids import InstrumentId
from alphapulse.domain.instruments import (
    CurrencyDetails,
    CurrencyKind,
    EquityDetails,
    EtfDetails,
    FutureDetails,
    IdentifierAssertion,
    IndexDetails,
    Instrument,
    Listing,
    OptionDetails,
    PairDetails,
    PerpetualDetails,
    PoolDetails,
    TokenDetails,
)
from collector_service.listings import ContractTerms, IndexTerms, PoolTerms, SecurityTerms, TokenTerms, VenueSymbol

_CODE: Final = re.compile(r"[A-Z0-9]{1,20}")
NO_CURRENCY: Final = "XXX"
"""ISO 4217 for what is in no currency: the listing of an index needs one."""


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
