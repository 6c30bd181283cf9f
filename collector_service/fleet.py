"""The sources of one process: which run, and from where."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Final

from alphapulse.domain.errors import FailedPrecondition, NotFound
from alphapulse.publishing import RelayLink, SplitLink
from collector_service.config import CollectorConfig
from collector_service.lease import Held, Leases
from collector_service.recorder import RawRecorder, SourceRecorder
from collector_service.runtime import Registrar, RunnerOptions, SourceRunner, SourceStatus
from collector_service.simulation import COMMON, PAIRS, Market, SimulatedVenue, can_be_simulated
from collector_service.source import Source
from collector_service.transport.base import Transport
from collector_service.transport.hosts import Hosts
from collector_service.transport.live import LiveTransport
from collector_service.transport.recording import recording_files
from collector_service.transport.replay import ReplayTransport
from collector_service.transport.simulated import SimulatedTransport

_DRAIN_SECONDS: Final = 1.0
DEFAULT_PAIRS: Final = frozenset(pair.name for pairs in (COMMON, *PAIRS.values()) for pair in pairs)
"""What is subscribed to at live venues unless SYMBOLS says otherwise."""


class Fleet:
    """Starts and stops sources by name. Starting one that runs and stopping one that does not are no errors."""

    def __init__(
        self,
        config: CollectorConfig,
        link: RelayLink | SplitLink | None,
        registrar: Registrar | None,
        leases: Leases | None = None,
        recorder: RawRecorder | None = None,
    ) -> None:
        """With `leases` a source runs only while its lease is held; a recording needs none. `recorder` takes what arrives as it came."""
        self._config = config
        self._link = link
        self._registrar = registrar
        self._leases = leases
        self._recorder = recorder
        self._sources = config.known()
        # One market for all: the simulated venues disagree only where it was planted.
        self._market = Market(config.simulation_seed, time.time_ns())
        self._hosts = Hosts(config.host_connections_per_second)
        self._runners: dict[str, SourceRunner] = {}
        self._transports: dict[str, str] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping: set[str] = set()

    def source(self, name: str) -> Source:
        """The source of a name, in any spelling. Raises NotFound."""
        return self._sources.named(name)

    def statuses(self) -> Mapping[str, SourceStatus]:
        """Every source there is, by name; one that never ran is STOPPED."""
        return {name: self.status(name) for name in sorted(self._sources.sources)}

    def status(self, name: str) -> SourceStatus:
        """How a source is. Raises NotFound."""
        self._check(name)
        runner = self._runners.get(name)
        return runner.status() if runner is not None else SourceStatus()

    def transport_of(self, name: str) -> str:
        """Where a source's frames come from: live, replay or simulated."""
        return self._transports.get(name, self._config.transport)

    def runs(self, name: str) -> bool:
        """Whether a source is running."""
        task = self._tasks.get(name)
        return task is not None and not task.done()

    def start(self, name: str, transport: str = "") -> None:
        """Starts a source; without a transport from where the configuration says. Raises NotFound, FailedPrecondition, ConfigurationError."""
        self._check(name)
        kind = transport or self._config.transport
        if name in self._stopping:
            raise FailedPrecondition(f"{name} is being stopped", hint="start it again when it is STOPPED")
        if self.runs(name):
            if transport and transport != self._transports[name]:
                raise FailedPrecondition(
                    f"{name} runs, its frames come from elsewhere: {self._transports[name]}", hint="stop it first"
                )
            return
        if kind == "replay":
            self._config.recordings_folder()
        elif kind == "simulated" and not can_be_simulated(self.source(name)):
            raise FailedPrecondition(
                f"{name} cannot be simulated: no venue can be made of its specification",
                hint="start it with another transport",
            )
        symbols = frozenset(self._config.symbols)
        pairs = symbols or (DEFAULT_PAIRS if kind == "live" else None)
        runner = SourceRunner(
            self._config.spec(name),
            lambda: self._transport(name, kind),
            link=self._link,
            registrar=self._registrar,
            options=RunnerOptions(pairs=pairs, discovery_seconds=self._config.discovery_seconds),
            recorder=self._recorder_of(name),
        )
        self._runners[name], self._transports[name] = runner, kind
        leased = self._leases is not None and kind != "replay"
        self._tasks[name] = asyncio.create_task(self._run_leased(runner) if leased else runner.run())

    def _recorder_of(self, name: str) -> SourceRecorder | None:
        chosen = self._config.record_sources
        if self._recorder is None or (chosen and name not in chosen):
            return None
        return self._recorder.of(self._config.spec(name))

    async def _run_leased(self, runner: SourceRunner) -> None:
        assert self._leases is not None

        async def run(held: Held) -> None:
            runner.next_epoch = held.next_epoch
            await runner.run()

        try:
            await self._leases.hold(runner.spec.name, run, runner.wait)
        finally:
            runner.rest()

    async def stop(self, name: str) -> None:
        """Stops a source; what it has decoded is still sent. Raises NotFound."""
        self._check(name)
        task = self._tasks.get(name)
        if task is not None:
            if name not in self._stopping:  # somebody else waits for its end already
                task.cancel()
            self._stopping.add(name)
            try:
                await asyncio.gather(task, return_exceptions=True)
            finally:
                self._stopping.discard(name)
                self._tasks.pop(name, None)
        if self._link is not None and self._link.connected:
            await self._link.drain(_DRAIN_SECONDS)

    async def stop_all(self) -> None:
        """Stops every source."""
        await asyncio.gather(*(self.stop(name) for name in list(self._tasks)))

    def _check(self, name: str) -> None:
        if name not in self._sources.sources:
            raise NotFound(f"no source is called {name!r}; there are {', '.join(sorted(self._sources.sources))}")

    def _transport(self, name: str, kind: str) -> Transport:
        spec = self._config.spec(name)
        if kind == "replay":
            files = recording_files(self._config.recordings_folder(), name)
            return ReplayTransport(files, name, self._config.replay_speed)
        if kind == "live" and spec.reach is not None:
            return spec.reach(spec, os.environ)
        if kind == "live":
            return LiveTransport(
                spec.endpoints,
                spec.live.path,
                spec.limits,
                spec.heartbeat,
                address=spec.live.address,
                sign_in=spec.sign_in,
                secrets=os.environ,
                hosts=self._hosts,
            )
        return SimulatedTransport(SimulatedVenue(spec, self._market, self._config.simulation_rate))
