"""The identifier schemes and the levels at which an identifier names something. Numbers equal those of the API's
enums."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Level(IntEnum):
    """What an identifier names."""

    ISSUER = 1
    """The legal entity above the instruments."""
    INSTRUMENT = 2
    """The fungible thing; for a FIGI the share class."""
    COMPOSITE = 3
    """The instrument in one country, all its venues together."""
    LISTING = 4
    """The instrument on one venue."""


class Scheme(IntEnum):
    """Who gives the identifier and how it is written."""

    ISIN = 1
    CUSIP = 2
    SEDOL = 3
    FIGI = 4
    LEI = 5
    CFI = 6
    MIC = 7
    RIC = 8
    CAIP2 = 9
    CAIP19 = 10
    DTI = 11
    OCC = 12
    TICKER = 13
    EXCHANGE_SYMBOL = 14
    OWN = 15

    @property
    def fix_code(self) -> str | None:
        """The value of FIX tag 22 (SecurityIDSource), None where FIX has none (CFI is tag 461, a MIC tag 207)."""
        return _FIX_CODES.get(self)

    @property
    def levels(self) -> frozenset[Level]:
        """The levels at which this scheme names things."""
        return _LEVELS.get(self, _ANY_LEVEL)

    @classmethod
    def from_fix(cls, code: str) -> Scheme | None:
        """The scheme of a FIX tag 22 value, None for one that is not spoken here."""
        return _FROM_FIX.get(code)


_FIX_CODES: Final = {
    Scheme.CUSIP: "1",
    Scheme.SEDOL: "2",
    Scheme.ISIN: "4",
    Scheme.RIC: "5",
    Scheme.EXCHANGE_SYMBOL: "8",
    Scheme.FIGI: "S",
    Scheme.LEI: "T",
    Scheme.DTI: "Y",
}
_FROM_FIX: Final = {code: scheme for scheme, code in _FIX_CODES.items()}
_ANY_LEVEL: Final = frozenset(Level)
_INSTRUMENT_ONLY: Final = frozenset({Level.INSTRUMENT})
_TRADED: Final = frozenset({Level.INSTRUMENT, Level.COMPOSITE, Level.LISTING})
_LEVELS: Final = {
    Scheme.ISIN: _INSTRUMENT_ONLY,
    Scheme.CUSIP: _INSTRUMENT_ONLY,
    Scheme.SEDOL: _TRADED,
    Scheme.FIGI: _TRADED,
    Scheme.LEI: frozenset({Level.ISSUER}),
    Scheme.CFI: _INSTRUMENT_ONLY,
    Scheme.MIC: frozenset({Level.LISTING}),
    Scheme.RIC: _TRADED,
    Scheme.CAIP19: _INSTRUMENT_ONLY,
    Scheme.DTI: _INSTRUMENT_ONLY,
    Scheme.OCC: _INSTRUMENT_ONLY,
    Scheme.TICKER: _TRADED,
    Scheme.EXCHANGE_SYMBOL: _TRADED,
}
