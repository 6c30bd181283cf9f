"""Learning the registries at the start: for a while at most, then events are marked until it is done."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress

import structlog

from relay_service.config import RelayConfig
from relay_service.core import RelayCore
from relay_service.egress.fanout import FanOut
from relay_service.enrichment.feed import RegistryAddresses, RegistryFeed

_log = structlog.stdlib.get_logger(__name__)


def registry_addresses(config: RelayConfig) -> RegistryAddresses:
    """Where the registries are."""
    return RegistryAddresses(
        config.instrument_registry_address, config.venue_registry_address, config.synthetic_registry_address
    )


async def learn(stack: AsyncExitStack, config: RelayConfig, core: RelayCore, fanout: FanOut) -> None:
    """Follow the registries for as long as `stack` is open. Returns when they have been learned, or RELAY_REGISTRY_WAIT_SECONDS have passed."""
    addresses = registry_addresses(config)
    feed = await stack.enter_async_context(RegistryFeed(core.replica, addresses, core.settle))
    learning = asyncio.create_task(_note_learned(feed, fanout))
    stack.push_async_callback(end_task, learning)
    try:
        async with asyncio.timeout(config.registry_wait_seconds):
            await feed.complete.wait()
    except TimeoutError:
        _log.warning(
            "the registries have not been learned yet: events are taken and marked until they are",
            waited_seconds=config.registry_wait_seconds,
            instrument=addresses.instrument,
            venue=addresses.venue,
            synthetic=addresses.synthetic,
        )


async def _note_learned(feed: RegistryFeed, fanout: FanOut) -> None:
    await feed.complete.wait()
    fanout.learned.set()


async def end_task(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
