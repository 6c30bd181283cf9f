"""Instruments, listings and the identifiers asserted of them, as values.

They hold what a request or a row says, complete or not: `alphapulse.domain.validation` lists everything that is wrong
with one at once, `alphapulse.domain.identity` gives its canonical text. An absent text is "", an absent anything else
None. Times are aware datetimes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum
from typing import Final, NamedTuple

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.identifiers import Identifier, Level, Scheme, parse
from alphapulse.domain.ids import InstrumentId, ListingId


class InstrumentStatus(IntEnum):
    """Whether an instrument exists. Numbers equal the API's enum."""

    ACTIVE = 1
    PENDING = 2
    EXPIRED = 3
    RETIRED = 4


class ListingStatus(IntEnum):
    """Whether a listing trades. Numbers equal the API's enum."""

    TRADING = 1
    HALTED = 2
    PENDING = 3
    DELISTED = 4


class CurrencyKind(IntEnum):
    """What sort of currency it is. Numbers equal the API's enum."""

    FIAT = 1
    CRYPTO = 2
    METAL = 3


class OptionRight(IntEnum):
    """The right an option gives. Numbers equal the API's enum."""

    CALL = 1
    PUT = 2


class ExerciseStyle(IntEnum):
    """When an option can be exercised. Numbers equal the API's enum."""

    AMERICAN = 1
    EUROPEAN = 2


class IdentifierAssertion(NamedTuple):
    """The claim that an identifier names something from `valid_from` (inclusive) to `valid_to` (exclusive).

    A named tuple, because an instrument has several: it is made in a fifth of a frozen dataclass's time.
    `venue` is where a ticker or exchange symbol is spelled so; `source` says who claims it; `beside` that it is borne although
    another name of the instrument contradicts it, because a person decided so.
    """

    scheme: Scheme
    value: str
    level: Level = Level.INSTRUMENT
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    source: str = ""
    venue: str = ""
    beside: bool = False

    def identifier(self, field: str = "value") -> Identifier:
        """The value as a validated identifier; InvalidArgument names `field`."""
        return parse(self.scheme, self.value, field)


@dataclass(frozen=True, slots=True)
class EquityDetails:
    """A share class: ISO 4217 currency, ISO 3166 country of the issuer, sector and industry in the source's words."""

    currency: str = ""
    country: str = ""
    sector: str = ""
    industry: str = ""
    issuer_lei: str = ""


@dataclass(frozen=True, slots=True)
class EtfDetails:
    """An exchange traded fund and the index it follows."""

    currency: str = ""
    country: str = ""
    index_id: InstrumentId | None = None
    issuer_lei: str = ""


@dataclass(frozen=True, slots=True)
class FundDetails:
    """A fund that is not listed."""

    currency: str = ""
    country: str = ""
    issuer_lei: str = ""


@dataclass(frozen=True, slots=True)
class BondDetails:
    """Debt: yearly coupon in percent of face value; no maturity means perpetual."""

    currency: str = ""
    coupon: ExactDecimal | None = None
    maturity: date | None = None
    face_value: ExactDecimal | None = None
    issuer_lei: str = ""


@dataclass(frozen=True, slots=True)
class IndexDetails:
    """A calculated number, and who calculates it."""

    currency: str = ""
    provider: str = ""


@dataclass(frozen=True, slots=True)
class CurrencyDetails:
    """A currency or coin by its code; `minor_units` is the digits after the point."""

    code: str = ""
    kind: CurrencyKind | None = None
    minor_units: int | None = None


@dataclass(frozen=True, slots=True)
class PairDetails:
    """Base priced in quote, for FX_PAIR and SPOT_PAIR."""

    base_id: InstrumentId | None = None
    quote_id: InstrumentId | None = None


@dataclass(frozen=True, slots=True)
class TokenDetails:
    """An asset at an address of a CAIP-2 chain. `decimals` as the chain answers, None until it was asked."""

    chain: str = ""
    address: str = ""
    decimals: int | None = None
    symbol: str = ""


@dataclass(frozen=True, slots=True)
class PoolDetails:
    """A liquidity pool: its assets in the pool's order, its fee in hundredths of a basis point."""

    chain: str = ""
    address: str = ""
    asset_ids: tuple[InstrumentId, ...] = ()
    fee_pips: int = 0
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class LpTokenDetails:
    """A share of a pool."""

    pool_id: InstrumentId | None = None
    chain: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class FutureDetails:
    """A future series. A known day without a time is its midnight, UTC. Inverse: worth a fixed amount of quote."""

    underlying_id: InstrumentId | None = None
    series: str = ""
    expiry: datetime | None = None
    settlement_id: InstrumentId | None = None
    contract_size: ExactDecimal | None = None
    venue: str = ""
    inverse: bool = False


@dataclass(frozen=True, slots=True)
class PerpetualDetails:
    """A perpetual swap of one venue."""

    underlying_id: InstrumentId | None = None
    settlement_id: InstrumentId | None = None
    contract_size: ExactDecimal | None = None
    venue: str = ""
    inverse: bool = False


@dataclass(frozen=True, slots=True)
class OptionDetails:
    """An option series. A known day without a time is its midnight, UTC. `series` is the root it is listed under (SPXW
    beside SPX); where it is empty, that of the option's OCC symbol counts."""

    underlying_id: InstrumentId | None = None
    expiry: datetime | None = None
    strike: ExactDecimal | None = None
    right: OptionRight | None = None
    style: ExerciseStyle | None = None
    contract_size: ExactDecimal | None = None
    settlement_id: InstrumentId | None = None
    venue: str = ""
    series: str = ""


@dataclass(frozen=True, slots=True)
class SyntheticDetails:
    """A synthetic by its name in the synthetic registry."""

    name: str = ""


Details = (
    EquityDetails
    | EtfDetails
    | FundDetails
    | BondDetails
    | IndexDetails
    | CurrencyDetails
    | PairDetails
    | TokenDetails
    | PoolDetails
    | LpTokenDetails
    | FutureDetails
    | PerpetualDetails
    | OptionDetails
    | SyntheticDetails
)

DETAILS_OF: Final[dict[AssetClass, type[Details]]] = {
    AssetClass.EQUITY: EquityDetails,
    AssetClass.ETF: EtfDetails,
    AssetClass.FUND: FundDetails,
    AssetClass.BOND: BondDetails,
    AssetClass.INDEX: IndexDetails,
    AssetClass.CURRENCY: CurrencyDetails,
    AssetClass.FX_PAIR: PairDetails,
    AssetClass.SPOT_PAIR: PairDetails,
    AssetClass.TOKEN: TokenDetails,
    AssetClass.POOL: PoolDetails,
    AssetClass.LP_TOKEN: LpTokenDetails,
    AssetClass.FUTURE: FutureDetails,
    AssetClass.PERPETUAL: PerpetualDetails,
    AssetClass.OPTION: OptionDetails,
    AssetClass.SYNTHETIC: SyntheticDetails,
}


@dataclass(frozen=True, slots=True)
class Instrument:
    """The thing that is fungible. `id` is None until it is minted; `asset_class` None where a request left it out."""

    asset_class: AssetClass | None
    name: str
    details: Details | None
    identifiers: tuple[IdentifierAssertion, ...] = ()
    status: InstrumentStatus = InstrumentStatus.ACTIVE
    id: InstrumentId | None = None
    source: str = ""
    successor_ids: tuple[InstrumentId, ...] = ()


@dataclass(frozen=True, slots=True)
class TickTier:
    """The tick of prices from one price on, inclusive, up to where the next tier begins."""

    from_price: ExactDecimal
    tick_size: ExactDecimal


@dataclass(frozen=True, slots=True)
class TradingRules:
    """What orders must keep to. None: not known; for the multiplier (units of the instrument a unit of size is): 1."""

    tick_size: ExactDecimal | None = None
    lot_size: ExactDecimal | None = None
    min_size: ExactDecimal | None = None
    max_size: ExactDecimal | None = None
    min_notional: ExactDecimal | None = None
    multiplier: ExactDecimal | None = None
    tick_tiers: tuple[TickTier, ...] = ()
    """Where the tick depends on the price, by rising price; never together with tick_size. See `trading_rules.tick_at`."""
    max_notional: ExactDecimal | None = None
    contract_size: ExactDecimal | None = None
    """Units of the underlying a contract stands for on this venue. None: the instrument's own."""
    effective_from: datetime | None = None
    """When they took or take effect. None: since the listing is known."""


@dataclass(frozen=True, slots=True)
class ListingFees:
    """Fees in basis points where they differ from the venue's schedule; a negative maker fee is a rebate."""

    maker_bps: ExactDecimal | None = None
    taker_bps: ExactDecimal | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """An instrument on a venue, in a currency, under a symbol. `id` is None until it is minted."""

    venue: str
    symbol: str
    currency: str
    instrument_id: InstrumentId | None = None
    id: ListingId | None = None
    status: ListingStatus = ListingStatus.TRADING
    rules: TradingRules = TradingRules()
    fees: ListingFees | None = None
    definition_version: int = 1
    primary: bool = False
    source: str = ""
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    upcoming_rules: tuple[TradingRules, ...] = ()
    """Rules announced and not in force yet, by rising effective_from."""

    @property
    def key(self) -> int | None:
        """The first 64 bits of the id: what events carry as `listing_key`."""
        return self.id.key if self.id is not None else None
