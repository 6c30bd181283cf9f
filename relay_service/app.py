"""The relay put together: core, registries' feed, ingress, egress, gRPC, metrics, and the tick by which quotes grow old."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import grpc
import structlog
from prometheus_client import CollectorRegistry

from alphapulse.domain.domains import URGENCY, Domain
from alphapulse.runtime import GrpcService
from relay_service.config import RelayConfig
from relay_service.core import RelayCore
from relay_service.domains import limits_of, logs_of
from relay_service.egress.fanout import FanOut
from relay_service.egress.grpc_stream import SubscribeStream
from relay_service.egress.settings import FanOutSettings
from relay_service.egress.unix_socket import egress_socket
from relay_service.egress.warm_up import warm_up
from relay_service.evidence.definitions import DefinitionFinder
from relay_service.evidence.explaining import Explainer
from relay_service.evidence.inputs import InputNotes
from relay_service.ingress.publish import AcknowledgedStream, PublishStream
from relay_service.ingress.server import IngressServer
from relay_service.ingress.turns import Turns
from relay_service.kernel.engine import KernelSettings
from relay_service.learning import end_task, learn, registry_addresses
from relay_service.log.beats import Beats
from relay_service.metrics import RelayMetrics
from relay_service.servicer import RelayServicer, relay_service

_log = structlog.stdlib.get_logger(__name__)
_FLUSH_SHARE: Final = 0.8
"""Share of DRAIN_SECONDS that subscribers get to take what waits for them."""


class RelayApplication:
    """An `alphapulse.runtime` application. Ready without its registries: events of listings not learned yet are marked unknown."""

    def __init__(self, config: RelayConfig, registry: CollectorRegistry) -> None:
        self._config = config
        self._registry = registry
        self._stack = AsyncExitStack()
        self._sockets = AsyncExitStack()
        self.limits = limits_of(config)
        self.core = RelayCore(
            KernelSettings(
                max_quote_age_ns=config.quote_age_ms * 1_000_000,
                threshold_bps=config.min_net_bps,
                stale_ns=config.stale_ms * 1_000_000,
                price_band=config.price_band_bps * 1e-4,
                price_band_age_ns=int(config.price_band_seconds * 1e9),
                registry_enabled=config.registry_enabled,
            ),
            self.limits,
            config.share,
        )
        self.turns = Turns(self.limits)
        # Counters begin anew with each life of the process, so each has a name of its own.
        start_ns = time.time_ns()
        relay_id = f"{config.log_name}.{start_ns:x}"
        settings = FanOutSettings(
            relay_id,
            config.registry_enabled,
            config.queue_bytes,
            config.signal_queue_bytes,
            config.execution_queue_bytes,
            config.slow_seconds,
        )
        self.logs = logs_of(config, start_ns)
        self.log = self.logs.get(Domain.MARKET)
        """The market's."""
        if self.log is not None:
            InputNotes(self.core, self.logs)
        self.fanout = FanOut(self.core, settings, self.logs)
        self._acknowledged = AcknowledgedStream(self.core, self.fanout.deliver, self.turns)

    @property
    def name(self) -> str:
        """Short name of the service."""
        return "relay"

    async def start(self) -> Sequence[GrpcService]:
        """Compile, learn the registries for a while at most, then listen."""
        self.core.warm_up()
        warm_up()
        async with AsyncExitStack() as stack:
            if self._config.registry_enabled:
                await learn(stack, self._config, self.core, self.fanout)
            await stack.enter_async_context(self.logs)
            if self.log is not None:
                await stack.enter_async_context(Beats(self.log, lambda: self.fanout.beat().SerializeToString()))
            metrics = RelayMetrics(self.fanout, self.turns.full_turns, self._registry)
            stack.callback(metrics.close)
            ticking = asyncio.create_task(self._tick())
            stack.push_async_callback(end_task, ticking)
            sockets = await stack.enter_async_context(AsyncExitStack())
            await sockets.enter_async_context(egress_socket(self._config.egress_socket, self.fanout))
            await sockets.enter_async_context(
                IngressServer(self._config.ingress_socket, self.core, self.fanout.deliver, self.turns)
            )
            self._sockets = sockets
            self._stack = stack.pop_all()
        finder = DefinitionFinder(
            self.core, registry_addresses(self._config) if self._config.registry_enabled else None
        )
        explainer = Explainer(self.fanout, finder)
        servicer = RelayServicer(
            self.fanout,
            self._publish,
            self._acknowledged,
            SubscribeStream(self.fanout),
            explainer,
            self.turns.full_turns,
        )
        return (relay_service(servicer),)

    async def _publish(self, requests: AsyncIterator[Any], context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        return await PublishStream(self.core, self.fanout.deliver, self.turns).run(requests)

    async def _tick(self) -> None:
        """Let time pass in the core."""
        seconds = self._config.tick_ms / 1e3
        while True:
            await asyncio.sleep(seconds)
            now_ns = time.time_ns()
            others = (self.core.overdue(domain, now_ns) for domain in URGENCY if domain is not Domain.MARKET)
            for result in (*others, self.core.tick(now_ns)):
                if result.groups or result.gaps:
                    self.fanout.deliver(result)

    async def drain(self) -> None:
        """Collectors first, so that nothing new comes; then every subscriber gets a notice and what waits for it."""
        self._acknowledged.drain()
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
