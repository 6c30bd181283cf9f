"""What the relay's core costs a quote: stamped, looked up, marked, kept, compared across the venues of its instrument.

    python benchmarks/kernel_intake.py [--json]

Quotes of random listings among `pool`, three venues an instrument, no opportunity among them; the rows of a call are in no
cache. Prints the median and the least time a row for calls of 1 to 10,000 rows.
"""

from __future__ import annotations

import json
import platform
import sys
import time

import numpy as np

from alphapulse.records import QUOTE, Rows
from relay_service.core import RelayCore
from relay_service.kernel.engine import KernelSettings

LISTINGS = 300_000
POOLS = (3_000, LISTINGS)
SIZES = (1, 16, 256, 1_000, 10_000)


def build(listings: int = LISTINGS) -> tuple[RelayCore, np.ndarray]:
    """A core that knows so many listings, three an instrument, and their keys."""
    core = RelayCore(KernelSettings(capacity=1 << listings.bit_length()))
    core.warm_up()
    keys = np.random.default_rng(1).integers(1, 2**64 - 1, listings, dtype=np.uint64)
    for number, key in enumerate(keys.tolist()):
        core.slots.add(key)
        core.engine.groups.place(number, f"{number // 3 + 1:032x}", "USD", 1.0)
    table = core.slots.table[:listings]
    table["known"], table["definition_version"], table["taker_fee_bps"] = 1, 1, 1.0
    table["tick"], table["tick_exponent"] = 1, -2
    return core, keys


def frame(keys: np.ndarray, count: int, pool: int, seed: int) -> Rows:
    """Quotes of random listings of the first `pool`."""
    rows = QUOTE.new(count)
    rows["listing_key"] = keys[np.random.default_rng(seed).integers(0, pool, count)]
    rows["bid_price"], rows["ask_price"], rows["price_exponent"] = 10_000_000_000, 10_010_000_000, -8
    rows["bid_size"], rows["ask_size"], rows["flags"] = 100, 100, 1
    rows["venue_time_ns"], rows["collector_time_ns"] = 1, 1
    return rows


def main() -> None:
    core, keys = build()
    source, _ = core.sources.claim("BENCH", 1, 1)
    metrics = []
    for pool in POOLS:
        for size in SIZES:
            frames = [frame(keys, size, pool, seed) for seed in range(max(4, min(500, 20_000 // size)))]
            times = []
            for rows in [*frames, *frames, *frames]:
                started = time.perf_counter()
                core.accept(source, QUOTE.event_type, rows, source.next_sequence, 1_000)
                times.append((time.perf_counter() - started) / size * 1e9)
            best = sorted(times[len(frames) :])
            metrics.append(
                {"pool": pool, "rows": size, "median_ns": round(best[len(best) // 2], 1), "least_ns": round(best[0], 1)}
            )
    if "--json" in sys.argv:
        print(json.dumps({"bench": "kernel_intake", "machine": platform.platform(), "metrics": metrics}))
        return
    for one in metrics:
        print(
            f"{one['pool']:>8} listings {one['rows']:>6} rows a call: median {one['median_ns']:>8} ns a row, least {one['least_ns']:>8}"
        )


if __name__ == "__main__":
    main()
