"""One gRPC server from listening to drained: binds first, starts the application, serves, leaves in order."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, cast

import grpc
import structlog
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer
from opentelemetry.sdk.trace.export import SpanExporter
from prometheus_client import CollectorRegistry

from alphapulse.domain.errors import Unavailable
from alphapulse.runtime.health import HealthServicer, Lifecycle, Readiness, State
from alphapulse.runtime.http import Caller, Gateway, HttpPage
from alphapulse.runtime.interceptors import RpcBoundary
from alphapulse.runtime.metrics import RpcMetrics, cannot_listen, metrics_server
from alphapulse.runtime.options import server_options
from alphapulse.runtime.server_config import ServerConfig
from alphapulse.runtime.telemetry import tracing

_log = structlog.stdlib.get_logger(__name__)
_HEALTH = "grpc.health.v1.Health"
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class GrpcService:
    """A service of an application: its full name, and the generated `add_XServicer_to_server` bound to its servicer."""

    full_name: str
    add: Callable[[grpc.aio.Server], None]
    pages: Mapping[str, HttpPage] = field(default_factory=dict)
    """What it serves over HTTP beside its RPCs, by path."""
    beside: Sequence[AbstractAsyncContextManager[object]] = ()
    """What runs as long as the service does; entered by the application once everything else is open."""
    readiness: Readiness | None = None
    """By which it says that it cannot do its work for now. None: it always can."""


class Application(Protocol):
    """What a process runs. `start` may be called again after it raised Unavailable: it cleans up behind itself."""

    @property
    def name(self) -> str:
        """Short name of the service, for logs and traces."""
        ...

    async def start(self) -> Sequence[GrpcService]:
        """Open what is needed and give the services. Unavailable (a store is not up yet): tried again until it is."""
        ...

    async def drain(self) -> None:
        """End open streams with a notice; unary calls under way end by themselves. Bounded by DRAIN_SECONDS."""
        ...

    async def stop(self) -> None:
        """Close everything; called once at the end, also after a start that failed or was interrupted."""
        ...


class _Routes(grpc.GenericRpcHandler):
    """Handlers that are added while the server runs: gRPC itself takes new ones only before its start. `boundary` is around each."""

    def __init__(self) -> None:
        self._handlers: list[grpc.GenericRpcHandler] = []
        self.boundary: RpcBoundary | None = None

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        self._handlers.extend(handlers)

    def add_registered_method_handlers(self, _: str, __: Any) -> None:
        """The generated code registers each method twice; the generic way is enough."""

    def service(self, handler_call_details: Any) -> Any:
        assert self.boundary is not None
        return self.boundary.handler(handler_call_details, self._find)

    def _find(self, handler_call_details: Any) -> Any:
        found = (handler.service(handler_call_details) for handler in self._handlers)
        return next((handler for handler in found if handler is not None), None)


class Server:
    """Async context manager: listens while open. `start_application`, then `drain`, in between it serves."""

    def __init__(
        self,
        app: Application,
        config: ServerConfig,
        registry: CollectorRegistry,
        exporter: SpanExporter | None = None,
    ) -> None:
        self._app = app
        self._config = config
        self._registry = registry
        self._exporter = exporter
        self._routes = _Routes()
        self._stack = AsyncExitStack()
        self._server: grpc.aio.Server | None = None
        self._start_called = False
        self.lifecycle = Lifecycle()
        self.port = 0
        self.metrics_address: str | None = None
        self.http_address: str | None = None
        self._gateway: Gateway | None = None

    @property
    def address(self) -> str:
        """`host:port` of the gRPC server."""
        return f"{_bracketed(self._config.listen_host)}:{self.port}"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            config = self._config
            tracer = stack.enter_context(tracing(self._app.name, config.otel_endpoint, self._exporter))
            metrics = RpcMetrics(self._registry)
            self._routes.boundary = RpcBoundary(self.lifecycle, metrics, config.unary_deadline_seconds, tracer)
            self._server = grpc.aio.server(handlers=[self._routes], options=server_options(config.max_message_bytes))
            self.port = _bind(self._server, config.listen_host, config.grpc_port)
            health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(self.lifecycle), self._added())
            await self._server.start()
            stack.push_async_callback(self._server.stop, 0)
            # After gRPC: a metrics port that is taken then leaves no half-started server behind.
            self.metrics_address = stack.enter_context(
                metrics_server(config.listen_host, config.metrics_port, self._registry)
            )
            if config.http_port is not None:
                self._gateway = await self._serve_http(stack, config.http_port)
                self.http_address = self._gateway.address
            self._stack = stack.pop_all()
        return self

    async def _serve_http(self, stack: AsyncExitStack, port: int) -> Gateway:
        config = self._config
        caller = await stack.enter_async_context(Caller(config.listen_host, self.port, config.max_message_bytes))
        return await stack.enter_async_context(
            Gateway(config.listen_host, port, caller, self.lifecycle, config.max_message_bytes, self._registry)
        )

    async def __aexit__(self, *_: object) -> None:
        try:
            if self._start_called:
                async with asyncio.timeout(max(self._config.drain_seconds, _STOP_SECONDS)):
                    await self._app.stop()
        finally:
            await self._stack.aclose()

    async def start_application(self) -> None:
        """Start the application, for as long as it takes while what it needs is Unavailable; then serve."""
        tries = 0
        self._start_called = True
        while True:
            try:
                services = await self._app.start()
                break
            except Unavailable as error:
                wait, tries = _wait_before_retry(tries), tries + 1
                _log.warning("waiting to start", reason=error.reason, error=str(error), retry_in=round(wait, 2))
                await asyncio.sleep(wait)
        for service in services:
            service.add(self._added())
            if service.readiness is not None:
                self.lifecycle.depend_on(service.readiness)
        names = [service.full_name for service in services]
        self.lifecycle.services = frozenset(names)
        if self._gateway is not None:
            self._gateway.serve(names, {path: page for service in services for path, page in service.pages.items()})
        listed = (*names, _HEALTH, reflection.SERVICE_NAME)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(ReflectionServicer(listed), self._added())
        self.lifecycle.enter(State.SERVING)

    async def drain(self) -> None:
        """Refuse new calls, let the application end its streams and what is under way finish, within DRAIN_SECONDS."""
        assert self._server is not None
        if self.lifecycle.state is State.DRAINING:
            return
        started = self.lifecycle.state is State.SERVING
        self.lifecycle.enter(State.DRAINING)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._config.drain_seconds
        if started:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._app.drain()
            except TimeoutError:
                _log.warning("drain took too long", limit=self._config.drain_seconds)
            except Exception:
                _log.exception("drain failed")
        await self._server.stop(max(0.0, deadline - loop.time()))

    def _added(self) -> grpc.aio.Server:
        return cast(grpc.aio.Server, self._routes)


def _wait_before_retry(tries: int) -> float:
    """Seconds: doubling from 0.2 to 5, jittered so that the services of a machine do not all come back at once."""
    return min(5.0, 0.2 * 2.0 ** min(tries, 10)) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


def _bind(server: grpc.aio.Server, host: str, port: int) -> int:
    """Listen; ConfigurationError names the variable to change. The port is tried by hand first: gRPC only says 'failed'."""
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
            # Two sockets that both reuse the address may bind the same port; only one can listen.
            probe.listen(1)
        return server.add_insecure_port(f"{_bracketed(host)}:{port}")
    except OSError as error:
        raise cannot_listen("GRPC_PORT", host, port, error) from error
    except RuntimeError as error:
        raise cannot_listen("GRPC_PORT", host, port, OSError(98, str(error))) from error


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
