"""CollectorService: lists, starts and stops the sources of this process."""

from __future__ import annotations

from typing import Any, Final

import grpc

from alphapulse.api.collector.v1 import collector_service_pb2 as pb
from alphapulse.api.collector.v1 import collector_service_pb2_grpc
from alphapulse.domain.errors import InvalidArgument, PageTokenInvalid
from alphapulse.runtime import GrpcService
from collector_service.fleet import Fleet
from collector_service.sources import SOURCES

FULL_NAME: Final = "alphapulse.api.collector.v1.CollectorService"
_TRANSPORTS: Final = {1: "live", 2: "replay", 3: "simulated"}
_NUMBERS: Final = {name: number for number, name in _TRANSPORTS.items()}
_MAX_PAGE: Final = 1_000
_PAGE: Final = 100
_MAX_STALE: Final = 100
Context = grpc.aio.ServicerContext[Any, Any]


class CollectorServicer(collector_service_pb2_grpc.CollectorServiceServicer):
    """Answers from the fleet; idempotent by nature, so a request id needs no memory."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def ListSources(self, request: pb.ListSourcesRequest, context: Context) -> pb.ListSourcesResponse:  # noqa: N802
        if not 0 <= request.page_size <= _MAX_PAGE:
            raise InvalidArgument.field("page_size", str(request.page_size), "range", f"0 to {_MAX_PAGE}")
        names = sorted(SOURCES)
        if request.page_token and request.page_token not in names:
            raise PageTokenInvalid("the page token is not one of this list")
        names = [name for name in names if name > request.page_token]
        size = request.page_size or _PAGE
        more = names[size - 1] if len(names) > size else ""
        return pb.ListSourcesResponse(sources=[self._source(name) for name in names[:size]], next_page_token=more)

    async def StartSource(self, request: pb.StartSourceRequest, context: Context) -> pb.StartSourceResponse:  # noqa: N802
        self._fleet.status(request.name)
        if request.transport and request.transport not in _TRANSPORTS:
            raise InvalidArgument.field("transport", str(request.transport), "enum", "LIVE, REPLAY or SIMULATED")
        if not request.write.validate_only:
            self._fleet.start(request.name, _TRANSPORTS.get(request.transport, ""))
        return pb.StartSourceResponse(source=self._source(request.name))

    async def StopSource(self, request: pb.StopSourceRequest, context: Context) -> pb.StopSourceResponse:  # noqa: N802
        self._fleet.status(request.name)
        if not request.write.validate_only:
            await self._fleet.stop(request.name)
        return pb.StopSourceResponse(source=self._source(request.name))

    def _source(self, name: str) -> pb.Source:
        status = self._fleet.status(name)
        return pb.Source(
            name=name,
            venue=SOURCES[name].venue,
            state=pb.SourceState.ValueType(int(status.state)),
            transport=pb.TransportKind.ValueType(_NUMBERS[self._fleet.transport_of(name)]),
            events=status.events,
            rejects=status.rejects,
            instruments_registered=status.instruments_registered,
            listings=status.listings,
            reconnects=status.reconnects,
            book_resyncs=status.book_resyncs,
            last_frame_ns=status.last_frame_ns,
            error=status.error,
            book_machine=SOURCES[name].book_machine,
            frames=status.frames,
            stale_listings=len(status.stale),
            stale_symbols=status.stale[:_MAX_STALE],
        )


def build(fleet: Fleet) -> GrpcService:
    """The service as the runtime takes it."""
    servicer = CollectorServicer(fleet)
    return GrpcService(
        FULL_NAME, lambda server: collector_service_pb2_grpc.add_CollectorServiceServicer_to_server(servicer, server)
    )
