"""The currencies and metals of ISO 4217, and the FX pairs that trade, in the market's own order of base and quote."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Final

import pycountry

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.currencies import ISO_4217, METALS, minor_units
from alphapulse.domain.identity import currency_text
from alphapulse.domain.ids import InstrumentId

SOURCE: Final = f"ISO 4217, pycountry {version('pycountry')}"
PAIR_SOURCE: Final = "market convention of base and quote"
NO_MONEY: Final = frozenset({"XTS", "XXX"})
"""Codes for tests and for the absence of a currency."""

_ORDER: Final = "XAU XAG XPT XPD EUR GBP AUD NZD USD CAD CHF NOK SEK DKK SGD HKD PLN CZK HUF TRY ZAR MXN CNY INR KRW BRL THB ILS JPY"
"""Which of two is the base: the one that stands first. The yen is always the quote."""
_CROSSES: Final = {
    "EUR": "GBP AUD NZD CAD CHF NOK SEK DKK SGD HKD PLN CZK HUF TRY ZAR MXN CNY JPY",
    "GBP": "AUD NZD CAD CHF NOK SEK DKK SGD ZAR JPY",
    "AUD": "NZD CAD CHF SGD JPY",
    "NZD": "CAD CHF JPY",
    "CAD": "CHF JPY",
    "CHF": "JPY",
    "NOK": "SEK JPY",
    "SEK": "JPY",
    "SGD": "JPY",
    "ZAR": "JPY",
    "MXN": "JPY",
    "XAU": "EUR GBP AUD CHF JPY",
    "XAG": "EUR",
}


def entries() -> Iterator[service.InstrumentEntry]:
    """Currencies first, then the pairs made of them."""
    for code in sorted(ISO_4217 - NO_MONEY):
        yield service.InstrumentEntry(instrument=_currency(code))
    for base, quote in pairs():
        yield service.InstrumentEntry(instrument=_pair(base, quote))


def pairs() -> list[tuple[str, str]]:
    """(base, quote) of every pair: each currency against the dollar, and the crosses."""
    order = {code: at for at, code in enumerate(_ORDER.split())}
    found = [sorted((code, "USD"), key=order.__getitem__) for code in order if code != "USD"]
    found += [[base, quote] for base, quotes in _CROSSES.items() for quote in quotes.split()]
    return [(base, quote) for base, quote in found]


def currency_id(code: str) -> InstrumentId:
    """The id of a fiat currency or metal."""
    return InstrumentId.of(currency_text("metal" if code in METALS else "fiat", code))


def _currency(code: str) -> wire.Instrument:
    known = pycountry.currencies.get(alpha_3=code)
    metal = code in METALS
    details = wire.CurrencyDetails(code=code, kind=wire.CURRENCY_KIND_METAL if metal else wire.CURRENCY_KIND_FIAT)
    digits = minor_units(code)
    if digits is not None:
        details.minor_units = digits
    return wire.Instrument(
        asset_class=common.ASSET_CLASS_CURRENCY,
        name=known.name if known is not None else code,
        currency=details,
        source=SOURCE,
    )


def _pair(base: str, quote: str) -> wire.Instrument:
    return wire.Instrument(
        asset_class=common.ASSET_CLASS_FX_PAIR,
        name=f"{base}/{quote}",
        fx_pair=wire.PairDetails(base_id=currency_id(base).hex, quote_id=currency_id(quote).hex),
        source=PAIR_SOURCE,
    )
