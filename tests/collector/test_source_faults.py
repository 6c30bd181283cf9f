"""A fault of our own in a source: it costs a while, not the source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from alphapulse.client import Backoff
from alphapulse.publishing import RelayLink
from collector_service.runtime import SourceRunner, SourceState
from collector_service.simulation import Market, SimulatedVenue
from collector_service.sources import SOURCES
from collector_service.transport.base import Arrival
from collector_service.transport.simulated import SimulatedTransport


class FaultyOnce(SimulatedTransport):
    """Of several lives the first ends with an error nobody foresaw."""

    lives = 0

    async def arrivals(self, connections: int, paths: Sequence[str] = ()) -> AsyncIterator[Arrival]:
        type(self).lives += 1
        count = 0
        async for arrival in super().arrivals(connections, paths):
            count += 1
            if self.lives == 1 and count == 50:
                raise RuntimeError("nobody foresaw this")
            yield arrival


async def test_a_source_that_fails_is_started_again_under_a_later_epoch(small_relay: Any) -> None:
    market = Market(1, 1_700_000_000_000_000_000)
    async with RelayLink(str(small_relay.path)) as link:
        runner = SourceRunner(
            SOURCES["COINBASE"],
            lambda: FaultyOnce(SimulatedVenue(SOURCES["COINBASE"], market, 500.0)),
            link=link,
            faults=Backoff(first=0.01, cap=0.02),
        )
        task = asyncio.create_task(runner.run())
        try:
            await small_relay.until(lambda: len(small_relay.hellos) == 2)
            rows = small_relay.count()
            await small_relay.until(lambda: small_relay.count() > rows + 100)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    first, second = small_relay.hellos
    assert second.epoch > first.epoch
    assert runner.status().state is SourceState.STOPPED
