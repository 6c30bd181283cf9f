"""Exchange codes as OpenFIGI's `exchCode` has them, for the venues where one code means one MIC; and the composite codes of countries.

The codes are facts that OpenFIGI publishes (GET /v3/mapping/values/exchCode); MICs are of ISO 10383. It is a part of them: a venue that is not
here has no exchCode in answers, and a code that is not here is refused in requests, where `micCode` always serves.
"""

from __future__ import annotations

from typing import Final

CODES: Final = {
    # United States
    "XNYS": "UN", "ARCX": "UP", "XASE": "UA", "XNGS": "UW", "XNMS": "UQ", "XNCM": "UR",
    # Germany
    "XETR": "GY", "XFRA": "GF", "XSTU": "GS", "XMUN": "GM", "XBER": "GB", "XDUS": "GD", "XHAM": "GH", "XHAN": "GI",
    # Europe
    "XLON": "LN", "XPAR": "FP", "XAMS": "NA", "XBRU": "BB", "XLIS": "PL", "XMIL": "IM", "MTAA": "IM", "XSTO": "SS", "XHEL": "FH",
    "XCSE": "DC", "XOSL": "NO", "XWBO": "AV", "XWAR": "PW",
    # Americas
    "XTSE": "CT", "XTSX": "CV", "BVMF": "BS", "XMEX": "MM",
    # Asia, Pacific, Africa
    "XTKS": "JT", "XHKG": "HK", "XASX": "AT", "XSES": "SP", "XKRX": "KP", "XNSE": "IS", "XBOM": "IB", "XSHG": "CG", "XSHE": "CS",
    "XNZE": "NZ", "XTAE": "IT", "XJSE": "SJ",
}  # fmt: skip
"""MIC to exchange code."""

_US: Final = (
    *("XNYS", "ARCX", "XASE", "XNGS", "XNMS", "XNCM", "XNAS", "BATS", "BATY", "EDGA", "EDGX", "IEXG"),
    *("XBOS", "XPHL", "XCHI", "XCIS", "MEMX"),
)
COMPOSITES: Final = {
    "US": frozenset(_US),
    "GR": frozenset(("XETR", "XFRA", "XSTU", "XMUN", "XBER", "XDUS", "XHAM", "XHAN")),
    "CN": frozenset(("XTSE", "XTSX")),
    "JP": frozenset(("XTKS",)),
    "AU": frozenset(("XASX",)),
    "CH": frozenset(("XSHG", "XSHE")),
    "IN": frozenset(("XNSE", "XBOM")),
    "BZ": frozenset(("BVMF",)),
}
"""Composite code of a country to the MICs it stands for."""


def venues_of(code: str) -> frozenset[str]:
    """The MICs a code stands for; none where it is not known here."""
    return COMPOSITES.get(code) or frozenset(mic for mic, held in CODES.items() if held == code)


def known_codes() -> list[str]:
    """Every code, sorted."""
    return sorted({*CODES.values(), *COMPOSITES})
