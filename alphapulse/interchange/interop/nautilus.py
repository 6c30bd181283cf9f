"""Instruments as nautilus_trader has them: a JSON list of dictionaries, each with the `type` whose `from_dict` takes it.

    for values in json.load(file):
        instrument = getattr(nautilus_trader.model.instruments, values["type"]).from_dict(values)

Nautilus needs a tick and a size increment; a listing without them in the registry is left out rather than given ones. Margins and fees that
are not known are 0, as Nautilus itself takes them when they are not given; `info` tells which fees the registry knows.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.interchange.exported import Exported, OnPage
from alphapulse.interchange.interop.listings import (
    Parties,
    Unfit,
    code_of,
    contract_size,
    details_of,
    is_crypto,
    listings,
    number,
    provenance_of,
)
from alphapulse.interchange.reading import EntryReader

MAX_PRECISION: Final = 9
"""Digits after the point that every build of Nautilus takes; one of high precision takes 16."""
_LARGEST: Final = Decimal(18_446_744_073)
"""The largest quantity that every build takes."""
_BPS: Final = Decimal(10_000)
_CLASSES: Final = {
    AssetClass.EQUITY: "EQUITY",
    AssetClass.ETF: "EQUITY",
    AssetClass.FUND: "EQUITY",
    AssetClass.INDEX: "INDEX",
    AssetClass.BOND: "DEBT",
    AssetClass.FX_PAIR: "FX",
}
_RIGHTS: Final = {wire.OPTION_RIGHT_CALL: "CALL", wire.OPTION_RIGHT_PUT: "PUT"}

Shape = dict[str, Any]


async def write_nautilus(reader: EntryReader, stream: Any, done: Exported, on_page: OnPage | None = None) -> None:
    """Writes the list. What Nautilus has no instrument for is in `done.left_out`."""
    found = []
    async for instrument, listing, parties in listings(reader, done, on_page):
        try:
            found.append(shape(instrument, listing, parties))
            done.listings += 1
        except Unfit as error:
            done.leave_out(f"{listing.venue}:{listing.symbol}", str(error))
    stream.write(msgspec.json.format(msgspec.json.encode(found), indent=1))


def shape(instrument: wire.Instrument, listing: wire.Listing, parties: Parties) -> Shape:
    """One instrument. Raises Unfit."""
    asset_class = AssetClass(instrument.asset_class)
    make = _SHAPES.get(asset_class)
    if make is None:
        raise Unfit(f"Nautilus has no instrument of the class {asset_class.name}")
    if "." in listing.venue or not listing.symbol.isascii():
        raise Unfit("a venue with a point, or a symbol that is not ASCII, makes no InstrumentId")
    stamp = listing.update_time.ToNanoseconds()
    tick = _needed(listing, "tick_size")
    common_fields = {
        "id": f"{listing.symbol}.{listing.venue}",
        "raw_symbol": listing.symbol,
        "price_precision": _precision(tick, "tick_size"),
        "price_increment": str(tick),
        "margin_init": "0",
        "margin_maint": "0",
        "maker_fee": _fraction(number(listing.fees, "maker_bps")),
        "taker_fee": _fraction(number(listing.fees, "taker_bps")),
        "ts_event": stamp,
        "ts_init": stamp,
        "info": provenance_of(instrument, listing),
    }
    return {**common_fields, **make(instrument, listing, parties)}


def _pair(instrument: wire.Instrument, listing: wire.Listing, parties: Parties) -> Shape:
    return {
        "type": "CurrencyPair",
        "base_currency": code_of(parties.base),
        "quote_currency": parties.quote,
        "lot_size": None,
        "multiplier": str(number(listing.rules, "multiplier") or 1),
        **_sizes(listing, parties.quote),
    }


def _perpetual(instrument: wire.Instrument, listing: wire.Listing, parties: Parties) -> Shape:
    return {"type": "CryptoPerpetual", "base_currency": code_of(parties.base), **_crypto(instrument, listing, parties)}


def _future(instrument: wire.Instrument, listing: wire.Listing, parties: Parties) -> Shape:
    if is_crypto(parties.base):
        return {
            "type": "CryptoFuture",
            "underlying": code_of(parties.base),
            **_dates(instrument, listing),
            **_crypto(instrument, listing, parties),
        }
    return {"type": "FuturesContract", **_traditional(instrument, listing, parties)}


def _option(instrument: wire.Instrument, listing: wire.Listing, parties: Parties) -> Shape:
    details = details_of(instrument)
    strike = number(details, "strike")
    assert strike is not None
    own = {"option_kind": _RIGHTS[details.right], "strike_price": str(strike)}
    _precision(strike, "strike")
    if is_crypto(parties.base):
        return {
            "type": "CryptoOption",
            "underlying": code_of(parties.base),
            **own,
            **_dates(instrument, listing),
            **_crypto(instrument, listing, parties),
        }
    return {"type": "OptionContract", **own, **_traditional(instrument, listing, parties)}


def _equity(instrument: wire.Instrument, listing: wire.Listing, parties: Parties) -> Shape:
    isins = sorted(
        one.value
        for one in instrument.identifiers
        if one.scheme == common.IDENTIFIER_SCHEME_ISIN and not one.HasField("valid_to")
    )
    return {
        "type": "Equity",
        "currency": listing.currency,
        "lot_size": str(_needed(listing, "lot_size")),
        "isin": isins[0] if len(isins) == 1 else None,
    }


def _index(instrument: wire.Instrument, listing: wire.Listing, parties: Parties) -> Shape:
    lot = _needed(listing, "lot_size")
    return {
        "type": "IndexInstrument",
        "currency": listing.currency,
        "size_precision": _precision(lot, "lot_size"),
        "size_increment": str(lot),
    }


_SHAPES: Final[dict[AssetClass, Callable[[wire.Instrument, wire.Listing, Parties], Shape]]] = {
    AssetClass.SPOT_PAIR: _pair,
    AssetClass.FX_PAIR: _pair,
    AssetClass.PERPETUAL: _perpetual,
    AssetClass.FUTURE: _future,
    AssetClass.OPTION: _option,
    AssetClass.EQUITY: _equity,
    AssetClass.ETF: _equity,
    AssetClass.FUND: _equity,
    AssetClass.INDEX: _index,
}


def _crypto(instrument: wire.Instrument, listing: wire.Listing, parties: Parties) -> Shape:
    return {
        "quote_currency": parties.quote,
        "settlement_currency": code_of(parties.settlement) if parties.settlement is not None else listing.currency,
        "is_inverse": bool(getattr(details_of(instrument), "inverse", False)),
        "multiplier": _multiplier(instrument, listing),
        **_sizes(listing, parties.quote),
    }


def _traditional(instrument: wire.Instrument, listing: wire.Listing, parties: Parties) -> Shape:
    underlying = parties.underlying
    if underlying is None:
        raise Unfit("its underlying is not registered")
    kind = _CLASSES.get(AssetClass(underlying.asset_class))
    if underlying.asset_class == common.ASSET_CLASS_CURRENCY:
        kind = "COMMODITY" if underlying.currency.kind == wire.CURRENCY_KIND_METAL else "FX"
    if kind is None:
        raise Unfit(f"Nautilus has no contract on a {AssetClass(underlying.asset_class).name}")
    return {
        "asset_class": kind,
        "currency": listing.currency,
        "underlying": details_of(instrument).series if _has_series(instrument) else code_of(parties.base),
        "multiplier": _multiplier(instrument, listing),
        "lot_size": str(_needed(listing, "lot_size")),
        "exchange": listing.venue,
        **_dates(instrument, listing),
    }


def _has_series(instrument: wire.Instrument) -> bool:
    return bool(getattr(details_of(instrument), "series", ""))


def _dates(instrument: wire.Instrument, listing: wire.Listing) -> Shape:
    begins = listing.valid_from.ToNanoseconds() if listing.HasField("valid_from") else 0
    return {"activation_ns": max(begins, 0), "expiration_ns": details_of(instrument).expiry.ToNanoseconds()}


def _sizes(listing: wire.Listing, quote: str) -> Shape:
    rules = listing.rules
    lot = _needed(listing, "lot_size")
    smallest, largest = number(rules, "min_size"), number(rules, "max_size")
    notional = number(rules, "min_notional")
    return {
        "size_precision": _precision(lot, "lot_size"),
        "size_increment": str(lot),
        "max_quantity": _bounded(largest),
        "min_quantity": _bounded(smallest),
        "max_notional": None,
        "min_notional": None if notional is None else f"{notional} {quote}",
        "max_price": None,
        "min_price": None,
    }


def _bounded(value: ExactDecimal | None) -> str | None:
    """A bound that Nautilus can hold; one beyond is as good as none, and stands in `info`."""
    if value is None or not value.is_positive or value.to_decimal() > _LARGEST or _digits(value) > MAX_PRECISION:
        return None
    return str(value)


def _multiplier(instrument: wire.Instrument, listing: wire.Listing) -> str:
    size, units = contract_size(instrument, listing), number(listing.rules, "multiplier")
    product = (size.to_decimal() if size is not None else Decimal(1)) * (units.to_decimal() if units is not None else 1)
    exact = ExactDecimal.of(product).normalised()
    _precision(exact, "contract_size")
    return str(exact)


def _needed(listing: wire.Listing, name: str) -> ExactDecimal:
    value = number(listing.rules, name)
    if value is None:
        raise Unfit(f"its {name} is not known")
    return value


def _digits(value: ExactDecimal) -> int:
    return max(-value.exponent, 0)


def _precision(value: ExactDecimal, name: str) -> int:
    if _digits(value) > MAX_PRECISION:
        raise Unfit(f"its {name} {value} has more than {MAX_PRECISION} digits after the point")
    return _digits(value)


def _fraction(bps: ExactDecimal | None) -> str:
    return "0" if bps is None else str(bps.to_decimal() / _BPS)
