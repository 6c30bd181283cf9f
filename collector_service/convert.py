"""Between the API's messages and the collector's own values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_pb2, instrument_service_pb2
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.instruments import (
    CurrencyDetails,
    EquityDetails,
    EtfDetails,
    FutureDetails,
    IndexDetails,
    Instrument,
    Listing,
    OptionDetails,
    PairDetails,
    PerpetualDetails,
    PoolDetails,
    TokenDetails,
)

Entry = instrument_service_pb2.InstrumentEntry
"""One entry of a registration, opaque to the rest of the collector."""


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of one entry of a registration. `error` is empty when it is in the registry."""

    instrument_id: str
    listing_ids: tuple[str, ...]
    error: str
    new: bool


def entry(instrument: Instrument, listings: Iterable[Listing] = ()) -> Entry:
    """An instrument with its listings as a registration takes them: without ids, which the registry gives."""
    message = instrument_service_pb2.InstrumentEntry(listings=[_listing(listing) for listing in listings])
    assert instrument.asset_class is not None  # a source names the class of what it lists
    message.instrument.asset_class = common_pb2.AssetClass.ValueType(int(instrument.asset_class))
    message.instrument.name = instrument.name
    message.instrument.source = instrument.source
    for one in instrument.identifiers:
        message.instrument.identifiers.add(
            scheme=common_pb2.IdentifierScheme.ValueType(int(one.scheme)),
            value=one.value,
            level=common_pb2.IdentifierLevel.ValueType(int(one.level)),
            venue=one.venue,
            source=one.source,
        )
    match instrument.details:
        case CurrencyDetails(code=code, kind=kind):
            message.instrument.currency.code = code
            message.instrument.currency.kind = instrument_pb2.CurrencyKind.ValueType(int(kind or 0))
        case PairDetails(base_id=base, quote_id=quote):
            pair = instrument_pb2.PairDetails(base_id=str(base or ""), quote_id=str(quote or ""))
            which = "fx_pair" if instrument.asset_class.name == "FX_PAIR" else "spot_pair"
            getattr(message.instrument, which).CopyFrom(pair)
        case FutureDetails() | PerpetualDetails() | OptionDetails():
            _contract(message.instrument, instrument.details)
        case IndexDetails(currency=currency, provider=provider):
            message.instrument.index.currency, message.instrument.index.provider = currency, provider
        case TokenDetails(chain=chain, address=address, decimals=decimals, symbol=symbol):
            token = message.instrument.token
            token.chain, token.address, token.symbol = chain, address, symbol
            if decimals is not None:
                token.decimals = decimals
        case PoolDetails(chain=chain, address=address, asset_ids=asset_ids, fee_pips=fee, protocol=protocol):
            pool = message.instrument.pool
            pool.chain, pool.address, pool.fee_pips, pool.protocol = chain, address, fee, protocol
            pool.asset_ids.extend(map(str, asset_ids))
        case EquityDetails(currency=currency, country=country):
            message.instrument.equity.currency, message.instrument.equity.country = currency, country
        case EtfDetails(currency=currency, country=country):
            message.instrument.etf.currency, message.instrument.etf.country = currency, country
        case _:
            raise TypeError(f"a collector does not discover {type(instrument.details).__name__}")
    return message


def _contract(message: instrument_pb2.Instrument, details: FutureDetails | PerpetualDetails | OptionDetails) -> None:
    part = {FutureDetails: "future", PerpetualDetails: "perpetual", OptionDetails: "option"}[type(details)]
    made = getattr(message, part)
    made.underlying_id, made.settlement_id = str(details.underlying_id or ""), str(details.settlement_id or "")
    made.venue = details.venue
    _amount(made.contract_size, details.contract_size)
    if not isinstance(details, OptionDetails):
        made.inverse = details.inverse
    if not isinstance(details, PerpetualDetails):
        made.series = details.series
    if not isinstance(details, PerpetualDetails) and details.expiry is not None:
        made.expiry.FromDatetime(details.expiry)
    if isinstance(details, OptionDetails):
        _amount(made.strike, details.strike)
        made.right = instrument_pb2.OptionRight.ValueType(int(details.right or 0))
        made.style = instrument_pb2.ExerciseStyle.ValueType(int(details.style or 0))


def _amount(message: common_pb2.Decimal, value: ExactDecimal | None) -> None:
    if value is not None:
        message.CopyFrom(common_pb2.Decimal(mantissa=value.mantissa, exponent=value.exponent))


def results(response: instrument_service_pb2.RegisterInstrumentsResponse) -> list[Registered]:
    """What became of each entry."""
    created = instrument_service_pb2.REGISTRATION_OUTCOME_CREATED
    extended = instrument_service_pb2.REGISTRATION_OUTCOME_EXTENDED
    return [
        Registered(
            one.instrument_id,
            tuple(one.listing_ids),
            f"{one.error.reason}: {one.error.message}" if one.HasField("error") else "",
            one.outcome in (created, extended),
        )
        for one in response.results
    ]


def _listing(listing: Listing) -> instrument_pb2.Listing:
    message = instrument_pb2.Listing(
        venue=listing.venue,
        symbol=listing.symbol,
        currency=listing.currency,
        status=instrument_pb2.ListingStatus.ValueType(int(listing.status)),
        source=listing.source,
    )
    for name in ("tick_size", "lot_size", "min_size", "max_size", "min_notional"):
        value: ExactDecimal | None = getattr(listing.rules, name)
        if value is not None:
            getattr(message.rules, name).CopyFrom(common_pb2.Decimal(mantissa=value.mantissa, exponent=value.exponent))
    return message
