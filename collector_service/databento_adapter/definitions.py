"""From Databento's definitions of instruments to lines of a list: shares with their exchange, futures with what they are of, options on futures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers import Scheme, is_valid
from alphapulse.domain.instruments import ExerciseStyle, ListingStatus, OptionRight, TradingRules
from collector_service.databento_adapter import records
from collector_service.listings import ContractTerms, ProductTerms, SecurityTerms, VenueSymbol
from collector_service.source import InstrumentList
from collector_service.spec.source import FIAT

STOCK: Final = "K"
FUTURE: Final = "F"
_RIGHTS: Final = {"C": OptionRight.CALL, "P": OptionRight.PUT}
_STYLES: Final = {"A": ExerciseStyle.AMERICAN, "E": ExerciseStyle.EUROPEAN}
"""By the third letter of a CFI code, ISO 10962."""
_DELETED: Final = "D"
_NO_NUMBER: Final = 2**31 - 1
_NO_TIME: Final = 2**64 - 1
_NANOS: Final = 10**9


def instruments(definitions: Iterable[Any]) -> InstrumentList:
    """The list, of the library's InstrumentDefMsg; of a symbol the last one counts. What is none of a share, a future and an option on a future that
    is listed, such as a spread, is passed over; one that cannot be read is refused alone."""
    latest = {definition.raw_symbol: definition for definition in definitions}
    entries: dict[str, VenueSymbol] = {}
    refused: list[str] = []
    # Options name futures.
    for symbol, definition in sorted(latest.items(), key=lambda one: str(one[1].instrument_class) in _RIGHTS):
        try:
            kind = str(definition.instrument_class)
            if kind == STOCK:
                entries[symbol] = _share(definition)
            elif kind == FUTURE:
                entries[symbol] = _future(definition)
            elif kind in _RIGHTS:
                entries[symbol] = _option(definition, entries.get(definition.underlying))
        except (InvalidArgument, ValueError, OverflowError) as error:
            refused.append(f"{symbol}: {error}")
    return InstrumentList(tuple(entries.values()), tuple(refused))


def _share(told: Any) -> VenueSymbol:
    mic = told.exchange.upper()
    security = SecurityTerms(AssetClass.EQUITY, told.raw_symbol, mic if is_valid(Scheme.MIC, mic) else "")
    # Databento's data of shares are of the United States; a definition that names no currency is in dollars.
    currency = told.currency or "USD"
    return VenueSymbol(
        told.raw_symbol, "", currency, frozenset(FIAT), rules=_rules(told), status=_status(told), security=security
    )


def _future(told: Any) -> VenueSymbol:
    contract = ContractTerms(
        AssetClass.FUTURE, told.settl_currency or told.currency, expiry=_expiry(told), size=_size(told)
    )
    return _contract(told, contract)


def _option(told: Any, future: VenueSymbol | None) -> VenueSymbol:
    """What it is of is one future, so it has no size."""
    if future is None:
        raise InvalidArgument.field("underlying", told.underlying, "underlying-unknown", "a future of the same list")
    style = _STYLES.get(told.cfi[2:3])
    if style is None:
        raise InvalidArgument.field(
            "cfi", told.cfi, "option-style", "A for American or E for European, at its third place"
        )
    strike = _units(told.strike_price)
    if strike is None:
        raise InvalidArgument.field("strike_price", "", "field-missing", "an option has a strike")
    contract = ContractTerms(
        AssetClass.OPTION,
        told.settl_currency or told.currency,
        expiry=_expiry(told),
        strike=strike,
        right=_RIGHTS[str(told.instrument_class)],
        style=style,
    )
    return replace(_contract(told, contract), on=future)


def _contract(told: Any, contract: ContractTerms) -> VenueSymbol:
    mic = told.exchange.upper()
    if not is_valid(Scheme.MIC, mic):
        raise InvalidArgument.field("exchange", told.exchange, "mic", "the exchange of a contract, ISO 10383")
    if not told.asset:
        raise InvalidArgument.field("asset", "", "field-missing", "what the contract is of")
    if not told.currency:
        raise InvalidArgument.field("currency", "", "field-missing", "what its price is in")
    return VenueSymbol(
        told.raw_symbol,
        "",
        told.currency,
        frozenset(FIAT),
        rules=_rules(told),
        status=_status(told),
        contract=contract,
        product=ProductTerms(told.asset, told.asset, mic),
    )


def _rules(told: Any) -> TradingRules:
    tick = _units(told.min_price_increment)
    lot = told.min_lot_size_round_lot
    return TradingRules(
        tick_size=tick if tick is not None and tick.is_positive else None,
        lot_size=ExactDecimal(lot, 0) if 0 < lot < _NO_NUMBER else None,
    )


def _status(told: Any) -> ListingStatus:
    return ListingStatus.DELISTED if str(told.security_update_action) == _DELETED else ListingStatus.TRADING


def _expiry(told: Any) -> datetime:
    """The day, as its beginning: sources agree on it, and not on the minute."""
    if told.expiration == _NO_TIME:
        raise InvalidArgument.field("expiration", "", "field-missing", "the last time that the contract trades")
    moment = datetime.fromtimestamp(told.expiration // _NANOS, UTC)
    return moment.replace(hour=0, minute=0, second=0)


def _size(told: Any) -> ExactDecimal | None:
    """What a contract is of: the amount of its unit, or a whole multiplier."""
    amount = _units(told.unit_of_measure_qty)
    if amount is not None and amount.is_positive:
        return amount
    multiplier = told.contract_multiplier
    return ExactDecimal(multiplier, 0) if 0 < multiplier < _NO_NUMBER else None


def _units(units: int) -> ExactDecimal | None:
    found = records.price(units)
    return ExactDecimal(*found) if found is not None else None
