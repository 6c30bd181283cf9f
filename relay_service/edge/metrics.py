"""An edge's figures for Prometheus: its subscribers, and how far behind the logs it is. What the relay itself counts it leaves to the relay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from alphapulse.domain.domains import Domain
from relay_service.edge.core import EdgeCore
from relay_service.edge.follower import Follower
from relay_service.edge.followers import Followers
from relay_service.edge.log import EdgeLog
from relay_service.egress.fanout import FanOut
from relay_service.metrics import RelayMetrics

_Read = Callable[[EdgeLog, Follower], float]
_GAUGES: Final[tuple[tuple[str, str, _Read], ...]] = (
    (
        "relay_edge_behind_seconds",
        "For how long it may not have had what the relay relayed.",
        lambda log, _: log.behind_ns / 1e9,
    ),
    (
        "relay_edge_behind_events",
        "Events the relay has relayed that have not come.",
        lambda log, _: log.behind_events,
    ),
    ("relay_edge_window_bytes", "Bytes of memory for the end of the log.", lambda log, _: log.tail.size),
)
_COUNTERS: Final[tuple[tuple[str, str, _Read], ...]] = (
    ("relay_edge_entries", "Entries of the log handed on.", lambda _, follower: follower.entries),
    (
        "relay_edge_missing_events",
        "Events that the log did not have, told to subscribers.",
        lambda _, follower: follower.missing,
    ),
    (
        "relay_edge_log_errors",
        "Times that the log's server did not give something.",
        lambda log, _: log.errors,
    ),
)


class EdgeMetrics(RelayMetrics):
    """Made once for each registry; unregistered with `close`."""

    def __init__(
        self,
        fanout: FanOut,
        core: EdgeCore,
        logs: Mapping[Domain, EdgeLog],
        followers: Followers,
        registry: CollectorRegistry,
    ) -> None:
        self._core = core
        self._logs = logs
        self._followers = followers
        super().__init__(fanout, lambda _: 0, registry)  # there is no ingress, and so no turns

    def collect(self) -> Iterable[Metric]:
        """All figures as they stand."""
        yield from self.egress(self._core.counters())
        for name, text, read in _GAUGES:
            yield self._filled(GaugeMetricFamily(name, text, labels=("domain",)), read)
        for name, text, read in _COUNTERS:
            yield self._filled(CounterMetricFamily(name, text, labels=("domain",)), read)
        yield CounterMetricFamily(
            "relay_edge_definition_waits",
            "Times that rows waited for a definition the relay had before this edge.",
            value=self._core.definition_waits,
        )

    def _filled(self, family: GaugeMetricFamily | CounterMetricFamily, read: _Read) -> Metric:
        for domain, log in self._logs.items():
            family.add_metric((domain.title,), read(log, self._followers.of[domain]))
        return family
