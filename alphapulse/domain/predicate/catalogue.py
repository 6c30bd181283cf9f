"""The fields a predicate may name: what a relay holds of a listing, of its instrument, and of its venue. docs/predicates.md is made of this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ExerciseStyle, InstrumentStatus, ListingStatus, OptionRight


class Kind(Enum):
    """What a field's values are, and with that what they are compared with."""

    NUMBER = "number"
    """An exact decimal; every comparison."""
    TIME = "time"
    """A moment of UTC, in microseconds, written "2026-12-31" or "2026-12-31T08:00:00Z"; every comparison."""
    TEXT = "text"
    """A text, compared as it is spelled; == != in."""
    ID = "id"
    """32 hexadecimal digits; == != in."""
    WORD = "word"
    """One of a few words; == != in."""
    FLAG = "flag"
    """true or false; a condition by itself, or == !=."""


class Subject(Enum):
    """Whose field it is."""

    LISTING = "listing"
    INSTRUMENT = "instrument"
    VENUE = "venue"


_FLAG: Final = MappingProxyType({"false": 1, "true": 2})


@dataclass(frozen=True, slots=True)
class Field:
    """One name of the catalogue."""

    name: str
    kind: Kind
    subject: Subject
    text: str
    """What it says, and when it is missing."""
    words: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Of a WORD its words, of a FLAG false and true, each with the number it is held as; 0 is held where the field is missing. Of a WORD the numbers
    are those of the API's enum."""


_VENUE_TYPES: Final = (
    "EXCHANGE",
    "CRYPTO_EXCHANGE",
    "DEX",
    "CHAIN",
    "BROKER",
    "DERIVATIVES_EXCHANGE",
    "OTC",
    "DATA_SOURCE",
)
_VENUE_STATUSES: Final = ("ACTIVE", "HALTED", "MAINTENANCE", "EXPIRED")


def _numbered(names: tuple[str, ...]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names, 1)}


def _names() -> tuple[Field, ...]:
    number, time, text, identity, word, flag = Kind.NUMBER, Kind.TIME, Kind.TEXT, Kind.ID, Kind.WORD, Kind.FLAG
    listing, instrument, venue = Subject.LISTING, Subject.INSTRUMENT, Subject.VENUE
    statuses = {one.name: one.value for one in ListingStatus if one is not ListingStatus.DELISTED}
    return (
        Field("symbol", text, listing, "the symbol, in the venue's spelling"),
        Field("venue", text, listing, "the venue's code: its MIC, or its code in the venue registry"),
        Field("currency", text, listing, "the currency or asset the price is in"),
        Field("status", word, listing, "whether it trades; the relay knows no listing that is DELISTED", statuses),
        Field("primary", flag, listing, "whether its instrument is mainly traded on it", _FLAG),
        Field("source", text, listing, "who registered it"),
        Field("tick_size", number, listing, "smallest difference of two prices; missing where it depends on the price"),
        Field("lot_size", number, listing, "smallest difference of two sizes"),
        Field("min_size", number, listing, "smallest size of an order"),
        Field("max_size", number, listing, "largest size of an order"),
        Field("min_notional", number, listing, "smallest price times size of an order"),
        Field("max_notional", number, listing, "largest price times size of an order"),
        Field("multiplier", number, listing, "units of the instrument one unit of size stands for; 1 where none is stated"),
        Field(
            "contract_size",
            number,
            listing,
            "units of the underlying one contract stands for: on this venue, else as the instrument states it",
        ),
        Field("maker_bps", number, listing, "fee of an order that adds liquidity, in basis points; negative is a rebate"),
        Field("taker_bps", number, listing, "fee of an order that takes liquidity, in basis points"),
        Field("listed_from", time, listing, "first instant of the listing"),
        Field("listed_to", time, listing, "its announced end"),
        Field("instrument_id", identity, instrument, "its id"),
        Field("asset_class", word, instrument, "its class", {one.name: one.value for one in AssetClass}),
        Field("instrument_status", word, instrument, "whether it exists", {one.name: one.value for one in InstrumentStatus}),
        Field("country", text, instrument, "ISO 3166 code of the issuer's country, of a fund's domicile"),
        Field("sector", text, instrument, "of an equity, in words of its source"),
        Field("industry", text, instrument, "of an equity, in words of its source"),
        Field("instrument_currency", text, instrument, "the currency a security is denominated, pays or is computed in"),
        Field("issuer_lei", text, instrument, "LEI of the issuer or fund"),
        Field("underlying_id", identity, instrument, "what a derivative is derived from"),
        Field("base_id", identity, instrument, "of a pair, what is bought and sold"),
        Field("quote_id", identity, instrument, "of a pair, what it is priced in"),
        Field("settlement_id", identity, instrument, "what a derivative settles in"),
        Field("series", text, instrument, "root of a future's or option's series, such as ES"),
        Field("expiry", time, instrument, "last trading time of a future or option"),
        Field("strike", number, instrument, "of an option"),
        Field("option_kind", word, instrument, "what right an option gives", {one.name: one.value for one in OptionRight}),
        Field("exercise_style", word, instrument, "of an option", {one.name: one.value for one in ExerciseStyle}),
        Field("inverse", flag, instrument, "of a future or perpetual: its value is fixed in quote units", _FLAG),
        Field("coupon", number, instrument, "of a bond, yearly, in percent of face value"),
        Field("maturity", time, instrument, "of a bond: the day, from 00:00 UTC; missing where it is perpetual"),
        Field("chain", text, instrument, "of a token, pool or pool share: the chain by CAIP-2, such as eip155:1"),
        Field("protocol", text, instrument, "of a pool, such as uniswap-v3"),
        Field("pool_fee_pips", number, instrument, "of a pool: the fee of a swap in hundredths of a basis point"),
        Field("venue_type", word, venue, "what kind of place it is", _numbered(_VENUE_TYPES)),
        Field("venue_status", word, venue, "whether it is in operation", _numbered(_VENUE_STATUSES)),
        Field("venue_country", text, venue, "ISO 3166 code of its country"),
        Field("venue_operating_mic", text, venue, "MIC of its operator"),
        Field("venue_always_open", flag, venue, "whether it never closes", _FLAG),
    )  # fmt: skip


CATALOGUE: Final[Mapping[str, Field]] = MappingProxyType({one.name: one for one in _names()})
"""Every field by its name, in the order of the documentation."""
