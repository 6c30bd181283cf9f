"""The collector's figures for Prometheus, read from the sources when they are scraped: nothing is counted twice on the data path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from alphapulse.publishing import RelayLink, SplitLink
from alphapulse.records import LAYOUTS
from collector_service.runtime import SourceStatus


class CollectorFigures(Collector):
    """`statuses` gives every source's figures by name."""

    def __init__(self, statuses: Callable[[], Mapping[str, SourceStatus]], link: RelayLink | SplitLink | None) -> None:
        self._statuses = statuses
        self._link = link

    def collect(self) -> Iterable[Metric]:
        """The figures of now."""
        statuses = self._statuses()
        yield from _by_label("events", "Events written.", "type", {
            name: {LAYOUTS[kind].name: count for kind, count in status.events.items()} for name, status in statuses.items()
        })  # fmt: skip
        rejects = {name: status.rejects for name, status in statuses.items()}
        yield from _by_label("rejects", "Messages refused.", "reason", rejects)
        unknown = {name: status.unknown_messages for name, status in statuses.items()}
        yield from _by_label("unknown_messages", "Messages of unknown kinds.", "kind", unknown)
        for label, text, values in (
            ("frames", "Frames received.", {name: status.frames for name, status in statuses.items()}),
            ("reconnects", "Connections lost.", {name: status.reconnects for name, status in statuses.items()}),
            ("book_resyncs", "Books built again.", {name: status.book_resyncs for name, status in statuses.items()}),
            (
                "unknown_subjects",
                "Words for what notices are about that led to no listing.",
                {name: status.unknown_subjects for name, status in statuses.items()},
            ),
            ("dropped", "Rows dropped while the relay was away.", self._link.figures() if self._link else {}),
        ):
            family = CounterMetricFamily(f"collector_{label}", text, labels=("source",))
            for name, value in values.items():
                family.add_metric((name,), value)
            yield family
        recorded = {name: status.recording for name, status in statuses.items() if status.recording is not None}
        for label, text, counts in (
            ("recorded", "Arrivals that are in recordings.", {name: one.written for name, one in recorded.items()}),
            (
                "recording_lost",
                "Arrivals that could not be recorded.",
                {name: one.lost for name, one in recorded.items()},
            ),
        ):
            family = CounterMetricFamily(f"collector_{label}", text, labels=("source",))
            for name, value in counts.items():
                family.add_metric((name,), value)
            yield family
        state = GaugeMetricFamily("collector_source_state", "State, as in the API's enum.", labels=("source",))
        for name, status in statuses.items():
            state.add_metric((name,), int(status.state))
        yield state
        stale = GaugeMetricFamily(
            "collector_stale_listings", "Listings silent while the rest of the source is not.", labels=("source",)
        )
        for name, status in statuses.items():
            stale.add_metric((name,), len(status.stale))
        yield stale


def _by_label(name: str, text: str, label: str, values: Mapping[str, Mapping[str, int]]) -> Iterable[Metric]:
    family = CounterMetricFamily(f"collector_{name}", text, labels=("source", label))
    for source, counts in values.items():
        for key, count in counts.items():
            family.add_metric((source, key), count)
    yield family
