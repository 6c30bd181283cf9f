"""The venue service: each RPC in a few lines over the slice's parts."""

# ruff: noqa: N802 - the methods are named by the API.

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import grpc

from alphapulse.api.venue.v1 import venue_service_pb2_grpc as rpc
from alphapulse.domain.errors import InvalidArgument, NotFound, Unimplemented
from alphapulse.domain.identifiers import Mic
from alphapulse.runtime.server import GrpcService
from registry_service.calls import Calls, bounded_batch, search_limit, violation_message
from registry_service.resources import RegistryResources
from registry_service.storage.model import CachedAnswer, EntityKind, Query, WriteSession
from registry_service.venue import convert, registration
from registry_service.venue.calendar_store import CalendarStore
from registry_service.venue.convert import common, service, wire
from registry_service.venue.rules import code_violation, request_findings, require_code, venue_violations
from registry_service.venue.sessions import Hours, read_days
from registry_service.watch.model import WatchSpec
from registry_service.watch.serving import serve, watch_route

UNSERVED: Final = ("SetVenueStatus", "RankVenues", "PlanRoute")
"""RPCs that answer UNIMPLEMENTED: the first needs the listings of a venue, the others its quotes."""
FULL_NAME: Final = "alphapulse.api.venue.v1.VenueService"
_MAX_SEGMENTS: Final = 1000


def build(resources: RegistryResources) -> GrpcService:
    """The service over a registry's resources."""
    servicer = VenueServicer(resources)

    def add(server: grpc.aio.Server) -> None:
        watch = watch_route(FULL_NAME, "WatchVenues", servicer.WatchVenues, service.WatchVenuesRequest)
        server.add_generic_rpc_handlers((watch,))
        rpc.add_VenueServiceServicer_to_server(servicer, server)

    return GrpcService(FULL_NAME, add)


class VenueServicer(rpc.VenueServiceServicer):
    """Serves every RPC but those of UNSERVED."""

    def __init__(self, resources: RegistryResources) -> None:
        self._resources = resources
        self._calls = Calls(resources, EntityKind.VENUE)
        if resources.engine is None:
            raise ValueError("the venue registry keeps calendars in Postgres: it needs the engine")
        self._hours = Hours(CalendarStore(resources.engine))

    async def RegisterVenue(self, request: service.RegisterVenueRequest, context: Any) -> service.RegisterVenueResponse:
        broken = venue_violations(request.venue)
        if broken:
            raise InvalidArgument.of(broken)

        async def operation(session: WriteSession) -> bytes:
            result = (await registration.Registration([request.venue], "venue").plan(session))[0]
            held = await session.get(EntityKind.VENUE, [request.venue.code])
            venue = wire.Venue.FromString(held[request.venue.code].body)
            return service.RegisterVenueResponse(venue=venue, outcome=result.outcome).SerializeToString()

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
        async def operation(session: WriteSession) -> bytes:
            venue = await registration.update(session, request)
            return service.UpdateVenueResponse(venue=venue).SerializeToString()

        outcome = await self._calls.write(request.write, request, operation)
        response = service.UpdateVenueResponse.FromString(outcome.response)
        response.revision_token = self._calls.token(outcome.revision)
        return response

    async def GetVenue(self, request: service.GetVenueRequest, context: Any) -> service.GetVenueResponse:
        require_code(request.code)
        minimum = await self._calls.fresh(request.read)
        revision = max(minimum, self._resources.feed.applied_revision)
        venue = await self._venue(request.code, minimum)
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
                venue=wire.Venue.FromString(one.entity.body), score=one.score, why=f"name: trigram {one.score:.2f}"
            )
            for one in found
        ]
        return service.SearchVenuesResponse(hits=hits)

    async def LookupMIC(self, request: service.LookupMICRequest, context: Any) -> service.LookupMICResponse:
        try:
            mic = Mic.canonical(request.mic, "mic")
        except InvalidArgument as error:
            return service.LookupMICResponse(
                outcome=common.LOOKUP_OUTCOME_INVALID, violation=violation_message(error.violations[0])
            )
        minimum = await self._calls.fresh(request.read)

        async def load(keys: Sequence[str]) -> dict[str, CachedAnswer]:
            revision = max(self._resources.feed.applied_revision, minimum)
            answer = await self._by_mic(mic)
            return dict.fromkeys(keys, CachedAnswer(answer.SerializeToString(), revision))

        body = await self._resources.cache.get(convert.mic_key(mic), load, min_revision=minimum)
        return service.LookupMICResponse.FromString(body)

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

    async def SetVenueStatus(
        self, request: service.SetVenueStatusRequest, context: Any
    ) -> service.SetVenueStatusResponse:
        raise Unimplemented("SetVenueStatus is not served yet: use UpdateVenue with update_mask status")

    async def RankVenues(self, request: service.RankVenuesRequest, context: Any) -> service.RankVenuesResponse:
        raise Unimplemented("RankVenues is not served yet")

    async def PlanRoute(self, request: service.PlanRouteRequest, context: Any) -> service.PlanRouteResponse:
        raise Unimplemented("PlanRoute is not served yet")

    async def _venue(self, code: str, minimum: int) -> wire.Venue:
        body = (await self._calls.answers({convert.venue_key(code): code}, minimum))[0]
        if not body:
            raise NotFound(f"there is no venue {code!r}", metadata={"code": code})
        return wire.Venue.FromString(body)

    async def _by_mic(self, mic: str) -> service.LookupMICResponse:
        store = self._resources.store
        held = await store.get(EntityKind.VENUE, [mic])
        venue = wire.Venue.FromString(held[mic].body) if mic in held else None
        if venue is None or venue.mic != mic:
            return service.LookupMICResponse(outcome=common.LOOKUP_OUTCOME_NOT_FOUND)
        segments: list[wire.Venue] = []
        if venue.mic_level != wire.MIC_LEVEL_SEGMENT:
            below = Query(EntityKind.VENUE, ((f"operator:{mic}",),))
            found = await store.page(below, after_id="", limit=_MAX_SEGMENTS, at_revision=await store.revision())
            segments = [one for one in convert.venues(found) if one.code != mic]
        return service.LookupMICResponse(outcome=_outcome(venue), venue=venue, segments=segments)


def _outcome(venue: wire.Venue) -> common.LookupOutcome.ValueType:
    if venue.status == wire.VENUE_STATUS_EXPIRED:
        return common.LOOKUP_OUTCOME_RETIRED
    return common.LOOKUP_OUTCOME_RESOLVED


def _result(body: bytes | None) -> service.VenueResult:
    """None: no possible code; empty: nobody has it."""
    if body is None:
        return service.VenueResult(outcome=common.LOOKUP_OUTCOME_INVALID)
    if not body:
        return service.VenueResult(outcome=common.LOOKUP_OUTCOME_NOT_FOUND)
    venue = wire.Venue.FromString(body)
    return service.VenueResult(outcome=_outcome(venue), venue=venue)
