"""From messages of the registries to what the replica's tables hold."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1.common_pb2 import Decimal
from alphapulse.api.instrument.v1.instrument_pb2 import Listing
from alphapulse.api.synthetic.v1.synthetic_pb2 import Component, Synthetic, SyntheticStatus
from alphapulse.api.venue.v1.venue_pb2 import FeeSchedule, Venue
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.ids import ListingId
from relay_service.enrichment.definitions import (
    DEFAULT_MAX_AGE_MS,
    ComponentDefinition,
    PriceField,
    SyntheticDefinition,
    TargetKind,
)

FOREVER: Final = (1 << 63) - 1


def number_of(decimal: Decimal) -> float:
    """A decimal as a double."""
    return float(_exact(decimal).to_decimal())


def tick_of(listing: Listing) -> tuple[int, int]:
    """(mantissa, exponent) of the tick size without trailing zeros; (0, 0) where it is not known."""
    if not listing.rules.HasField("tick_size") or listing.rules.tick_size.mantissa <= 0:
        return 0, 0
    tick = ExactDecimal(listing.rules.tick_size.mantissa, listing.rules.tick_size.exponent).normalised()
    return tick.mantissa, tick.exponent


def multiplier_of(listing: Listing) -> float:
    """Units of the instrument one unit of size stands for; 1 where nothing is stated."""
    if not listing.rules.HasField("multiplier") or listing.rules.multiplier.mantissa <= 0:
        return 1.0
    return number_of(listing.rules.multiplier)


def own_taker_fee(listing: Listing) -> float:
    """The listing's own taker fee in basis points; NaN where its venue's holds."""
    if listing.HasField("fees") and listing.fees.HasField("taker_bps"):
        return number_of(listing.fees.taker_bps)
    return math.nan


class VenueFees(NamedTuple):
    """In basis points, of the first tier of the first schedule in force that states it; None where none does."""

    maker: ExactDecimal | None
    taker: ExactDecimal | None
    until_ns: int
    """When another schedule may hold."""

    @property
    def taker_bps(self) -> float:
        """The taker fee as a double; NaN where none is known."""
        return math.nan if self.taker is None else float(self.taker.to_decimal())


NO_FEES: Final = VenueFees(None, None, FOREVER)


def venue_fees(venue: Venue, now_ns: int) -> VenueFees:
    """What holds now."""
    maker = taker = None
    until = FOREVER
    for schedule in venue.fee_schedules:
        start, end = _span(schedule)
        if now_ns < start:
            until = min(until, start)
        elif now_ns < end:
            until = min(until, end)
            if schedule.tiers:
                tier = schedule.tiers[0]
                if maker is None and tier.HasField("maker_bps"):
                    maker = _exact(tier.maker_bps)
                if taker is None and tier.HasField("taker_bps"):
                    taker = _exact(tier.taker_bps)
    return VenueFees(maker, taker, until)


def _exact(decimal: Decimal) -> ExactDecimal:
    return ExactDecimal(decimal.mantissa, decimal.exponent)


def _span(schedule: FeeSchedule) -> tuple[int, int]:
    start = _nanoseconds(schedule.valid_from) if schedule.HasField("valid_from") else -FOREVER
    end = _nanoseconds(schedule.valid_to) if schedule.HasField("valid_to") else FOREVER
    return start, end


def _nanoseconds(time: Timestamp) -> int:
    return time.seconds * 1_000_000_000 + time.nanos


def is_active(synthetic: Synthetic) -> bool:
    """Whether it is to be computed."""
    return synthetic.status in (SyntheticStatus.SYNTHETIC_STATUS_UNSPECIFIED, SyntheticStatus.SYNTHETIC_STATUS_ACTIVE)


def synthetic_definition(synthetic: Synthetic) -> SyntheticDefinition:
    """The definition in a message. Raises InvalidArgument for ids that cannot be."""
    default_ms = synthetic.max_age_ms or DEFAULT_MAX_AGE_MS
    return SyntheticDefinition(
        key=synthetic.listing_key,
        name=synthetic.name,
        formula=synthetic.formula,
        components=tuple(_component(component, default_ms) for component in synthetic.components),
        version=synthetic.formula_version,
        interval_ns=synthetic.interval_ms * 1_000_000,
        min_value=synthetic.min_value if synthetic.HasField("min_value") else None,
        max_value=synthetic.max_value if synthetic.HasField("max_value") else None,
        outlier_sigma=synthetic.outlier_sigma if synthetic.HasField("outlier_sigma") else None,
    )


def _component(component: Component, default_ms: int) -> ComponentDefinition:
    kind, target = TargetKind.SYNTHETIC, component.synthetic
    if component.HasField("listing_id"):
        kind, target = TargetKind.LISTING, str(ListingId.parse(component.listing_id, "listing_id").key)
    elif component.HasField("instrument_id"):
        kind, target = TargetKind.INSTRUMENT, component.instrument_id
    price = PriceField(component.price_field) if component.price_field else PriceField.MID
    return ComponentDefinition(
        component.variable, kind, target, price, (component.max_age_ms or default_ms) * 1_000_000
    )
