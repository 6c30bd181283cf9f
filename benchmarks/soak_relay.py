"""`make soak`: a relay under full load for ten minutes. Its memory is read a hundred times; it may not grow after the first quarter.

    python benchmarks/soak_relay.py [--seconds 600]

One collector sends quotes as fast as one subscriber over gRPC takes them, with a log, registries, detection and gates on. Ends with 1 when the
memory at the end is more than a twentieth above that at a quarter, or when a quote is missing. The last line of output is the JSON of a benchmark.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

import uvloop
from bench_relay_throughput import FRAME_ROWS, Burst
from harness import Metric, print_line, say
from relay import relay_of, running_registries

from strategy_sdk import EventType, connect

_ALLOWED: Final = 1.05
_ROUND_ROWS: Final = 500_000
_SAMPLES: Final = 100
_INSTRUMENTS: Final = 1_000


async def soak(seconds: float) -> Sequence[Metric]:
    """Load, and what it showed."""
    held: list[tuple[float, float]] = []
    async with AsyncExitStack() as stack:
        listed = await stack.enter_async_context(running_registries(_INSTRUMENTS))
        relay = await stack.enter_async_context(
            relay_of(listed, RELAY_LOG_URL=listed.redis_url, RELAY_LOG_BYTES=str(64 << 20))
        )
        stream = await stack.enter_async_context(connect(relay.address, egress_socket="", name="soak"))
        await stream.subscribe(event_types=[EventType.QUOTE])
        burst = Burst(relay, stream, _ROUND_ROWS)
        begin = time.monotonic()
        while (passed := time.monotonic() - begin) < seconds:
            await burst.round()
            if passed >= len(held) * seconds / _SAMPLES:
                held.append((passed, relay.resident()))
                say(f"{passed:6.0f} s  {burst.sent:>13,} quotes  {held[-1][1]:7.1f} MiB")
    quarter = next(one for passed, one in held if passed >= seconds / 4)
    timed = f"{burst.sent} quotes in {passed:.0f} s in frames of {FRAME_ROWS}, none missing"
    return [
        Metric(
            "memory",
            held[-1][1],
            "MiB",
            f"the relay's process at the end; floor: at a quarter; {timed}",
            quarter,
            held[-1][1] / quarter,
        ),
        Metric("quotes", burst.sent / passed, "quotes/s", timed),
    ]


def run() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (600)")
    metrics = uvloop.run(soak(parser.parse_args().seconds))
    print_line("soak_relay", metrics)
    ratio = metrics[0].ratio
    return 0 if ratio is not None and ratio <= _ALLOWED else 1


if __name__ == "__main__":
    sys.exit(run())
