"""The relay's figures for Prometheus, read from the counters when they are scraped: the data path pays nothing for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from alphapulse.domain.domains import Domain
from relay_service.counters import Counters
from relay_service.egress.fanout import FanOut
from relay_service.egress.status import DomainFigures, figures_of
from relay_service.log.relay_log import LogState, RelayLog
from relay_service.placement import divided_synthetics
from relay_service.subscriptions.convert import event_type_name

_LOG_COUNTERS: Final[tuple[tuple[str, str, Callable[[RelayLog], float]], ...]] = (
    ("relay_log_entries", "Entries written to the log.", lambda log: log.entries),
    ("relay_log_bytes", "Bytes written to the log.", lambda log: log.bytes),
    (
        "relay_log_hole_events",
        "Events that left memory before the log took them: a hole in it.",
        lambda log: log.tail.lost,
    ),
    ("relay_log_errors", "Times that the log's server did not take or give something.", lambda log: log.errors),
    ("relay_log_trimmed_entries", "Entries that became too old or too many.", lambda log: log.trimmed),
)
_DOMAIN_COUNTERS: Final[tuple[tuple[str, str, Callable[[DomainFigures], float]], ...]] = (
    ("relay_domain_events", "Events of a domain taken in.", lambda one: one.events),
    (
        "relay_domain_full_turns",
        "Turns of the loop in which more of a domain had come than a turn takes.",
        lambda one: one.full_turns,
    ),
)


class RelayMetrics(Collector):
    """Made once for each registry; unregistered with `close`."""

    def __init__(self, fanout: FanOut, full_turns: Callable[[Domain], int], registry: CollectorRegistry) -> None:
        self._fanout = fanout
        self._full_turns = full_turns
        self._registry = registry
        registry.register(self)

    def close(self) -> None:
        """Show nothing any more."""
        self._registry.unregister(self)

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: the registry need not collect to learn the names."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All figures as they stand."""
        counters = self._fanout.core.counters()
        yield from self._sources(counters)
        yield from self._totals(counters)
        yield from self.egress(counters)
        yield from self._domains()
        yield from self._log()
        yield _by_label(
            CounterMetricFamily("relay_rejected_events", "Events refused.", labels=("reason",)), counters.rejects
        )
        if self._fanout.core.placement is not None:
            text = "Synthetics whose components are of several partitions: they have no value."
            divided = divided_synthetics(self._fanout.core)
            yield GaugeMetricFamily("relay_divided_synthetics", text, value=len(divided))

    def _hops(self, counters: Counters) -> Iterable[Metric]:
        latency = GaugeMetricFamily(
            "relay_latency_microseconds", "Percentiles of a hop since the start.", labels=("hop", "quantile")
        )
        spans = HistogramMetricFamily("relay_hop_seconds", "Events by how long a hop took.", labels=("hop",))
        for hop in self._fanout.hops(counters):
            for quantile, value in (("0.5", hop.p50_us), ("0.99", hop.p99_us)):
                if not math.isnan(value):
                    latency.add_metric((hop.hop, quantile), value)
            bounds = [(str(seconds), float(count)) for seconds, count in hop.cumulative()]
            spans.add_metric((hop.hop,), [*bounds, ("+Inf", float(hop.count))], hop.total_seconds())
        return latency, spans

    def _sources(self, counters: Counters) -> Iterable[Metric]:
        events = CounterMetricFamily("relay_events_in", "Events taken in.", labels=("source", "type"))
        gaps = CounterMetricFamily(
            "relay_source_gap_events", "Events missing in a source's numbering.", labels=("source",)
        )
        connected = GaugeMetricFamily("relay_source_connected", "1 while a source is connected.", labels=("source",))
        breaker = GaugeMetricFamily(
            "relay_source_breaker", "1: a source is listened to, 2: it is not, 3: it is tried.", labels=("source",)
        )
        shed = CounterMetricFamily(
            "relay_source_shed_events", "Events refused unread by an open breaker.", labels=("source",)
        )
        for source in counters.sources:
            for kind, count in tuple(source.events.items()):
                events.add_metric((source.name, event_type_name(kind)), count)
            gaps.add_metric((source.name,), source.gap_events)
            connected.add_metric((source.name,), float(source.connected))
            breaker.add_metric((source.name,), float(source.breaker.state))
            shed.add_metric((source.name,), source.breaker.shed)
        return events, gaps, connected, breaker, shed

    def egress(self, counters: Counters) -> Iterable[Metric]:
        """What concerns subscribers."""
        figures = self._fanout.figures
        delivered = CounterMetricFamily("relay_events_delivered", "Events written to subscribers.", labels=("type",))
        for kind, count in tuple(figures.delivered.items()):
            delivered.add_metric((event_type_name(kind),), count)
        yield delivered
        yield CounterMetricFamily(
            "relay_gap_events_declared", "Events declared as gaps to subscribers.", value=figures.gaps_declared
        )
        yield CounterMetricFamily(
            "relay_subscriptions_ended", "Subscriptions that stayed behind, and had to resume.", value=figures.ended
        )
        yield GaugeMetricFamily("relay_listings", "Listings in the replica of the registries.", value=counters.listings)
        yield from self._subscribers()
        yield from self._hops(counters)

    def _totals(self, counters: Counters) -> Iterable[Metric]:
        for name, text, value in (
            ("relay_unknown_listing_events", "Events of unknown listings.", counters.unknown_listing_events),
            ("relay_opportunities", "Opportunities opened.", counters.opportunities),
            ("relay_synthetic_updates", "Synthetic values computed.", counters.synthetic_updates),
        ):
            yield CounterMetricFamily(name, text, value=value)

    def _log(self) -> Iterable[Metric]:
        logs = {domain: log for domain, log in self._fanout.logs.items() if isinstance(log, RelayLog)}
        if not logs:
            return
        up = GaugeMetricFamily("relay_log_state", "1 for the state the log is in.", labels=("domain", "state"))
        for domain, log in logs.items():
            for state in LogState:
                up.add_metric((domain.title, state.value), float(log.state is state))
        yield up
        for name, text, read in _LOG_COUNTERS:
            counted = CounterMetricFamily(name, text, labels=("domain",))
            for domain, log in logs.items():
                counted.add_metric((domain.title,), read(log))
            yield counted
        unlogged = GaugeMetricFamily(
            "relay_log_unlogged_events", "Events that are in memory alone.", labels=("domain",)
        )
        for domain, log in logs.items():
            unlogged.add_metric((domain.title,), log.unlogged)
        yield unlogged

    def _domains(self) -> Iterable[Metric]:
        figures = figures_of(self._fanout, self._full_turns)
        for name, text, read in _DOMAIN_COUNTERS:
            counted = CounterMetricFamily(name, text, labels=("domain",))
            for one in figures:
                counted.add_metric((one.domain.title,), read(one))
            yield counted
        queued = GaugeMetricFamily(
            "relay_domain_queue_bytes", "Bytes of a domain that wait for all subscribers.", labels=("domain",)
        )
        for one in figures:
            queued.add_metric((one.domain.title,), one.queued_bytes)
        yield queued

    def _subscribers(self) -> Iterable[Metric]:
        held = tuple(self._fanout.subscribers.values())
        transports = GaugeMetricFamily("relay_subscribers", "Connected subscribers.", labels=("transport",))
        for transport in ("grpc", "unix"):
            transports.add_metric((transport,), sum(one.transport == transport for one in held))
        yield transports
        sizes = [one.queue.queued for one in held]
        yield GaugeMetricFamily("relay_queue_bytes", "Bytes that wait for all subscribers.", value=sum(sizes))
        yield GaugeMetricFamily(
            "relay_queue_bytes_max", "Bytes that wait for the subscriber furthest behind.", value=max(sizes, default=0)
        )


def _by_label(family: CounterMetricFamily, values: object) -> Metric:
    assert isinstance(values, dict)
    for label, count in values.items():
        family.add_metric((label,), count)
    return family
