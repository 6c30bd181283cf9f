"""Prometheus metrics: the figures of every RPC, and the HTTP server they are scraped from."""

from __future__ import annotations

import errno
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from alphapulse.domain.errors import ConfigurationError

_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class MethodMetrics:
    """The figures of one method: plain numbers of the event loop, made into metrics only when somebody asks."""

    __slots__ = ("buckets", "by_code", "in_flight", "method", "seconds")

    def __init__(self, method: str) -> None:
        self.method = method
        self.in_flight = 0
        self.by_code: dict[str, int] = {}
        self.buckets = [0] * (len(_BUCKETS) + 1)
        """RPCs by how long they took, each in one bucket alone; the last is beyond all bounds."""
        self.seconds = 0.0

    def finished(self, code: str, elapsed: float) -> None:
        """Count one RPC that ended with this status name after `elapsed` seconds."""
        self.by_code[code] = self.by_code.get(code, 0) + 1
        self.buckets[bisect_left(_BUCKETS, elapsed)] += 1
        self.seconds += elapsed


class RpcMetrics(Collector):
    """RPCs by method and code, how many are under way, how long they take (a stream: until it ends)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._methods: dict[str, MethodMetrics] = {}
        registry.register(self)

    def method(self, name: str) -> MethodMetrics:
        """The figures of `/package.Service/Method`."""
        return self._methods.setdefault(name, MethodMetrics(name))

    def collect(self) -> Iterable[Metric]:
        """The families, read while the loop counts on: each number is whole, together they may be one call apart."""
        handled = CounterMetricFamily("grpc_server_handled", "RPCs ended.", labels=("method", "code"))
        in_flight = GaugeMetricFamily("grpc_server_in_flight", "RPCs under way.", labels=("method",))
        seconds = HistogramMetricFamily("grpc_server_handling_seconds", "From call to end.", labels=("method",))
        for one in list(self._methods.values()):
            for code, count in list(one.by_code.items()):
                handled.add_metric((one.method, code), count)
            in_flight.add_metric((one.method,), one.in_flight)
            seconds.add_metric((one.method,), _cumulative(one.buckets), one.seconds)
        yield from (handled, in_flight, seconds)


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    """As Prometheus counts: each bucket holds all that took no longer than its bound."""
    total = 0
    counted: list[tuple[str, float]] = []
    for bound, count in zip((*_BUCKETS, float("inf")), list(buckets), strict=True):
        total += count
        counted.append(("+Inf" if bound == float("inf") else str(bound), total))
    return counted


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
