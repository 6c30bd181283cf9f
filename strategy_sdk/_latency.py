"""What each hop took, from the stamps in the rows. One row of each run is measured, its last: enough for percentiles, and free."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from alphapulse.domain.provenance import PROVENANCE_MASK, Provenance
from alphapulse.records import LAYOUTS, RecordLayout, Rows

HOPS: Final = ("venue_to_collector", "collector_to_relay", "relay", "relay_to_client", "collector_to_client")
"""The last is all of the way within the platform."""
_KEPT: Final = 8192
_STAMPS: Final = ("venue_time_ns", "collector_time_ns", "relay_in_ns", "relay_out_ns")


@dataclass(frozen=True, slots=True)
class HopLatency:
    """Percentiles of one hop over its most recent measurements, in microseconds."""

    p50_us: float
    p99_us: float
    count: int
    """Measured since the stream began; at most 8,192 are kept."""


def _reader(layout: RecordLayout) -> struct.Struct:
    """Reads the four stamps and the flags of a row."""
    described = layout.dtype.fields
    assert described is not None  # a structured dtype
    code, at = "<", 0
    for name, kind, size in (*((name, "q", 8) for name in _STAMPS), ("flags", "I", 4)):
        offset = described[name][1]
        code += f"{offset - at}x{kind}"
        at = offset + size
    return struct.Struct(code)


_READERS: Final = {number: _reader(layout) for number, layout in LAYOUTS.items()}


class LatencyRecorder:
    """Keeps the most recent measurements."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, int, int, int, int, int]] = deque(maxlen=_KEPT)
        self._count = 0

    def record(self, layout: RecordLayout, rows: Rows, received_ns: int) -> None:
        """Measure the last row."""
        stamps = _READERS[layout.event_type].unpack_from(rows[-1:].tobytes())
        self._kept.append((*stamps, received_ns))
        self._count += 1

    def summary(self) -> Mapping[str, HopLatency]:
        """By hop; a hop without a measurement is left out."""
        if not self._kept:
            return {}
        table = np.array(self._kept, np.int64)
        venue, collector, relay_in, relay_out, flags, received = table.T
        # The venue's time of a replayed event is that of its recording.
        with_venue = (venue > 0) & ((flags & PROVENANCE_MASK) != Provenance.REPLAY)
        pairs = (
            (venue, collector, with_venue),
            (collector, relay_in, relay_in > 0),
            (relay_in, relay_out, relay_out > 0),
            (relay_out, received, relay_out > 0),
            (collector, received, collector > 0),
        )
        found = {}
        for hop, (start, end, usable) in zip(HOPS, pairs, strict=True):
            took = (end - start)[usable & (start > 0)]
            if len(took):
                p50, p99 = np.percentile(took, (50, 99)) / 1000
                found[hop] = HopLatency(round(float(p50), 1), round(float(p99), 1), self._count)
        return found
