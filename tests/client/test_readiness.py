"""A client can tell whether a service is ready, and wait for it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import pytest

from alphapulse.client import is_ready, wait_ready
from alphapulse.domain.errors import DeadlineExceeded
from alphapulse.runtime import GrpcService, serve_in_background


async def test_ready_from_the_end_of_the_start_to_the_drain(small_registry: Any) -> None:
    may_start = asyncio.Event()

    class Slow(small_registry):  # type: ignore[misc]
        async def start(self) -> Sequence[GrpcService]:
            await may_start.wait()
            services: Sequence[GrpcService] = await super().start()
            return services

    async with serve_in_background(Slow(), wait_ready=False) as handle:
        assert not await is_ready(handle.address)
        with pytest.raises(DeadlineExceeded, match=handle.address):
            await wait_ready(handle.address, timeout=0.05)
        waiting = asyncio.create_task(wait_ready(handle.address))
        may_start.set()
        await waiting
        assert await is_ready(handle.address, service="alphapulse.api.instrument.v1.InstrumentService")
        await handle.drain()
        assert not await is_ready(handle.address)


async def test_nobody_there_is_not_ready() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    assert not await is_ready(address)
