"""Whether a service is ready, by the gRPC health protocol. Its name `readiness` speaks for all services of a process."""

from __future__ import annotations

import asyncio

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from alphapulse.client.backoff import Backoff
from alphapulse.client.channel import open_channel
from alphapulse.domain.errors import DeadlineExceeded

_SERVING = health_pb2.HealthCheckResponse.SERVING


async def is_ready(address: str, *, service: str = "readiness", timeout: float = 1.0) -> bool:
    """Whether the service answers SERVING within `timeout` seconds; False for nobody there, starting and draining."""
    async with open_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=timeout)
        except grpc.RpcError:
            return False
        return bool(answer.status == _SERVING)


async def wait_ready(address: str, *, service: str = "readiness", timeout: float = 30.0) -> None:
    """Until the service is ready; DeadlineExceeded after `timeout` seconds."""
    backoff = Backoff(first=0.02, cap=0.5)
    try:
        async with asyncio.timeout(timeout):
            while not await is_ready(address, service=service):  # noqa: ASYNC110 - the event is in another process
                await asyncio.sleep(backoff.next())
    except TimeoutError:
        raise DeadlineExceeded(f"{address} was not ready within {timeout:g} s") from None
