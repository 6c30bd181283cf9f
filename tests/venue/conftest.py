"""A venue registry of each test's own: real Postgres, real Redis, a real gRPC server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from alphapulse.api.venue.v1 import venue_service_pb2_grpc as rpc
from alphapulse.client.channel import open_channel
from alphapulse.runtime import serve_in_background
from registry_service.app import RegistryApplication
from registry_service.config import RegistryConfig


@pytest.fixture
async def venue_address(database_url: str, fresh_redis_url: str) -> AsyncIterator[str]:
    """Where the registry listens."""
    config = RegistryConfig(database_url=database_url, redis_url=fresh_redis_url)
    async with serve_in_background(RegistryApplication("venue", config, CollectorRegistry())) as handle:
        yield handle.address


@pytest.fixture
async def venues(venue_address: str) -> AsyncIterator[rpc.VenueServiceStub]:
    """A stub of the registry."""
    async with open_channel(venue_address) as channel:
        yield rpc.VenueServiceStub(channel)
