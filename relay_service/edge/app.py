"""An edge put together: the logs of another relay, what follows them, the registries' feed, egress, gRPC and metrics. There is no ingress."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import grpc
import structlog
from prometheus_client import CollectorRegistry

from alphapulse.domain.domains import Domain
from alphapulse.domain.errors import ConfigurationError, FailedPrecondition
from alphapulse.runtime import GrpcService, Readiness
from relay_service.config import RelayConfig
from relay_service.edge.core import EdgeCore
from relay_service.edge.followers import Followers, edge_logs_of
from relay_service.edge.metrics import EdgeMetrics
from relay_service.egress.fanout import FanOut
from relay_service.egress.grpc_stream import SubscribeStream
from relay_service.egress.settings import FanOutSettings
from relay_service.egress.unix_socket import egress_socket
from relay_service.egress.warm_up import warm_up
from relay_service.evidence.definitions import DefinitionFinder
from relay_service.evidence.explaining import Explainer
from relay_service.kernel.engine import KernelSettings
from relay_service.learning import learn, registry_addresses
from relay_service.servicer import RelayServicer, relay_service

_log = structlog.stdlib.get_logger(__name__)
_FLUSH_SHARE: Final = 0.8
"""Share of DRAIN_SECONDS that subscribers get to take what waits for them."""


class EdgeApplication:
    """An `alphapulse.runtime` application. It has started once it has read the logs to their ends; it is not ready while it cannot read on, and
    serves whom it has all the same."""

    def __init__(self, config: RelayConfig, registry: CollectorRegistry) -> None:
        if not config.log_url:
            rule = "required of an edge (RELAY_ROLE=edge): the log that it serves"
            raise ConfigurationError.for_variable("RELAY_LOG_URL", "", rule, secret=True)
        self._config = config
        self._registry = registry
        self._stack = AsyncExitStack()
        self._sockets = AsyncExitStack()
        self.readiness = Readiness()
        self.core = EdgeCore(KernelSettings(registry_enabled=config.registry_enabled), config.share)
        self.logs = edge_logs_of(config)
        self.log = self.logs[Domain.MARKET]
        """The market's."""
        settings = FanOutSettings(
            config.log_name,
            config.registry_enabled,
            config.queue_bytes,
            slow_seconds=config.slow_seconds,
            edge_id=f"{config.edge_id}.{time.time_ns():x}",
        )
        self.fanout = FanOut(self.core, settings, self.logs)
        self.followers = Followers(self.core, self.logs, self.fanout, self.readiness)

    @property
    def name(self) -> str:
        """Short name of the service."""
        return "relay"

    async def start(self) -> Sequence[GrpcService]:
        """Compile, learn the registries for a while at most, read the logs to their ends, then listen. Raises Unavailable where there is none yet."""
        self.core.warm_up()
        warm_up()
        async with AsyncExitStack() as stack:
            for log in self.logs.values():
                await stack.enter_async_context(log)
            if self._config.registry_enabled:
                await learn(stack, self._config, self.core, self.fanout)
            await stack.enter_async_context(self.followers)
            await self.followers.wait_caught_up()
            metrics = EdgeMetrics(self.fanout, self.core, self.logs, self.followers, self._registry)
            stack.callback(metrics.close)
            sockets = await stack.enter_async_context(AsyncExitStack())
            await sockets.enter_async_context(egress_socket(self._config.egress_socket, self.fanout))
            self._sockets = sockets
            self._stack = stack.pop_all()
        finder = DefinitionFinder(
            self.core, registry_addresses(self._config) if self._config.registry_enabled else None
        )
        explainer = Explainer(self.fanout, finder)
        subscribe = SubscribeStream(self.fanout)
        servicer = RelayServicer(self.fanout, self._publish, self._publish, subscribe, explainer, lambda _: 0)
        return (relay_service(servicer, self.readiness),)

    async def _publish(self, requests: AsyncIterator[Any], context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        raise FailedPrecondition(
            "this relay is an edge: it takes no events in",
            metadata={"relay_id": self.fanout.relay_id, "edge_id": self.fanout.settings.edge_id},
            hint="publish to the relay whose log it serves",
        )

    async def drain(self) -> None:
        """Every subscriber gets a notice and what waits for it."""
        await self._sockets.aclose()
        limit = self._config.drain_seconds * _FLUSH_SHARE
        try:
            async with asyncio.timeout(limit):
                await self.fanout.drain(limit)
        except TimeoutError:
            _log.warning(
                "subscribers are cut that did not take what waited for them", count=len(self.fanout.subscribers)
            )

    async def stop(self) -> None:
        """Close everything, socket files included."""
        await self._sockets.aclose()
        await self._stack.aclose()
