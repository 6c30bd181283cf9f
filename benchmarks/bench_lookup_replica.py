"""An ISIN looked up in the SDK's replica, which a watch of a real registry has filled, against a bare dictionary."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from harness import Metric, Options, alternate, main, say
from registry import equity, isin_of, register, running_registry, running_stores

from strategy_sdk import Addresses, RegistryReplica


def microseconds_each(look_up: Callable[[str], Any], keys: Sequence[str]) -> float:
    """One pass over the keys; the loop itself is counted, for both alike."""
    begin = time.perf_counter()
    for key in keys:
        look_up(key)
    return (time.perf_counter() - begin) / len(keys) * 1e6


async def measure(options: Options) -> Sequence[Metric]:
    count, rounds = options.pick(10_000, 500), options.pick(41, 3)
    keys = [isin_of(number) for number in range(count)]
    random.Random(1).shuffle(keys)
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(running_stores(durable=False))
        instruments = await stack.enter_async_context(running_registry("instrument", stores))
        venues = await stack.enter_async_context(running_registry("venue", stores))
        say(f"registering {count} instruments ...")
        await register(instruments.facts["grpc"], (equity(n) for n in range(count)))
        addresses = Addresses(instrument_registry=instruments.facts["grpc"], venue_registry=venues.facts["grpc"])
        replica = await stack.enter_async_context(RegistryReplica(addresses))
        await replica.ready(120.0)
        if replica.counts["instruments"] != count:
            raise RuntimeError(f"the replica holds {replica.counts}, {count} instruments were registered")
        first = microseconds_each(replica.isin, keys)
        bare = {key: replica.isin(key) for key in keys}
        if None in bare.values():
            raise RuntimeError("an ISIN that was registered is not found")

        async def ours() -> float:
            return microseconds_each(replica.isin, keys)

        async def floor() -> float:
            return microseconds_each(bare.get, keys)

        again, dictionary, ratio = await alternate(rounds, ours, floor)
    timed = f"a pass over {count} ISINs in random order, divided by their number"
    return [
        Metric(
            "isin",
            again,
            "us",
            f"RegistryReplica.isin of instruments looked up before: {timed}, median of {rounds}; floor: dict.get of the same keys",
            dictionary,
            ratio,
        ),
        Metric(
            "isin_first", first, "us", f"the first look-up of each, which makes the Instrument of its message: {timed}"
        ),
    ]


if __name__ == "__main__":
    main("lookup_replica", measure)
