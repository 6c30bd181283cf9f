"""A run as JSON lines: what a terminal view, a log or another program reads. `docs/sdk.md` describes every field."""

from __future__ import annotations

import json
import time
from typing import Any, TextIO

from strategy_sdk._batch import Gap
from strategy_sdk._partitioned import PartitionedStream
from strategy_sdk._runner import RunStats
from strategy_sdk._strategy import Signal
from strategy_sdk._stream import MarketStream


def key_text(listing_key: int) -> str:
    """A listing key as 16 hexadecimal digits: as a number it would lose digits in many JSON readers."""
    return f"{listing_key:016x}"


class Reporter:
    """Writes one object a line, each with its `type` and `time_ns`; every line is flushed."""

    def __init__(self, output: TextIO, stream: MarketStream | PartitionedStream | None = None) -> None:
        self._output = output
        self.stream = stream

    def start(self, strategy: str) -> None:
        """The strategy runs."""
        assert self.stream is not None
        self._write("start", strategy=strategy, transport=self.stream.transport)

    def signal(self, signal: Signal) -> None:
        """A signal."""
        self._write(
            "signal",
            signal.time_ns,
            strategy=signal.strategy,
            direction=signal.direction.value,
            strength=round(signal.strength, 4),
            reason=signal.reason,
            sequence=signal.sequence,
            **self._listing(signal.listing_key),
        )

    def gap(self, gap: Gap) -> None:
        """A gap."""
        self._write(
            "gap",
            reason=gap.reason,
            count=gap.count,
            source=gap.source,
            subscription_id=gap.subscription_id,
            **self._listing(gap.listing_key),
        )

    def stats(self, stats: RunStats, kind: str = "stats") -> None:
        """How the run stands; of kind "stop" the last line."""
        stream = stats.stream
        beat = stats.last_heartbeat_age
        self._write(
            kind,
            strategy=stats.strategy,
            uptime_s=round(stats.uptime, 3),
            transport=stats.transport,
            events={name.name: count for name, count in stream.events.items()},
            batches=stream.batches,
            signals=stats.signals,
            too_old=stats.too_old,
            halted=stats.halted,
            gaps_declared=stream.gaps_declared,
            gap_events=stream.gap_events,
            gaps_undeclared=stream.undeclared_gaps,
            undeclared_events=stream.undeclared_events,
            duplicates=stream.duplicates,
            reconnects=stream.reconnects,
            last_sequence=stream.last_sequence,
            last_heartbeat_age_s=None if beat is None else round(beat, 3),
            latency_us={hop: {"p50": found.p50_us, "p99": found.p99_us} for hop, found in stream.latency.items()},
        )

    def _listing(self, key: int) -> dict[str, Any]:
        if not key:
            return {}
        found = self.stream.definition(key) if self.stream is not None else None
        known = {} if found is None else {"venue": found.listing.venue, "symbol": found.listing.symbol}
        return {"listing_key": key_text(key), **known}

    def _write(self, kind: str, time_ns: int | None = None, **fields: Any) -> None:
        line = {"type": kind, "time_ns": time.time_ns() if time_ns is None else time_ns, **fields}
        self._output.write(json.dumps(line) + "\n")
        self._output.flush()
