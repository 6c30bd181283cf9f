"""What a trade costs: the fee of a listing, or of its venue's schedule at a time, for a product and a traded volume."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Final

from registry_service.venue import convert
from registry_service.venue.convert import common, listing_wire, wire
from registry_service.venue.numbers import fraction

PRODUCT_OF: Final[dict[int, str]] = {
    common.ASSET_CLASS_EQUITY: "EQUITY",
    common.ASSET_CLASS_ETF: "EQUITY",
    common.ASSET_CLASS_FX_PAIR: "FX",
    common.ASSET_CLASS_SPOT_PAIR: "SPOT",
    common.ASSET_CLASS_TOKEN: "SPOT",
    common.ASSET_CLASS_POOL: "POOL",
    common.ASSET_CLASS_FUTURE: "FUTURE",
    common.ASSET_CLASS_PERPETUAL: "PERPETUAL",
    common.ASSET_CLASS_OPTION: "OPTION",
}
"""The product of fee schedules for an asset class; other classes have the schedules without a product alone."""


@dataclass(frozen=True, slots=True)
class Trade:
    """What a fee is asked for."""

    asset_class: int
    volume: Fraction
    """Traded in 30 days, in the currency each schedule counts in."""
    maker: bool
    at: datetime
    price: Fraction | None = None
    price_currency: str = ""


@dataclass(frozen=True, slots=True)
class Fee:
    """A fee, or why there is none."""

    bps: Fraction | None
    source: str


def fee_of(venue: wire.Venue, listing: listing_wire.Listing, trade: Trade) -> Fee:
    """The fee in basis points: the listing's own where it has one, else of the tier of its venue's schedule."""
    name = "maker_bps" if trade.maker else "taker_bps"
    if listing.HasField("fees") and listing.fees.HasField(name):  # type: ignore[arg-type]
        return Fee(fraction(convert.exact(getattr(listing.fees, name))), "listing")
    schedule = schedule_at(venue.fee_schedules, PRODUCT_OF.get(trade.asset_class, ""), trade.at)
    if schedule is None:
        return Fee(None, f"no fee schedule of {venue.code} holds at {trade.at.isoformat()}")
    tier = tier_of(schedule, trade.volume)
    source = " ".join(part for part in (schedule.product, tier.name, schedule.source) if part)
    if tier.HasField(name):  # type: ignore[arg-type]
        return Fee(fraction(convert.exact(getattr(tier, name))), source)
    per_unit = fraction(convert.exact(tier.maker_per_unit if trade.maker else tier.taker_per_unit))
    if trade.price is None:
        return Fee(
            None, f"a fee of {per_unit} {schedule.fee_currency} a unit is in basis points only at a reference_price"
        )
    if not trade.price_currency == schedule.fee_currency == listing.currency:
        return Fee(
            None,
            f"the fee is in {schedule.fee_currency}, the listing in {listing.currency}, the price in {trade.price_currency}",
        )
    return Fee(per_unit / trade.price * 10_000, source)


def schedule_at(schedules: Iterable[wire.FeeSchedule], product: str, at: datetime) -> wire.FeeSchedule | None:
    """The schedule of a product at a time; without one, that of everything else."""
    valid = [one for one in schedules if holds(one, at)]
    own = [one for one in valid if one.product == product]
    common_ones = [one for one in valid if not one.product]
    return next(iter([*own, *common_ones]), None)


def holds(schedule: wire.FeeSchedule, at: datetime) -> bool:
    """Whether a schedule holds at a time: from valid_from on, before valid_to."""
    if schedule.HasField("valid_from") and at < convert.moment(schedule.valid_from):
        return False
    return not (schedule.HasField("valid_to") and at >= convert.moment(schedule.valid_to))


def tier_of(schedule: wire.FeeSchedule, volume: Fraction) -> wire.FeeTier:
    """The last tier that begins at or below a volume; tiers rise from 0."""
    found = schedule.tiers[0]
    for tier in schedule.tiers[1:]:
        if fraction(convert.exact(tier.min_volume)) <= volume:
            found = tier
    return found
