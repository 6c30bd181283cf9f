"""What Prometheus is told of collision cases: how many wait for a decision, how many were opened, claimed again and decided.

The figures follow the change feed, so every replica tells the same of all: take the maximum over replicas, not the sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Final, Self

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from registry_service.instrument.convert import wire
from registry_service.resources import RegistryResources
from registry_service.storage.model import Change, EntityKind, Query

_OPEN: Final = wire.COLLISION_STATE_OPEN
KINDS: Final = {
    number: name.removeprefix("COLLISION_KIND_") for name, number in wire.CollisionKind.items() if int(number) > 0
}
RESOLUTIONS: Final = {
    number: name.removeprefix("COLLISION_RESOLUTION_")
    for name, number in wire.CollisionResolution.items()
    if int(number) > 0
}


class CaseFigures(Collector):
    """The figures of one process. An async context manager: entering counts what is open, leaving unregisters them."""

    def __init__(self, resources: RegistryResources) -> None:
        self._resources = resources
        self._counted: int | None = None
        """The revision at which the open cases were counted."""
        self._waiting: list[Change] = []
        self._open: Counter[int] = Counter()
        self._opened: Counter[int] = Counter()
        self._claims: Counter[int] = Counter()
        self._decided: Counter[tuple[int, int]] = Counter()

    async def __aenter__(self) -> Self:
        resources = self._resources
        resources.feed.listen(self._heard)
        revision = resources.feed.applied_revision
        for kind in KINDS:
            query = Query(EntityKind.COLLISION_CASE, ((f"state:{_OPEN}",), (f"kind:{kind}",)))
            self._open[kind] = await resources.store.count(query, revision)
        self._counted = revision
        waiting, self._waiting = self._waiting, []
        self._heard(waiting)
        resources.metrics.register(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.metrics.unregister(self)

    def collect(self) -> Iterable[Metric]:
        """The families, each with the kind of the case as its label."""
        open_cases = GaugeMetricFamily(
            "registry_collision_cases_open", "Collision cases that nobody has decided.", labels=("kind",)
        )
        opened = CounterMetricFamily("registry_collision_cases_opened", "Collision cases opened.", labels=("kind",))
        claims = CounterMetricFamily(
            "registry_collision_claims", "Claims that opened a case or were counted in an open one.", labels=("kind",)
        )
        decided = CounterMetricFamily(
            "registry_collision_cases_decided", "Collision cases decided.", labels=("kind", "resolution")
        )
        for number, name in KINDS.items():
            open_cases.add_metric((name,), self._open[number])
            opened.add_metric((name,), self._opened[number])
            claims.add_metric((name,), self._claims[number])
            for resolution, how in RESOLUTIONS.items():
                decided.add_metric((name, how), self._decided[number, resolution])
        return (open_cases, opened, claims, decided)

    def _heard(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind is not EntityKind.COLLISION_CASE:
                continue
            if self._counted is None:
                self._waiting.append(change)
            elif change.revision > self._counted:
                self._count(change)

    def _count(self, change: Change) -> None:
        case = wire.CollisionCase.FromString(change.after)
        if not change.before:
            self._open[case.kind] += 1
            self._opened[case.kind] += 1
        if case.state == _OPEN:
            self._claims[case.kind] += 1
        else:
            self._open[case.kind] -= 1
            self._decided[case.kind, case.resolution] += 1
