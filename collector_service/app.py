"""Composition root of a collector process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from alphapulse.client import RegistrationStream, open_channel
from alphapulse.domain.errors import ConfigurationError
from alphapulse.publishing import RelayLink, SplitLink
from alphapulse.runtime import GrpcService
from collector_service import servicer
from collector_service.config import CollectorConfig
from collector_service.fleet import Fleet
from collector_service.lease import Leases
from collector_service.metrics import CollectorFigures
from collector_service.recorder import RawRecorder
from collector_service.runtime import GrpcFinder, GrpcRegistrar, Registrar
from collector_service.simulation import can_be_simulated

_DRAIN_SECONDS: Final = 2.0
_log = structlog.stdlib.get_logger(__name__)


class CollectorApplication:
    """Implements the runtime's Application."""

    def __init__(self, config: CollectorConfig, metrics: CollectorRegistry) -> None:
        if config.transport == "replay":
            config.recordings_folder()
        config.make_record_dir()
        known = config.known()
        for file, why in known.broken.items():
            _log.warning("a source of your own is broken", file=file, reason=why)
        config.check_names("RECORD_SOURCES", config.record_sources)
        for name in config.sources:
            config.spec(name)  # an address that is none is told before anything runs
            if config.transport == "simulated" and not can_be_simulated(config.spec(name)):
                rule = "with TRANSPORT=simulated sources of whose specification a venue can be made: no chain, and none that another library reads"
                raise ConfigurationError.for_variable("SOURCES", name, rule)
        self._config = config
        self._metrics = metrics
        self._stack = AsyncExitStack()
        self._fleet: Fleet | None = None
        self._link: RelayLink | SplitLink | None = None

    @property
    def name(self) -> str:
        """For logs and traces."""
        return "collector"

    @property
    def fleet(self) -> Fleet:
        """The sources, once it has started."""
        assert self._fleet is not None
        return self._fleet

    async def start(self) -> Sequence[GrpcService]:
        """Opens the connections and starts the sources; neither the relay nor a registry has to be there yet."""
        async with AsyncExitStack() as stack:
            config = self._config
            if config.relay_ingress_socket:
                self._link = await stack.enter_async_context(config.make_link())
            leases = None
            if config.lease_url:
                leases = Leases(config.lease_url, seconds=config.lease_seconds)
                stack.push_async_callback(leases.close)
            recorder = None
            if (folder := config.make_record_dir()) is not None:
                recorder = await stack.enter_async_context(
                    RawRecorder(
                        folder,
                        file_bytes=config.record_file_bytes,
                        queue_bytes=config.record_queue_bytes,
                        secrets=os.environ,
                    )
                )
            fleet = self._fleet = Fleet(config, self._link, await self._registrar(stack), leases, recorder)
            stack.push_async_callback(fleet.stop_all)
            figures = CollectorFigures(fleet.statuses, self._link)
            self._metrics.register(figures)
            stack.callback(self._metrics.unregister, figures)
            for source in config.sources:
                fleet.start(source)
            self._stack = stack.pop_all()
        return [servicer.build(fleet)]

    async def drain(self) -> None:
        """Stops the sources and sends what they have decoded."""
        if self._fleet is not None:
            await self._fleet.stop_all()
        if self._link is not None and self._link.connected:
            await self._link.drain(_DRAIN_SECONDS)

    async def stop(self) -> None:
        """Closes everything."""
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()

    async def _registrar(self, stack: AsyncExitStack) -> Registrar | None:
        config = self._config
        if not config.registry_enabled or not config.instrument_registry_address:
            return None
        channel = await stack.enter_async_context(open_channel(config.instrument_registry_address))
        stream = await stack.enter_async_context(RegistrationStream(channel))
        return GrpcRegistrar(stream, GrpcFinder(channel), channel)
