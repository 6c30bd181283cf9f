"""The cross-listings of free-ticker-database: `isin,listing_key,ticker,exchange,is_primary`, the rows of an ISIN together.

The file says which ISIN trades where under which ticker, and no more. So the name is the ISIN, and a currency is stated where the
exchange leaves no choice; elsewhere it is XXX, ISO 4217's code for none, rather than a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alphapulse.domain.violations import FieldViolation
from alphapulse.interchange.blocks import Cells
from alphapulse.interchange.mapping import Mapping
from alphapulse.interchange.rules import Broken, Columns, Constant, Taken
from alphapulse.interchange.sources import EntrySource, FileSource

SOURCE: Final = "free-ticker-database"
LICENCE: Final = "MIT"
UNKNOWN: Final = "XXX"
_EXCHANGES: Final[dict[str, tuple[str, str]]] = {
    # The file's name of an exchange: its MIC, the currency nearly all of its listings trade in.
    "AMS": ("XAMS", "EUR"),
    "ASX": ("XASX", "AUD"),
    "ATHEX": ("ASEX", "EUR"),
    "B3": ("BVMF", "BRL"),
    "BATS": ("BATS", "USD"),
    "BCBA": ("XBUE", "ARS"),
    "BHB": ("XBAH", "BHD"),
    "BIST": ("XIST", "TRY"),
    "BK": ("XBKK", "THB"),
    "BME": ("BMEX", "EUR"),
    "BMV": ("XMEX", "MXN"),
    "BSE_BW": ("XBOT", "BWP"),
    "BSE_HU": ("XBUD", "HUF"),
    "BSE_IN": ("XBOM", "INR"),
    "BVB": ("XBSE", "RON"),
    "BVL": ("XLIM", UNKNOWN),
    "Bursa": ("XKLS", "MYR"),
    "CPH": ("XCSE", "DKK"),
    "CSE_MA": ("XCAS", "MAD"),
    "DFM": ("XDFM", "AED"),
    "DSE_TZ": ("XDAR", "TZS"),
    "EGX": ("XCAI", "EGP"),
    "Euronext": ("EURONEXT", "EUR"),  # Paris, Brussels, Lisbon, Dublin: the file does not say which
    "GSE": ("XGHA", "GHS"),
    "HEL": ("XHEL", "EUR"),
    "HKEX": ("XHKG", "HKD"),
    "IDX": ("XIDX", "IDR"),
    "ISE": ("XDUB", "EUR"),
    "JSE": ("XJSE", "ZAC"),
    "KRX": ("XKRX", "KRW"),
    "LSE": ("XLON", UNKNOWN),
    "LUSE": ("XLUS", "ZMW"),
    "MSX": ("XMUS", "OMR"),
    "NASDAQ": ("XNAS", "USD"),
    "NEO": ("NEOE", "CAD"),
    "NGX": ("XNSA", "NGN"),
    "NSE_IN": ("XNSE", "INR"),
    "NSE_KE": ("XNAI", "KES"),
    "NYSE": ("XNYS", "USD"),
    "NYSE ARCA": ("ARCX", "USD"),
    "NYSE MKT": ("XASE", "USD"),
    "NZX": ("XNZE", "NZD"),
    "OSL": ("XOSL", "NOK"),
    "OTC": ("OTCM", "USD"),
    "PSE": ("XPHS", "PHP"),
    "PSE_CZ": ("XPRA", "CZK"),
    "PSX": ("XKAR", "PKR"),
    "QSE": ("DSMD", "QAR"),
    "SEM": ("XMAU", UNKNOWN),
    "SET": ("XBKK", "THB"),
    "SGX": ("XSES", UNKNOWN),
    "SIX": ("XSWX", UNKNOWN),
    "SSE": ("XSHG", "CNY"),
    "SSE_CL": ("XSGO", "CLP"),
    "STO": ("XSTO", UNKNOWN),
    "SZSE": ("XSHE", "CNY"),
    "TASE": ("XTAE", "ILA"),
    "TSE": ("XTKS", "JPY"),
    "TSX": ("XTSE", "CAD"),
    "TSXV": ("XTSX", "CAD"),
    "VSE": ("XWBO", "EUR"),
    "WSE": ("XWAR", "PLN"),
    "XETRA": ("XETR", "EUR"),
}
_STERLING: Final = ("GB", "JE", "GG", "IM")
_HONG_KONG_IN_YUAN: Final = range(80_000, 90_000)


@dataclass(frozen=True, slots=True)
class ListingCurrency:
    """The currency of a listing, where exchange, ISIN and ticker leave no choice."""

    inputs: Sequence[str] = ("exchange", "isin", "ticker")

    def apply(self, columns: Columns, count: int, broken: Broken) -> Cells:
        """Row by row. An exchange without an entry here is a broken row."""
        found: list[str | None] = []
        rows = zip(*(columns[name] for name in self.inputs), strict=True)
        for row, (exchange, isin, ticker) in enumerate(rows):
            if exchange not in _EXCHANGES:
                rule = "no MIC is known for this exchange"
                broken.setdefault(row, []).append(FieldViolation("exchange", exchange or "", "exchange-unknown", rule))
                found.append(None)
                continue
            found.append(_currency(exchange, isin or "", ticker or ""))
        return found


def _currency(exchange: str, isin: str, ticker: str) -> str:
    usual = _EXCHANGES[exchange][1]
    match exchange:
        case "LSE":  # a symbol of the international order book begins with 0
            return "GBX" if isin.startswith(_STERLING) and not ticker.startswith("0") else UNKNOWN
        case "TSX" | "TSXV" | "NEO":
            return "USD" if ticker.endswith(".U") else usual
        case "HKEX":
            return "CNY" if ticker.isdigit() and int(ticker) in _HONG_KONG_IN_YUAN else usual
        case "SIX":
            return "CHF" if isin.startswith("CH") else usual
        case "STO":
            return "SEK" if isin.startswith("SE") else usual
        case _:
            return usual


def cross_listings(path: str, source: str = "", licence: str = "") -> EntrySource:
    """The file at `path`, plain or compressed."""
    mics = {name: mic for name, (mic, _) in _EXCHANGES.items()}
    mapping = Mapping(
        name="cross-listings",
        rules={
            "asset_class": Constant("EQUITY"),
            "name": Taken("isin"),
            "currency": Constant(UNKNOWN),
            "isin": Taken("isin"),
            "listing_venue": Taken("exchange", mics, otherwise="empty"),
            "listing_symbol": Taken("ticker"),
            "listing_currency": ListingCurrency(),
            "listing_primary": Taken("is_primary"),
        },
        source=SOURCE,
        licence=LICENCE,
        group_by=("isin",),
        ignore=frozenset({"listing_key"}),
    )
    return FileSource(Path(path), mapping, "csv", source, licence)
