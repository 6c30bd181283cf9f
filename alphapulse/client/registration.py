"""Registration of many instruments, venues or synthetics over one stream that outlives the connection (`batches`).

    async with RegistrationStream(channel) as stream:
        response = await stream.submit(entries)

Each answer says of every item what became of it; an item that is refused does not hold up the others.
"""

from __future__ import annotations

from collections.abc import Iterable

import grpc

from alphapulse.api.instrument.v1 import instrument_service_pb2, instrument_service_pb2_grpc
from alphapulse.api.synthetic.v1 import synthetic_pb2, synthetic_service_pb2, synthetic_service_pb2_grpc
from alphapulse.api.venue.v1 import venue_pb2, venue_service_pb2, venue_service_pb2_grpc
from alphapulse.client.backoff import Backoff
from alphapulse.client.batches import BatchStream, write_options


class RegistrationStream(
    BatchStream[instrument_service_pb2.RegisterInstrumentsRequest, instrument_service_pb2.RegisterInstrumentsResponse]
):
    """Registers instruments with their listings."""

    def __init__(self, channel: grpc.aio.Channel, *, max_in_flight: int = 8, backoff: Backoff | None = None) -> None:
        stub = instrument_service_pb2_grpc.InstrumentServiceStub(channel)
        super().__init__(lambda: stub.RegisterInstruments(), max_in_flight=max_in_flight, backoff=backoff)

    async def submit(
        self,
        entries: Iterable[instrument_service_pb2.InstrumentEntry],
        *,
        request_id: str = "",
        validate_only: bool = False,
        actor: str = "",
        after_token: str = "",
        timeout: float | None = None,
    ) -> instrument_service_pb2.RegisterInstrumentsResponse:
        """Register at most 10,000 entries; returns when they are durable, with a result an entry, in order."""
        request = instrument_service_pb2.RegisterInstrumentsRequest(entries=entries)
        write_options(request.write, request_id, validate_only, actor, after_token)
        return await self.send(request, timeout)


class VenueRegistrationStream(
    BatchStream[venue_service_pb2.RegisterVenuesRequest, venue_service_pb2.RegisterVenuesResponse]
):
    """Registers venues."""

    def __init__(self, channel: grpc.aio.Channel, *, max_in_flight: int = 8, backoff: Backoff | None = None) -> None:
        stub = venue_service_pb2_grpc.VenueServiceStub(channel)
        super().__init__(lambda: stub.RegisterVenues(), max_in_flight=max_in_flight, backoff=backoff)

    async def submit(
        self,
        venues: Iterable[venue_pb2.Venue],
        *,
        request_id: str = "",
        validate_only: bool = False,
        actor: str = "",
        after_token: str = "",
        timeout: float | None = None,
    ) -> venue_service_pb2.RegisterVenuesResponse:
        """Register at most 10,000 venues; returns when they are durable, with a result a venue, in order."""
        request = venue_service_pb2.RegisterVenuesRequest(venues=venues)
        write_options(request.write, request_id, validate_only, actor, after_token)
        return await self.send(request, timeout)


class SyntheticRegistrationStream(
    BatchStream[synthetic_service_pb2.RegisterSyntheticsRequest, synthetic_service_pb2.RegisterSyntheticsResponse]
):
    """Registers synthetics."""

    def __init__(self, channel: grpc.aio.Channel, *, max_in_flight: int = 8, backoff: Backoff | None = None) -> None:
        stub = synthetic_service_pb2_grpc.SyntheticServiceStub(channel)
        super().__init__(lambda: stub.RegisterSynthetics(), max_in_flight=max_in_flight, backoff=backoff)

    async def submit(
        self,
        synthetics: Iterable[synthetic_pb2.Synthetic],
        *,
        request_id: str = "",
        validate_only: bool = False,
        actor: str = "",
        after_token: str = "",
        allow_unknown_components: bool = False,
        timeout: float | None = None,
    ) -> synthetic_service_pb2.RegisterSyntheticsResponse:
        """Register at most 10,000 synthetics; returns when they are durable, with a result a synthetic, in order.

        `allow_unknown_components` takes components that the instrument registry does not know yet."""
        request = synthetic_service_pb2.RegisterSyntheticsRequest(
            synthetics=synthetics, allow_unknown_components=allow_unknown_components
        )
        write_options(request.write, request_id, validate_only, actor, after_token)
        return await self.send(request, timeout)
