"""RankVenues and PlanRoute: the listings of an instrument, what their venues cost and how they were measured, scored and split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Final

from registry_service.venue import convert, numbers
from registry_service.venue.convert import listing_wire, service, wire
from registry_service.venue.fees import Fee, Trade, fee_of
from registry_service.venue.findings import Findings
from registry_service.venue.ranking import PARTS, Candidate, Scored, Weights, liquidity_measure, rank

_OBJECTIVES: Final = {
    service.RANK_OBJECTIVE_LOWEST_FEE: Weights(Fraction(100), Fraction(0), Fraction(0), Fraction(0)),
    service.RANK_OBJECTIVE_HIGHEST_LIQUIDITY: Weights(Fraction(0), Fraction(100), Fraction(0), Fraction(0)),
    service.RANK_OBJECTIVE_FASTEST: Weights(Fraction(0), Fraction(0), Fraction(50), Fraction(50)),
}
_WEIGHT_TOLERANCE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Offer:
    """A listing that can be traded, its venue, and its fee."""

    listing: listing_wire.Listing
    venue: wire.Venue
    fee: Fee


def weights_of(findings: Findings, request: Any) -> Weights:
    """The weights of a request, sound where nothing was found."""
    findings.known_enum("objective", request.objective, service.RankObjective, required=False)
    if request.objective in _OBJECTIVES:
        return _OBJECTIVES[request.objective]
    if not request.HasField("weights"):
        return Weights()
    values = {part: getattr(request.weights, part) for part in PARTS}
    for part, value in values.items():
        if not math.isfinite(value) or value < 0:
            findings.add(f"weights.{part}", value, "not-negative", "a finite number that is not below zero")
            return Weights()
    total = sum(values.values())
    if abs(total - 100) > _WEIGHT_TOLERANCE:
        findings.add("weights", total, "weights-sum", "the weights are 100 together")
    return Weights(**{part: Fraction(value) for part, value in values.items()})


def trade_of(findings: Findings, request: Any, asset_class: int, at: datetime) -> Trade:
    """What fees are asked for, sound where nothing was found."""
    volume = findings.decimal(request, "volume", "")
    if volume is not None and volume.mantissa < 0:
        findings.add("volume", volume, "not-negative", "it must not be below zero")
    price = positive(findings, request, "reference_price")
    if price is not None and not request.price_currency:
        findings.add("price_currency", "", "required", "a price has a currency")
    if price is None and request.price_currency:
        findings.add("reference_price", "", "required", "a currency without a price says nothing")
    amount = numbers.fraction(volume) if volume is not None else Fraction(0)
    return Trade(asset_class, amount, request.maker, at, price, request.price_currency)


def positive(findings: Findings, request: Any, name: str) -> Fraction | None:
    """An optional decimal above zero."""
    value = findings.decimal(request, name, "")
    if value is not None and not value.is_positive:
        findings.add(name, value, "positive", "it has to be above zero")
        return None
    return numbers.fraction(value) if value is not None else None


def offers(
    listings: Sequence[listing_wire.Listing], venues: Mapping[str, wire.Venue], trade: Trade
) -> tuple[list[Offer], list[service.ExcludedVenue]]:
    """(what can be traded, what cannot and why)."""
    good, excluded = [], []
    for listing in sorted(listings, key=lambda one: (one.venue, one.listing_id)):
        venue = venues.get(listing.venue)
        reason = _unfit(listing, venue)
        if reason or venue is None:
            excluded.append(service.ExcludedVenue(code=listing.venue, listing_id=listing.listing_id, reason=reason))
        else:
            good.append(Offer(listing, venue, fee_of(venue, listing, trade)))
    return good, excluded


def _unfit(listing: listing_wire.Listing, venue: wire.Venue | None) -> str:
    if venue is None:
        return "the venue registry does not know the venue"
    if venue.status != wire.VENUE_STATUS_ACTIVE:
        status = wire.VenueStatus.Name(venue.status).removeprefix("VENUE_STATUS_")
        return f"the venue is {status}" + (f": {venue.status_reason}" if venue.status_reason else "")
    if listing.status != listing_wire.LISTING_STATUS_TRADING:
        return f"the listing is {listing_wire.ListingStatus.Name(listing.status).removeprefix('LISTING_STATUS_')}"
    return ""


def scored(good: Sequence[Offer], weights: Weights) -> list[Scored]:
    """The offers as scored candidates, the best first."""
    return rank([_candidate(one) for one in good], weights)


def _candidate(offer: Offer) -> Candidate:
    measured = offer.venue.performance
    known = measured.HasField("measure_time")

    def figure(value: float) -> Fraction | None:
        return Fraction(value) if known and value > 0 else None

    return Candidate(
        code=offer.listing.venue,
        listing_id=offer.listing.listing_id,
        fee=offer.fee.bps,
        depth=figure(measured.depth_usd),
        volume=figure(measured.volume_24h_usd),
        fill=figure(measured.fill_time_ms),
        latency=figure(measured.latency_ms),
        measured=convert.moment(measured.measure_time).isoformat() if known else "",
        fee_source=offer.fee.source,
    )


def ranked(
    good: Sequence[Offer], excluded: Sequence[service.ExcludedVenue], weights: Weights
) -> service.RankVenuesResponse:
    """The answer of RankVenues."""
    results = scored(good, weights)
    response = service.RankVenuesResponse(
        excluded=excluded,
        weights=service.RankWeights(**{part: float(getattr(weights, part)) for part in PARTS}),
        liquidity_measure=liquidity_measure([one.candidate for one in results]),
    )
    for one in results:
        venue = response.venues.add(
            code=one.candidate.code,
            listing_id=one.candidate.listing_id,
            score=float(one.score),
            parts=parts_of(one),
            missing=one.missing,
            why=one.why,
        )
        if one.candidate.fee is not None:
            venue.fee_bps.CopyFrom(convert.decimal(numbers.decimal(one.candidate.fee)))
            venue.fee_source = one.candidate.fee_source
    return response


def parts_of(one: Scored) -> service.RankWeights:
    """The parts of a score, 0 to 100 each."""
    return service.RankWeights(**{part: float(value) for part, value in one.parts.items()})


def time_of(findings: Findings, request: Any) -> datetime:
    """as_of, or now."""
    return findings.time(request, "as_of", "") or datetime.now(UTC)
