"""Adds up what the relay counted, across restarts of the relay: each life's last figures are kept when another begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from alphapulse.api.relay.v1 import relay_service_pb2
from alphapulse_cli.commands.sources import type_name

Status = relay_service_pb2.GetRelayStatusResponse


@dataclass(slots=True)
class Totals:
    """Counts since the demo began."""

    events_in: dict[str, Counter[str]] = field(default_factory=dict)
    delivered: Counter[str] = field(default_factory=Counter)
    rejects: Counter[str] = field(default_factory=Counter)
    gaps_declared: int = 0
    source_gap_events: int = 0
    unknown_listings: int = 0
    opportunities: int = 0
    synthetic_updates: int = 0


def _add(totals: Totals, status: Status) -> None:
    for source in status.sources:
        counts = totals.events_in.setdefault(source.source, Counter())
        counts.update({type_name(kind): n for kind, n in source.events.items()})
        totals.source_gap_events += source.gap_events
    totals.delivered.update({type_name(kind): n for kind, n in status.delivered.items()})
    totals.rejects.update(dict(status.rejects))
    totals.gaps_declared += status.gaps_declared
    totals.unknown_listings += status.unknown_listing_events
    totals.opportunities += status.opportunities
    totals.synthetic_updates += status.synthetic_updates


class RelayAccount:
    """Takes every status in the order it was read."""

    def __init__(self) -> None:
        self._lives: list[Status] = []

    def take(self, status: Status) -> None:
        """A later status of the same relay replaces the earlier one; one of another life begins anew. Unanswered ones are left out."""
        if not status.relay_id:
            return
        if self._lives and self._same_life(self._lives[-1], status):
            self._lives[-1] = status
        else:
            self._lives.append(status)

    @staticmethod
    def _same_life(before: Status, now: Status) -> bool:
        return now.relay_id == before.relay_id

    @property
    def lives(self) -> int:
        """How many relays there were, one after the other."""
        return len(self._lives)

    def totals(self) -> Totals:
        """All lives together."""
        totals = Totals()
        for status in self._lives:
            _add(totals, status)
        return totals

    def latencies(self) -> Mapping[str, Mapping[str, float]]:
        """Of the life that runs now, in microseconds."""
        if not self._lives:
            return {}
        return {
            x.hop: {"p50": round(x.p50_us, 1), "p99": round(x.p99_us, 1)} for x in self._lives[-1].latencies if x.count
        }
