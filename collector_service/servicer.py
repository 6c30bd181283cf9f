"""CollectorService: lists, starts and stops the sources of this process."""

from __future__ import annotations

from typing import Any, Final

import grpc

from alphapulse.api.collector.v1 import collector_service_pb2 as pb
from alphapulse.api.collector.v1 import collector_service_pb2_grpc
from alphapulse.domain.errors import InvalidArgument, PageTokenInvalid
from alphapulse.runtime import GrpcService
from collector_service.fleet import Fleet
from collector_service.recorder import RecorderFigures

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
        names = list(self._fleet.statuses())
        if request.page_token and request.page_token not in names:
            raise PageTokenInvalid("the page token is not one of this list")
        names = [name for name in names if name > request.page_token]
        size = request.page_size or _PAGE
        more = names[size - 1] if len(names) > size else ""
        return pb.ListSourcesResponse(sources=[self._source(name) for name in names[:size]], next_page_token=more)

    async def StartSource(self, request: pb.StartSourceRequest, context: Context) -> pb.StartSourceResponse:  # noqa: N802
        name = self._fleet.source(request.name).name
        if request.transport and request.transport not in _TRANSPORTS:
            raise InvalidArgument.field("transport", str(request.transport), "enum", "LIVE, REPLAY or SIMULATED")
        if not request.write.validate_only:
            self._fleet.start(name, _TRANSPORTS.get(request.transport, ""))
        return pb.StartSourceResponse(source=self._source(name))

    async def StopSource(self, request: pb.StopSourceRequest, context: Context) -> pb.StopSourceResponse:  # noqa: N802
        name = self._fleet.source(request.name).name
        if not request.write.validate_only:
            await self._fleet.stop(name)
        return pb.StopSourceResponse(source=self._source(name))

    def _source(self, name: str) -> pb.Source:
        status, source = self._fleet.status(name), self._fleet.source(name)
        recording = status.recording or RecorderFigures()
        return pb.Source(
            name=name,
            venue=source.venue,
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
            book_machine=source.book_machine,
            frames=status.frames,
            stale_listings=len(status.stale),
            stale_symbols=status.stale[:_MAX_STALE],
            recorded=recording.written,
            recording_lost=recording.lost,
            recording_error=recording.error,
        )


def build(fleet: Fleet) -> GrpcService:
    """The service as the runtime takes it."""
    servicer = CollectorServicer(fleet)
    return GrpcService(
        FULL_NAME, lambda server: collector_service_pb2_grpc.add_CollectorServiceServicer_to_server(servicer, server)
    )
