"""Identifiers as validated value types, one file a scheme, and the two functions that serve them all.

    Isin("US0378331005").cusip()                 -> Cusip("037833100")
    parse(Scheme.ISIN, " us0378331005 ")         -> Isin("US0378331005")
    parse(Scheme.ISIN, "US0378331006", "isin")   raises InvalidArgument: field isin, rule isin-check-digit
    is_valid(Scheme.FIGI, "GHG000000018")        -> False

Here live formats, alphabets and check digits. Which identifiers exist and whom they name is data of the registries.
`base` says what normalisation does, and what it never does.
"""

from __future__ import annotations

from typing import Final

from alphapulse.domain.identifiers.base import BrokenRule, Identifier
from alphapulse.domain.identifiers.caip import Caip2, Caip19
from alphapulse.domain.identifiers.cfi import Cfi
from alphapulse.domain.identifiers.countries import ISIN_PREFIXES, ISO_3166_ALPHA_2
from alphapulse.domain.identifiers.cusip import Cusip
from alphapulse.domain.identifiers.dti import Dti
from alphapulse.domain.identifiers.figi import Figi
from alphapulse.domain.identifiers.isin import Isin
from alphapulse.domain.identifiers.lei import Lei
from alphapulse.domain.identifiers.mic import Mic
from alphapulse.domain.identifiers.occ import OccSymbol
from alphapulse.domain.identifiers.scheme import Level, Scheme
from alphapulse.domain.identifiers.sedol import Sedol
from alphapulse.domain.identifiers.symbols import ExchangeSymbol, OwnId, Ric, Ticker

__all__ = [
    "ISIN_PREFIXES",
    "ISO_3166_ALPHA_2",
    "BrokenRule",
    "Caip2",
    "Caip19",
    "Cfi",
    "Cusip",
    "Dti",
    "ExchangeSymbol",
    "Figi",
    "Identifier",
    "Isin",
    "Lei",
    "Level",
    "Mic",
    "OccSymbol",
    "OwnId",
    "Ric",
    "Scheme",
    "Sedol",
    "Ticker",
    "identifier_type",
    "is_valid",
    "parse",
]

_TYPES: Final[dict[Scheme, type[Identifier]]] = {
    kind.scheme: kind
    for kind in (
        *(Isin, Cusip, Sedol, Figi, Lei, Cfi, Mic, Ric, Caip2, Caip19),
        *(Dti, OccSymbol, Ticker, ExchangeSymbol, OwnId),
    )
}


def identifier_type(scheme: Scheme) -> type[Identifier]:
    """The value type of a scheme."""
    return _TYPES[scheme]


def parse(scheme: Scheme, text: str, field: str = "identifier") -> Identifier:
    """The identifier in `text`, normalised and validated; InvalidArgument names `field`, the value and the rule."""
    return _TYPES[scheme].parse(text, field)


def is_valid(scheme: Scheme, text: str) -> bool:
    """Whether `parse` would take it."""
    return _TYPES[scheme].is_valid(text)
