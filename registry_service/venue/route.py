"""PlanRoute: what each listing may take, the plan, and what each part of it costs."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from registry_service.venue import convert, numbers
from registry_service.venue.best import Offer, parts_of, positive, scored
from registry_service.venue.convert import listing_wire, service, wire
from registry_service.venue.fees import Trade
from registry_service.venue.findings import Findings
from registry_service.venue.ranking import Scored, Weights
from registry_service.venue.routing import Slot, plan

_MOST_VENUES: Final = 1000
_MOST_PLANNED: Final = 64
"""Listings a plan is made of; each deepens the search."""
_ANY_LOT: Final = Fraction(1, 10**8)
"""The lot of a listing that does not say."""
_SIDES: Final = ("BUY", "SELL")


@dataclass(frozen=True, slots=True)
class Constraints:
    """What a plan has to keep to. Sizes are units of the instrument."""

    size: Fraction
    most_venues: int
    excluded: frozenset[str]
    most_size: Fraction | None
    depth_share: Fraction | None
    most_fee: Fraction | None
    by_fee: bool
    """The lowest fee in money rather than the best score."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a listing may take, in units of the instrument."""

    lot: Fraction
    low: Fraction
    high: Fraction
    unchecked: tuple[str, ...] = ()
    """Rules that could not be applied, and why."""


def constraints_of(findings: Findings, request: service.PlanRouteRequest) -> Constraints:
    """The constraints of a request, sound where nothing was found."""
    size = positive(findings, request, "size")
    if not request.HasField("size"):
        findings.add("size", "", "required", "an order has a size")
    if request.side not in _SIDES:
        findings.add("side", request.side, "side", "BUY or SELL")
    if not 0 <= request.max_venues <= _MOST_VENUES:
        findings.add("max_venues", request.max_venues, "range", f"0 to {_MOST_VENUES}; 0 means any number")
    share = positive(findings, request, "max_depth_share")
    if share is not None and share > 1:
        findings.add("max_depth_share", float(share), "range", "above 0 to 1")
    if share is not None and request.price_currency != "USD":
        rule = "depth is measured in US dollars: it needs a reference_price in USD"
        findings.add("price_currency", request.price_currency, "depth-currency", rule)
    fee = findings.decimal(request, "max_fee_bps", "")
    return Constraints(
        size=size or Fraction(1),
        most_venues=request.max_venues,
        excluded=frozenset(request.excluded_venues),
        most_size=positive(findings, request, "max_size_per_venue"),
        depth_share=share,
        most_fee=numbers.fraction(fee) if fee is not None else None,
        by_fee=request.objective == service.RANK_OBJECTIVE_LOWEST_FEE,
    )


async def route(
    good: Sequence[Offer],
    excluded: Sequence[service.ExcludedVenue],
    weights: Weights,
    constraints: Constraints,
    trade: Trade,
) -> service.PlanRouteResponse:
    """The answer of PlanRoute."""
    response = service.PlanRouteResponse(excluded=excluded)
    allowed = []
    for offer in good:
        reason = _refused(offer, constraints, trade)
        if reason:
            response.excluded.add(code=offer.listing.venue, listing_id=offer.listing.listing_id, reason=reason)
        else:
            allowed.append(offer)
    results = scored(allowed, weights)
    if constraints.by_fee:
        results.sort(key=lambda one: one.candidate.fee or Fraction(0))
    for one in results[_MOST_PLANNED:]:
        reason = f"{_MOST_PLANNED} better ones are planned with"
        response.excluded.add(code=one.candidate.code, listing_id=one.candidate.listing_id, reason=reason)
    results = results[:_MOST_PLANNED]
    by_id = {offer.listing.listing_id: offer for offer in allowed}
    rooms = [_room(by_id[one.candidate.listing_id], constraints, trade) for one in results]
    grid = _grid([constraints.size, *(room.lot for room in rooms)])
    slots = [_slot(one, room, grid, by_fee=constraints.by_fee) for one, room in zip(results, rooms, strict=True)]
    # The search is bounded, and still longer than an event loop should stand.
    made = await asyncio.to_thread(plan, slots, int(constraints.size / grid), constraints.most_venues)
    response.optimal = made.optimal
    sizes = [taken * grid for taken in made.sizes]
    for one, room, slot, size in zip(results, rooms, slots, sizes, strict=True):
        if size:
            response.legs.append(_leg(one, by_id[one.candidate.listing_id], room, size, trade))
        elif slot.low > slot.high:
            reason = f"its smallest order is {float(room.low):.12g}, more than it may take ({float(room.high):.12g})"
            response.excluded.add(code=one.candidate.code, listing_id=one.candidate.listing_id, reason=reason)
    response.legs.sort(key=lambda leg: (-numbers.fraction(convert.exact(leg.size)), leg.code, leg.listing_id))
    _total(response, results, sizes, trade)
    if sum(sizes) < constraints.size:
        response.unplaced.CopyFrom(convert.decimal(numbers.decimal(constraints.size - sum(sizes))))
    return response


def _refused(offer: Offer, constraints: Constraints, trade: Trade) -> str:
    """Why an offer is not used at all."""
    fee = offer.fee.bps
    if offer.listing.venue in constraints.excluded:
        return "excluded by the request"
    if trade.price is not None and offer.listing.currency != trade.price_currency:
        return f"it is priced in {offer.listing.currency}, the reference price in {trade.price_currency}"
    if fee is None and (constraints.most_fee is not None or constraints.by_fee):
        return f"its fee is not known: {offer.fee.source}"
    if fee is not None and constraints.most_fee is not None and fee > constraints.most_fee:
        return f"its fee of {float(fee):.12g} bps is above {float(constraints.most_fee):.12g}"
    measured = offer.venue.performance
    if constraints.depth_share is not None and not (measured.HasField("measure_time") and measured.depth_usd > 0):
        return "its depth was not measured"
    return ""


def _room(offer: Offer, constraints: Constraints, trade: Trade) -> Room:
    """A part of a plan is one order: the listing's smallest and largest order bound it."""
    rules, capabilities = offer.listing.rules, offer.venue.capabilities
    unit = _known(rules, "multiplier") or Fraction(1)
    lot, least, most = (_known(rules, name) for name in ("lot_size", "min_size", "max_size"))
    lows = [least * unit] if least is not None else []
    highs = [constraints.size]
    highs += [one for one in (constraints.most_size, most * unit if most is not None else None) if one is not None]
    unchecked = []
    values = [("min_notional", _known(rules, "min_notional"), offer.listing.currency, lows)]
    values += [
        (name, _known(capabilities, name), capabilities.order_value_currency, bounds)
        for name, bounds in (("min_order_value", lows), ("max_order_value", highs))
    ]
    for name, value, currency, bounds in values:
        if value is None:
            continue
        if trade.price is not None and currency == trade.price_currency:
            bounds.append(value / trade.price)
        else:
            unchecked.append(
                f"{name} of {float(value):.12g} {currency} not checked without a reference price in {currency}"
            )
    if constraints.depth_share is not None and trade.price is not None:
        highs.append(constraints.depth_share * Fraction(offer.venue.performance.depth_usd) / trade.price)
    if lot is None:
        unchecked.append("its lot size is not known")
    return Room((lot or _ANY_LOT) * unit, max(lows, default=Fraction(0)), min(highs), tuple(unchecked))


def _known(message: listing_wire.TradingRules | wire.Capabilities, name: str) -> Fraction | None:
    """A decimal above zero; None where it is absent."""
    if not message.HasField(name):  # type: ignore[arg-type]
        return None
    value = numbers.fraction(convert.exact(getattr(message, name)))
    return value if value > 0 else None


def _grid(values: Sequence[Fraction]) -> Fraction:
    """The largest unit that the order and every lot is a whole number of."""
    denominator = math.lcm(*(value.denominator for value in values))
    return Fraction(math.gcd(*(int(value * denominator) for value in values)), denominator)


def _slot(one: Scored, room: Room, grid: Fraction, *, by_fee: bool) -> Slot:
    lot = int(room.lot / grid)
    low = max(1, math.ceil(room.low / grid / lot)) * lot
    high = int(room.high / grid) // lot * lot
    fee = one.candidate.fee
    penalty = fee if by_fee and fee is not None else 100 - one.score
    return Slot(penalty, lot, low, high)


def _leg(one: Scored, offer: Offer, room: Room, size: Fraction, trade: Trade) -> service.RouteLeg:
    unit = _known(offer.listing.rules, "multiplier") or Fraction(1)
    measured = offer.venue.performance
    full = size + room.lot > room.high
    why = [f"score {float(one.score):.2f}", "all it may take" if full else "what the venues before it left"]
    leg = service.RouteLeg(
        code=one.candidate.code,
        listing_id=one.candidate.listing_id,
        size=convert.decimal(numbers.decimal(size)),
        order_size=convert.decimal(numbers.decimal(size / unit)),
        why="; ".join([*why, *room.unchecked]),
        score=float(one.score),
        parts=parts_of(one),
        missing=one.missing,
    )
    if measured.HasField("measure_time"):
        leg.slippage_bps = measured.slippage_bps
    if one.candidate.fee is not None:
        leg.fee_bps.CopyFrom(convert.decimal(numbers.decimal(one.candidate.fee)))
        if trade.price is not None:
            cost = size * trade.price * one.candidate.fee / 10_000
            leg.fee_cost.CopyFrom(convert.decimal(numbers.decimal(cost)))
    return leg


def _total(
    response: service.PlanRouteResponse, results: Sequence[Scored], sizes: Sequence[Fraction], trade: Trade
) -> None:
    """The fee of the whole, where that of every part is known."""
    used = [(one.candidate.fee, size) for one, size in zip(results, sizes, strict=True) if size]
    fees = [fee * size for fee, size in used if fee is not None]
    if not used or len(fees) < len(used):
        return
    placed = sum((size for _, size in used), Fraction(0))
    response.fee_bps.CopyFrom(convert.decimal(numbers.decimal(sum(fees, Fraction(0)) / placed)))
    if trade.price is not None:
        cost = sum(fees, Fraction(0)) * trade.price / 10_000
        response.fee_cost.CopyFrom(convert.decimal(numbers.decimal(cost)))
