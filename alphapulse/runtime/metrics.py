"""Prometheus metrics: the figures of every RPC, and the HTTP server they are scraped from."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)

from alphapulse.domain.errors import ConfigurationError

_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class MethodMetrics:
    """The figures of one method, its children bound once: the hot path looks nothing up."""

    __slots__ = ("_by_code", "_handled", "_method", "in_flight", "seconds")

    def __init__(self, method: str, handled: Counter, in_flight: Gauge, seconds: Histogram) -> None:
        self._method = method
        self._handled = handled
        self._by_code: dict[str, Counter] = {}
        self.in_flight = in_flight.labels(method)
        self.seconds = seconds.labels(method)

    def finished(self, code: str, elapsed: float) -> None:
        """Count one RPC that ended with this status name after `elapsed` seconds."""
        child = self._by_code.get(code)
        if child is None:
            child = self._by_code[code] = self._handled.labels(self._method, code)
        child.inc()
        self.seconds.observe(elapsed)


class RpcMetrics:
    """RPCs by method and code, how many are under way, how long they take (a stream: until it ends)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._handled = Counter("grpc_server_handled", "RPCs ended.", ("method", "code"), registry=registry)
        self._in_flight = Gauge("grpc_server_in_flight", "RPCs under way.", ("method",), registry=registry)
        self._seconds = Histogram(
            "grpc_server_handling_seconds", "From call to end.", ("method",), registry=registry, buckets=_BUCKETS
        )

    def method(self, name: str) -> MethodMetrics:
        """The figures of `/package.Service/Method`."""
        return MethodMetrics(name, self._handled, self._in_flight, self._seconds)


def new_registry() -> CollectorRegistry:
    """A registry of one application, with the figures of its process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


@contextmanager
def metrics_server(host: str, port: int | None, registry: CollectorRegistry) -> Iterator[str | None]:
    """Serve the registry over HTTP in a thread while open; yields `host:port`, None when `port` is None.

    ConfigurationError when the port cannot be had.
    """
    if port is None:
        yield None
        return
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise cannot_listen("METRICS_PORT", host, port, error) from error
    try:
        yield f"{host}:{server.server_port}"
    finally:
        _close(server, thread)


def cannot_listen(variable: str, host: str, port: int, error: OSError) -> ConfigurationError:
    """The error for an address a server cannot listen on, naming the variable to change."""
    if error.errno == errno.EADDRINUSE:
        rule = f"nothing else may listen on {host}:{port}; stop it or choose another port"
        return ConfigurationError.for_variable(variable, str(port), rule)
    if error.errno == errno.EACCES:
        return ConfigurationError.for_variable(variable, str(port), "the user must be allowed to listen on this port")
    return ConfigurationError.for_variable("LISTEN_HOST", host, f"must be an address of this machine ({error})")


def _close(server: WSGIServer, thread: threading.Thread) -> None:
    server.shutdown()
    server.server_close()
    thread.join()
