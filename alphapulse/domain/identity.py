"""The canonical, versioned identity text of every asset class and of listings: what an id is minted from.

Grammar, escapes and test vectors: docs/identity.md. Only what never changes stands in a text: no name, no decimals, no
status. Each function raises InvalidArgument (rule `identity-incomplete`) where a part that must be there is missing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from string import ascii_lowercase, ascii_uppercase
from typing import Final

from alphapulse.domain.asset_class import SECURITIES, AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers import OccSymbol, Scheme
from alphapulse.domain.identifiers.evm import canonical_address, is_evm
from alphapulse.domain.ids import InstrumentId, ListingId
from alphapulse.domain.instruments import (
    CurrencyDetails,
    FutureDetails,
    IdentifierAssertion,
    Instrument,
    LpTokenDetails,
    OptionDetails,
    PairDetails,
    PerpetualDetails,
    PoolDetails,
    SyntheticDetails,
    TokenDetails,
)

VERSION: Final = "ap1"
_ESCAPED: Final = frozenset(b"%|=")
_PLAIN: Final = re.compile(r"[!-$&-<>-{}~]*")
"""Nothing but visible ASCII without the three: what nearly every part is."""
_CAPITALS: Final = str.maketrans(ascii_lowercase, ascii_uppercase)
STRENGTH: Final = (Scheme.ISIN, Scheme.FIGI, Scheme.CUSIP, Scheme.SEDOL)
"""The schemes that identify a security, the strongest first."""
_CLASS_NAMES: Final = {one: one.name.lower() for one in AssetClass}
_SCHEME_NAMES: Final = {one: one.name.lower() for one in STRENGTH}
_SYMBOL_SCHEMES: Final = (Scheme.TICKER, Scheme.EXCHANGE_SYMBOL)


def escape(text: str) -> str:
    """Free text as it stands in a canonical text: UTF-8 bytes outside 0x21-0x7E, and % | =, as %XX with capitals."""
    if _PLAIN.fullmatch(text):
        return text
    raw = text.encode("utf-8", "surrogatepass")
    return "".join([f"%{byte:02X}" if byte in _ESCAPED or not 0x21 <= byte <= 0x7E else chr(byte) for byte in raw])


def capitals(text: str) -> str:
    """ASCII small letters as capitals, everything else as it is: the same in every language."""
    return text.translate(_CAPITALS)


def instrument_text(instrument: Instrument, *, canonical: bool = False) -> str:
    """The canonical text of an instrument, from its class, details and identifiers. `canonical`: the identifiers' values are
    known to be valid and canonical."""
    asset_class, details = instrument.asset_class, instrument.details
    if asset_class is None:
        raise _incomplete("asset_class", "the class decides what identifies an instrument")
    if asset_class in SECURITIES:
        return security_text(asset_class, instrument.identifiers, canonical=canonical)
    match details:
        case CurrencyDetails():
            kind = details.kind.name.lower() if details.kind is not None else ""
            parts = [_need("kind", kind), capitals(_need("code", details.code))]
        case PairDetails():
            parts = [_hex("base_id", details.base_id), _hex("quote_id", details.quote_id)]
        case TokenDetails():
            parts = [token_caip19(_need("chain", details.chain), _need("address", details.address))]
        case PoolDetails():
            parts = [*_place(details.chain, details.address), str(details.fee_pips)]
        case LpTokenDetails():
            parts = [_hex("pool_id", details.pool_id), *_place(details.chain, details.address)]
        case FutureDetails() | PerpetualDetails() | OptionDetails():
            parts = _derivative_parts(details, instrument.identifiers)
        case SyntheticDetails():
            parts = [_need("name", details.name)]
        case _:
            raise _incomplete("details", f"{asset_class.name} needs the fields of its class")
    return _join(_CLASS_NAMES[asset_class], *parts)


def security_text(
    asset_class: AssetClass, identifiers: Sequence[IdentifierAssertion], *, canonical: bool = False
) -> str:
    """By the strongest identifier: ISIN, FIGI (share class before composite before listing), CUSIP, SEDOL, venue and
    ticker. Of several of one scheme and level the first in ASCII order; of several tickers the first that was borne,
    together with the day it was first borne where that is known: venues give tickers to one company after another."""
    kind = _CLASS_NAMES[asset_class]
    held = {assertion.scheme for assertion in identifiers}
    for scheme in STRENGTH:
        if scheme in held:
            same = [one for one in identifiers if one.scheme is scheme]
            if len(same) > 1:  # what came to be borne beside another never makes the identity
                same = [one for one in same if not one.beside] or same
            best = min([(one.level, one.value if canonical else one.identifier().value) for one in same])
            return _join(kind, _SCHEME_NAMES[scheme], best[1])
    symbols = [one for one in identifiers if one.scheme in _SYMBOL_SCHEMES and one.venue]
    if not symbols:
        raise _incomplete(
            "identifiers", f"{asset_class.name} needs an ISIN, FIGI, CUSIP, SEDOL, or a ticker at a venue"
        )
    _, since, venue, symbol = min(
        (_SYMBOL_SCHEMES.index(one.scheme), _day(one.valid_from), capitals(one.venue), one.identifier().value)
        for one in symbols
    )
    return _join(kind, "venue_ticker", venue, symbol, *([since] if since else []))


def currency_text(kind: str, code: str) -> str:
    """`ap1|currency|fiat|USD`; `kind` is fiat, crypto or metal."""
    return _join("currency", kind.lower(), capitals(code))


def pair_text(asset_class: AssetClass, base_id: InstrumentId, quote_id: InstrumentId) -> str:
    """`ap1|spot_pair|BASE|QUOTE`, the ids as hexadecimal digits."""
    return _join(asset_class.name.lower(), base_id.hex, quote_id.hex)


def listing_text(venue: str, symbol: str, instrument_id: InstrumentId) -> str:
    """`ap1|listing|VENUE|SYMBOL|INSTRUMENT`; the symbol in the venue's own spelling."""
    return _join("listing", capitals(_need("venue", venue)), _need("symbol", symbol), instrument_id.hex)


def token_caip19(chain: str, address: str) -> str:
    """The CAIP-19 text of a token: erc20 on eip155 chains (address in lower case), token elsewhere.

    An address that brings its own asset namespace (`slip44:60`) keeps it.
    """
    if ":" in address:
        return f"{chain}/{canonical_address(chain, address)}"
    namespace = "erc20" if is_evm(chain) else "token"
    return f"{chain}/{namespace}:{canonical_address(chain, address)}"


def mint_instrument_id(instrument: Instrument, salt: int = 0) -> InstrumentId:
    """The id of an instrument by its canonical text."""
    return InstrumentId.of(instrument_text(instrument), salt)


def mint_listing_id(venue: str, symbol: str, instrument_id: InstrumentId, salt: int = 0) -> ListingId:
    """The id of a listing by its canonical text."""
    return ListingId.of(listing_text(venue, symbol, instrument_id), salt)


def _derivative_parts(
    details: FutureDetails | PerpetualDetails | OptionDetails, identifiers: Sequence[IdentifierAssertion]
) -> list[str]:
    underlying = _hex("underlying_id", details.underlying_id)
    settlement = details.settlement_id.hex if details.settlement_id is not None else ""
    venue, size = capitals(details.venue), _plain(details.contract_size)
    if isinstance(details, OptionDetails):
        if details.strike is None or details.right is None or details.style is None:
            raise _incomplete("strike, right, style", "an option is known by all three")
        series = [_plain(details.strike), details.right.name.lower(), details.style.name.lower()]
        root = capitals(details.series) or _occ_root(identifiers)
        return [underlying, _instant(details.expiry), *series, venue, settlement, *([root] if root else [])]
    payoff = "inverse" if details.inverse else "linear"
    if isinstance(details, PerpetualDetails):
        _need("settlement_id", settlement)
        return [underlying, settlement, _need("venue", venue), size, payoff]
    series_root = capitals(details.series)
    _need("venue or series", venue or series_root)
    return [underlying, venue, series_root, _instant(details.expiry), settlement, size, payoff]


def _occ_root(identifiers: Sequence[IdentifierAssertion]) -> str:
    """The root of an option's OCC symbol, empty without one; of several the first in ASCII order."""
    symbols = [one.identifier().value for one in identifiers if one.scheme is Scheme.OCC]
    return OccSymbol(min(symbols)).root if symbols else ""


def _join(*parts: str) -> str:
    return "|".join([VERSION, *map(escape, parts)])


def _place(chain: str, address: str) -> tuple[str, str]:
    return _need("chain", chain), canonical_address(chain, _need("address", address))


def _instant(moment: datetime | None) -> str:
    """UTC to the second, `2026-03-27T08:00:00Z`; a fraction of a second is dropped."""
    if moment is None:
        raise _incomplete("expiry", "a series is known by its expiry")
    if moment.tzinfo is None:
        raise InvalidArgument.field("expiry", moment.isoformat(), "time-zone", "the expiry needs a time zone")
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _day(moment: datetime | None) -> str:
    """The day in UTC, empty for a name borne since ever."""
    if moment is None:
        return ""
    if moment.tzinfo is None:
        raise InvalidArgument.field("valid_from", moment.isoformat(), "time-zone", "the time needs a time zone")
    return moment.astimezone(UTC).date().isoformat()


def _plain(value: ExactDecimal | None) -> str:
    return str(value.normalised()) if value is not None else ""


def _hex(field: str, instrument_id: InstrumentId | None) -> str:
    if instrument_id is None:
        raise _incomplete(field, "the id of another instrument is part of this identity")
    return instrument_id.hex


def _need(field: str, text: str) -> str:
    if not text:
        raise _incomplete(field, "it is part of the identity")
    return text


def _incomplete(field: str, description: str) -> InvalidArgument:
    return InvalidArgument.field(field, "", "identity-incomplete", description)
