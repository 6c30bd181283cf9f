"""The venue service: each RPC in a few lines over the slice's parts."""

# ruff: noqa: N802 - the methods are named by the API.

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import grpc

from alphapulse.api.venue.v1 import venue_service_pb2_grpc as rpc
from alphapulse.domain.errors import FailedPrecondition, FieldViolation, InvalidArgument, NotFound, Unavailable
from alphapulse.domain.identifiers import Mic
from alphapulse.runtime.server import GrpcService
from registry_service.calls import Calls, bounded_batch, search_limit, violation_message
from registry_service.neighbours import Neighbour
from registry_service.resources import RegistryResources
from registry_service.storage.model import CachedAnswer, EntityKind, WriteSession
from registry_service.venue import calendar_packages, changes, convert, links, mics, registration
from registry_service.venue.best_calls import Best
from registry_service.venue.calendar_names import names_at_hand
from registry_service.venue.calendar_store import Build, CalendarStore
from registry_service.venue.calendars_ahead import SETTLE_SECONDS, CalendarsAhead
from registry_service.venue.convert import common, service, wire
from registry_service.venue.fees import holds
from registry_service.venue.findings import Findings
from registry_service.venue.listings import Listings, VenueListings
from registry_service.venue.rules import code_violation, request_findings, require_code, venue_violations
from registry_service.venue.sessions import Hours, read_days
from registry_service.watch.model import WatchSpec
from registry_service.watch.serving import serve, watch_route

UNSERVED: Final[tuple[str, ...]] = ()
"""RPCs that answer UNIMPLEMENTED."""
FULL_NAME: Final = "alphapulse.api.venue.v1.VenueService"


def build(
    resources: RegistryResources, *, builder: Build = calendar_packages.build, settle_seconds: float = SETTLE_SECONDS
) -> GrpcService:
    """The service over a registry's resources. `builder` and `settle_seconds` are others in tests of calendars built ahead."""
    if resources.engine is None:
        raise ValueError("the venue registry keeps calendars in Postgres: it needs the engine")
    calendars = CalendarStore(resources.engine, builder)
    servicer = VenueServicer(resources, calendars)

    def add(server: grpc.aio.Server) -> None:
        watch = watch_route(FULL_NAME, "WatchVenues", servicer.WatchVenues, service.WatchVenuesRequest)
        server.add_generic_rpc_handlers((watch,))
        rpc.add_VenueServiceServicer_to_server(servicer, server)

    return GrpcService(FULL_NAME, add, beside=(CalendarsAhead(resources, calendars, settle_seconds),))


class VenueServicer(rpc.VenueServiceServicer):
    """Serves every RPC."""

    def __init__(self, resources: RegistryResources, calendars: CalendarStore) -> None:
        self._resources = resources
        self._listings = Listings(resources.instruments)
        neighbours = [Neighbour("instrument", self._listings.probe)] if self._listings.known else []
        self._calls = Calls(resources, EntityKind.VENUE, neighbours)
        self._best = Best(self._listings, self._venues)
        self._hours = Hours(calendars)

    async def RegisterVenue(self, request: service.RegisterVenueRequest, context: Any) -> service.RegisterVenueResponse:
        broken = venue_violations(request.venue)
        if broken:
            raise InvalidArgument.of(broken)
        await names_at_hand([request.venue])

        async def operation(session: WriteSession) -> bytes:
            result = (await registration.Registration([request.venue], "venue").plan(session))[0]
            if result.HasField("error"):
                raise InvalidArgument.of([_violation(one) for one in result.error.violations])
            held = await session.get(EntityKind.VENUE, [request.venue.code])
            venue = wire.Venue.FromString(held[request.venue.code].body)
            told = result.differences
            return service.RegisterVenueResponse(
                venue=venue, outcome=result.outcome, differences=told
            ).SerializeToString()

        outcome = await self._calls.write(request.write, request, operation)
        response = service.RegisterVenueResponse.FromString(outcome.response)
        response.revision_token = self._calls.token(outcome.revision)
        return response

    async def RegisterVenues(
        self, request_iterator: AsyncIterator[service.RegisterVenuesRequest], context: Any
    ) -> AsyncIterator[service.RegisterVenuesResponse]:
        async for request in request_iterator:
            yield await self._register(request)

    async def _register(self, request: service.RegisterVenuesRequest) -> service.RegisterVenuesResponse:
        bounded_batch(len(request.venues), "venues")
        await names_at_hand(request.venues)

        async def operation(session: WriteSession) -> bytes:
            results = await registration.Registration(request.venues).plan(session)
            return service.RegisterVenuesResponse(results=results).SerializeToString()

        # The batch's number is the caller's bookkeeping: a repeated batch may have another.
        body = service.RegisterVenuesRequest(venues=request.venues, write=request.write)
        outcome = await self._calls.write(request.write, body, operation)
        response = service.RegisterVenuesResponse.FromString(outcome.response)
        response.batch_id = request.batch_id
        response.revision_token = self._calls.token(outcome.revision)
        return response

    async def UpdateVenue(self, request: service.UpdateVenueRequest, context: Any) -> service.UpdateVenueResponse:
        await names_at_hand([request.venue])

        async def operation(session: WriteSession) -> bytes:
            venue = await registration.update(session, request)
            return service.UpdateVenueResponse(venue=venue).SerializeToString()

        outcome = await self._calls.write(request.write, request, operation)
        response = service.UpdateVenueResponse.FromString(outcome.response)
        response.revision_token = self._calls.token(outcome.revision)
        return response

    async def GetVenue(self, request: service.GetVenueRequest, context: Any) -> service.GetVenueResponse:
        findings = request_findings(request.code)
        as_of, known_at = findings.time(request, "as_of", ""), findings.time(request, "known_at", "")
        findings.refuse()
        minimum = await self._calls.fresh(request.read)
        revision = max(minimum, self._resources.feed.applied_revision)
        if known_at is None:
            venue = await self._venue(request.code, minimum)
        else:
            revision = await self._resources.store.revision_at(known_at)
            venue = await self._venue_at(request.code, revision, known_at)
        if as_of is not None:
            held = [one for one in venue.fee_schedules if holds(one, as_of)]
            del venue.fee_schedules[:]
            venue.fee_schedules.extend(held)
        return service.GetVenueResponse(venue=venue, revision_token=self._calls.token(revision))

    async def ListVenues(self, request: service.ListVenuesRequest, context: Any) -> service.ListVenuesResponse:
        page = await self._calls.page(request, convert.query(request.filter), "venues")
        return service.ListVenuesResponse(
            venues=convert.venues(page.entities),
            next_page_token=page.next_token,
            total_size=page.total,
            revision_token=self._calls.token(page.revision),
        )

    async def SearchVenues(self, request: service.SearchVenuesRequest, context: Any) -> service.SearchVenuesResponse:
        limit = search_limit(request.query, request.limit)
        await self._calls.fresh(request.read)
        found = await self._resources.store.search(request.query, convert.query(request.filter), limit)
        hits = [
            service.VenueHit(
                venue=wire.Venue.FromString(one.entity.body), score=one.score, why=f"name: alike {one.score:.2f}"
            )
            for one in found
        ]
        return service.SearchVenuesResponse(hits=hits)

    async def LookupMIC(self, request: service.LookupMICRequest, context: Any) -> service.LookupMICResponse:
        findings = Findings("")
        as_of, known_at = findings.time(request, "as_of", ""), findings.time(request, "known_at", "")
        findings.refuse()
        try:
            mic = Mic.canonical(request.mic, "mic")
        except InvalidArgument as error:
            return service.LookupMICResponse(
                outcome=common.LOOKUP_OUTCOME_INVALID, violation=violation_message(error.violations[0])
            )
        minimum = await self._calls.fresh(request.read)
        revision = max(minimum, self._resources.feed.applied_revision)
        if known_at is None:
            answer = service.LookupMICResponse.FromString(await self._mic_body(mic, minimum))
        else:
            revision = await self._resources.store.revision_at(known_at)
            answer = await mics.by_mic(self._resources.store, mic, revision)
        answer.revision_token = self._calls.token(revision)
        return await self._with_outcome(answer, as_of, revision if known_at is not None else None)

    async def _mic_body(self, mic: str, minimum: int) -> bytes:
        async def load(keys: Sequence[str]) -> dict[str, CachedAnswer]:
            revision = max(self._resources.feed.applied_revision, minimum)
            answer = await mics.by_mic(self._resources.store, mic, None)
            return dict.fromkeys(keys, CachedAnswer(answer.SerializeToString(), revision))

        return await self._resources.cache.get(convert.mic_key(mic), load, min_revision=minimum)

    async def _with_outcome(
        self, answer: service.LookupMICResponse, as_of: datetime | None, at_revision: int | None
    ) -> service.LookupMICResponse:
        """The outcome, and the operator of a segment: read apart, since a change of it does not touch what is cached of its segments."""
        if not answer.HasField("venue"):
            answer.outcome = common.LOOKUP_OUTCOME_NOT_FOUND
            return answer
        answer.outcome = mics.outcome(answer.venue, as_of)
        if answer.outcome == common.LOOKUP_OUTCOME_NOT_FOUND:
            return service.LookupMICResponse(outcome=answer.outcome, revision_token=answer.revision_token)
        operator = answer.venue.operating_mic
        if answer.venue.mic_level == wire.MIC_LEVEL_SEGMENT and operator:
            found = (await self._venues([operator], 0, at_revision)).get(operator)
            if found is not None:
                answer.operator.CopyFrom(found)
        return answer

    async def BatchGetVenues(
        self, request: service.BatchGetVenuesRequest, context: Any
    ) -> service.BatchGetVenuesResponse:
        bounded_batch(len(request.codes), "codes")
        minimum = await self._calls.fresh(request.read)
        wanted = {convert.venue_key(code): code for code in request.codes if code_violation(code) is None}
        bodies = dict(zip(wanted.values(), await self._calls.answers(wanted, minimum), strict=True))
        return service.BatchGetVenuesResponse(results=[_result(bodies.get(code)) for code in request.codes])

    # Serialized already: once for all who watch the same.
    async def WatchVenues(  # type: ignore[override]
        self, request: service.WatchVenuesRequest, context: Any
    ) -> AsyncIterator[bytes]:
        spec = WatchSpec(
            query=convert.query(request.filter),
            kinds=frozenset({EntityKind.VENUE}),
            filter_bytes=request.filter.SerializeToString(deterministic=True),
        )
        async for message in serve(self._resources.hub, spec, request, context):
            yield message

    async def GetVenueHistory(
        self, request: service.GetVenueHistoryRequest, context: Any
    ) -> service.GetVenueHistoryResponse:
        require_code(request.code)
        rows, token = await self._calls.history(request.code, request.page_size, request.page_token, request.read)
        if not rows and not request.page_token:
            raise NotFound(f"there is no venue {request.code!r}", metadata={"code": request.code})
        return service.GetVenueHistoryResponse(changes=[convert.change(row) for row in rows], next_page_token=token)

    async def IsOpen(self, request: service.IsOpenRequest, context: Any) -> service.IsOpenResponse:
        findings = request_findings(request.code)
        at = findings.time(request, "at", "")
        known_at = findings.time(request, "known_at", "")
        findings.refuse()
        venue = await self._venue(request.code, await self._calls.fresh(request.read))
        return await self._hours.is_open(venue, at, known_at)

    async def ListSessions(self, request: service.ListSessionsRequest, context: Any) -> service.ListSessionsResponse:
        findings = request_findings(request.code)
        known_at = findings.time(request, "known_at", "")
        days = read_days(findings, request)
        findings.refuse()
        return await self._hours.page(
            await self._venue(request.code, await self._calls.fresh(request.read)),
            request,
            days,
            known_at,
            self._resources.tokens,
        )

    async def DeclareSession(
        self, request: service.DeclareSessionRequest, context: Any
    ) -> service.DeclareSessionResponse:
        changes.check_declaration(request)

        async def operation(session: WriteSession) -> bytes:
            venue, exception = await changes.declare(session, request)
            return service.DeclareSessionResponse(venue=venue, exception=exception).SerializeToString()

        outcome = await self._calls.write(request.write, request, operation)
        response = service.DeclareSessionResponse.FromString(outcome.response)
        response.revision_token = self._calls.token(outcome.revision)
        return response

    async def WithdrawSession(
        self, request: service.WithdrawSessionRequest, context: Any
    ) -> service.WithdrawSessionResponse:
        changes.check_withdrawal(request)

        async def operation(session: WriteSession) -> bytes:
            venue, exception = await changes.withdraw(session, request)
            return service.WithdrawSessionResponse(venue=venue, exception=exception).SerializeToString()

        outcome = await self._calls.write(request.write, request, operation)
        response = service.WithdrawSessionResponse.FromString(outcome.response)
        response.revision_token = self._calls.token(outcome.revision)
        return response

    async def SetFeeSchedule(
        self, request: service.SetFeeScheduleRequest, context: Any
    ) -> service.SetFeeScheduleResponse:
        changes.check_schedule(request)

        async def operation(session: WriteSession) -> bytes:
            venue = await changes.set_schedule(session, request)
            return service.SetFeeScheduleResponse(venue=venue).SerializeToString()

        outcome = await self._calls.write(request.write, request, operation)
        response = service.SetFeeScheduleResponse.FromString(outcome.response)
        response.revision_token = self._calls.token(outcome.revision)
        return response

    async def SetVenueStatus(
        self, request: service.SetVenueStatusRequest, context: Any
    ) -> service.SetVenueStatusResponse:
        changes.check_status(request)
        await self._calls.after(request.write)
        # Asked before the write, which holds the counter's lock: the answer names the revision the listings were read at.
        affected = await self._affected(request)

        async def operation(session: WriteSession) -> bytes:
            venue = await changes.set_status(session, request)
            return service.SetVenueStatusResponse(
                venue=venue,
                affected_listing_ids=affected.ids if affected else (),
                affected_count=affected.count if affected else 0,
                affected_complete=affected is not None and len(affected.ids) == affected.count,
                listings_token=affected.token if affected else "",
            ).SerializeToString()

        outcome = await self._calls.write(request.write, request, operation)
        response = service.SetVenueStatusResponse.FromString(outcome.response)
        response.revision_token = self._calls.token(outcome.revision)
        return response

    async def _affected(self, request: service.SetVenueStatusRequest) -> VenueListings | None:
        """None: they cannot be known, and the caller said that the status matters more."""
        try:
            return await self._listings.of_venue(request.code)
        except (Unavailable, FailedPrecondition) as error:
            if request.allow_unknown_listings:
                return None
            error.hint = "allow_unknown_listings changes the status without naming the listings affected"
            raise

    async def ListVenueListings(
        self, request: service.ListVenueListingsRequest, context: Any
    ) -> service.ListVenueListingsResponse:
        require_code(request.code)
        await self._venue(request.code, await self._calls.fresh(request.read))
        page = await self._listings.page(request)
        return service.ListVenueListingsResponse(
            listings=page.listings,
            next_page_token=page.next_page_token,
            total_size=page.total_size,
            revision_token=page.revision_token,
        )

    async def LookupInstrumentVenues(
        self, request: service.LookupInstrumentVenuesRequest, context: Any
    ) -> service.LookupInstrumentVenuesResponse:
        minimum = await self._calls.fresh(request.read)
        revision = max(minimum, self._resources.feed.applied_revision)
        response = await links.instrument_venues(self._listings, request, partial(self._venues, minimum=minimum))
        response.revision_token = self._calls.token(revision)
        return response

    async def RankVenues(self, request: service.RankVenuesRequest, context: Any) -> service.RankVenuesResponse:
        return await self._best.rank(request, await self._calls.fresh(request.read))

    async def PlanRoute(self, request: service.PlanRouteRequest, context: Any) -> service.PlanRouteResponse:
        return await self._best.plan(request, await self._calls.fresh(request.read))

    async def _venue(self, code: str, minimum: int) -> wire.Venue:
        found = await self._venues([code], minimum)
        if code not in found:
            raise NotFound(f"there is no venue {code!r}", metadata={"code": code})
        return found[code]

    async def _venue_at(self, code: str, revision: int, known_at: datetime) -> wire.Venue:
        found = await self._venues([code], 0, revision)
        if code not in found:
            raise NotFound(
                f"no venue {code!r} was known at {known_at.isoformat()}",
                metadata={"code": code, "known_at": known_at.isoformat()},
            )
        return found[code]

    async def _venues(
        self, codes: Sequence[str], minimum: int, at_revision: int | None = None
    ) -> dict[str, wire.Venue]:
        """The venues of these codes that exist, by code."""
        if at_revision is not None:
            held = await self._resources.store.get(EntityKind.VENUE, codes, at_revision)
            return {code: wire.Venue.FromString(entity.body) for code, entity in held.items()}
        keys = {convert.venue_key(code): code for code in codes}
        bodies = await self._calls.answers(keys, minimum)
        return {code: wire.Venue.FromString(body) for code, body in zip(keys.values(), bodies, strict=True) if body}


def _violation(one: common.ItemViolation) -> FieldViolation:
    return FieldViolation(one.field, one.value, one.rule, one.description)


def _result(body: bytes | None) -> service.VenueResult:
    """None: no possible code; empty: nobody has it."""
    if body is None:
        return service.VenueResult(outcome=common.LOOKUP_OUTCOME_INVALID)
    if not body:
        return service.VenueResult(outcome=common.LOOKUP_OUTCOME_NOT_FOUND)
    venue = wire.Venue.FromString(body)
    return service.VenueResult(outcome=mics.outcome(venue), venue=venue)
