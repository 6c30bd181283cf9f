"""LookupISIN, one identifier a call, 64 calls in flight, against a bare gRPC server that gives back the bytes it was sent."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from calls import open_bytes_channel, run_load, unary
from harness import Child, Metric, Options, alternate, main, say, start
from registry import SERVICE, equity, instrument_registry, isin_of, register, warm

from alphapulse.api.instrument.v1 import instrument_service_pb2 as service

IN_FLIGHT = 64


class _Side:
    """One server under load; remembers what its process spent."""

    def __init__(self, child: Child, address: str, method: str, requests: list[bytes]) -> None:
        self._child = child
        self.channel = open_bytes_channel(address)
        self.call = unary(self.channel, method)
        self._requests = requests
        self._calls = 0
        self._cpu = 0.0

    async def warm(self, seconds: float) -> None:
        """A round that does not count."""
        await run_load(self.call, self._requests, IN_FLIGHT, seconds)

    async def round(self, seconds: float) -> float:
        """Calls a second."""
        before = self._child.cpu_seconds()
        load = await run_load(self.call, self._requests, IN_FLIGHT, seconds)
        self._cpu += self._child.cpu_seconds() - before
        self._calls += load.calls
        return load.rate

    @property
    def microseconds_a_call(self) -> float:
        """Processor time of the server's process."""
        return self._cpu / self._calls * 1e6


async def measure(options: Options) -> Sequence[Metric]:
    count, rounds, seconds = options.pick(5_000, 200), options.pick(24, 2), options.seconds(0.4)
    requests = [service.LookupISINRequest(isin=isin_of(n)).SerializeToString() for n in range(count)]
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(instrument_registry())
        echo = await start(stack, "child_echo")
        say(f"registering {count} instruments ...")
        await register(registry.address, (equity(n) for n in range(count)))
        ours = _Side(registry.child, registry.address, f"{SERVICE}/LookupISIN", requests)
        bare = _Side(echo, echo.facts["address"], "/floor.Floor/Echo", requests)
        for side in (ours, bare):
            stack.push_async_callback(side.channel.close)
        await warm(ours.channel, [isin_of(n) for n in range(count)])
        for side in (ours, bare):
            await side.warm(seconds)
        rate, floor, ratio = await alternate(rounds, lambda: ours.round(seconds), lambda: bare.round(seconds))
    same = f"median of {rounds} rounds of {seconds:g} s; one client process, the same code for both servers"
    return [
        Metric(
            "calls",
            rate,
            "calls/s",
            f"LookupISIN of {count} instruments held in the process's cache, {IN_FLIGHT} in flight; floor: bare grpc.aio "
            f"server that echoes the request; {same}",
            floor,
            ratio,
        ),
        Metric(
            "server_cpu",
            ours.microseconds_a_call,
            "us/call",
            "processor time of the server's process in those rounds, all threads",
            bare.microseconds_a_call,
            ours.microseconds_a_call / bare.microseconds_a_call if bare.microseconds_a_call else None,
        ),
    ]


if __name__ == "__main__":
    main("lookup_unary", measure)
