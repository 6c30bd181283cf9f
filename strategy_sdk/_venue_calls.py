"""The venue registry's calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from datetime import date, datetime

from google.protobuf.field_mask_pb2 import FieldMask

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.venue.v1 import venue_pb2 as wire
from alphapulse.api.venue.v1 import venue_service_pb2 as api
from alphapulse.client import WatchStart, watch_venues
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.ids import InstrumentId, ListingId
from alphapulse.domain.outcomes import LookupOutcome
from strategy_sdk._caller import Caller, Write, read_options
from strategy_sdk._convert import change_of, violation_of
from strategy_sdk._filters import VenueFilter
from strategy_sdk._mapping import from_message, into_message, number, stamp
from strategy_sdk._models import Change, DefinitionOutcome, DefinitionRegistration, SearchHit, Version
from strategy_sdk._venue_models import (
    MicLookup,
    OpenState,
    RankedVenue,
    RankWeights,
    RouteLeg,
    RoutePlan,
    Session,
    Venue,
    VenueEntry,
    VenueStatus,
)
from strategy_sdk._watching import WatchEvent, watch_events

_PAGE_SIZE = 1000
VENUE_ENTITIES: dict[str, type[Venue]] = {"venue": Venue}


class VenueCalls(Caller):
    """Venues, sessions, ranking and routes."""

    async def register_venue(self, venue: Venue, *, write: Write | None = None) -> DefinitionRegistration[Venue]:
        """Register a venue. Registering the same one again is no error. Raises InvalidArgument with every violation at once."""
        request = api.RegisterVenueRequest(venue=_message(venue), write=(write or Write()).to_message())
        answer = await self._write(self._venues.RegisterVenue, request)
        outcome = DefinitionOutcome(answer.outcome)
        return DefinitionRegistration(from_message(Venue, answer.venue), outcome, answer.revision_token)

    async def update_venue(self, venue: Venue, fields: Iterable[str], *, write: Write | None = None) -> VenueEntry:
        """Change the named fields to those of `venue`, whose code says which."""
        request = api.UpdateVenueRequest(
            venue=_message(venue), update_mask=FieldMask(paths=fields), write=(write or Write()).to_message()
        )
        answer = await self._write(self._venues.UpdateVenue, request)
        return _entry(answer.venue, answer.revision_token)

    async def set_venue_status(
        self, code: str, status: VenueStatus, *, reason: str, write: Write | None = None
    ) -> tuple[VenueEntry, tuple[ListingId, ...]]:
        """Change a venue's status: the venue, and every listing affected."""
        request = api.SetVenueStatusRequest(
            code=code, status=number(status), reason=reason, write=(write or Write()).to_message()
        )
        answer = await self._write(self._venues.SetVenueStatus, request)
        affected = tuple(ListingId.parse(one) for one in answer.affected_listing_ids)
        return _entry(answer.venue, answer.revision_token), affected

    async def get_venue(self, code: str, *, read_after: str = "", latest: bool = False) -> VenueEntry:
        """A venue by its code. Raises NotFound."""
        request = api.GetVenueRequest(code=code, read=read_options(read_after, latest))
        answer = await self._read(self._venues.GetVenue, request)
        return _entry(answer.venue, answer.revision_token)

    async def lookup_mic(self, mic: str, *, read_after: str = "", latest: bool = False) -> MicLookup:
        """Which venue bears this MIC, and the markets below it."""
        request = api.LookupMICRequest(mic=mic, read=read_options(read_after, latest))
        answer = await self._read(self._venues.LookupMIC, request)
        return MicLookup(
            outcome=LookupOutcome(answer.outcome),
            venue=from_message(Venue, answer.venue) if answer.HasField("venue") else None,
            segments=tuple(from_message(Venue, one) for one in answer.segments),
            violation=violation_of(answer.violation) if answer.HasField("violation") else None,
        )

    async def batch_get_venues(
        self, codes: Iterable[str], *, read_after: str = ""
    ) -> tuple[tuple[LookupOutcome, Venue | None], ...]:
        """Many by code at once: how each ended, and the venue, in order."""
        request = api.BatchGetVenuesRequest(codes=codes, read=read_options(read_after, False))
        answer = await self._read(self._venues.BatchGetVenues, request)
        return tuple(
            (LookupOutcome(one.outcome), from_message(Venue, one.venue) if one.HasField("venue") else None)
            for one in answer.results
        )

    async def list_venues(
        self, wanted: VenueFilter | None = None, *, page_size: int = _PAGE_SIZE, read_after: str = ""
    ) -> AsyncIterator[Venue]:
        """Every venue of a filter, by code, over pages pinned to the revision of the first."""
        request = api.ListVenuesRequest(
            filter=wanted.to_message() if wanted else None, page_size=page_size, read=read_options(read_after, False)
        )
        async for page in self._pages(self._venues.ListVenues, request):
            for venue in page.venues:
                yield from_message(Venue, venue)

    async def search_venues(
        self, query: str, wanted: VenueFilter | None = None, *, limit: int = 10
    ) -> tuple[SearchHit[Venue], ...]:
        """Venues by words of their name or code, with typos; the best first."""
        request = api.SearchVenuesRequest(query=query, filter=wanted.to_message() if wanted else None, limit=limit)
        answer = await self._read(self._venues.SearchVenues, request)
        return tuple(SearchHit(from_message(Venue, hit.venue), hit.score, hit.why) for hit in answer.hits)

    async def is_open(self, code: str, at: datetime | None = None) -> OpenState:
        """Whether a venue is open at a time (now), and when it next opens and closes. Raises NotFound."""
        request = api.IsOpenRequest(code=code, at=stamp(at, "at") if at else None)
        return from_message(OpenState, await self._read(self._venues.IsOpen, request))

    async def list_sessions(self, code: str, from_date: date, to_date: date) -> tuple[Session, ...]:
        """The sessions of a venue between two days, both inclusive, at most 400 apart, by time."""
        request = api.ListSessionsRequest(code=code, from_date=from_date.isoformat(), to_date=to_date.isoformat())
        answer = await self._read(self._venues.ListSessions, request)
        return tuple(from_message(Session, one) for one in answer.sessions)

    async def rank_venues(
        self,
        instrument_id: InstrumentId | str,
        *,
        weights: RankWeights | None = None,
        volume: ExactDecimal | None = None,
    ) -> tuple[RankedVenue, ...]:
        """The venues of an instrument, the best first, with the parts of each score. `volume` of 30 days picks the fee tier."""
        request = api.RankVenuesRequest(
            instrument_id=str(instrument_id), weights=_weights(weights), volume=_decimal(volume)
        )
        answer = await self._read(self._venues.RankVenues, request)
        return tuple(from_message(RankedVenue, one) for one in answer.venues)

    async def plan_route(
        self,
        instrument_id: InstrumentId | str,
        size: ExactDecimal,
        side: str,
        *,
        max_venues: int = 0,
        excluded_venues: Iterable[str] = (),
        weights: RankWeights | None = None,
    ) -> RoutePlan:
        """How to split an order of `size`, "BUY" or "SELL", over venues."""
        request = api.PlanRouteRequest(
            instrument_id=str(instrument_id),
            size=_decimal(size),
            side=side,
            max_venues=max_venues,
            excluded_venues=excluded_venues,
            weights=_weights(weights),
        )
        answer = await self._read(self._venues.PlanRoute, request)
        return RoutePlan(
            legs=tuple(from_message(RouteLeg, leg) for leg in answer.legs),
            unplaced=_exact(answer.unplaced) if answer.HasField("unplaced") else None,
        )

    async def venue_history(self, code: str) -> AsyncIterator[Change[Venue]]:
        """Every revision of a venue, newest first."""
        request = api.GetVenueHistoryRequest(code=code, page_size=_PAGE_SIZE)
        async for page in self._pages(self._venues.GetVenueHistory, request):
            for change in page.changes:
                yield change_of(change, VENUE_ENTITIES)

    async def watch_venues(
        self, wanted: VenueFilter | None = None, *, resume_token: str = "", skip_snapshot: bool = False
    ) -> AsyncIterator[WatchEvent[Venue, Venue]]:
        """As `watch_instruments`, for venues."""
        start = WatchStart(resume_token, skip_snapshot)
        source = watch_venues(self._channel("venue"), wanted.to_message() if wanted else None, start=start)
        async with aclosing(source) as events:
            async for event in events:
                for one in watch_events(event, "venues", _venue, VENUE_ENTITIES):
                    yield one


def _message(value: Venue) -> wire.Venue:
    message = wire.Venue()
    into_message(value, message)
    return message


def _venue(message: wire.Venue) -> Venue:
    return from_message(Venue, message)


def _entry(message: wire.Venue, revision_token: str) -> VenueEntry:
    return VenueEntry(from_message(Venue, message), from_message(Version, message), revision_token)


def _decimal(value: ExactDecimal | None) -> common.Decimal | None:
    return None if value is None else common.Decimal(mantissa=value.mantissa, exponent=value.exponent)


def _exact(message: common.Decimal) -> ExactDecimal:
    return ExactDecimal(message.mantissa, message.exponent)


def _weights(value: RankWeights | None) -> api.RankWeights | None:
    if value is None:
        return None
    return api.RankWeights(fees=value.fees, liquidity=value.liquidity, fill=value.fill, latency=value.latency)
