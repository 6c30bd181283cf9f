"""A synthetic registry of each test's own: real Postgres, real Redis, a real gRPC server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from alphapulse.api.synthetic.v1 import synthetic_service_pb2_grpc as rpc
from alphapulse.client.channel import open_channel
from alphapulse.runtime import serve_in_background
from registry_service.app import RegistryApplication
from registry_service.config import RegistryConfig


@pytest.fixture
async def synthetics(database_url: str, fresh_redis_url: str) -> AsyncIterator[rpc.SyntheticServiceStub]:
    """A stub of the registry."""
    config = RegistryConfig(database_url=database_url, redis_url=fresh_redis_url)
    app = RegistryApplication("synthetic", config, CollectorRegistry())
    async with serve_in_background(app) as handle, open_channel(handle.address) as channel:
        yield rpc.SyntheticServiceStub(channel)
