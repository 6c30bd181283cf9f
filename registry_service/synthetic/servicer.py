"""The synthetic service: each RPC in a few lines over the slice's parts."""

# ruff: noqa: N802 - the methods are named by the API.
from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import grpc

from alphapulse.api.synthetic.v1 import synthetic_service_pb2_grpc as rpc
from alphapulse.domain import formula as grammar
from alphapulse.domain.errors import InvalidArgument, NotFound
from alphapulse.domain.ids import Digest, InstrumentId, ListingId, sha256
from alphapulse.runtime.server import GrpcService
from registry_service.calls import Calls, search_limit
from registry_service.resources import RegistryResources
from registry_service.storage.model import CachedAnswer, EntityKind
from registry_service.synthetic import convert, planning, registration
from registry_service.synthetic.components import AnyComponent, ComponentDirectory, RegisteredComponents
from registry_service.synthetic.convert import service, wire
from registry_service.synthetic.dependents import dependents
from registry_service.synthetic.evaluation import evaluate, time_of
from registry_service.synthetic.meaning import component_ids
from registry_service.synthetic.rules import require_name
from registry_service.synthetic.validation import validate
from registry_service.synthetic.writing import Writing
from registry_service.watch.model import WatchSpec
from registry_service.watch.serving import serve, watch_route

UNSERVED: Final[tuple[str, ...]] = ()
"""RPCs that answer UNIMPLEMENTED: none."""
FULL_NAME: Final = "alphapulse.api.synthetic.v1.SyntheticService"
_COMPILED: Final = 4096


def build(resources: RegistryResources, *, digest: Digest = sha256) -> GrpcService:
    """The service over a registry's resources. `digest` is another one in tests that force collisions of keys."""
    servicer = SyntheticServicer(resources, digest)

    def add(server: grpc.aio.Server) -> None:
        watch = watch_route(FULL_NAME, "WatchSynthetics", servicer.WatchSynthetics, service.WatchSyntheticsRequest)
        server.add_generic_rpc_handlers((watch,))
        rpc.add_SyntheticServiceServicer_to_server(servicer, server)

    return GrpcService(FULL_NAME, add)


def directory_of(resources: RegistryResources) -> ComponentDirectory:
    """Who tells what components are."""
    return AnyComponent() if resources.instruments is None else RegisteredComponents(resources.instruments)


class SyntheticServicer(rpc.SyntheticServiceServicer):
    """Serves every RPC of the service."""

    def __init__(self, resources: RegistryResources, digest: Digest) -> None:
        self._resources = resources
        self._directory = directory_of(resources)
        self._calls = Calls(resources, EntityKind.SYNTHETIC, self._directory.neighbours)
        self._writing = Writing(self._calls, resources.store, self._directory, digest, resources.metrics)
        self._compiled = lru_cache(maxsize=_COMPILED)(grammar.parse)

    async def RegisterSynthetic(
        self, request: service.RegisterSyntheticRequest, context: Any
    ) -> service.RegisterSyntheticResponse:
        return await self._writing.register(request)

    async def RegisterSynthetics(
        self, request_iterator: AsyncIterator[service.RegisterSyntheticsRequest], context: Any
    ) -> AsyncIterator[service.RegisterSyntheticsResponse]:
        async for request in request_iterator:
            yield await self._writing.register_batch(request)

    async def UpdateSynthetic(
        self, request: service.UpdateSyntheticRequest, context: Any
    ) -> service.UpdateSyntheticResponse:
        require_name(request.synthetic.name, "synthetic.name")
        return await self._writing.update(request)

    async def GetSynthetic(self, request: service.GetSyntheticRequest, context: Any) -> service.GetSyntheticResponse:
        minimum = await self._calls.fresh(request.read)
        revision = max(minimum, self._resources.feed.applied_revision)
        match request.WhichOneof("synthetic"):
            case "name":
                require_name(request.name)
                synthetic = await self._synthetic(request.name, minimum)
            case "synthetic_id":
                synthetic = await self._by_id(InstrumentId.parse(request.synthetic_id, "synthetic_id"), minimum)
            case _:
                raise InvalidArgument.field("synthetic", "", "required", "give a name or an id")
        return service.GetSyntheticResponse(synthetic=synthetic, revision_token=self._calls.token(revision))

    async def ListSynthetics(
        self, request: service.ListSyntheticsRequest, context: Any
    ) -> service.ListSyntheticsResponse:
        page = await self._calls.page(request, convert.query(request.filter), "synthetics")
        return service.ListSyntheticsResponse(
            synthetics=convert.synthetics(page.entities),
            next_page_token=page.next_token,
            total_size=page.total,
            revision_token=self._calls.token(page.revision),
        )

    async def SearchSynthetics(
        self, request: service.SearchSyntheticsRequest, context: Any
    ) -> service.SearchSyntheticsResponse:
        limit = search_limit(request.query, request.limit)
        await self._calls.fresh(request.read)
        found = await self._resources.store.search(request.query, convert.query(request.filter), limit)
        hits = [
            service.SyntheticHit(
                synthetic=wire.Synthetic.FromString(one.entity.body),
                score=one.score,
                why=f"name and description: alike {one.score:.2f}",
            )
            for one in found
        ]
        return service.SearchSyntheticsResponse(hits=hits)

    # Serialized already: once for all who watch the same.
    async def WatchSynthetics(  # type: ignore[override]
        self, request: service.WatchSyntheticsRequest, context: Any
    ) -> AsyncIterator[bytes]:
        spec = WatchSpec(
            query=convert.query(request.filter),
            kinds=frozenset({EntityKind.SYNTHETIC}),
            filter_bytes=request.filter.SerializeToString(deterministic=True),
        )
        async for message in serve(self._resources.hub, spec, request, context):
            yield message

    async def GetSyntheticHistory(
        self, request: service.GetSyntheticHistoryRequest, context: Any
    ) -> service.GetSyntheticHistoryResponse:
        require_name(request.name)
        rows, token = await self._calls.history(request.name, request.page_size, request.page_token, request.read)
        if not rows and not request.page_token:
            raise registration.missing(request.name)
        changes = [convert.change(row) for row in rows]
        return service.GetSyntheticHistoryResponse(changes=changes, next_page_token=token)

    async def ValidateFormula(
        self, request: service.ValidateFormulaRequest, context: Any
    ) -> service.ValidateFormulaResponse:
        await self._calls.fresh(request.read)
        return await validate(request, self._resources.store, self._directory)

    async def EvaluateSynthetic(
        self, request: service.EvaluateSyntheticRequest, context: Any
    ) -> service.EvaluateSyntheticResponse:
        require_name(request.name)
        synthetic = await self._synthetic(request.name, await self._calls.fresh(request.read))
        variables = tuple(component.variable for component in synthetic.components)
        return evaluate(synthetic, self._compiled(synthetic.formula, variables), request)

    async def ListDependents(
        self, request: service.ListDependentsRequest, context: Any
    ) -> service.ListDependentsResponse:
        minimum = await self._calls.fresh(request.read)
        match request.WhichOneof("target"):
            case "instrument_id":
                facet = convert.component_facet(InstrumentId.parse(request.instrument_id, "instrument_id").hex)
            case "listing_id":
                facet = convert.component_facet(ListingId.parse(request.listing_id, "listing_id").hex)
            case "synthetic":
                require_name(request.synthetic, "synthetic")
                await self._synthetic(request.synthetic, minimum)
                facet = convert.uses(request.synthetic)
            case _:
                raise InvalidArgument.field("target", "", "required", "give an instrument, a listing or a synthetic")
        found = await dependents(self._resources.store, facet, direct_only=request.direct_only)
        return service.ListDependentsResponse(dependents=found)

    async def ListTemplates(self, request: service.ListTemplatesRequest, context: Any) -> service.ListTemplatesResponse:
        return service.ListTemplatesResponse(templates=planning.listed())

    async def PlanSynthetic(self, request: service.PlanSyntheticRequest, context: Any) -> service.PlanSyntheticResponse:
        require_name(request.name)
        template = planning.template_of(request.template)
        at = time_of(request.at, "at") if request.HasField("at") else datetime.now(UTC)
        draft = wire.Synthetic(components=request.components)
        facts = await self._directory.facts(*component_ids([draft]))
        return service.PlanSyntheticResponse(synthetic=planning.plan(template, request, facts or {}, at))

    async def _synthetic(self, name: str, minimum: int) -> wire.Synthetic:
        body = (await self._calls.answers({convert.name_key(name): name}, minimum))[0]
        if not body:
            raise registration.missing(name)
        return wire.Synthetic.FromString(body)

    async def _by_id(self, id_: InstrumentId, minimum: int) -> wire.Synthetic:
        async def load(keys: Sequence[str]) -> dict[str, CachedAnswer]:
            revision = max(self._resources.feed.applied_revision, minimum)
            key = convert.signed(id_.key)
            entity = (await self._resources.store.by_sort_key(EntityKind.SYNTHETIC, [key])).get(key)
            body = entity.body if entity is not None else b""
            return dict.fromkeys(keys, CachedAnswer(body, revision))

        body = await self._resources.cache.get(convert.id_key(id_.hex), load, min_revision=minimum)
        synthetic = wire.Synthetic.FromString(body)
        if synthetic.synthetic_id != id_.hex:
            raise NotFound(f"there is no synthetic with the id {id_.hex}", metadata={"synthetic_id": id_.hex})
        return synthetic
