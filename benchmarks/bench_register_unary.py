"""RegisterInstrument, one new instrument a call, 64 calls in flight, each answered once it is durable (fsync on)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from calls import open_bytes_channel, unary
from harness import Metric, Options, alternate, main, start
from registry import SERVICE, equity, instrument_registry

from alphapulse.api.instrument.v1 import instrument_service_pb2 as service

IN_FLIGHT = 64


def _request(number: int) -> bytes:
    entry = equity(number)
    return service.RegisterInstrumentRequest(instrument=entry.instrument, listings=entry.listings).SerializeToString()


class _Calls:
    """Rounds of calls that are all different."""

    def __init__(self, call: Callable[[bytes], Any], count: int) -> None:
        self._call = call
        self._count = count
        self._next = 0

    async def round(self) -> tuple[float, list[bytes]]:
        """(calls a second, the answers)."""
        requests = iter([_request(self._next + at) for at in range(self._count)])
        self._next += self._count
        answers: list[bytes] = []

        async def worker() -> None:
            answers.extend([await self._call(request) for request in requests])

        begin = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
        return self._count / (time.perf_counter() - begin), answers


async def measure(options: Options) -> Sequence[Metric]:
    count, rounds = options.pick(4_000, 200), options.pick(5, 1)
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(instrument_registry(durable=True))
        echo = await start(stack, "child_echo")
        channels = [open_bytes_channel(address) for address in (registry.address, echo.facts["address"])]
        for channel in channels:
            stack.push_async_callback(channel.close)
        ours = _Calls(unary(channels[0], f"{SERVICE}/RegisterInstrument"), count)
        bare = _Calls(unary(channels[1], "/floor.Floor/Echo"), count)

        async def registered() -> float:
            rate, answers = await ours.round()
            for raw in answers:
                answer = service.RegisterInstrumentResponse.FromString(raw)
                if answer.outcome != service.REGISTRATION_OUTCOME_CREATED:
                    raise RuntimeError(f"not registered: {answer}")
            return rate

        async def echoed() -> float:
            return (await bare.round())[0]

        await registered()
        rate, floor, ratio = await alternate(rounds, registered, echoed)
    timed = (
        f"RegisterInstrument of a new equity with ISIN, CUSIP and FIGI, {IN_FLIGHT} in flight, {count} a round, from the first sent "
        f"to the last acknowledged as durable; floor: bare grpc.aio server that echoes the same requests; median of {rounds} rounds"
    )
    return [Metric("instruments", rate, "instruments/s", timed, floor, ratio)]


if __name__ == "__main__":
    main("register_unary", measure)
