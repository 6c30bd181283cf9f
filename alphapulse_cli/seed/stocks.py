"""The stocks with ISINs of `pytickersymbols`: members of 20 indices, one instrument an ISIN.

The package lists names, ISINs and symbols side by side without saying which symbol is which ISIN's: a share and its
depositary receipt stand in one entry. So a listing is made only where the mapping is certain: one ISIN, one symbol on the
venue, and the venue in the ISIN's own country; or a five-letter OTC symbol that ends in F, which is a foreign ordinary.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, Final

import pytickersymbols

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers import ISO_3166_ALPHA_2, Isin

SOURCE: Final = f"pytickersymbols {version('pytickersymbols')}"
_VENUES: Final = {
    # Prefix of the package's symbols: (MIC, country of the ISINs, currency prices are in).
    "NYSE": ("XNYS", "US", "USD"),
    "NASDAQ": ("XNAS", "US", "USD"),
    "TYO": ("XTKS", "JP", "JPY"),
    # The London order book quotes sterling shares in pence.
    "LON": ("XLON", "GB", "GBX"),
    "FRA": ("XFRA", "DE", "EUR"),
    "ETR": ("XETR", "DE", "EUR"),
    "BME": ("XMAD", "ES", "EUR"),
    "AMS": ("XAMS", "NL", "EUR"),
    "EBR": ("XBRU", "BE", "EUR"),
    "EPA": ("XPAR", "FR", "EUR"),
    "HEL": ("XHEL", "FI", "EUR"),
    "STO": ("XSTO", "SE", "SEK"),
    "SWX": ("XSWX", "CH", "CHF"),
}
_OTC: Final = ("OTCMKTS", "OTCM", "USD")
_CURRENCIES: Final = {
    **dict.fromkeys(("DE", "FR", "ES", "NL", "FI", "IE", "BE", "LU", "IT", "AT", "GR"), "EUR"),
    **dict.fromkeys(("US", "AN", "BM", "KY", "PA", "LR"), "USD"),
    **dict.fromkeys(("GB", "JE", "GG", "IM"), "GBP"),
    "JP": "JPY",
    "SE": "SEK",
    "CH": "CHF",
    "CA": "CAD",
    "AU": "AUD",
    "ZA": "ZAR",
    "RU": "RUB",
}
"""The currency of most shares by ISIN prefix; of offshore domiciles that of their usual listing."""
_DOMICILES: Final = frozenset({"IE", "JE"})
"""Where companies are domiciled whose shares trade in New York."""
_SECTORS: Final = frozenset(
    (
        *(
            "Financials",
            "Industrials",
            "Consumer Discretionary",
            "Health Care",
            "Information Technology",
            "Real Estate",
        ),
        *("Energy", "Technology", "Consumer Cyclicals", "Healthcare", "Utilities", "Materials", "Consumer Staples"),
        *("Basic Materials", "Consumer Non-Cyclicals", "Communication Services"),
    )
)


def entries(skipped: list[str]) -> Iterator[service.InstrumentEntry]:
    """One entry an ISIN; what cannot be registered is described in `skipped`."""
    seen: set[str] = set()
    for stock in pytickersymbols.PyTickerSymbols().get_all_stocks():
        isins = stock.get("isins") or []
        for text in isins:
            try:
                isin = Isin(text)
            except InvalidArgument as error:
                skipped.append(f"{stock['name']}: {error}")
                continue
            if isin.value in seen:
                skipped.append(f"{stock['name']}: the ISIN {isin} was given before, by another name")
                continue
            seen.add(isin.value)
            yield _entry(stock, isin, certain=len(isins) == 1)


def _entry(stock: dict[str, Any], isin: Isin, *, certain: bool) -> service.InstrumentEntry:
    listings = _listings(stock, isin) if certain else []
    prefix = isin.country
    industries = [one for one in stock.get("industries", []) if one]
    instrument = wire.Instrument(
        asset_class=common.ASSET_CLASS_EQUITY,
        name=stock["name"],
        identifiers=_identifiers(isin, listings),
        equity=wire.EquityDetails(
            currency=_currency(stock, prefix),
            # The package's own country is that of an index or an office as often as that of the issuer.
            country=prefix if prefix in ISO_3166_ALPHA_2 else "",
            sector=next((one for one in industries if one in _SECTORS), ""),
            industry=next((one for one in industries if one not in _SECTORS), "")[:256],
        ),
        source=SOURCE,
    )
    return service.InstrumentEntry(instrument=instrument, listings=listings)


def _identifiers(isin: Isin, listings: list[wire.Listing]) -> list[wire.IdentifierAssertion]:
    """The ISIN, the CUSIP or SEDOL inside it, and the ticker at the primary listing."""
    found = [(common.IDENTIFIER_SCHEME_ISIN, isin.value, common.IDENTIFIER_LEVEL_INSTRUMENT, "")]
    cusip, sedol = isin.cusip(), isin.sedol()
    if cusip is not None and isin.country == "US":
        found.append((common.IDENTIFIER_SCHEME_CUSIP, cusip.value, common.IDENTIFIER_LEVEL_INSTRUMENT, ""))
    if sedol is not None:
        found.append((common.IDENTIFIER_SCHEME_SEDOL, sedol.value, common.IDENTIFIER_LEVEL_INSTRUMENT, ""))
    found += [
        (common.IDENTIFIER_SCHEME_TICKER, listing.symbol, common.IDENTIFIER_LEVEL_LISTING, listing.venue)
        for listing in listings
        if listing.primary
    ]
    return [
        wire.IdentifierAssertion(scheme=scheme, value=value, level=level, venue=venue, source=SOURCE)
        for scheme, value, level, venue in found
    ]


def _listings(stock: dict[str, Any], isin: Isin) -> list[wire.Listing]:
    by_prefix: dict[str, list[str]] = {}
    for symbol in stock.get("symbols", []):
        prefix, _, ticker = (symbol.get("google") or "").partition(":")
        if ticker:
            by_prefix.setdefault(prefix, []).append(ticker)
    listings: list[wire.Listing] = []
    for prefix, (mic, country, currency) in _VENUES.items():
        tickers = [one for one in by_prefix.get(prefix, ()) if not (prefix == "LON" and one.startswith("0"))]
        if country == isin.country and len(set(tickers)) == 1:
            listings.append(_listing(mic, tickers[0], currency, primary=not listings))
    ordinaries = [one for one in by_prefix.get(_OTC[0], ()) if len(one) == 5 and one.endswith("F")]
    if isin.country != "US" and len(set(ordinaries)) == 1:
        listings.append(_listing(_OTC[1], ordinaries[0], _OTC[2], primary=False))
    return listings


def _listing(mic: str, symbol: str, currency: str, *, primary: bool) -> wire.Listing:
    return wire.Listing(venue=mic, symbol=symbol, currency=currency, primary=primary, source=SOURCE)


def _currency(stock: dict[str, Any], prefix: str) -> str:
    venues = {(symbol.get("google") or "").partition(":")[0] for symbol in stock.get("symbols", [])}
    if prefix in _DOMICILES and venues & {"NYSE", "NASDAQ"}:
        return "USD"
    return _CURRENCIES.get(prefix, "USD")
