"""Identifiers compared with what bears them: one that says something of its bearer must not contradict the details.

    OCC      an option's root, expiry, right and strike are in the symbol; nothing but an option bears one
    CAIP-19  a token's chain and address are in it
    CFI      its category and group are those of some classes and not of others

A contradiction means that one of the two is wrong, and nobody can tell which: the whole is refused, with both named.
What an ISIN says of a CUSIP or SEDOL is compared by the registry, which also knows identifiers asserted earlier.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import FieldViolation
from alphapulse.domain.identifiers import Caip2, Caip19, OccSymbol, Scheme, identifier_type
from alphapulse.domain.identity import capitals, token_caip19
from alphapulse.domain.instruments import Instrument, LpTokenDetails, OptionDetails, OptionRight, TokenDetails

_ALL: Final = None
_MONEY: Final = "CTMX"
"""Groups of referential instruments that are money: currencies, commodities, others."""
_FORWARD: Final[dict[str, str | None]] = {"F": _ALL, "J": _ALL, "S": _ALL, "K": _ALL, "M": _ALL}
_SPOT: Final[dict[str, str | None]] = {"I": _ALL, "T": _MONEY, "M": _ALL}
CFI_OF: Final[dict[AssetClass, dict[str, str | None]]] = {
    AssetClass.EQUITY: {"E": _ALL, "C": "IHBSFPMX", "R": _ALL, "M": _ALL},
    AssetClass.ETF: {"C": _ALL, "D": _ALL, "E": "LYMX", "M": _ALL},
    AssetClass.FUND: {"C": _ALL, "E": "LMX", "M": _ALL},
    AssetClass.BOND: {"D": _ALL, "E": "YMX", "M": _ALL},
    AssetClass.INDEX: {"T": "TRIBDMX", "M": _ALL},
    AssetClass.CURRENCY: _SPOT,
    AssetClass.FX_PAIR: _SPOT | _FORWARD,
    AssetClass.SPOT_PAIR: _SPOT,
    AssetClass.FUTURE: _FORWARD,
    AssetClass.PERPETUAL: _FORWARD,
    AssetClass.OPTION: {"O": _ALL, "H": _ALL, "R": _ALL, "K": _ALL, "M": _ALL},
}
"""The CFI categories (ISO 10962:2021) a class can have, each with its groups, None for all of them; drawn so that only a plain contradiction
is refused: a real estate trust (CB) is held as equity, a note that is traded as an ETF is debt. Classes that are not here (tokens, pools,
synthetics) can have any. docs/identity.md has the table in words."""

Contradiction = tuple[str, str]
"""The rule and the description."""


def contradictions(instrument: Instrument, prefix: str = "instrument") -> list[FieldViolation]:
    """The identifiers that contradict the instrument's class or details; what is malformed or missing is passed over."""
    found = []
    for at, one in enumerate(instrument.identifiers):
        compare = _COMPARED.get(one.scheme)
        if compare is None or not identifier_type(one.scheme).is_valid(one.value):
            continue
        broken = compare(instrument, identifier_type(one.scheme).canonical(one.value))
        if broken is not None:
            found.append(FieldViolation(f"{prefix}.identifiers[{at}].value", one.value, *broken))
    return found


def _occ(instrument: Instrument, value: str) -> Contradiction | None:
    details = instrument.details
    if instrument.asset_class is not AssetClass.OPTION or not isinstance(details, OptionDetails):
        return "identifier-class", "an OCC symbol names an option, and nothing else"
    symbol, told = OccSymbol(value), []
    if details.expiry is not None and details.expiry.tzinfo is not None:
        day = details.expiry.astimezone(UTC).date()
        if day != symbol.expiry:
            told.append(f"it expires on {symbol.expiry.isoformat()}, the option on {day.isoformat()} (UTC)")
    if details.right is not None and (details.right is OptionRight.CALL) != symbol.is_call:
        told.append(f"it is a {'call' if symbol.is_call else 'put'}, the option a {details.right.name.lower()}")
    if details.series and capitals(details.series) != symbol.root:
        told.append(f"its root is {symbol.root}, the option's series {details.series}")
    strike = ExactDecimal(symbol.strike_thousandths, -3)
    if details.strike is not None and details.strike != strike:
        told.append(f"its strike is {strike.normalised()}, the option's {details.strike.normalised()}")
    return ("derived-id-mismatch", "; ".join(told)) if told else None


def _caip19(instrument: Instrument, value: str) -> Contradiction | None:
    details = instrument.details
    if not isinstance(details, TokenDetails | LpTokenDetails) or not details.chain or not details.address:
        return None
    if Caip2.broken_rule(details.chain) is not None:
        return None
    own = token_caip19(details.chain, details.address)
    if own == value or not Caip19.is_valid(own):
        return None
    return "derived-id-mismatch", f"chain and address of the token give {own}"


def _cfi(instrument: Instrument, value: str) -> Contradiction | None:
    kind = instrument.asset_class
    if kind is None or kind not in CFI_OF:
        return None
    category, group, known = value[0], value[1], CFI_OF[kind]
    if category not in known:
        allowed = ", ".join(sorted(known))
        return "identifier-class", f"category {category} of ISO 10962 is none of {kind.name}, which has {allowed}"
    groups = known[category]
    if groups is None or group in groups:
        return None
    allowed = ", ".join(f"{category}{one}" for one in sorted(groups))
    return "identifier-class", f"group {category}{group} of ISO 10962 is none of {kind.name}, which has {allowed}"


_COMPARED: Final[dict[Scheme, Callable[[Instrument, str], Contradiction | None]]] = {
    Scheme.OCC: _occ,
    Scheme.CAIP19: _caip19,
    Scheme.CFI: _cfi,
}
