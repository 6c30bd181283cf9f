"""Whether a service answers."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


async def is_serving(address: str, service: str, timeout: float = 1.0) -> bool:
    """True when the service at this address says SERVING."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        with contextlib.suppress(grpc.aio.AioRpcError):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=timeout)
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
    return False


async def wait_serving(address: str, service: str) -> None:
    """Returns when it says SERVING."""
    while not await is_serving(address, service):  # noqa: ASYNC110 - another process, no event of ours to wait for
        await asyncio.sleep(0.1)
