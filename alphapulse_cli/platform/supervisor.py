"""Starts the stores and services in order, keeps them alive, and stops them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

from alphapulse.embedded import EmbeddedStoreError, EmbeddedStores, LocalStore
from alphapulse_cli.platform import plan
from alphapulse_cli.platform.folder import DataFolder, PlatformError
from alphapulse_cli.platform.health import wait_serving
from alphapulse_cli.platform.plan import Addresses, PlatformOptions
from alphapulse_cli.platform.process import ManagedProcess
from alphapulse_cli.platform.state import PlatformState, ProcessState, remove_state, write_state

Progress = Callable[[str], None]
_READY_SECONDS: Final = 120.0
_STORE_CHECK_SECONDS: Final = 0.5


class Platform:
    """`async with Platform(options) as platform:` runs the stores and services until the block ends."""

    def __init__(self, options: PlatformOptions, progress: Progress = lambda _: None) -> None:
        self.options = options
        self._folder = DataFolder(options.data_dir)
        self._addresses: Addresses | None = None
        self.stats_file: Path = options.data_dir / "run" / "strategy.jsonl"
        self._progress = progress
        self._stores = EmbeddedStores(options.data_dir / "stores", progress=progress, environ=options.environment)
        self._processes: dict[str, ManagedProcess] = {}
        self._store_keeper: asyncio.Task[None] | None = None
        self._ready = False

    @property
    def processes(self) -> dict[str, ManagedProcess]:
        """The services, by name."""
        return self._processes

    @property
    def stores(self) -> EmbeddedStores:
        """Postgres and Valkey."""
        return self._stores

    @property
    def addresses(self) -> Addresses:
        """Where everything listens; known once the platform is entered."""
        assert self._addresses is not None, "the platform is not entered"
        return self._addresses

    async def __aenter__(self) -> Self:
        self._folder.take()
        try:
            self._addresses = plan.choose_addresses(self.options, self._folder.sockets())
            self.write_state()  # whoever asks finds this platform while it starts, too
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start(self) -> None:
        if not self.options.registry_enabled:
            self._progress("starting the relay, without registries ...")
            await self._launch(["relay"])
            return
        self._progress("starting Postgres and Valkey ...")
        try:
            await self._stores.__aenter__()
        except EmbeddedStoreError as error:
            raise PlatformError(str(error)) from error
        self._store_keeper = asyncio.create_task(self._keep_stores(), name="keep stores")
        self._progress("starting the registries and the relay ...")
        await self._launch([*plan.REGISTRIES, "relay"])

    async def _launch(self, names: list[str]) -> None:
        has_stores = self.options.registry_enabled
        stores = (self._stores.database_url, self._stores.redis_url) if has_stores else ("", "")
        for name in names:
            environment = plan.service_environment(name, self.options, self.addresses, *stores)
            await self._run(name, plan.service_command(name), environment)
        waits = [asyncio.create_task(self._until_serving(name)) for name in names]
        try:
            await asyncio.gather(*waits)
        finally:
            for wait in waits:
                wait.cancel()

    async def _run(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        log = self.options.data_dir / "logs" / f"{name}.log"
        process = ManagedProcess(name, command, environment, log, self.write_state)
        self._processes[name] = process
        await process.start()

    async def _until_serving(self, name: str) -> None:
        process = self._processes[name]
        serving = asyncio.create_task(wait_serving(self.addresses.of(name), plan.HEALTH_NAMES[name]))
        try:
            for _ in range(int(_READY_SECONDS * 5)):
                done, _pending = await asyncio.wait({serving}, timeout=0.2)
                if done:
                    return
                if process.quit_early():
                    raise PlatformError(f"{name} does not start (exit code {process.exit_code}):\n{process.tail()}")
        finally:
            serving.cancel()
        raise PlatformError(f"{name} is not ready after {_READY_SECONDS:.0f} s:\n{process.tail()}")

    async def start_collector(self) -> None:
        """Starts the sources; after the seed, so that the venues they name are known."""
        self._progress(f"starting the sources ({self.options.transport}) ...")
        await self._launch(["collector"])

    async def start_strategy(self) -> None:
        """Starts the strategy, if one was asked for."""
        if self.options.strategy is not None:
            self.stats_file.unlink(missing_ok=True)
            command = plan.strategy_command(self.options.strategy, self.stats_file)
            await self._run("strategy", command, plan.strategy_environment(self.options, self.addresses))

    def mark_ready(self) -> None:
        """Tells whoever waits that everything runs."""
        self._ready = True
        self.write_state()

    async def _keep_stores(self) -> None:
        while True:
            await asyncio.sleep(_STORE_CHECK_SECONDS)
            for store in (self._stores.postgres, self._stores.valkey):
                if isinstance(store, LocalStore) and not store.is_running():
                    self._progress(f"{store.name} ended: starting it again ...")
                    with contextlib.suppress(EmbeddedStoreError):  # tried again at the next check
                        await asyncio.to_thread(store.start)

    def write_state(self) -> None:
        """Writes the state file."""
        me = psutil.Process()
        write_state(
            self.options.data_dir,
            PlatformState(
                supervisor_pid=me.pid,
                supervisor_started=me.create_time(),
                transport=self.options.transport,
                ready=self._ready,
                grpc={name: self.addresses.of(name) for name in plan.SERVICES},
                http={name: f"{plan.HOST}:{port}" for name, port in self.addresses.http.items()},
                metrics={name: f"{plan.HOST}:{port}" for name, port in self.addresses.metrics.items()},
                ingress_socket=self.addresses.ingress_socket,
                egress_socket=self.addresses.egress_socket,
                processes=[self._process_state(process) for process in self._processes.values()],
            ),
        )

    def _process_state(self, process: ManagedProcess) -> ProcessState:
        address = self.addresses.of(process.name) if process.name in plan.SERVICES else ""
        return ProcessState(process.name, process.pid, process.restarts, address, str(process.log))

    async def stop(self) -> None:
        """Stops everything: what consumes first, the stores last."""
        for name in ("strategy", "collector"):
            if name in self._processes:
                await self._processes[name].stop()
        await asyncio.gather(*(p.stop() for n, p in self._processes.items() if n not in ("strategy", "collector")))
        if self._store_keeper is not None:
            self._store_keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._store_keeper
        await self._stores.__aexit__(None, None, None)
        remove_state(self.options.data_dir)
        self._folder.release()
