"""What an edge follows: the log of each domain, read by itself, so that a flood of one is no delay of another. Together they are ready, or not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from alphapulse.domain.domains import URGENCY, Domain
from alphapulse.runtime import Readiness
from relay_service.config import RelayConfig
from relay_service.edge.core import EdgeCore
from relay_service.edge.follower import Follower
from relay_service.edge.log import EdgeLog
from relay_service.egress.fanout import FanOut
from relay_service.log.relay_log import LogSettings


def edge_logs_of(config: RelayConfig) -> dict[Domain, EdgeLog]:
    """The logs of the relay of this name, most urgent domain first."""
    name, url = config.log_name, config.log_url
    return {
        domain: EdgeLog(
            LogSettings(name, url, buffer_bytes=config.log_buffer_bytes, token_key=config.token_key, domain=domain)
        )
        for domain in URGENCY
    }


class Followers:
    """Async context manager; the logs are entered before it."""

    def __init__(self, core: EdgeCore, logs: Mapping[Domain, EdgeLog], fanout: FanOut, readiness: Readiness) -> None:
        self._parts = {domain: Readiness() for domain in logs}
        self._readiness = readiness
        for part in self._parts.values():
            part.on_change = self._settle
        others = [log for domain, log in logs.items() if domain is not Domain.MARKET]
        self.of = {domain: Follower(core, log, fanout, self._parts[domain], others) for domain, log in logs.items()}
        """By domain."""
        self._stack = AsyncExitStack()

    def _settle(self) -> None:
        self._readiness.set(all(part.is_ready for part in self._parts.values()))

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for follower in self.of.values():
                await stack.enter_async_context(follower)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def wait_caught_up(self) -> None:
        """Until each log was read to its end for the first time. Raises what following one of them ended with."""
        waiting = [asyncio.create_task(one.wait_caught_up()) for one in self.of.values()]
        try:
            await asyncio.gather(*waiting)
        finally:
            for task in waiting:
                task.cancel()
