"""What a relay's log, and its gates for late and far prices, cost the way of a quote: the same burst through relays with and without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final

from bench_relay_throughput import FRAME_ROWS, Burst
from harness import Metric, Options, main, paired
from relay import relay_of, running_registries

from strategy_sdk import EventType, connect

_GATES_OFF: Final = {"RELAY_STALE_MS": "0", "RELAY_PRICE_BAND_BPS": "0"}
_KINDS: Final = ("plain", "log", "ungated")


async def _relays(stack: AsyncExitStack, instruments: int, rows: int) -> dict[str, Burst]:
    """One relay each, all over the same registries; those that wait for their turn are idle."""
    listed = await stack.enter_async_context(running_registries(instruments))
    changed: dict[str, Mapping[str, str]] = {
        "plain": {},
        "log": {"RELAY_LOG_URL": listed.redis_url},
        "ungated": _GATES_OFF,
    }
    found = {}
    for kind in _KINDS:
        relay = await stack.enter_async_context(relay_of(listed, kind, RELAY_ID=kind, **changed[kind]))
        stream = await stack.enter_async_context(connect(relay.address, egress_socket="", name="benchmark"))
        await stream.subscribe(event_types=[EventType.QUOTE])
        found[kind] = Burst(relay, stream, rows)
    return found


async def measure(options: Options) -> Sequence[Metric]:
    rows, rounds = options.pick(500_000, 20_000), options.pick(7, 1)
    rates: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    async with AsyncExitStack() as stack:
        bursts = await _relays(stack, options.pick(1_000, 20), rows)
        for burst in bursts.values():
            await burst.round()
            burst.forget()
        for number in range(rounds):
            for kind in _KINDS if number % 2 else _KINDS[::-1]:
                rates[kind].append(await bursts[kind].round())
        cpu = {kind: burst.relay_cpu for kind, burst in bursts.items()}
    common = f"{rows} quotes a round in frames of {FRAME_ROWS}, one collector on the Unix socket, one subscriber over gRPC; {rounds} rounds by turns"
    busy = f"processor time of the relay's process for each quote; {common}"
    return [
        paired(
            "logged",
            rates["log"],
            rates["plain"],
            "quotes/s",
            f"{common}; with RELAY_LOG_URL, a Valkey beside it; floor: without a log",
        ),
        paired(
            "gated",
            rates["plain"],
            rates["ungated"],
            "quotes/s",
            f"{common}; gates as they are by default; floor: both off",
        ),
        _cost("logged_cpu", cpu["log"], cpu["plain"], f"{busy}; with a log; floor: without"),
        _cost("gated_cpu", cpu["plain"], cpu["ungated"], f"{busy}; gates by default; floor: both off"),
    ]


def _cost(name: str, value: float, floor: float, timed: str) -> Metric:
    return Metric(name, value, "us/quote", timed, floor, value / floor if floor else None)


if __name__ == "__main__":
    main("relay_log", measure)
