"""From the registries' messages to what filters look at. Read for each listing that comes or changes, so every microsecond counts."""

from __future__ import annotations

import time
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1.common_pb2 import Decimal
from alphapulse.api.instrument.v1.instrument_pb2 import Instrument, TradingRules
from alphapulse.domain.decimal import EXPONENT_MAX, EXPONENT_MIN, ExactDecimal
from alphapulse.domain.identifiers import Scheme
from relay_service.subscriptions.columns import DECIMAL, NO_DECIMAL
from relay_service.subscriptions.facets import FEES, LISTING_LAYOUT, RULES, TERMS, Facets, VenueFacets

_ISIN: Final = int(Scheme.ISIN)
_FLAGS: Final = (1, 2)
"""false and true, as words."""
_ONE: Final = DECIMAL.pack(1, 0)
_TEXTS: Final = {
    "underlying_id": "underlying",
    "chain": "chain",
    "sector": "sector",
    "country": "country",
    "industry": "industry",
    "currency": "instrument_currency",
    "issuer_lei": "issuer_lei",
    "base_id": "base",
    "quote_id": "quote",
    "settlement_id": "settlement",
    "series": "series",
    "protocol": "protocol",
}
"""Fields of an instrument's details, and the facet that holds each."""
_PLAN: Final = {
    one.name: tuple(
        (text, Facets._fields.index(facet)) for text, facet in _TEXTS.items() if text in one.message_type.fields_by_name
    )
    for one in Instrument.DESCRIPTOR.oneofs_by_name["details"].fields
    if one.message_type is not None
}
"""By the name of the details, those of these fields that they have, and the place of each among the facets."""
_EMPTY: Final = [*Facets()]
_ISINS, _CURRENCY, _SYMBOL, _SOURCE = (Facets._fields.index(name) for name in ("isins", "currency", "symbol", "source"))
_NO_TERMS: Final = (NO_DECIMAL * len(TERMS), NO_DECIMAL, (0, 0, 0))
_WORDS: Final = Struct("<BBBBB")
_VENUE_WORDS: Final = Struct("<BBB")
_SECOND: Final = 1_000_000


class DefinitionReader:
    """Reads messages; `now_ns` is when, since the Unix epoch; 0: the present."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def listing(self, listing: Any | None, instrument: Any | None) -> tuple[Facets, bytes]:
        """What filters look at of a Listing and its Instrument, each of which may be None: texts, and a row of LISTING_LAYOUT."""
        texts = _EMPTY.copy()
        terms, contract, words = _NO_TERMS
        status = 0
        if instrument is not None:
            status = instrument.status
            if instrument.identifiers:
                texts[_ISINS] = self._isins(instrument)
            which = instrument.WhichOneof("details")
            if which is not None:
                details = getattr(instrument, which)
                for name, place in _PLAN[which]:
                    texts[place] = getattr(details, name)
                terms, contract, words = _terms(which, details)
        if listing is None:
            return Facets._make(texts), LISTING_LAYOUT.empty
        texts[_CURRENCY], texts[_SYMBOL], texts[_SOURCE] = listing.currency, listing.symbol, listing.source
        rules, own_contract = _NO_RULES
        if listing.HasField("rules"):
            rules, own_contract = _rules(listing.rules.SerializeToString())
        packed = b"".join(
            (
                rules,
                own_contract or contract,
                _numbers(listing.fees, FEES) if listing.HasField("fees") else _NO_FEES,
                _moment(listing.valid_from) if listing.HasField("valid_from") else NO_DECIMAL,
                _moment(listing.valid_to) if listing.HasField("valid_to") else NO_DECIMAL,
                terms,
                _WORDS.pack(_FLAGS[listing.primary], status, *words),
            )
        )
        return Facets._make(texts), packed

    def venue(self, venue: Any | None, fees: Any) -> tuple[VenueFacets, bytes]:
        """What filters look at of a Venue, which may be None: texts, and a row of VENUE_LAYOUT."""
        packed = _exact(fees.maker) + _exact(fees.taker)
        if venue is None:
            return VenueFacets(), packed + bytes(_VENUE_WORDS.size)
        packed += _VENUE_WORDS.pack(venue.type, venue.status, _FLAGS[venue.always_open])
        return VenueFacets(venue.country, venue.operating_mic), packed

    def _isins(self, instrument: Any) -> tuple[str, ...]:
        now_ns = self._now_ns or time.time_ns()
        return tuple([one.value for one in instrument.identifiers if one.scheme == _ISIN and _is_in_force(one, now_ns)])


def _is_in_force(item: Any, now_ns: int) -> bool:
    """Whether an IdentifierAssertion holds at a time, as far as is known now."""
    if item.HasField("recorded_to"):
        return False
    if item.HasField("valid_from") and now_ns < item.valid_from.ToNanoseconds():
        return False
    return not item.HasField("valid_to") or now_ns < item.valid_to.ToNanoseconds()


def _terms(which: str, details: Any) -> tuple[bytes, bytes, tuple[int, int, int]]:
    """Of an instrument's details: TERMS, the contract size, and the words option_kind, exercise_style, inverse."""
    strike = expiry = coupon = maturity = pips = contract = NO_DECIMAL
    words = (0, 0, 0)
    if which in ("future", "perpetual", "option"):
        contract = _numbers(details, ("contract_size",))
        if which != "perpetual" and details.HasField("expiry"):
            expiry = _moment(details.expiry)
        if which == "option":
            strike = _numbers(details, ("strike",))
            words = (details.right, details.style, 0)
        else:
            words = (0, 0, _FLAGS[details.inverse])
    elif which == "bond":
        coupon, maturity = _numbers(details, ("coupon",)), _day(details.maturity)
    elif which == "pool":
        pips = DECIMAL.pack(details.fee_pips, 0)
    else:
        return _NO_TERMS
    return strike + expiry + coupon + maturity + pips, contract, words


@lru_cache(1 << 16)
def _rules(raw: bytes) -> tuple[bytes, bytes]:
    """(RULES, the contract size or nothing) of serialized TradingRules: many listings have the same."""
    rules = TradingRules.FromString(raw)
    packed = _numbers(rules, RULES[:-1]) + (_numbers(rules, RULES[-1:]) if rules.HasField("multiplier") else _ONE)
    return packed, _numbers(rules, ("contract_size",)) if rules.HasField("contract_size") else b""


def _numbers(message: Any, names: tuple[str, ...]) -> bytes:
    """The decimals of a message, packed."""
    return b"".join([_decimal(getattr(message, name)) if message.HasField(name) else NO_DECIMAL for name in names])


def _decimal(decimal: Decimal) -> bytes:
    exponent = decimal.exponent
    if not EXPONENT_MIN <= exponent <= EXPONENT_MAX:
        return NO_DECIMAL  # the registries refuse such
    return DECIMAL.pack(decimal.mantissa, exponent)


def _exact(decimal: ExactDecimal | None) -> bytes:
    return NO_DECIMAL if decimal is None else DECIMAL.pack(decimal.mantissa, decimal.exponent)


def _moment(moment: Timestamp) -> bytes:
    """Seconds since the Unix epoch; in nanoseconds, the last of them would not fit."""
    return DECIMAL.pack(moment.seconds * _SECOND + moment.nanos // 1000, -6)


@lru_cache(1 << 16)
def _day(text: str) -> bytes:
    """The beginning of a day, YYYY-MM-DD; nothing where there is none."""
    moment = Timestamp()
    try:
        moment.FromJsonString(f"{text}T00:00:00Z")
    except ValueError:
        return NO_DECIMAL
    return _moment(moment)


_NO_FEES: Final = NO_DECIMAL * len(FEES)
_NO_RULES: Final = (NO_DECIMAL * (len(RULES) - 1) + _ONE, b"")
