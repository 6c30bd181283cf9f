"""Definitions at random, and a plain reading of every field that predicates may name: messages and fractions, no column and no code."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from fractions import Fraction
from typing import Any, NamedTuple

from hypothesis import strategies as st

from alphapulse.api.common.v1.common_pb2 import AssetClass, Decimal
from alphapulse.api.instrument.v1 import instrument_pb2 as ipb
from alphapulse.api.instrument.v1.instrument_pb2 import Instrument, Listing
from alphapulse.api.venue.v1 import venue_pb2 as vpb
from alphapulse.api.venue.v1.venue_pb2 import Venue

SECOND = 1_000_000_000
KEYS = range(1, 9)
VENUES = ("XA", "XB")
TEXTS = ("A", "B", "Énergie 'x'")
IDS = tuple(digit * 32 for digit in "ab")
TIMES = ("2026-01-01", "2026-01-01T00:00:00.000001Z", "9999-12-31T23:59:59Z", "0001-01-01", "1969-12-31T23:59Z")
EXTREMES = (0, 1, -1, 2**63 - 1, -(2**63), 10**18, 5, 50)
EXPONENTS = (0, -1, -2, 1, -128, 127, 18, -19)


class Definition(NamedTuple):
    """All that a predicate can look at."""

    listing: Listing
    instrument: Instrument
    venue: Venue
    now_ns: int


# The plain reading: a field is a Fraction, a text, a bool, or None where it is missing.


def exact(message: Any, name: str) -> Fraction | None:
    if message is None or not message.HasField(name):
        return None
    decimal = getattr(message, name)
    return Fraction(decimal.mantissa) * Fraction(10) ** decimal.exponent


def moment(message: Any, name: str) -> Fraction | None:
    if message is None or not message.HasField(name):
        return None
    time = getattr(message, name)
    return time.seconds + Fraction(time.nanos // 1000, 1_000_000)


def details(found: Definition, *names: str) -> Any:
    which = found.instrument.WhichOneof("details")
    return getattr(found.instrument, which) if which in names else None


def of_details(name: str, *classes: str) -> Callable[[Definition], Any]:
    return lambda found: getattr(details(found, *classes), name, "") or None


def fee(found: Definition, name: str) -> Fraction | None:
    own = exact(found.listing.fees, name) if found.listing.HasField("fees") else None
    if own is not None:
        return own
    for schedule in found.venue.fee_schedules:
        begun = not schedule.HasField("valid_from") or schedule.valid_from.seconds * SECOND <= found.now_ns
        ended = schedule.HasField("valid_to") and schedule.valid_to.seconds * SECOND <= found.now_ns
        if begun and not ended and schedule.tiers and schedule.tiers[0].HasField(name):
            return exact(schedule.tiers[0], name)
    return None


def word(enum: Any, prefix: str, number: int) -> str | None:
    return enum.Name(number).removeprefix(prefix) if number else None


def contract_size(found: Definition) -> Fraction | None:
    own = exact(found.listing.rules, "contract_size")
    return own if own is not None else exact(details(found, "future", "perpetual", "option"), "contract_size")


def maturity(found: Definition) -> Fraction | None:
    text = getattr(details(found, "bond"), "maturity", "")
    return Fraction((date.fromisoformat(text) - date(1970, 1, 1)).days * 86400) if text else None


def pips(found: Definition) -> Fraction | None:
    pool = details(found, "pool")
    return None if pool is None else Fraction(pool.fee_pips)


RULES = ("tick_size", "lot_size", "min_size", "max_size", "min_notional", "max_notional")
PLAIN: dict[str, Callable[[Definition], Any]] = {
    **{name: (lambda found, name=name: exact(found.listing.rules, name)) for name in RULES},
    **{name: (lambda found, name=name: getattr(found.listing, name) or None) for name in ("symbol", "currency", "source")},
    "venue": lambda found: found.listing.venue,
    "status": lambda found: word(ipb.ListingStatus, "LISTING_STATUS_", found.listing.status),
    "primary": lambda found: found.listing.primary,
    "multiplier": lambda found: exact(found.listing.rules, "multiplier") or Fraction(1),
    "contract_size": contract_size,
    "maker_bps": lambda found: fee(found, "maker_bps"),
    "taker_bps": lambda found: fee(found, "taker_bps"),
    "listed_from": lambda found: moment(found.listing, "valid_from"),
    "listed_to": lambda found: moment(found.listing, "valid_to"),
    "instrument_id": lambda found: found.listing.instrument_id,
    "asset_class": lambda found: word(AssetClass, "ASSET_CLASS_", found.instrument.asset_class),
    "instrument_status": lambda found: word(ipb.InstrumentStatus, "INSTRUMENT_STATUS_", found.instrument.status),
    "country": of_details("country", "equity", "etf", "fund"),
    "sector": of_details("sector", "equity"),
    "industry": of_details("industry", "equity"),
    "instrument_currency": of_details("currency", "equity", "etf", "fund", "bond", "index"),
    "issuer_lei": of_details("issuer_lei", "equity", "etf", "fund", "bond"),
    "underlying_id": of_details("underlying_id", "future", "perpetual", "option"),
    "base_id": of_details("base_id", "fx_pair", "spot_pair"),
    "quote_id": of_details("quote_id", "fx_pair", "spot_pair"),
    "settlement_id": of_details("settlement_id", "future", "perpetual", "option"),
    "series": of_details("series", "future", "option"),
    "expiry": lambda found: moment(details(found, "future", "option"), "expiry"),
    "strike": lambda found: exact(details(found, "option"), "strike"),
    "option_kind": lambda found: word(ipb.OptionRight, "OPTION_RIGHT_", getattr(details(found, "option"), "right", 0)),
    "exercise_style": lambda found: word(
        ipb.ExerciseStyle, "EXERCISE_STYLE_", getattr(details(found, "option"), "style", 0)
    ),
    "inverse": lambda found: getattr(details(found, "future", "perpetual"), "inverse", None),
    "coupon": lambda found: exact(details(found, "bond"), "coupon"),
    "maturity": maturity,
    "chain": of_details("chain", "token", "pool", "lp_token"),
    "protocol": of_details("protocol", "pool"),
    "pool_fee_pips": pips,
    "venue_type": lambda found: word(vpb.VenueType, "VENUE_TYPE_", found.venue.type),
    "venue_status": lambda found: word(vpb.VenueStatus, "VENUE_STATUS_", found.venue.status),
    "venue_country": lambda found: found.venue.country or None,
    "venue_operating_mic": lambda found: found.venue.operating_mic or None,
    "venue_always_open": lambda found: found.venue.always_open if found.venue.code else None,
}  # fmt: skip


# Definitions at random. Few values of each kind, so that comparisons hold and fail alike.

pick = st.sampled_from
decimals = st.builds(Decimal, mantissa=st.one_of(pick(EXTREMES), st.integers(-99, 99)), exponent=pick(EXPONENTS))


@st.composite
def filled(draw: Any, message: Any, skip: tuple[str, ...] = ()) -> Any:
    """A message with some of its fields set, whatever they are."""
    for field in message.DESCRIPTOR.fields:
        if field.name in skip or (not field.has_default_value and draw(st.integers(0, 3)) == 0):
            continue
        if field.message_type is None and not field.is_repeated:
            setattr(message, field.name, draw(scalars(field)))
        elif field.is_repeated:
            continue
        elif field.message_type.name == "Decimal":
            getattr(message, field.name).CopyFrom(draw(decimals))
        elif field.message_type.name == "Timestamp":
            time = getattr(message, field.name)
            time.FromJsonString(draw(pick(TIMES[1:3])) if draw(st.booleans()) else "2026-01-01T00:00:00.000001999Z")
    return message


def scalars(field: Any) -> Any:
    if field.name == "maturity":
        return pick(("2026-01-01", "2099-12-31"))
    if field.enum_type is not None:
        return pick([one.number for one in field.enum_type.values])
    if field.type == field.TYPE_BOOL:
        return st.booleans()
    if field.type == field.TYPE_STRING:
        return pick(IDS if field.name.endswith("_id") else TEXTS)
    return st.integers(0, 50)


CLASSES = [one.name for one in Instrument.DESCRIPTOR.oneofs_by_name["details"].fields]


@st.composite
def instruments(draw: Any) -> Instrument:
    made = Instrument(
        instrument_id=draw(pick(IDS)), asset_class=draw(st.integers(0, 15)), status=draw(st.integers(0, 4))
    )
    which = draw(pick([*CLASSES, "option", "option", "future", "equity", None]))
    if which is not None:
        getattr(made, which).SetInParent()
        draw(filled(getattr(made, which)))
    return made


@st.composite
def listings(draw: Any) -> Listing:
    made = Listing(status=draw(st.integers(0, 3)), instrument_id=draw(pick(IDS)), venue=draw(pick(VENUES)))
    draw(
        filled(
            made, ("listing_id", "listing_key", "instrument_id", "venue", "status", "definition_version", "revision")
        )
    )
    if draw(st.booleans()):
        # The kernel takes ticks and multipliers that are positive and fit; the registries refuse others.
        draw(filled(made.rules, ("tick_size", "multiplier")))
        for name in ("tick_size", "multiplier"):
            if draw(st.booleans()):
                getattr(made.rules, name).CopyFrom(
                    Decimal(mantissa=draw(pick((1, 5, 25))), exponent=draw(pick((0, -2))))
                )
    if draw(st.integers(0, 2)) == 0:
        draw(filled(made.fees))
    made.listing_key = draw(pick(KEYS))
    made.listing_id = f"{made.listing_key:016x}{'0' * 16}"
    made.definition_version = 1
    return made


@st.composite
def venues(draw: Any) -> Venue:
    made = draw(filled(Venue(), ("code", "revision")))
    made.code = draw(pick(VENUES))
    for _ in range(draw(st.integers(0, 3))):
        schedule = made.fee_schedules.add()
        if draw(st.booleans()):
            schedule.valid_from.seconds = draw(pick((100, 200)))
        if draw(st.booleans()):
            schedule.valid_to.seconds = draw(pick((200, 300)))
        for _ in range(draw(st.integers(0, 2))):
            draw(filled(schedule.tiers.add()))
    return made


def whole(message: Any, skip: tuple[str, ...] = ()) -> Any:
    """A message with every field set that is one value; no two numbers, and no two times, are the same."""
    for place, field in enumerate(message.DESCRIPTOR.fields, 1):
        if field.name in skip or field.is_repeated:
            continue
        if field.message_type is None:
            texts = IDS if field.name.endswith("_id") else TEXTS
            values = {field.TYPE_BOOL: True, field.TYPE_STRING: texts[place % len(texts)], field.TYPE_ENUM: 2}
            text = "2026-06-01" if field.name == "maturity" else values.get(field.type, place)
            setattr(message, field.name, text)
        elif field.message_type.name == "Decimal":
            getattr(message, field.name).CopyFrom(Decimal(mantissa=100 + place, exponent=-2))
        elif field.message_type.name == "Timestamp":
            getattr(message, field.name).FromNanoseconds(1_700_000_000_000_001_999 + place * 1000)
    return message


def of_class(which: str) -> Definition:
    """A definition of a class that says all it can; its rules and fees are the listing's own."""
    instrument = Instrument(instrument_id=IDS[0], asset_class=AssetClass.ASSET_CLASS_BOND, status=2)
    getattr(instrument, which).SetInParent()
    whole(getattr(instrument, which))
    listing = whole(Listing(), ("listing_key", "listing_id", "instrument_id", "venue", "status"))
    listing.status, listing.instrument_id, listing.venue = 2, IDS[0], VENUES[0]
    whole(listing.rules)
    whole(listing.fees)
    venue = whole(Venue(), ("code",))
    venue.code = VENUES[0]
    whole(venue.fee_schedules.add().tiers.add())
    return Definition(listing, instrument, venue, 0)
