"""A service as a process (`launch`, `run`) and inside a running loop (`serve`, `serve_in_background`).

Exit codes: 0 after SIGTERM or SIGINT, 2 for a setting that is missing or wrong, 1 for anything else.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import structlog
import uvloop
from opentelemetry.sdk.trace.export import SpanExporter
from prometheus_client import CollectorRegistry

from alphapulse.domain.errors import ConfigurationError
from alphapulse.runtime.config import load
from alphapulse.runtime.health import State
from alphapulse.runtime.logging import configure_logging
from alphapulse.runtime.metrics import new_registry
from alphapulse.runtime.server import Application, Server
from alphapulse.runtime.server_config import ServerConfig

EXIT_CONFIGURATION: Final = 2
_GC_THRESHOLD: Final = 100_000
"""Objects made before the youngest generation is looked through."""
ConfigT = TypeVar("ConfigT", bound=ServerConfig)
_log = structlog.stdlib.get_logger(__name__)


def launch(
    config_class: type[ConfigT],
    make_app: Callable[[ConfigT, CollectorRegistry], Application],
    environ: Mapping[str, str] = os.environ,
) -> int:
    """A process's whole life: read the variables, build the application with its metrics registry, run it; the exit code."""
    registry = new_registry()
    try:
        config = load(config_class, environ)
        app = make_app(config, registry)
    except ConfigurationError as error:
        return _refuse(error)
    return run(app, config, registry=registry)


def run(app: Application, config: ServerConfig, *, registry: CollectorRegistry | None = None) -> int:
    """Run the application on uvloop until SIGTERM or SIGINT; the exit code. `registry` is what METRICS_PORT serves."""
    configure_logging(app.name, config.log_level, config.log_format)
    try:
        uvloop.run(_until_signal(app, config, registry or new_registry()))
    except ConfigurationError as error:
        return _refuse(error)
    except Exception:
        _log.exception("stopped by an error")
        return 1
    return 0


async def serve(app: Application, config: ServerConfig, stop: asyncio.Event, registry: CollectorRegistry) -> None:
    """Serve until `stop` is set, then drain. Prints the line that says ready."""
    async with Server(app, config, registry) as server:
        stopping = asyncio.create_task(stop.wait())
        starting = asyncio.create_task(server.start_application())
        try:
            await asyncio.wait((stopping, starting), return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                _spare_the_collector()
                _say_ready(app, config, server)
                await stopping
        finally:
            await _cancelled(starting, stopping)
        _log.info("draining", limit=config.drain_seconds)
        await server.drain()
    _log.info("stopped")


@dataclass(frozen=True, slots=True)
class ServiceHandle:
    """A server in this loop."""

    server: Server
    registry: CollectorRegistry

    @property
    def address(self) -> str:
        """`host:port` of the gRPC server."""
        return self.server.address

    @property
    def port(self) -> int:
        """Port of the gRPC server."""
        return self.server.port

    @property
    def metrics_address(self) -> str | None:
        """`host:port` of the metrics, None when off."""
        return self.server.metrics_address

    @property
    def http_address(self) -> str | None:
        """`host:port` of HTTP/JSON, None when off."""
        return self.server.http_address

    @property
    def ready(self) -> bool:
        """Whether the application has started and is not draining."""
        return self.server.lifecycle.state is State.SERVING

    async def wait_ready(self) -> None:
        """Until the application has started."""
        while not self.ready:
            await self.server.lifecycle.next_change().wait()

    async def drain(self) -> None:
        """What SIGTERM does."""
        await self.server.drain()


@asynccontextmanager
async def serve_in_background(
    app: Application,
    config: ServerConfig | None = None,
    *,
    port: int = 0,
    wait_ready: bool = True,
    registry: CollectorRegistry | None = None,
    exporter: SpanExporter | None = None,
) -> AsyncIterator[ServiceHandle]:
    """A server of this application in the current loop, for tests and tools: on a free port unless `port` is given.

    Without `config` there are no metrics, and draining takes a second at most. With `wait_ready=False` the handle is
    given while the application still starts.
    """
    settings = replace(config or ServerConfig(metrics_port=None, drain_seconds=1.0), grpc_port=port)
    figures = registry or CollectorRegistry()
    async with Server(app, settings, figures, exporter) as server:
        starting = asyncio.create_task(server.start_application())
        try:
            if wait_ready:
                await starting
            yield ServiceHandle(server, figures)
        finally:
            await _cancelled(starting)
            await server.drain()


async def _until_signal(app: Application, config: ServerConfig, registry: CollectorRegistry) -> None:
    """Serve until a signal; a second one ends the process without waiting for the drain."""
    loop = asyncio.get_running_loop()
    stop, force = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (force if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    await _unless(force, serve(app, config, stop, registry))


async def _unless(force: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    forced, working = asyncio.create_task(force.wait()), asyncio.create_task(work)
    try:
        await asyncio.wait((forced, working), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working
    finally:
        await _cancelled(working, forced)


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _spare_the_collector() -> None:
    """What the start made lives as long as the process, and requests make few cycles: without this, walking the heap again and again costs
    a third of the time of a busy registry."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 20, 100)


def _say_ready(app: Application, config: ServerConfig, server: Server) -> None:
    facts = {
        "grpc": server.address,
        "http": server.http_address or "off",
        "metrics": server.metrics_address or "off",
        "service": app.name,
    }
    if config.log_format == "json":
        line = json.dumps({"event": "ready", **facts})
    else:
        line = " ".join(("ready", *(f"{key}={value}" for key, value in facts.items())))
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _refuse(error: ConfigurationError) -> int:
    """Every bad variable on a line of its own."""
    lines = [f"{one.field} is {one.value}: {one.description}" for one in error.violations] or [error.message]
    for line in lines:
        sys.stderr.write(f"configuration error: {line}\n")
    return EXIT_CONFIGURATION
