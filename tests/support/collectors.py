"""A collector in the test's process, and ways to wait for its sources."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from alphapulse.api.collector.v1 import collector_service_pb2 as pb
from alphapulse.api.collector.v1 import collector_service_pb2_grpc
from alphapulse.client import open_channel
from alphapulse.runtime import load, serve_in_background
from collector_service.app import CollectorApplication
from collector_service.config import CollectorConfig


@asynccontextmanager
async def collector(**variables: str) -> AsyncIterator[tuple[Any, CollectorRegistry]]:
    """A stub of a running collector with these settings, and its metrics."""
    config = load(CollectorConfig, {"METRICS_PORT": "off", "DRAIN_SECONDS": "1", **variables})
    registry = CollectorRegistry()
    app = CollectorApplication(config, registry)
    async with serve_in_background(app, config, registry=registry) as handle, open_channel(handle.address) as channel:
        yield collector_service_pb2_grpc.CollectorServiceStub(channel), registry


async def sources_when(stub: Any, condition: Callable[[dict[str, pb.Source]], bool]) -> dict[str, pb.Source]:
    async with asyncio.timeout(30):
        while True:
            answer = await stub.ListSources(pb.ListSourcesRequest(page_size=1000))
            found = {source.name: source for source in answer.sources}
            if condition(found):
                return found
            await asyncio.sleep(0.01)
