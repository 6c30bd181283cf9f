"""The instrument service: which method is served by what. Hot methods go from bytes to bytes, without messages built."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc

from alphapulse.api.instrument.v1 import instrument_service_pb2_grpc as rpc
from alphapulse.domain.identifiers import Scheme
from alphapulse.domain.ids import Digest, sha256
from alphapulse.runtime.server import GrpcService
from registry_service.calls import Calls
from registry_service.instrument.collisions.case_figures import CaseFigures
from registry_service.instrument.convert import service
from registry_service.instrument.deciding import Deciding
from registry_service.instrument.lifecycle.announced import Announced
from registry_service.instrument.lifecycle.history import History
from registry_service.instrument.lookups.answers import Answers
from registry_service.instrument.lookups.entries import Entries
from registry_service.instrument.lookups.lookup import Lookups, parsed
from registry_service.instrument.lookups.reading import Reading
from registry_service.instrument.queries.finding import finding
from registry_service.instrument.registering.drafts import Minter
from registry_service.instrument.registering.venues import AnyVenue, RegisteredVenues, VenueDirectory
from registry_service.instrument.registering.writing import Writing
from registry_service.instrument.watch import Watches
from registry_service.resources import RegistryResources
from registry_service.storage.model import EntityKind

UNSERVED: Final[tuple[str, ...]] = ()
"""RPCs that answer UNIMPLEMENTED."""
FULL_NAME: Final = "alphapulse.api.instrument.v1.InstrumentService"


def build(resources: RegistryResources, *, digest: Digest = sha256) -> GrpcService:
    """The service over a registry's resources. `digest` is another one in tests that force collisions of ids."""
    handlers = _handlers(resources, Minter(digest))

    def add(server: grpc.aio.Server) -> None:
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(FULL_NAME, handlers),))
        # What is not among them, the generated servicer answers: UNIMPLEMENTED.
        rest = rpc.InstrumentServiceServicer()  # type: ignore[abstract]
        rpc.add_InstrumentServiceServicer_to_server(rest, server)

    return GrpcService(FULL_NAME, add, beside=(Announced(resources.store), CaseFigures(resources)))


def _handlers(resources: RegistryResources, minter: Minter) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    venues = _venues(resources)
    calls = Calls(resources, EntityKind.INSTRUMENT, venues.neighbours)
    answers = Answers(resources.store)
    entries = Entries(resources, calls, answers)
    lookups, reading = Lookups(resources, calls, answers, entries), Reading(resources, calls, entries)
    watches, writing = Watches(resources), Writing(calls, minter, venues)
    deciding = Deciding(calls, minter)
    unary: dict[str, Callable[[bytes, Any], Any]] = {
        "LookupISIN": lookups.single(Scheme.ISIN, service.LookupISINRequest, "isin"),
        "LookupCUSIP": lookups.single(Scheme.CUSIP, service.LookupCUSIPRequest, "cusip"),
        "LookupSEDOL": lookups.single(Scheme.SEDOL, service.LookupSEDOLRequest, "sedol"),
        "LookupFIGI": lookups.single(Scheme.FIGI, service.LookupFIGIRequest, "figi"),
        "LookupSymbol": lookups.symbol,
        "Lookup": lookups.one,
        "BatchLookup": lookups.batch,
        "RegisterInstrument": _typed(service.RegisterInstrumentRequest, writing.register),
        "UpdateInstrument": _typed(service.UpdateInstrumentRequest, writing.update_instrument),
        "UpdateListing": _typed(service.UpdateListingRequest, writing.update_listing),
        "GetInstrument": _typed(service.GetInstrumentRequest, reading.instrument),
        "GetListing": _typed(service.GetListingRequest, reading.listing),
        "GetInstrumentHistory": _typed(service.GetInstrumentHistoryRequest, History(resources, calls).history),
        "ListCollisionCases": _typed(service.ListCollisionCasesRequest, reading.cases),
        "GetCollisionCase": _typed(service.GetCollisionCaseRequest, reading.case),
        "ResolveCollisionCase": _typed(service.ResolveCollisionCaseRequest, deciding.resolve),
        "RecordLifecycleEvent": _typed(service.RecordLifecycleEventRequest, deciding.record),
    }
    unary.update({name: _typed(*served) for name, served in finding(resources, calls, venues).items()})
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        name: grpc.unary_unary_rpc_method_handler(handle) for name, handle in unary.items()
    }
    handlers["RegisterInstruments"] = grpc.stream_stream_rpc_method_handler(writing.register_stream)
    handlers["WatchInstruments"] = grpc.unary_stream_rpc_method_handler(watches.watch)
    return handlers


def _venues(resources: RegistryResources) -> VenueDirectory:
    return AnyVenue() if resources.venues is None else RegisteredVenues(resources.venues)


def _typed(
    request_type: type[Any], serve: Callable[[Any], Awaitable[bytes]]
) -> Callable[[bytes, Any], Awaitable[bytes]]:
    """A handler that reads the request's message; the answer is bytes already."""

    async def handle(raw: bytes, context: Any) -> bytes:
        return await serve(parsed(request_type, raw))

    return handle
