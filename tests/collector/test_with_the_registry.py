"""The recorded instrument lists in the real instrument registry: every line registered, and found again by its symbol."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from alphapulse.api.common.v1 import common_pb2
from alphapulse.api.instrument.v1 import instrument_service_pb2, instrument_service_pb2_grpc
from alphapulse.client import RegistrationStream, open_channel
from alphapulse.runtime import load, serve_in_background
from collector_service.decode import read_instruments, recording_files
from collector_service.listings import listing_of
from collector_service.runtime import GrpcRegistrar
from collector_service.sources import SOURCES
from registry_service.app import RegistryApplication
from registry_service.config import InstrumentConfig


@pytest.fixture
async def registry_address(database_url: str) -> AsyncIterator[str]:
    config = load(InstrumentConfig, {"DATABASE_URL": database_url, "METRICS_PORT": "off", "DRAIN_SECONDS": "1"})
    app = RegistryApplication("instrument", config, CollectorRegistry())
    async with serve_in_background(app, config) as handle:
        yield handle.address


@pytest.mark.recordings
async def test_every_listed_instrument_is_registered_and_found_by_its_symbol(
    registry_address: str, recordings_dir: Path
) -> None:
    async with open_channel(registry_address) as channel, RegistrationStream(channel) as stream:
        registrar = GrpcRegistrar(stream)
        stub = instrument_service_pb2_grpc.InstrumentServiceStub(channel)
        for source, spec in SOURCES.items():
            entries = read_instruments(recording_files(recordings_dir, source), source).entries
            done = await registrar.register(entries, spec.venue, source)
            assert not done.refused
            # Nobody collided, so what is minted without a registry is what the registry gave.
            assert done.listing_ids == {entry.symbol: listing_of(entry, spec.venue).id for entry in entries}
            again = await registrar.register(entries, spec.venue, source)
            assert again.listing_ids == done.listing_ids
            request = instrument_service_pb2.BatchLookupRequest(
                items=[
                    instrument_service_pb2.LookupItem(
                        scheme=common_pb2.IDENTIFIER_SCHEME_EXCHANGE_SYMBOL, value=entry.symbol, venue=spec.venue
                    )
                    for entry in entries
                ]
            )
            answer = await stub.BatchLookup(request)
            for entry, result in zip(entries, answer.results, strict=True):
                assert result.outcome == common_pb2.LOOKUP_OUTCOME_RESOLVED, entry.symbol
                assert list(result.listing_ids) == [str(done.listing_ids[entry.symbol])]
