"""Latencies counted in logarithmic buckets: eight to each power of two, so a percentile is within 7 % of the truth at a cost of two nanoseconds."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from relay_service.kernel.jit import compiled
from relay_service.kernel.memory import bit_length, load_i64, store_i64

HOPS: Final = ("venue_to_collector", "collector_to_relay", "relay")
VENUE_TO_COLLECTOR: Final = 0
COLLECTOR_TO_RELAY: Final = 1
RELAY: Final = 2
BUCKETS: Final = 512


@compiled
def bucket_of(nanoseconds: int) -> int:
    """The bucket of a span: itself below 8, then the power of two and the three bits after its first. A negative span counts as 0."""
    if nanoseconds < 8:
        return max(nanoseconds, 0)
    power = bit_length(nanoseconds) - 1
    return (power - 2) * 8 + ((nanoseconds >> (power - 3)) & 7)


def bucket(nanoseconds: int) -> int:
    """`bucket_of` for Python."""
    if nanoseconds < 8:
        return max(nanoseconds, 0)
    power = nanoseconds.bit_length() - 1
    return (power - 2) * 8 + ((nanoseconds >> (power - 3)) & 7)


@compiled
def record(histograms: int, hop: int, nanoseconds: int, times: int) -> None:
    """Count a span of a hop, so many times, in the histograms at this address."""
    place = histograms + 8 * (hop * BUCKETS + bucket_of(nanoseconds))
    store_i64(place, load_i64(place) + times)


def middle_of(bucket: int) -> float:
    """The middle of a bucket in nanoseconds."""
    if bucket < 8:
        return float(bucket)
    power = bucket // 8 + 2
    width = 1 << (power - 3)
    return float((1 << power) + (bucket % 8) * width) + (width - 1) / 2


def percentile(counts: npt.NDArray[np.int64], share: float) -> float:
    """The span in nanoseconds that `share` (0 to 1) of those counted do not exceed; NaN when none were counted."""
    total = int(counts.sum())
    if total == 0:
        return float("nan")
    rank = max(int(np.ceil(share * total)), 1)
    return middle_of(int(np.searchsorted(counts.cumsum(), rank)))
