"""What the services say about themselves at one moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc

from alphapulse.api.collector.v1 import collector_service_pb2, collector_service_pb2_grpc
from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_service_pb2, instrument_service_pb2_grpc
from alphapulse.api.relay.v1 import relay_service_pb2, relay_service_pb2_grpc
from alphapulse.api.synthetic.v1 import synthetic_service_pb2, synthetic_service_pb2_grpc
from alphapulse.api.venue.v1 import venue_service_pb2, venue_service_pb2_grpc
from alphapulse.client import open_channel
from alphapulse_cli.commands.sources import has_run
from alphapulse_cli.platform import Addresses

_TIMEOUT = 2.0


@dataclass(slots=True)
class Figures:
    """One moment; what did not answer keeps its last value."""

    venues: int = 0
    instruments: int = 0
    instruments_with_isin: int = 0
    listings: int = 0
    synthetics: dict[int, str] = field(default_factory=dict)
    """Names by listing key."""
    relay: relay_service_pb2.GetRelayStatusResponse = field(default_factory=relay_service_pb2.GetRelayStatusResponse)
    sources: list[collector_service_pb2.Source] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    """Services that did not answer."""


class FigureReader:
    """Asks every service, on channels that stay open."""

    def __init__(self, addresses: Addresses) -> None:
        self._channels: Mapping[str, grpc.aio.Channel] = {
            name: open_channel(addresses.of(name)) for name in addresses.grpc
        }
        c = self._channels
        self._instruments = instrument_service_pb2_grpc.InstrumentServiceStub(c["instrument"])
        self._venues = venue_service_pb2_grpc.VenueServiceStub(c["venue"])
        self._synthetics = synthetic_service_pb2_grpc.SyntheticServiceStub(c["synthetic"])
        self._relay = relay_service_pb2_grpc.RelayServiceStub(c["relay"])
        self._collector = collector_service_pb2_grpc.CollectorServiceStub(c["collector"])
        self.figures = Figures()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))

    async def read_streams(self) -> Figures:
        """The relay and the collector: cheap, asked often."""
        await asyncio.gather(self._read_relay(), self._read_sources())
        return self.figures

    async def read_registries(self) -> Figures:
        """The registries' counts."""
        await asyncio.gather(self._read_instruments(), self._read_venues(), self._read_synthetics())
        return self.figures

    @contextlib.contextmanager
    def _answering(self, service: str) -> Any:
        try:
            yield
        except grpc.RpcError:
            self.figures.silent.add(service)
        else:
            self.figures.silent.discard(service)

    async def _read_relay(self) -> None:
        with self._answering("relay"):
            self.figures.relay = await self._relay.GetRelayStatus(
                relay_service_pb2.GetRelayStatusRequest(), timeout=_TIMEOUT
            )

    async def _read_sources(self) -> None:
        with self._answering("collector"):
            request = collector_service_pb2.ListSourcesRequest(page_size=1000)
            answer = await self._collector.ListSources(request, timeout=_TIMEOUT)
            self.figures.sources = [source for source in answer.sources if has_run(source)]

    async def _read_instruments(self) -> None:
        pb = instrument_service_pb2
        with self._answering("instrument"):
            everything = await self._instruments.ListInstruments(
                pb.ListInstrumentsRequest(page_size=1), timeout=_TIMEOUT
            )
            with_isin = pb.InstrumentFilter(with_schemes=[common_pb2.IDENTIFIER_SCHEME_ISIN])
            isins = await self._instruments.ListInstruments(
                pb.ListInstrumentsRequest(filter=with_isin, page_size=1), timeout=_TIMEOUT
            )
            listings = await self._instruments.ListListings(pb.ListListingsRequest(page_size=1), timeout=_TIMEOUT)
            self.figures.instruments = everything.total_size
            self.figures.instruments_with_isin = isins.total_size
            self.figures.listings = listings.total_size

    async def _read_venues(self) -> None:
        with self._answering("venue"):
            request = venue_service_pb2.ListVenuesRequest(page_size=1)
            self.figures.venues = (await self._venues.ListVenues(request, timeout=_TIMEOUT)).total_size

    async def _read_synthetics(self) -> None:
        with self._answering("synthetic"):
            request = synthetic_service_pb2.ListSyntheticsRequest(page_size=1000)
            answer = await self._synthetics.ListSynthetics(request, timeout=_TIMEOUT)
            self.figures.synthetics = {s.listing_key: s.name for s in answer.synthetics}
