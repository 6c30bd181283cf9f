"""An edge's figures for Prometheus: its subscribers, and how far behind the log it is. What the relay itself counts it leaves to the relay."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from relay_service.edge.core import EdgeCore
from relay_service.edge.follower import Follower
from relay_service.edge.log import EdgeLog
from relay_service.egress.fanout import FanOut
from relay_service.metrics import RelayMetrics


class EdgeMetrics(RelayMetrics):
    """Made once for each registry; unregistered with `close`."""

    def __init__(
        self, fanout: FanOut, core: EdgeCore, edge_log: EdgeLog, follower: Follower, registry: CollectorRegistry
    ) -> None:
        self._core = core
        self._edge_log = edge_log
        self._follower = follower
        super().__init__(fanout, lambda _: 0, registry)  # there is no ingress, and so no turns

    def collect(self) -> Iterable[Metric]:
        """All figures as they stand."""
        log, follower = self._edge_log, self._follower
        yield from self.egress(self._core.counters())
        for name, text, value in (
            (
                "relay_edge_behind_seconds",
                "For how long it may not have had what the relay relayed.",
                log.behind_ns / 1e9,
            ),
            ("relay_edge_behind_events", "Events the relay has relayed that have not come.", log.behind_events),
            ("relay_edge_window_bytes", "Bytes of memory for the end of the log.", log.tail.size),
        ):
            yield GaugeMetricFamily(name, text, value=value)
        for name, text, value in (
            ("relay_edge_entries", "Entries of the log handed on.", follower.entries),
            ("relay_edge_missing_events", "Events that the log did not have, told to subscribers.", follower.missing),
            ("relay_edge_log_errors", "Times that the log's server did not give something.", log.errors),
            (
                "relay_edge_definition_waits",
                "Times that rows waited for a definition the relay had before this edge.",
                self._core.definition_waits,
            ),
        ):
            yield CounterMetricFamily(name, text, value=value)
