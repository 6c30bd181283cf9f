"""The two calls that need listings and venues together: RankVenues and PlanRoute."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from alphapulse.domain.errors import InvalidArgument
from registry_service.venue.best import Offer, offers, ranked, time_of, trade_of, weights_of
from registry_service.venue.convert import service, wire
from registry_service.venue.fees import Trade
from registry_service.venue.findings import Findings
from registry_service.venue.listings import Listings
from registry_service.venue.route import constraints_of, route

ReadVenues = Callable[[Sequence[str], int], Awaitable[dict[str, wire.Venue]]]
"""The venues of codes, read at a revision or later."""


class Best:
    """Answers which venues are best for an instrument."""

    def __init__(self, listings: Listings, read: ReadVenues) -> None:
        self._listings = listings
        self._read = read

    async def rank(self, request: service.RankVenuesRequest, minimum: int) -> service.RankVenuesResponse:
        """Raises InvalidArgument, NotFound, Unavailable, FailedPrecondition."""
        findings = _begin(request)
        weights = weights_of(findings, request)
        trade = trade_of(findings, request, 0, time_of(findings, request))
        findings.refuse()
        good, excluded, _ = await self._offers(request, trade, minimum)
        return _in_numbers(lambda: ranked(good, excluded, weights))

    async def plan(self, request: service.PlanRouteRequest, minimum: int) -> service.PlanRouteResponse:
        """Raises InvalidArgument, NotFound, Unavailable, FailedPrecondition."""
        findings = _begin(request)
        weights = weights_of(findings, request)
        trade = trade_of(findings, request, 0, datetime.now(UTC))
        constraints = constraints_of(findings, request)
        findings.refuse()
        good, excluded, known = await self._offers(request, trade, minimum)
        try:
            return await route(good, excluded, weights, constraints, known)
        except OverflowError as error:
            raise _too_large(error) from error

    async def _offers(
        self, request: Any, trade: Trade, minimum: int
    ) -> tuple[list[Offer], list[service.ExcludedVenue], Trade]:
        entry = await self._listings.of_instrument(request.instrument_id, request.read)
        known = replace(trade, asset_class=entry.instrument.asset_class)
        codes = sorted({listing.venue for listing in entry.listings})
        venues = await self._read(codes, minimum) if codes else {}
        return *offers(entry.listings, venues, known), known


def _begin(request: Any) -> Findings:
    findings = Findings("")
    if not request.instrument_id:
        findings.add("instrument_id", "", "required", "the id of an instrument")
    return findings


def _in_numbers(answer: Callable[[], service.RankVenuesResponse]) -> service.RankVenuesResponse:
    try:
        return answer()
    except OverflowError as error:
        raise _too_large(error) from error


def _too_large(error: OverflowError) -> InvalidArgument:
    return InvalidArgument.field("size", "", "decimal-oversize", f"an amount of the answer does not fit: {error}")
